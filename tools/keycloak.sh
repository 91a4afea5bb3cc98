#!/bin/sh
# Gets a Keycloak server by Maven into build/keycloak, once, and configures it for tests/interop. It starts nothing.
# Exit status 69 (EX_UNAVAILABLE) and a reason on standard error where the distribution cannot be had.
set -eu

VERSION=26.7.3
PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:2.8
WITHIN_S=600

unavailable() {
    echo "no Keycloak: $1" >&2
    exit 69
}

mkdir -p "$(dirname "$0")/../build/keycloak"
cd "$(dirname "$0")/../build/keycloak"
exec 9>.lock
flock 9
if [ "$(cat .installed 2>/dev/null)" = "$VERSION" ]; then
    exit 0
fi
for program in java mvn; do
    command -v "$program" >/dev/null 2>&1 ||
        unavailable "$program was not found; on Debian and Ubuntu: apt-get install default-jre-headless maven"
done
rm -rf server unpacked
timeout "$WITHIN_S" mvn -q -B "$PLUGIN:unpack" -Dartifact="org.keycloak:keycloak-quarkus-dist:$VERSION:zip" \
    -DoutputDirectory=unpacked >maven.log 2>&1 9>&- ||
    unavailable "Maven did not bring keycloak-quarkus-dist $VERSION; build/keycloak/maven.log says why"
mv "unpacked/keycloak-$VERSION" server
sh server/bin/kc.sh build --db=dev-mem >build.log 2>&1 9>&- || {
    echo "Keycloak could not be configured; build/keycloak/build.log says why" >&2
    exit 1
}
echo "$VERSION" >.installed

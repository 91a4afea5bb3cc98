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

cd "$(dirname "$0")/.."
mkdir -p build/keycloak
exec 9>build/keycloak/.lock
flock 9
if [ "$(cat build/keycloak/.installed 2>/dev/null)" = "$VERSION" ]; then
    exit 0
fi
for program in java mvn; do
    command -v "$program" >/dev/null 2>&1 ||
        unavailable "$program was not found; on Debian and Ubuntu: apt-get install default-jre-headless maven"
done
rm -rf build/keycloak/server build/keycloak/unpacked
timeout "$WITHIN_S" mvn -q -B "$PLUGIN:unpack" -Dartifact="org.keycloak:keycloak-quarkus-dist:$VERSION:zip" \
    -DoutputDirectory=build/keycloak/unpacked >build/keycloak/maven.log 2>&1 9>&- ||
    unavailable "Maven did not bring keycloak-quarkus-dist $VERSION; build/keycloak/maven.log says why"
mv "build/keycloak/unpacked/keycloak-$VERSION" build/keycloak/server
sh build/keycloak/server/bin/kc.sh build --db=dev-mem >build/keycloak/build.log 2>&1 9>&- || {
    echo "Keycloak could not be configured; build/keycloak/build.log says why" >&2
    exit 1
}
echo "$VERSION" >build/keycloak/.installed

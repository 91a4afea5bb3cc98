#!/bin/sh
# Installs the npm packages that tests start, as tests/npm has them locked, into build/npm: once for each lock.
# Several processes may call it at the same time.
set -eu

cd "$(dirname "$0")/.."
command -v npm >/dev/null 2>&1 || {
    echo "npm was not found; tests with identity providers need Node.js 20 or newer with npm" >&2
    exit 1
}
mkdir -p build/npm
exec 9>build/npm/.lock
flock 9
if cmp -s tests/npm/package-lock.json build/npm/.installed; then
    exit 0
fi
cp tests/npm/package.json tests/npm/package-lock.json build/npm/
(cd build/npm && npm ci --silent --ignore-scripts --no-audit --no-fund --no-update-notifier 9>&-)
cp tests/npm/package-lock.json build/npm/.installed

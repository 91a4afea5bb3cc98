#!/bin/sh
# Makes sure that the programs which tests ("test") or benchmarks ("bench") start are on this machine.
# Debian packages are installed when we may; otherwise it says what to do.
set -eu

has_postgres() {
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1
}

has_pgbouncer() {
    PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null 2>&1
}

has_nginx() {
    PATH="$PATH:/usr/sbin" command -v nginx >/dev/null 2>&1
}

has_sshd() {
    PATH="$PATH:/usr/sbin" command -v sshd >/dev/null 2>&1
}

has_browser() {
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
        command -v google-chrome >/dev/null 2>&1
}

missing=""
has_postgres || missing="postgresql"
if [ "$1" = test ]; then
    command -v curl >/dev/null 2>&1 || missing="$missing curl"
    command -v certutil >/dev/null 2>&1 || missing="$missing libnss3-tools"
    has_sshd || missing="$missing openssh-server"
    command -v ssh >/dev/null 2>&1 || missing="$missing openssh-client"
    command -v rsync >/dev/null 2>&1 || missing="$missing rsync"
    command -v git >/dev/null 2>&1 || missing="$missing git"
    command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"
    has_browser || missing="$missing chromium"
fi
if [ "$1" = bench ]; then
    has_pgbouncer || missing="$missing pgbouncer"
    has_sshd || missing="$missing openssh-server"
    command -v ssh >/dev/null 2>&1 || missing="$missing openssh-client"
    has_nginx || missing="$missing nginx-light"
    command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
    command -v curl >/dev/null 2>&1 || missing="$missing curl"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing on this machine: $missing" >&2
    echo "Install it, on Debian and Ubuntu with: sudo apt-get install --no-install-recommends $missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q </dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $missing </dev/null

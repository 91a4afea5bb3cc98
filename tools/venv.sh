#!/bin/sh
# Installs the package for development, with the given extras, into .venv, which is made when it is missing.
# Set PYTHON to choose the interpreter.
set -eu

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer, with its venv module (Debian: python3-venv), was not found." >&2
    echo "Install it, or name an interpreter: make PYTHON=/path/to/python3.12 venv" >&2
    exit 1
}

if ! usable .venv/bin/python; then
    python=$(find_python)
    "$python" -m venv --clear .venv
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install --quiet -c constraints.txt setuptools
.venv/bin/python -m pip install --quiet -c constraints.txt --no-build-isolation -e ".[$1]"

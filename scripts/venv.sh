#!/usr/bin/env bash
# Make the virtual environment .venv with the first Python that is new enough, or say what is missing.
#
#   scripts/venv.sh [FOLDER]        PYTHON=/path/to/python3.12 scripts/venv.sh
set -euo pipefail
folder="${1:-.venv}"

new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=""
for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13 python3; do
    if new_enough "$candidate"; then
        python="$candidate"
        break
    fi
done
if [ -z "$python" ]; then
    echo "Kinemark needs Python 3.11 or newer; none was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi

if [ -x "$folder/bin/python" ] && new_enough "$folder/bin/python" && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
# Debian and Ubuntu keep what `venv` needs in a package of its own; virtualenv brings it along.
if ! "$python" -m venv "$folder" 2>/dev/null; then
    rm -rf "$folder"
    if ! "$python" -m virtualenv --version >/dev/null 2>&1 && ! "$python" -m pip install --quiet --user virtualenv; then
        echo "cannot make a virtual environment: install python3-venv (apt-get install python3-venv), and run this again" >&2
        exit 1
    fi
    "$python" -m virtualenv --quiet "$folder"
fi

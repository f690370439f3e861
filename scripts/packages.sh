#!/usr/bin/env bash
# Install what the tests need besides Python: openssl (a time stamping authority), node with npm and Adobe's json-formula
# (the rubrics of C2PA's conformance programme), ffmpeg with its `signature` filter (ISCC video codes), PostgreSQL (the
# server's queue), and OpenAI's SDKs as old scripts have them (the server's contract).
#
#   scripts/packages.sh VENV      node's packages go into VENV/share/node, the SDKs into VENV/share/openai
set -euo pipefail
venv="${1:?name the virtual environment}"
modules=(@adobe/json-formula@2.0.0 openai@6.49.0)
sdks=(2.27.0 3.3.1 3.54.0)

missing=()
for program in openssl node npm ffmpeg; do
    command -v "$program" >/dev/null 2>&1 || missing+=("${program/node/nodejs}")
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null 2>&1 || missing+=(postgresql)
if [ "${#missing[@]}" -gt 0 ]; then
    install=(apt-get install --yes --quiet --no-install-recommends "${missing[@]}")
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "the tests need: ${missing[*]}. Install them, and run this again." >&2
        exit 1
    fi
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    if ! DEBIAN_FRONTEND=noninteractive "${root[@]}" "${install[@]}" >/dev/null 2>&1; then
        "${root[@]}" apt-get update --quiet >/dev/null
        DEBIAN_FRONTEND=noninteractive "${root[@]}" "${install[@]}" >/dev/null
    fi
fi
mkdir -p "$venv/share/node"
npm install --silent --no-audit --no-fund --prefix "$venv/share/node" "${modules[@]}" >/dev/null
for version in "${sdks[@]}"; do
    # What the SDK needs beside is in VENV already, but for these, which newer ones do without.
    [ -d "$venv/share/openai/$version" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --target "$venv/share/openai/$version" "openai==$version" distro jiter sniffio tqdm
done

#!/usr/bin/env bash
# Install what the tests need besides Python: openssl (a time stamping authority), node with npm and Adobe's json-formula
# (the rubrics of C2PA's conformance programme), ffmpeg with its `signature` filter (ISCC video codes).
#
#   scripts/packages.sh VENV      json-formula goes into VENV/share/node
set -euo pipefail
venv="${1:?name the virtual environment}"
formula="@adobe/json-formula@2.0.0"

missing=()
for program in openssl node npm ffmpeg; do
    command -v "$program" >/dev/null 2>&1 || missing+=("${program/node/nodejs}")
done
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
if [ ! -d "$venv/share/node/node_modules/@adobe/json-formula" ]; then
    mkdir -p "$venv/share/node"
    npm install --silent --no-audit --no-fund --prefix "$venv/share/node" "$formula" >/dev/null
fi

#!/usr/bin/env bash
# garak, PyRIT and promptfoo, each in a folder of its own below FOLDER: they want other versions of everything, and 4 GB.
#
#   scripts/redteam_tools.sh FOLDER
set -euo pipefail
folder=${1:?say where}
python=${PYTHON:-python3}
mkdir -p "$folder"
install() {
    "$python" -m venv "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
}
install garak 'garak>=0.16,<0.18' 'torch>=2.9,<2.14'
install pyrit 'pyrit>=1.1,<1.2'
npm install --no-audit --no-fund --silent --prefix "$folder/promptfoo" 'promptfoo@>=0.120 <0.130'

#!/usr/bin/env bash
# spark from nothing, or from the weights that ship, on two CPU cores: the whole recipe.
#
#   runs/spark_cpu.sh [FOLDER] [MINUTES]
#
# Run it again to add to it: every call is a warm restart that starts from FOLDER, else from the shipped weights.
# Ctrl-C keeps what was learnt. FOLDER/spark.safetensors is the result; nothing is shipped until it is better on the
# same prompts:  cp FOLDER/spark.safetensors src/kinemark/model/weights/
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-out/spark_cpu}
minutes=${2:-150}
resume=()
[ -e "$out/state.pt" ] && resume=(--resume)
.venv/bin/kinemark train spark --minutes "$minutes" --out "$out" "${resume[@]}"
.venv/bin/kinemark evaluate "$out/spark.safetensors" --work "$out/evaluation" --page "$out/page" --json | tee "$out/evaluation.json"

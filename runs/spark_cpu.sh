#!/usr/bin/env bash
# spark from nothing, or from the weights that ship, on two CPU cores: the whole recipe.
#
#   runs/spark_cpu.sh [FOLDER] [MINUTES]
#
# Two processes of one thread step together, each on its own clips, which is faster than one process of two threads. The
# scene expert comes first, then the detail expert, then the upsampler, which learns from what that has become. Run it
# again to add to it: every call is a warm restart that starts from FOLDER, else from the shipped weights. Ctrl-C keeps
# what was learnt. FOLDER/spark.safetensors is the result; nothing is shipped until it is better on the same prompts:
#   cp FOLDER/spark.safetensors src/kinemark/model/weights/
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-out/spark_cpu}
minutes=${2:-120}

# A step allocates and frees hundreds of megabytes. By default glibc hands them back to the system each time, and every
# fresh page costs a fault: a third of the step.
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456

resume=()
[ -e "$out/scene/state.pt" ] && resume=(--resume)
export OMP_NUM_THREADS=1
both=(.venv/bin/torchrun --standalone --nproc-per-node 2 --no-python .venv/bin/kinemark)
"${both[@]}" train spark --minutes "$minutes" --out "$out" "${resume[@]}"
"${both[@]}" evaluate "$out/spark.safetensors" --work "$out/evaluation" --page "$out/page" --json | tee "$out/evaluation.json"

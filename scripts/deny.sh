#!/usr/bin/env bash
# Installs cargo-deny once, outside the checkout, and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
tools="${XDG_CACHE_HOME:-$HOME/.cache}/windlass/tools"
if [ ! -x "$tools/bin/cargo-deny" ]; then
  echo "installing cargo-deny" >&2
  CARGO_TARGET_DIR="$tools/target" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 cargo install --quiet --locked --root "$tools" cargo-deny@0.20.2
  rm -rf "$tools/target"
fi
PATH="$tools/bin:$PATH" cargo deny --log-level error check bans licenses sources

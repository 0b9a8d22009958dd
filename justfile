# The daily commands; `just` lists them.
_default:
    @just --list

# Everything, as CI does it
test *steps:
    ./test.sh {{steps}}

# The short loop: tests of the crates without burn
check:
    ./test.sh fmt direction pure

# Lints, with the cuda feature
lint:
    ./test.sh lint

# The quickstart sweep
demo:
    cargo run --release -- run sweeps/quickstart.yaml

# The operating characteristics of the statistics, whole (a quarter of them runs with the tests)
simulate:
    cargo test --release -p sweep-stats --test operating_characteristics -- --ignored --nocapture
    cargo test --release -p sweep-report --test type_one_error -- --ignored --nocapture

# API documentation in the browser
docs:
    cargo doc --no-deps --open

# What a million runs cost a Redis server: CPU, memory, commands
many:
    cargo test --release -p sweep-store --test redis_many -- --ignored --nocapture

# A benchmark by name: step, head, slots, start, makespan, roofline, gpu, decode, overhead, queue, scale, stats (docs/performance.md)
bench name *args:
    bench/{{name}}/run {{args}}

# The chaos test, longer: real processes killed, frozen and cut off
soak runs="20000":
    SWEEP_CHAOS_RUNS={{runs}} cargo test --release -p sweep-train -p sweep-cli --test chaos -- --nocapture

# The chart: lint, schemas, custom resources, Dockerfiles, and the pods' commands as processes
chart:
    ./test.sh tools chart

# What checkov says of the chart (300 MB of tools), with a reason for each check left out
checkov:
    #!/usr/bin/env bash
    set -euo pipefail
    python3 -m venv target/checkov && target/checkov/bin/pip install --quiet checkov==3.3.30
    # 11 a limit of CPU throttles training; 15, 43 digests are set at release; 21 the namespace is the release's choice;
    # 35 a store's whole URL, where an operator brings it in a Secret of theirs
    for leg in first-try full spot; do
        target/tools/bin/helm template r helm/sweep -n demo --skip-tests -f helm/sweep/ci/$leg-values.yaml > target/$leg.yaml
        target/checkov/bin/checkov --quiet --compact --skip-download --framework kubernetes -f target/$leg.yaml \
            --skip-check CKV_K8S_11,CKV_K8S_15,CKV_K8S_21,CKV_K8S_35,CKV_K8S_43
    done

# Tokens for docker-compose.yaml
tokens:
    mkdir -p tokens && for role in read submit admin; do [ -s tokens/$role ] || openssl rand -hex 24 > tokens/$role; done && chmod 644 tokens/*

# Both images; `just images cuda` for GPUs
images kind="cpu":
    docker build -f coordinator/Dockerfile --build-arg SWEEP_REVISION=$(git rev-parse HEAD) -t sweep-coordinator:0.1.0 .
    docker build -f worker/Dockerfile --target {{kind}} --build-arg SWEEP_REVISION=$(git rev-parse HEAD) \
        -t sweep-worker{{ if kind == "cuda" { "" } else { "-" + kind } }}:0.1.0 .

# What both binaries are made of, as CycloneDX (cargo install cargo-cyclonedx@0.5.9)
sbom:
    cargo cyclonedx --manifest-path coordinator/Cargo.toml --format json --describe binaries
    cargo cyclonedx --manifest-path crates/sweep-cli/Cargo.toml --format json --describe binaries --features cuda
# The screenshots of the documentation, from the browser tests
screenshots:
    ./test.sh tools browser
    mkdir -p docs/screenshots
    for name in sweep sweep-dark run run-mistakes workers compare; do cp target/screenshots/$name.png docs/screenshots/; done

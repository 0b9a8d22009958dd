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

# A benchmark by name: decode, overhead, queue, stats
bench name *args:
    bench/{{name}}/run {{args}}

# The chaos test, longer: real processes killed, frozen and cut off
soak runs="20000":
    SWEEP_CHAOS_RUNS={{runs}} cargo test --release -p sweep-train -p sweep-cli --test chaos -- --nocapture

# The screenshots of the documentation, from the browser tests
screenshots:
    ./test.sh tools browser
    mkdir -p docs/screenshots
    for name in sweep sweep-dark run run-mistakes workers compare; do cp target/screenshots/$name.png docs/screenshots/; done

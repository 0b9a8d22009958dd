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

# API documentation in the browser
docs:
    cargo doc --no-deps --open

# What a million runs cost a Redis server: CPU, memory, commands
many:
    cargo test --release -p sweep-store --test redis_many -- --ignored --nocapture

# A benchmark by name: overhead, step
bench name *args:
    bench/{{name}}/run {{args}}

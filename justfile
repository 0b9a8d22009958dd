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

# A benchmark by name: overhead, stats, queue
bench name *args:
    bench/{{name}}/run {{args}}

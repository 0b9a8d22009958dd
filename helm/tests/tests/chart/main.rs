//! The chart, checked without a cluster. `values`: each has an effect. `refusals`: what cannot work is refused in words. `objects`: what
//! is true of every rendering. `life`: the real binaries under the rendered commands, on a `node` of this machine.

#![expect(clippy::unwrap_used, reason = "tests")]

mod life;
mod node;
mod objects;
mod refusals;
mod values;

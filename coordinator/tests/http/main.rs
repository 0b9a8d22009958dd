//! The coordinator over real HTTP, on a store in memory and on a real Redis.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod dashboard;
mod files;
mod flow;
mod pages;
mod security;
#[path = "../../../crates/sweep-store/tests/server/mod.rs"]
#[allow(dead_code, reason = "not every part is used here")]
mod server;
mod shapes;
mod streams;
mod world;

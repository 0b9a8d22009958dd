//! Tests of the whole way from records to text.

mod across;
mod degenerate;
mod pitfalls;
mod speed;
mod tables;
mod verdicts;

//! Tests of the whole way from records to text.

mod across;
mod degenerate;
mod pitfalls;
mod schema;
mod speed;
mod tables;
mod verdicts;

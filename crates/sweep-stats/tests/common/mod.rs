//! Shared by the integration tests; each uses a part of it.
#![allow(dead_code, reason = "every test binary compiles all of it")]

pub(crate) mod golden;
pub(crate) mod simulation;

//! Where sweeps, runs and leases live: one trait, SQLite behind it.

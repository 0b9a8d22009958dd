//! Submits sweeps and keeps the store moving.

//! Leases runs, trains them, reports.

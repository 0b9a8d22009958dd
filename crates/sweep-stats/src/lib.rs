//! Pure statistics over plain slices: exact tests, intervals, corrections, power, sequential rules.

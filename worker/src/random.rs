//! Randomness that must differ between processes: request ids, worker names, jitter. Never used for training.

/// 64 random bits. Where the system has none to give, the time of day: a request id must differ, not be secret.
pub(crate) fn bits() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        (now.as_nanos() as u64) ^ u64::from(std::process::id())
    })
}

/// Uniform in [0.5, 1).
pub(crate) fn jitter() -> f64 {
    0.5 + 0.5 * (bits() >> 11) as f64 / (1u64 << 53) as f64
}

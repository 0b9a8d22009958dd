//! Intervals for the accuracy of one model on n examples: Wilson (default), Clopper–Pearson,
//! Jeffreys.
//!
//! Never on seeds × examples pooled: seeds share their examples, and the interval would be far too
//! short; several seeds belong to [`crate::crossed`].

use crate::distribution::{beta_ppf, norm_ppf};
use crate::interval::Interval;
use crate::missing::{Known, Missing, check_conf};

fn check(k: u64, n: u64, conf: f64) -> Known<(f64, f64)> {
    check_conf(conf)?;
    if n == 0 {
        return Err(Missing::NoData);
    }
    if k > n {
        return Err(Missing::OutOfRange("`k` must be at most `n`"));
    }
    Ok((k as f64, n as f64))
}

/// The Wilson score interval for `k` of `n` (Wilson 1927): exactly 0 for k = 0 and exactly 1 for
/// k = n.
///
/// `(p + z²/2n ± z√(p(1−p)/n + z²/4n²)) / (1 + z²/n)` with z = Φ⁻¹((1 + conf)/2).
pub fn wilson(k: u64, n: u64, conf: f64) -> Known<Interval> {
    let (successes, trials) = check(k, n, conf)?;
    let z = -norm_ppf((1.0 - conf) / 2.0)?;
    let p = successes / trials;
    let shrink = 1.0 + z * z / trials;
    let center = (p + z * z / (2.0 * trials)) / shrink;
    let half = z / shrink * (p * (1.0 - p) / trials + z * z / (4.0 * trials * trials)).sqrt();
    Ok(Interval {
        low: if k == 0 { 0.0 } else { (center - half).clamp(0.0, p) },
        high: if k == n { 1.0 } else { (center + half).clamp(p, 1.0) },
    })
}

/// The exact interval of Clopper and Pearson (1934): quantiles of Beta(k, n−k+1) and Beta(k+1, n−k).
///
/// # Errors
/// [`Missing::TooLarge`] above 5,000 examples, where the Beta quantile loses accuracy.
pub fn clopper_pearson(k: u64, n: u64, conf: f64) -> Known<Interval> {
    let (successes, trials) = check(k, n, conf)?;
    let tail = (1.0 - conf) / 2.0;
    Ok(Interval {
        low: if k == 0 { 0.0 } else { beta_ppf(tail, successes, trials - successes + 1.0)? },
        high: if k == n { 1.0 } else { beta_upper(tail, successes + 1.0, trials - successes)? },
    })
}

/// The Jeffreys interval, quantiles of Beta(k+½, n−k+½), with 0 for k = 0 and 1 for k = n
/// (Brown, Cai, `DasGupta` 2001).
///
/// # Errors
/// [`Missing::TooLarge`] above 5,000 examples, where the Beta quantile loses accuracy.
pub fn jeffreys(k: u64, n: u64, conf: f64) -> Known<Interval> {
    let (successes, trials) = check(k, n, conf)?;
    let tail = (1.0 - conf) / 2.0;
    let (a, b) = (successes + 0.5, trials - successes + 0.5);
    Ok(Interval {
        low: if k == 0 { 0.0 } else { beta_ppf(tail, a, b)? },
        high: if k == n { 1.0 } else { beta_upper(tail, a, b)? },
    })
}

/// The upper `tail` quantile of Beta(a, b), by symmetry, so that a tiny tail keeps its digits.
fn beta_upper(tail: f64, a: f64, b: f64) -> Known<f64> {
    Ok(1.0 - beta_ppf(tail, b, a)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_exact_when_all_or_none_are_right() {
        for interval in [wilson, clopper_pearson, jeffreys] {
            assert_eq!(interval(0, 60, 0.95).unwrap().low, 0.0);
            assert_eq!(interval(60, 60, 0.95).unwrap().high, 1.0);
        }
    }

    #[test]
    fn impossible_counts_have_no_interval() {
        assert_eq!(wilson(0, 0, 0.95), Err(Missing::NoData));
        assert!(wilson(3, 2, 0.95).is_err());
        assert!(clopper_pearson(9_000, 10_000, 0.95).is_err());
        assert!(wilson(9_000, 10_000, 0.95).is_ok());
    }
}

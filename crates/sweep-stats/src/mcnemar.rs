//! `McNemar`'s test of one pair of runs on the same examples.
//!
//! For one pair only. Cells pooled over seeds would treat seed × example cells as independent and
//! reject far too often; use [`crate::crossed`] for several seeds.

use crate::distribution::{chi2_sf, norm_cdf};
use crate::missing::{Known, Missing};

/// Result of `McNemar`'s test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct McNemar {
    /// Exact two-sided p, `2·P(X ≤ min(b, c))` for X ~ Bin(b+c, ½), at most 1; 1 without
    /// discordant examples.
    pub p_exact: f64,
    /// Mid-p: exact minus P(X = min(b, c)); 1 when b = c.
    pub p_mid: f64,
    /// `(b − c)²/(b + c)` without continuity correction; none without discordant examples.
    pub chi2: Known<f64>,
    /// Upper tail of `chi2` at 1 degree of freedom.
    pub p_chi2: Known<f64>,
}

/// `McNemar`'s test: `b` examples only A has right, `c` examples only B has right.
pub fn mcnemar(b: u64, c: u64) -> McNemar {
    let (n, smaller) = (b.saturating_add(c), b.min(c));
    let (below, at) = binomial_half(n, smaller);
    let positive = |p: f64| p.clamp(f64::MIN_POSITIVE, 1.0);
    let chi2 = if n == 0 {
        Err(Missing::NoData)
    } else {
        let gap = b.abs_diff(c) as f64;
        Ok(gap * gap / n as f64)
    };
    McNemar {
        p_exact: positive(2.0 * (below + at)),
        p_mid: if b == c { 1.0 } else { positive(2.0 * below + at) },
        chi2,
        p_chi2: chi2.and_then(|x| chi2_sf(x, 1.0)),
    }
}

/// Largest number of discordant examples summed term by term.
const MAX_SUMMED: u64 = 1_000_000;

/// P(X < k) and P(X = k) for X ~ Bin(n, ½), 2k ≤ n. Above [`MAX_SUMMED`] the normal approximation
/// with continuity correction, whose error at p = ½ is below 1/n.
fn binomial_half(n: u64, k: u64) -> (f64, f64) {
    let (trials, successes) = (n as f64, k as f64);
    if n > MAX_SUMMED {
        let cdf = |x: f64| norm_cdf((x - 0.5 * trials) / (0.5 * trials.sqrt()));
        let below = cdf(successes - 0.5);
        return (below, (cdf(successes + 0.5) - below).max(0.0));
    }
    let at = if n <= 1000 {
        // 2^−n · C(n, k), every factor in range
        (0..k).fold(2f64.powi(-(n as i32)), |p, i| p * (trials - i as f64) / (i as f64 + 1.0))
    } else {
        (libm::lgamma(trials + 1.0)
            - libm::lgamma(successes + 1.0)
            - libm::lgamma(trials - successes + 1.0)
            - trials * std::f64::consts::LN_2)
            .exp()
    };
    let (mut below, mut term, mut i) = (0.0, at, k);
    while i > 0 && term > 0.0 {
        term *= i as f64 / (trials - i as f64 + 1.0);
        if below + term == below {
            break;
        }
        below += term;
        i -= 1;
    }
    (below, at)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn six_examples_in_one_direction_are_needed_for_five_percent() {
        assert_eq!(mcnemar(0, 5).p_exact, 0.0625);
        assert_eq!(mcnemar(0, 6).p_exact, 0.03125);
        assert_eq!(mcnemar(5, 0).p_mid, 0.03125);
    }

    #[test]
    fn without_discordant_examples_there_is_no_evidence() {
        let test = mcnemar(0, 0);
        assert_eq!((test.p_exact, test.p_mid), (1.0, 1.0));
        assert_eq!(test.chi2, Err(Missing::NoData));
    }

    #[test]
    fn the_two_ways_to_the_binomial_agree_and_large_counts_end() {
        let direct = (0..400)
            .fold(2f64.powi(-1000), |p, i| p * (1000.0 - f64::from(i)) / (f64::from(i) + 1.0));
        assert_relative_eq!(binomial_half(1000, 400).1, direct, max_relative = 1e-12);
        let p = mcnemar(1_000_000, 1_003_000).p_exact;
        assert_relative_eq!(p, mcnemar(1_000_000, 1_003_000).p_chi2.unwrap(), max_relative = 0.01);
        assert!(mcnemar(0, u64::MAX).p_exact > 0.0);
        let (below, at) = binomial_half(MAX_SUMMED, 499_000);
        let gap = |k: f64| norm_cdf((k - 500_000.0) / 500.0);
        assert_relative_eq!(below, gap(498_999.5), max_relative = 1e-5);
        assert_relative_eq!(at, gap(499_000.5) - gap(498_999.5), max_relative = 1e-5);
    }
}

//! E-processes: evidence that may be looked at after every seed and stopped at any time.
//!
//! Under the null the running product has mean 1 at every stopping time, so rejecting when its
//! running maximum reaches 1/α is valid (Ville). Less power than looks planned ahead, see
//! [`crate::group_seq`].

use crate::missing::{Known, Missing};

/// Which alternative an e-process bets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// B differs from A.
    TwoSided,
    /// B is better than A.
    Greater,
}

/// The default bets per example: 2^(j/2), j = −6 … 4.
pub fn default_lambdas() -> [f64; 11] {
    std::array::from_fn(|i| 2f64.powf((i as f64 - 6.0) / 2.0))
}

/// An e-process: entry s is the evidence after seed s + 1.
#[derive(Clone, Debug, PartialEq)]
pub struct EPath {
    /// Natural logarithm of the e-value after each seed; finite.
    pub log_e: Vec<f64>,
    /// Seeds before which it must not reject.
    pub first_rejection: usize,
}

impl EPath {
    /// The e-values themselves, at most the largest finite number.
    pub fn e(&self) -> Vec<f64> {
        self.log_e.iter().map(|l| l.exp().min(f64::MAX)).collect()
    }

    /// Number of seeds after which the e-value first reaches 1/α, if it does.
    pub fn rejects_at(&self, alpha: f64) -> Option<usize> {
        let log_bound = -alpha.ln();
        let from = self.first_rejection.saturating_sub(1);
        (from..self.log_e.len()).find(|&s| self.log_e[s] >= log_bound).map(|s| s + 1)
    }
}

/// Sign-flip e-process: mean over bets λ of Π exp(λd)/cosh(λd), in logs; two-sided over ±λ.
///
/// A martingale for any d symmetric about 0, without a variance estimate or a least n. The
/// one-sided form (+λ only) stays valid for d symmetric about any c ≤ 0, because each factor
/// 2/(1 + e^(−2λd)) increases in d.
///
/// # Errors
/// [`Missing::OutOfRange`] unless every λ is positive and finite and there is one.
pub fn e_value_signflip(diff: &[i64], lambdas: &[f64], alternative: Alternative) -> Known<EPath> {
    if lambdas.is_empty() || !lambdas.iter().all(|l| *l > 0.0 && l.is_finite()) {
        return Err(Missing::OutOfRange("bets must be positive and finite, at least one"));
    }
    let mut bets: Vec<f64> = lambdas.to_vec();
    if alternative == Alternative::TwoSided {
        bets.extend(lambdas.iter().map(|l| -l));
    }
    let mut logs = vec![0.0f64; bets.len()];
    let log_e = diff
        .iter()
        .map(|&d| {
            for (log, bet) in logs.iter_mut().zip(&bets) {
                // x − ln cosh x = ln 2 − ln(1 + e^(−2x)), written for either sign
                let x = bet * d as f64;
                *log +=
                    std::f64::consts::LN_2 + 2.0 * x.min(0.0) - libm::log1p((-2.0 * x.abs()).exp());
            }
            log_mean_exp(&logs)
        })
        .map(|l| l.max(-f64::MAX))
        .collect();
    Ok(EPath { log_e, first_rejection: 1 })
}

fn log_mean_exp(logs: &[f64]) -> f64 {
    let largest = logs.iter().fold(f64::NEG_INFINITY, |m, &l| m.max(l));
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let sum: f64 = logs.iter().map(|l| (l - largest).exp()).sum();
    largest + (sum / logs.len() as f64).ln()
}

/// t e-process for normal differences with right-Haar prior on the scale and effect prior variance
/// `g`: (1+ng)^(−½)·[(1 + t²/ν)/(1 + t²/(ν(1+ng)))]^(n/2), ν = n − 1; 1 after the first seed.
///
/// Without variance its limit (1+ng)^((n−1)/2) is used, never infinity, and 1 while all differences
/// are 0; it must not reject before 5 seeds.
///
/// # Errors
/// [`Missing::OutOfRange`] unless `g` is positive and finite.
pub fn e_value_t(diff: &[i64], g: f64) -> Known<EPath> {
    if !(g > 0.0 && g.is_finite()) {
        return Err(Missing::OutOfRange("`g` must be positive and finite"));
    }
    let (mut sum, mut squares) = (0i128, 0i128);
    let log_e = diff
        .iter()
        .enumerate()
        .map(|(i, &d)| {
            sum += i128::from(d);
            squares = squares.saturating_add(i128::from(d) * i128::from(d));
            log_e_t(i as i128 + 1, sum, squares, g)
        })
        .collect();
    Ok(EPath { log_e, first_rejection: 5 })
}

fn log_e_t(count: i128, sum: i128, squares: i128, g: f64) -> f64 {
    let n = count as f64;
    if count < 2 || squares == 0 {
        return 0.0;
    }
    let shrink = libm::log1p(n * g);
    // n·Σ(d − mean)² in integers, so that "no variance" is exact
    let scatter = count.saturating_mul(squares).saturating_sub(sum.saturating_mul(sum));
    if scatter <= 0 {
        return 0.5 * (n - 1.0) * shrink;
    }
    // t²/ν = (Σd)²/(n·Σd² − (Σd)²)
    let ratio = (sum as f64) * (sum as f64) / scatter as f64;
    -0.5 * shrink + 0.5 * n * (libm::log1p(ratio) - libm::log1p(ratio / (1.0 + n * g)))
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn the_mean_over_all_sign_patterns_is_one() {
        let sizes = [2i64, 1, 0, 3, 1, 4];
        for alternative in [Alternative::TwoSided, Alternative::Greater] {
            let total: f64 = (0..1 << sizes.len())
                .map(|pattern: i64| {
                    let d: Vec<i64> = sizes
                        .iter()
                        .enumerate()
                        .map(|(i, s)| if pattern >> i & 1 == 1 { -s } else { *s })
                        .collect();
                    e_value_signflip(&d, &default_lambdas(), alternative).unwrap().e()[5]
                })
                .sum();
            assert_relative_eq!(total / 64.0, 1.0, max_relative = 1e-12);
        }
    }

    #[test]
    fn without_variance_the_t_process_grows_to_its_limit_and_waits_for_five_seeds() {
        let path = e_value_t(&[2; 8], 1.0).unwrap();
        assert_relative_eq!(path.e()[7], 9f64.powf(3.5), max_relative = 1e-12);
        assert_eq!(path.rejects_at(0.05), Some(5));
        assert_eq!(e_value_t(&[0; 8], 1.0).unwrap().rejects_at(0.05), None);
    }

    #[test]
    fn extreme_differences_stay_finite() {
        let path = e_value_signflip(
            &[i64::MAX, i64::MIN, -1_000_000],
            &default_lambdas(),
            Alternative::Greater,
        )
        .unwrap();
        assert!(path.log_e.iter().all(|l| l.is_finite()));
        let long = e_value_signflip(&[9; 3000], &default_lambdas(), Alternative::TwoSided).unwrap();
        assert!(long.e().iter().all(|e| e.is_finite()));
        assert!(
            e_value_t(&[i64::MAX, i64::MIN, 3], 1.0).unwrap().log_e.iter().all(|l| l.is_finite())
        );
        assert!(e_value_signflip(&[1], &[], Alternative::TwoSided).is_err());
        assert!(e_value_signflip(&[], &[1.0], Alternative::TwoSided).unwrap().log_e.is_empty());
    }
}

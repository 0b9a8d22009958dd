//! Fisher's exact test of two counts out of the same number of images, as if the images of the two runs were not the same ones.

use sweep_stats::distribution::norm_cdf;

/// Images beyond which the sum is left to the normal approximation: there both agree to three digits.
const MOST: u64 = 20_000;

/// Two-sided p of `a` against `b` right out of `n` each: the sum of the hypergeometric terms that are not more likely.
pub(super) fn fisher(a: u64, b: u64, n: u64) -> f64 {
    let right = a + b;
    if n > MOST {
        let share = right as f64 / (2 * n) as f64;
        let se = (2.0 * share * (1.0 - share) * n as f64).sqrt();
        let gap = (a.abs_diff(b) as f64 - 1.0).max(0.0);
        return if se > 0.0 { (2.0 * norm_cdf(-gap / se)).min(1.0) } else { 1.0 };
    }
    let (from, to) = (right.saturating_sub(n), right.min(n));
    // log of C(n, x) C(n, right − x) up to a constant, by the ratio of neighbours
    let mut logs = vec![0.0f64];
    for x in from..to {
        let ratio =
            ((n - x) as f64 / (x + 1) as f64) * ((right - x) as f64 / (n + x + 1 - right) as f64);
        logs.push(logs[logs.len() - 1] + ratio.ln());
    }
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let seen = logs[(a - from) as usize];
    let (mut tail, mut all) = (0.0, 0.0);
    for log in &logs {
        let weight = (log - top).exp();
        all += weight;
        // Terms equal by symmetry differ by rounding only.
        if *log <= seen + 1e-7 {
            tail += weight;
        }
    }
    (tail / all).clamp(f64::MIN_POSITIVE, 1.0)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn a_small_table_by_hand() {
        // 3 and 0 of 3: C(3,3)·C(3,0)/C(6,3) = 1/20 on each side.
        assert_abs_diff_eq!(fisher(3, 0, 3), 0.1, epsilon = 1e-12);
        assert_abs_diff_eq!(fisher(2, 2, 5), 1.0, epsilon = 1e-12);
        assert_abs_diff_eq!(fisher(0, 0, 5), 1.0, epsilon = 1e-12);
    }

    #[test]
    fn large_samples_agree_with_the_normal_approximation() {
        let exact = fisher(19_000, 18_900, MOST);
        let normal = fisher(19_000, 18_900, MOST + 1);
        assert_abs_diff_eq!(exact, normal, epsilon = 0.002);
    }
}

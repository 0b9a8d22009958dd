//! Bayesian comparison of two configurations across data sets: sign test, signed-rank test, and a
//! normal hierarchical model on a grid.
//!
//! With three data sets the prior matters: print the hierarchical result at several prior scales.
//! One data set: [`crate::equivalence`]; re-splits: [`crate::resplit`].

use statrs::function::gamma::gamma_lr;

use crate::distribution::norm_ppf;
use crate::distribution::norm_sf;
use crate::missing::{Known, Missing, all_finite, check_rope, same_length};
use crate::quadrature::GaussLegendre;
use crate::rng::SplitMix64;

/// Weight of the signed-rank test's pseudo-difference: the default of baycomp 1.0.3.
pub const DEFAULT_PRIOR: f64 = 0.5;

/// Three probabilities of a comparison with a ROPE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreeWay {
    /// A is better.
    pub p_a: f64,
    /// Practically equivalent.
    pub p_rope: f64,
    /// B is better.
    pub p_b: f64,
}

/// Dirichlet parameters of the Bayesian sign test: counts of differences B − A left of, inside and
/// right of the ROPE, with `prior` mass added to the ROPE.
///
/// # Errors
/// [`Missing::NotFinite`], [`Missing::OutOfRange`].
pub fn sign_counts(diff: &[f64], rope: f64, prior: f64) -> Known<[f64; 3]> {
    check_rope(rope)?;
    all_finite(diff)?;
    if !(prior >= 0.0 && prior.is_finite()) {
        return Err(Missing::OutOfRange("`prior` must be finite and at least 0"));
    }
    let count = |f: &dyn Fn(f64) -> bool| diff.iter().filter(|&&d| f(d)).count() as f64;
    let (left, right) = (count(&|d| d < -rope), count(&|d| d > rope));
    Ok([left, diff.len() as f64 - left - right + prior, right])
}

/// Probability that each component of a Dirichlet distribution is the largest (Benavoli et al.
/// 2014): `P_i = ∫ γ(g; α_i)·Π_{j≠i} P(α_j, g) dg`. A component with α = 0 never is.
///
/// # Errors
/// [`Missing::NoData`] when all are 0, [`Missing::OutOfRange`] for negative parameters,
/// [`Missing::TooLarge`] above 1e5.
pub fn bayes_sign_dirichlet(alpha: [f64; 3]) -> Known<[f64; 3]> {
    if !alpha.iter().all(|a| *a >= 0.0) {
        return Err(Missing::OutOfRange("parameters of a Dirichlet must be at least 0"));
    }
    if alpha.iter().any(|a| *a > 1e5) {
        return Err(Missing::TooLarge("parameters of a Dirichlet above 100000"));
    }
    let sum: f64 = alpha.iter().sum();
    if sum <= 0.0 {
        return Err(Missing::NoData);
    }
    let rule = GaussLegendre::new(24);
    let largest = alpha.iter().fold(0.0f64, |m, &a| m.max(a));
    // In ln g the integrand falls like exp(v·Σα) to the left; to the right it is cut where the
    // largest gamma has nothing left. Half-unit panels resolve it, narrower ones at large α.
    let high = (largest + 12.0 * largest.sqrt() + 60.0).ln();
    let low = (-45.0 / sum).clamp(-700.0, 0.0) + sum.min(1.0).ln().min(0.0);
    let panels = ((high - low) * 2.0 * (1.0 + largest.sqrt())).ceil().min(4000.0) as usize;
    let mut p = [0.0; 3];
    for i in 0..3 {
        if alpha[i] == 0.0 {
            continue;
        }
        let log_gamma = libm::lgamma(alpha[i]);
        p[i] = rule.integrate_panels(low, high, panels, |v| {
            let g = v.exp();
            let own = (alpha[i] * v - g - log_gamma).exp();
            if own == 0.0 {
                return 0.0;
            }
            let below = |j: usize| {
                if j == i || alpha[j] == 0.0 { 1.0 } else { gamma_lr(alpha[j], g) }
            };
            own * below(0) * below(1) * below(2)
        });
    }
    // the three exhaust everything: dividing takes out the rounding of ln Γ
    let total: f64 = p.iter().sum();
    Ok(p.map(|p| p / total))
}

/// Bayesian signed-rank test of B against A (Benavoli et al. 2014).
///
/// Posterior Dirichlet weights on the differences and one pseudo-difference of 0 with weight `prior`
/// ([`DEFAULT_PRIOR`]); each draw votes for the region with the largest weighted share of Walsh sums.
/// Monte Carlo with the counter of [`crate::rng`]; the standard error of a probability is at most
/// 0.5/√samples.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::UnequalLengths`], [`Missing::NotFinite`],
/// [`Missing::OutOfRange`] unless `prior` > 0 and `samples` ≥ 1; [`Missing::TooLarge`] above 1,000
/// differences.
pub fn bayes_signed_rank(
    a: &[f64],
    b: &[f64],
    rope: f64,
    prior: f64,
    samples: u64,
    seed: u64,
) -> Known<ThreeWay> {
    check_rope(rope)?;
    same_length(a.len(), b.len())?;
    all_finite(a)?;
    all_finite(b)?;
    if a.is_empty() || samples == 0 {
        return Err(Missing::NoData);
    }
    if a.len() > 1000 {
        return Err(Missing::TooLarge("Walsh sums of more than 1000 differences"));
    }
    if !(prior > 0.0 && prior.is_finite()) {
        return Err(Missing::OutOfRange("`prior` must be positive and finite"));
    }
    let mut diff: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    diff.push(0.0);
    let n = diff.len();
    // Share of each couple i ≤ j that lies right and left; a sum on the edge is half in.
    let half_step = |x: f64| {
        if x > 2.0 * rope {
            1.0
        } else if x == 2.0 * rope {
            0.5
        } else {
            0.0
        }
    };
    let couples: Vec<(usize, usize, f64, f64)> = (0..n)
        .flat_map(|i| (i..n).map(move |j| (i, j)))
        .map(|(i, j)| {
            let (sum, weight) = (diff[i] + diff[j], if i == j { 1.0 } else { 2.0 });
            (i, j, weight * half_step(-sum), weight * half_step(sum))
        })
        .filter(|c| c.2 != 0.0 || c.3 != 0.0)
        .collect();
    let mut draws = GammaDraws { rng: SplitMix64::new(seed), next: 0 };
    let mut votes = [0u64; 3];
    let mut weights = vec![0.0; n];
    for _ in 0..samples {
        for w in &mut weights[..n - 1] {
            *w = draws.exponential();
        }
        weights[n - 1] = draws.gamma(prior);
        let total: f64 = weights.iter().sum();
        let (mut left, mut right) = (0.0, 0.0);
        for &(i, j, l, r) in &couples {
            let product = weights[i] * weights[j];
            left += l * product;
            right += r * product;
        }
        let inside = total * total - left - right;
        // ties go to the first of left, ROPE, right, as in baycomp
        let winner = if left >= inside && left >= right {
            0
        } else if inside >= right {
            1
        } else {
            2
        };
        votes[winner] += 1;
    }
    let share = |i: usize| votes[i] as f64 / samples as f64;
    Ok(ThreeWay { p_a: share(0), p_rope: share(1), p_b: share(2) })
}

/// Gamma variates from consecutive counters.
struct GammaDraws {
    rng: SplitMix64,
    next: u64,
}

impl GammaDraws {
    fn uniform(&mut self) -> f64 {
        self.next += 1;
        self.rng.uniform(self.next - 1)
    }

    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Marsaglia and Tsang (2000); shapes below 1 by their boost.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape == 1.0 {
            return self.exponential();
        }
        if shape < 1.0 {
            let boost = self.uniform().powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = norm_ppf(self.uniform().min(1.0 - f64::EPSILON)).unwrap_or(0.0);
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}

/// Posterior of the hierarchical model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hierarchical {
    /// Posterior mean of the average effect μ.
    pub mu_mean: f64,
    /// Posterior standard deviation of μ.
    pub mu_sd: f64,
    /// Posterior mean of τ, the spread of effects between data sets.
    pub tau_mean: f64,
    /// Where the average effect lies.
    pub average_effect: ThreeWay,
    /// Where the effect on the next data set lies.
    pub next_data_set: ThreeWay,
}

/// Normal–normal hierarchical model over data sets, integrated on a grid; no Monte Carlo.
///
/// y ~ N(θ, se²) for each effect, θ ~ N(μ, τ²), flat prior on μ, half-normal prior of scale
/// `tau_scale` on τ, taken at its `grid` midpoint quantiles (usually 2001).
///
/// # Errors
/// [`Missing::NoData`], [`Missing::UnequalLengths`], [`Missing::NotFinite`],
/// [`Missing::OutOfRange`] unless every se and the scale are positive and `grid` ≥ 1.
pub fn bayes_hierarchical_grid(
    effect: &[f64],
    se: &[f64],
    tau_scale: f64,
    rope: f64,
    grid: usize,
) -> Known<Hierarchical> {
    check_rope(rope)?;
    same_length(effect.len(), se.len())?;
    all_finite(effect)?;
    if effect.is_empty() || grid == 0 {
        return Err(Missing::NoData);
    }
    if !se.iter().chain([&tau_scale]).all(|s| *s > 0.0 && s.is_finite()) {
        return Err(Missing::OutOfRange("standard errors and scale must be positive and finite"));
    }
    let cells = (0..grid)
        .map(|i| Cell::at(effect, se, tau_scale * half_normal_quantile(i, grid)?))
        .collect::<Known<Vec<Cell>>>()?;
    let largest = cells.iter().fold(f64::NEG_INFINITY, |m, c| m.max(c.log_weight));
    let weights: Vec<f64> = cells.iter().map(|c| (c.log_weight - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mean = |f: &dyn Fn(&Cell) -> f64| -> f64 {
        cells.iter().zip(&weights).map(|(c, w)| w * f(c)).sum::<f64>() / total
    };
    let three_way = |sd: &dyn Fn(&Cell) -> f64| {
        let p_a = mean(&|c| norm_sf((rope + c.mean) / sd(c)));
        let p_b = mean(&|c| norm_sf((rope - c.mean) / sd(c)));
        ThreeWay { p_a, p_rope: (1.0 - p_a - p_b).max(0.0), p_b }
    };
    let mu_mean = mean(&|c| c.mean);
    Ok(Hierarchical {
        mu_mean,
        mu_sd: mean(&|c| c.variance + (c.mean - mu_mean).powi(2)).sqrt(),
        tau_mean: mean(&|c| c.tau),
        average_effect: three_way(&|c| c.variance.sqrt()),
        next_data_set: three_way(&|c| (c.variance + c.tau * c.tau).sqrt()),
    })
}

/// The (i + ½)/grid quantile of the standard half-normal.
fn half_normal_quantile(i: usize, grid: usize) -> Known<f64> {
    norm_ppf(0.5 + 0.5 * (i as f64 + 0.5) / grid as f64)
}

/// Posterior of μ given τ.
struct Cell {
    tau: f64,
    mean: f64,
    variance: f64,
    log_weight: f64,
}

impl Cell {
    fn at(effect: &[f64], se: &[f64], tau: f64) -> Known<Cell> {
        let precision = |s: &f64| 1.0 / (s * s + tau * tau);
        let variance = 1.0 / se.iter().map(precision).sum::<f64>();
        let mean = variance * effect.iter().zip(se).map(|(y, s)| y * precision(s)).sum::<f64>();
        let misfit: f64 =
            effect.iter().zip(se).map(|(y, s)| precision(s) * (y - mean) * (y - mean)).sum();
        let log_dets: f64 = se.iter().map(|s| precision(s).ln()).sum();
        let log_weight = 0.5 * (variance.ln() + log_dets - misfit);
        if log_weight.is_finite() && mean.is_finite() {
            Ok(Cell { tau, mean, variance, log_weight })
        } else {
            Err(Missing::TooLarge("effects against their standard errors"))
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn the_largest_of_two_components_is_a_beta_probability() {
        // with one α = 0: P(Beta(2, 1) > ½) = 1 − ¼
        let p = bayes_sign_dirichlet([2.0, 0.0, 1.0]).unwrap();
        assert_relative_eq!(p[0], 0.75, max_relative = 1e-10);
        assert_eq!(p[1], 0.0);
        assert!(bayes_sign_dirichlet([0.0; 3]).is_err());
        assert!(bayes_sign_dirichlet([f64::NAN, 1.0, 1.0]).is_err());
    }

    #[test]
    fn equal_components_are_equally_often_the_largest() {
        for a in [0.05, 0.5, 1.0, 30.0, 2000.0] {
            for p in bayes_sign_dirichlet([a; 3]).unwrap() {
                assert_relative_eq!(p, 1.0 / 3.0, max_relative = 1e-8);
            }
        }
        // nothing is lost at the ends: P(Beta(200, 180) > ½) by symmetry with its mirror image
        let p = bayes_sign_dirichlet([200.0, 0.0, 180.0]).unwrap();
        let mirrored = bayes_sign_dirichlet([180.0, 0.0, 200.0]).unwrap();
        assert_relative_eq!(p[0], mirrored[2], max_relative = 1e-10);
    }

    #[test]
    fn sign_counts_put_the_prior_on_the_rope() {
        let counts = sign_counts(&[-0.05, 0.0, 0.01, 0.02, 0.03], 0.01, 1.0).unwrap();
        assert_eq!(counts, [1.0, 3.0, 2.0]);
    }

    #[test]
    fn gamma_draws_have_their_mean_and_variance() {
        for shape in [0.5, 1.0, 2.5] {
            let mut draws = GammaDraws { rng: SplitMix64::new(5), next: 0 };
            let x: Vec<f64> = (0..40_000).map(|_| draws.gamma(shape)).collect();
            let mean = x.iter().sum::<f64>() / 4e4;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4e4;
            assert!((mean - shape).abs() < 4.0 * (shape / 4e4).sqrt(), "{shape}: {mean}");
            assert!((variance / shape - 1.0).abs() < 0.1, "{shape}: {variance}");
        }
    }

    #[test]
    fn impossible_inputs_are_refused() {
        assert!(bayes_signed_rank(&[], &[], 0.01, 1.0, 10, 1).is_err());
        assert!(bayes_signed_rank(&[1.0], &[1.0], 0.01, 0.0, 10, 1).is_err());
        assert!(bayes_hierarchical_grid(&[0.1], &[0.0], 0.02, 0.01, 11).is_err());
        assert!(bayes_hierarchical_grid(&[], &[], 0.02, 0.01, 11).is_err());
        let one = bayes_hierarchical_grid(&[0.1], &[0.01], 0.02, 0.01, 1).unwrap();
        assert_relative_eq!(one.mu_mean, 0.1);
    }
}

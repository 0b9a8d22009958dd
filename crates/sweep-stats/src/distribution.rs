//! The distributions behind tests and intervals: normal, Student's t, F, chi-square, Beta.
//!
//! Incomplete beta and gamma functions are statrs's (its version is pinned); the normal tail is
//! `libm::erfc`, since statrs loses digits there; quantiles are safeguarded Newton steps on those
//! functions, so that they end for every argument. Not for sample quantiles: see
//! [`crate::quantile`]; noncentral t: [`crate::nct`]; studentized range: [`crate::tukey`].

use std::f64::consts::{PI, SQRT_2};

use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc_inv;
use statrs::function::gamma::{gamma_lr, gamma_ur};

use crate::missing::{Known, Missing};
use crate::quadrature::find_root;

/// Largest shape of the incomplete beta function that is used: beyond about 1e4 statrs loses
/// accuracy (statrs-dev/statrs#434).
pub const MAX_BETA_SHAPE: f64 = 5000.0;

/// Standard normal density.
pub fn norm_pdf(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Standard normal distribution function Φ(x).
pub fn norm_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// Upper tail of the standard normal, 1 − Φ(x) without cancellation.
pub fn norm_sf(x: f64) -> f64 {
    0.5 * libm::erfc(x / SQRT_2)
}

/// Φ⁻¹(p) for p strictly between 0 and 1.
pub fn norm_ppf(p: f64) -> Known<f64> {
    if p > 0.0 && p < 1.0 {
        Ok(if p == 0.5 { 0.0 } else { -SQRT_2 * erfc_inv(2.0 * p) })
    } else {
        Err(Missing::OutOfRange("`p` must be in 0..1, both ends excluded"))
    }
}

/// Upper tail P(T > x) of Student's t with `df > 0` (not necessarily whole) degrees of freedom.
///
/// Above 10,000 degrees of freedom by the normalizing transformation of Hill (1970, CACM algorithm
/// 395), whose error is then below 1e-14.
pub fn t_sf(x: f64, df: f64) -> Known<f64> {
    if !(df > 0.0 && df.is_finite()) {
        return Err(Missing::OutOfRange("`df` must be positive and finite"));
    }
    if x.is_nan() {
        return Err(Missing::NotFinite);
    }
    Ok(t_upper(x, df))
}

/// `P(|T| >= |x|)`, at least the smallest positive number.
pub fn t_two_sided(x: f64, df: f64) -> Known<f64> {
    Ok(t_p_values(x, df)?.two)
}

/// p values of a t statistic, at least the smallest positive number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TP {
    pub(crate) two: f64,
    pub(crate) greater: f64,
    pub(crate) less: f64,
}

/// All three from one evaluation of the tail.
pub(crate) fn t_p_values(t: f64, df: f64) -> Known<TP> {
    let upper = t_sf(t.abs(), df)?;
    let positive = |p: f64| p.clamp(f64::MIN_POSITIVE, 1.0);
    let (small, large) = (positive(upper), positive(1.0 - upper));
    let (greater, less) = if t >= 0.0 { (small, large) } else { (large, small) };
    Ok(TP { two: positive(2.0 * upper), greater, less })
}

fn t_upper(x: f64, df: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - t_upper(-x, df);
    }
    if x.is_infinite() {
        return 0.0;
    }
    if df > 2.0 * MAX_BETA_SHAPE {
        return norm_sf(hill_z(x, df));
    }
    let x2 = x * x;
    // Where statrs expands each form itself; beyond, it takes the difference of the other form from 1,
    // and of a small tail nothing is left.
    if x2 * (df + 2.0) < 3.0 * df {
        0.5 * (1.0 - beta_reg(0.5, df / 2.0, x2 / (df + x2)))
    } else {
        // df/(df + x²) written so that it does not overflow for a huge x
        0.5 * beta_reg(df / 2.0, 0.5, 1.0 / (1.0 + x2 / df))
    }
}

fn hill_z(x: f64, df: f64) -> f64 {
    let a = df - 0.5;
    let b = 48.0 * a * a;
    let y = a * libm::log1p(x * x / df);
    (((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b + 1.0)
        * y.sqrt()
}

/// Upper quantile of Student's t: the x with P(T > x) = `q`, `q` strictly between 0 and 1.
/// Accurate for tiny `q`, which `1 - q` would not be.
pub fn t_isf(q: f64, df: f64) -> Known<f64> {
    if !(q > 0.0 && q < 1.0) {
        return Err(Missing::OutOfRange("`q` must be in 0..1, both ends excluded"));
    }
    t_sf(0.0, df)?;
    if q == 0.5 {
        return Ok(0.0);
    }
    let tail = q.min(1.0 - q);
    let x = match t_newton(tail, df) {
        Some(x) => x,
        None => t_bracketed(tail, df)?,
    };
    Ok(if q < 0.5 { x } else { -x })
}

/// The x > 0 with P(T > x) = `tail` < ½ by Newton steps on ln P(T > x), which are quadratic close to the
/// root; one or two tails are evaluated where bracketing takes ten. `None` where they do not settle.
fn t_newton(tail: f64, df: f64) -> Option<f64> {
    // below one degree of freedom the starting value is no good
    let mut x = if df >= 1.0 { hill_t(tail, df) } else { return None };
    let log_constant = t_log_constant(df);
    for _ in 0..8 {
        if !(x > 0.0 && x < 1e150) {
            return None;
        }
        let upper = t_upper(x, df);
        let density = (log_constant - 0.5 * (df + 1.0) * libm::log1p(x * x / df)).exp();
        if !(upper > 0.0 && density > 0.0) {
            return None;
        }
        let step = (upper / tail).ln() * upper / density;
        x += step;
        // the error left is about the square of the last relative step
        if step.abs() <= 1e-9 * x {
            return Some(x);
        }
    }
    None
}

/// Logarithm of the density of Student's t at 0.
fn t_log_constant(df: f64) -> f64 {
    let half = 0.5 * df;
    let gammas = if df > 1e4 {
        // difference of two logarithms of Γ as a series, since they are huge and nearly equal
        0.5 * half.ln() - 0.125 / half + 1.0 / (192.0 * half * half * half)
    } else {
        libm::lgamma(half + 0.5) - libm::lgamma(half)
    };
    gammas - 0.5 * (df * PI).ln()
}

/// Upper quantile of Student's t to about six digits (Hill 1970, CACM algorithm 396), `df` ≥ 1.
fn hill_t(tail: f64, df: f64) -> f64 {
    let p = 2.0 * tail;
    if df == 1.0 {
        return 1.0 / (PI * tail).tan();
    }
    if df == 2.0 {
        return (2.0 / (p * (2.0 - p)) - 2.0).sqrt();
    }
    let a = 1.0 / (df - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * PI / 2.0).sqrt() * df;
    let mut y = (d * p).powf(2.0 / df);
    if y > 0.05 + a {
        let x = -SQRT_2 * erfc_inv(p);
        y = x * x;
        if df < 5.0 {
            c += 0.3 * (df - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        let inner = ((df + 6.0) / (df * y) - 0.089 * d - 0.822) * (df + 2.0) * 3.0;
        y = ((1.0 / inner + 0.5 / (df + 4.0)) * y - 1.0) * (df + 1.0) / (df + 2.0) + 1.0 / y;
    }
    (df * y).sqrt()
}

/// [`t_newton`] by a bracket: slower, for every argument.
fn t_bracketed(tail: f64, df: f64) -> Known<f64> {
    let mut high = 2.0;
    while t_upper(high, df) > tail && high < 1e150 {
        high *= 4.0;
    }
    // In ln(1 + x) and ln(tail) the function is nearly straight, also for df = 1.
    let u = find_root(
        |u| (t_upper(u.exp_m1(), df).max(f64::MIN_POSITIVE) / tail).ln(),
        0.0,
        libm::log1p(high),
    );
    Ok(u.ok_or(Missing::TooLarge("quantile of t beyond floating point"))?.exp_m1())
}

/// Quantile of Student's t: the x with P(T ≤ x) = `p`.
pub fn t_ppf(p: f64, df: f64) -> Known<f64> {
    Ok(-t_isf(p, df)?)
}

/// Upper tail P(F > x) of the F distribution with `df1` and `df2` degrees of freedom.
pub fn f_sf(x: f64, df1: f64, df2: f64) -> Known<f64> {
    if !(df1 > 0.0 && df2 > 0.0 && df1.is_finite() && df2.is_finite()) {
        return Err(Missing::OutOfRange("`df` must be positive and finite"));
    }
    if df1.max(df2) > 2.0 * MAX_BETA_SHAPE {
        return Err(Missing::TooLarge("degrees of freedom of F above 10000"));
    }
    if x.is_nan() {
        return Err(Missing::NotFinite);
    }
    if x <= 0.0 {
        return Ok(1.0);
    }
    Ok(beta_reg(df2 / 2.0, df1 / 2.0, 1.0 / (1.0 + x * df1 / df2)))
}

/// Upper tail P(X > x) of chi-square with `df` degrees of freedom, at most 1e6.
pub fn chi2_sf(x: f64, df: f64) -> Known<f64> {
    if !(df > 0.0 && df.is_finite()) {
        return Err(Missing::OutOfRange("`df` must be positive and finite"));
    }
    if df > 1e6 {
        return Err(Missing::TooLarge("degrees of freedom of chi-square above 1000000"));
    }
    if x.is_nan() {
        return Err(Missing::NotFinite);
    }
    if x <= 0.0 {
        return Ok(1.0);
    }
    if x.is_infinite() {
        return Ok(0.0);
    }
    if df == 1.0 {
        return Ok(libm::erfc((x / 2.0).sqrt()));
    }
    Ok(gamma_ur(df / 2.0, x / 2.0))
}

/// Quantile of chi-square: the x with P(X ≤ x) = `p`, `p` strictly between 0 and 1.
pub fn chi2_ppf(p: f64, df: f64) -> Known<f64> {
    chi2_sf(1.0, df)?;
    if !(p > 0.0 && p < 1.0) {
        return Err(Missing::OutOfRange("`p` must be in 0..1, both ends excluded"));
    }
    let cdf = |x: f64| gamma_lr(df / 2.0, x / 2.0);
    let mut high = df + 1.0;
    while cdf(high) < p && high < 1e150 {
        high *= 2.0;
    }
    let mut low = high;
    while cdf(low) > p && low > 1e-300 {
        low /= 4.0;
    }
    find_root(|u| cdf(u.exp()) - p, low.ln(), high.ln())
        .map(f64::exp)
        .ok_or(Missing::TooLarge("quantile of chi-square beyond floating point"))
}

/// Quantile of Beta(a, b): the x with P(X ≤ x) = `p`. Shapes must be positive and at most
/// [`MAX_BETA_SHAPE`].
pub fn beta_ppf(p: f64, a: f64, b: f64) -> Known<f64> {
    if !(p > 0.0 && p < 1.0) {
        return Err(Missing::OutOfRange("`p` must be in 0..1, both ends excluded"));
    }
    if !(a > 0.0 && b > 0.0) {
        return Err(Missing::OutOfRange("shapes of Beta must be positive"));
    }
    if a.max(b) > MAX_BETA_SHAPE {
        return Err(Missing::TooLarge("shapes of Beta above 5000"));
    }
    // On the log-odds scale both ends are resolved; ±700 is the range of exp.
    let logistic = |u: f64| 1.0 / (1.0 + (-u).exp());
    let root = find_root(|u| beta_reg(a, b, logistic(u)) - p, -700.0, 700.0)
        .ok_or(Missing::TooLarge("quantile of Beta beyond floating point"))?;
    Ok(logistic(root))
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn hills_transformation_continues_the_incomplete_beta_function() {
        // df just below the switch against the transformation at the same df
        for x in [0.1, 1.0, 2.5, 6.0] {
            let exact = t_upper(x, 9_999.0);
            assert_relative_eq!(norm_sf(hill_z(x, 9_999.0)), exact, max_relative = 1e-10);
        }
    }

    #[test]
    fn quantiles_invert_the_tails_also_far_out() {
        for df in [0.5, 1.0, 2.0, 3.7, 29.0, 2e4] {
            for q in [1e-12, 1e-4, 0.025, 0.3, 0.7, 0.999] {
                assert_relative_eq!(
                    t_sf(t_isf(q, df).unwrap(), df).unwrap(),
                    q,
                    max_relative = 1e-10
                );
            }
        }
        for df in [1.0, 2.0, 9.0, 300.0] {
            for p in [1e-6, 0.2, 0.8, 0.999] {
                let x = chi2_ppf(p, df).unwrap();
                assert_relative_eq!(1.0 - chi2_sf(x, df).unwrap(), p, max_relative = 1e-9);
            }
        }
    }

    #[test]
    fn newton_steps_and_a_bracket_find_the_same_quantile_of_t() {
        for df in [1.0, 1.3, 2.0, 2.9, 4.0, 9.0, 29.0, 59.5, 1e3, 9_999.0, 2e4, 1e9] {
            for tail in [1e-290, 1e-60, 1e-12, 1e-4, 0.0126, 0.025, 0.2, 0.45, 0.4999] {
                let Some(fast) = t_newton(tail, df) else { continue };
                assert_relative_eq!(fast, t_bracketed(tail, df).unwrap(), max_relative = 2e-12);
            }
        }
        // what every interval of a report needs is found by Newton steps
        for n in 2..=400 {
            for tail in [0.05, 0.025, 0.0126, 0.005, 0.05 / 19_900.0] {
                assert!(t_newton(tail, f64::from(n) - 1.0).is_some(), "{n} {tail}");
            }
        }
    }

    /// Tails of mpmath 1.4 at 40 digits, `betainc(df/2, 1/2, 0, df/(df + x²), regularized=True)/2`.
    #[test]
    fn small_tails_of_t_keep_their_digits_at_any_degrees_of_freedom() {
        for (x, df, tail) in [
            (1.7, 29.0, 0.04991689574423469),
            (4.2, 29.0, 0.00011592341819507408),
            (7.124, 1000.0, 1.0015827936409544e-12),
            (12.0, 1000.0, 2.1620286933872636e-31),
            (36.0, 9999.0, 2.8109789884231426e-267),
            (3.72, 9999.0, 0.00010015670741158169),
            (7.0, 200.0, 1.8947143250444694e-11),
            (0.3, 57.25, 0.38263188123432973),
            (60.0, 3.5, 1.0622542570300461e-06),
            (8.0, 20000.0, 6.557449298250246e-16),
        ] {
            // ln Γ of 5000 leaves about eleven digits
            assert_relative_eq!(t_upper(x, df), tail, max_relative = 1e-11);
        }
    }

    #[test]
    fn arguments_out_of_range_have_no_value() {
        assert!(norm_ppf(0.0).is_err());
        assert!(norm_ppf(f64::NAN).is_err());
        assert!(t_sf(1.0, 0.0).is_err());
        assert!(t_isf(1.0, 3.0).is_err());
        assert!(f_sf(1.0, -1.0, 3.0).is_err());
        assert!(beta_ppf(0.5, 6000.0, 1.0).is_err());
        assert!(chi2_ppf(1.5, 2.0).is_err());
    }
}

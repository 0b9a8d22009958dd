//! Gauss–Legendre quadrature and a root finder: the two numerical tools of this crate.
//!
//! Not for adaptive integration: every integrand here is smooth on known panels.

use std::f64::consts::PI;

/// Nodes and weights of a Gauss–Legendre rule on −1 … 1.
#[derive(Clone, Debug)]
pub struct GaussLegendre {
    nodes: Vec<f64>,
    weights: Vec<f64>,
}

impl GaussLegendre {
    /// The rule with `n` nodes (at least 1), exact for polynomials of degree `2n − 1`.
    ///
    /// Newton steps on the Legendre polynomial from the usual cosine start
    /// (Press et al., *Numerical Recipes*, `gauleg`).
    pub fn new(n: usize) -> GaussLegendre {
        let n = n.max(1);
        let (mut nodes, mut weights) = (vec![0.0; n], vec![0.0; n]);
        for i in 0..n.div_ceil(2) {
            let mut x = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (value, derivative) = legendre(n, x);
                slope = derivative;
                let step = value / derivative;
                x -= step;
                if step.abs() < 1e-16 {
                    slope = legendre(n, x).1;
                    break;
                }
            }
            let weight = 2.0 / ((1.0 - x * x) * slope * slope);
            nodes[i] = -x;
            nodes[n - 1 - i] = x;
            weights[i] = weight;
            weights[n - 1 - i] = weight;
        }
        if n % 2 == 1 {
            nodes[n / 2] = 0.0;
        }
        GaussLegendre { nodes, weights }
    }

    /// The pairs (node, weight) moved to `low ..= high`.
    pub fn on(&self, low: f64, high: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let (half, middle) = (0.5 * (high - low), 0.5 * (high + low));
        self.nodes.iter().zip(&self.weights).map(move |(x, w)| (middle + half * x, half * w))
    }

    /// ∫ f over `low ..= high`.
    pub fn integrate(&self, low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
        self.on(low, high).map(|(x, w)| w * f(x)).sum()
    }

    /// ∫ f over `low ..= high`, cut into `panels` equal parts.
    pub fn integrate_panels(
        &self,
        low: f64,
        high: f64,
        panels: usize,
        f: impl Fn(f64) -> f64,
    ) -> f64 {
        let width = (high - low) / panels.max(1) as f64;
        (0..panels.max(1))
            .map(|i| self.integrate(low + width * i as f64, low + width * (i + 1) as f64, &f))
            .sum()
    }
}

/// `P_n(x)` and its derivative by the three-term recursion.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut previous, mut value) = (1.0, x);
    for j in 2..=n {
        let j = j as f64;
        (previous, value) = (value, ((2.0 * j - 1.0) * x * value - (j - 1.0) * previous) / j);
    }
    (value, n as f64 * (x * value - previous) / (x * x - 1.0))
}

/// A root of the continuous `f` between `low` and `high` to floating-point accuracy, or `None`
/// when `f` has the same sign at both ends or is NaN.
///
/// Brent's method (Brent 1973, chapter 4): at most as slow as bisection, usually ten evaluations.
pub fn find_root(f: impl Fn(f64) -> f64, low: f64, high: f64) -> Option<f64> {
    let (mut a, mut b) = (low, high);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa == 0.0 {
        return Some(a);
    }
    if fb == 0.0 {
        return Some(b);
    }
    if fa.is_nan() || fb.is_nan() || (fa > 0.0) == (fb > 0.0) {
        return None;
    }
    let (mut c, mut fc) = (a, fa);
    let mut step = b - a;
    let mut step_before = step;
    for _ in 0..300 {
        if (fb > 0.0) == (fc > 0.0) {
            (c, fc) = (a, fa);
            step = b - a;
            step_before = step;
        }
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + f64::MIN_POSITIVE;
        let half = 0.5 * (c - b);
        if half.abs() <= tolerance || fb == 0.0 {
            return Some(b);
        }
        if step_before.abs() >= tolerance && fa.abs() > fb.abs() {
            let s = fb / fa;
            let (mut p, mut q) = if a == c {
                (2.0 * half * s, 1.0 - s)
            } else {
                let (u, r) = (fa / fc, fb / fc);
                (
                    s * (2.0 * half * u * (u - r) - (b - a) * (r - 1.0)),
                    (u - 1.0) * (r - 1.0) * (s - 1.0),
                )
            };
            if p > 0.0 {
                q = -q;
            } else {
                p = -p;
            }
            let limit = (3.0 * half * q - (tolerance * q).abs()).min((step_before * q).abs());
            if 2.0 * p < limit {
                step_before = step;
                step = p / q;
            } else {
                step = half;
                step_before = half;
            }
        } else {
            step = half;
            step_before = half;
        }
        (a, fa) = (b, fb);
        b += if step.abs() > tolerance { step } else { tolerance.copysign(half) };
        fb = f(b);
        if fb.is_nan() {
            return None;
        }
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn a_rule_is_exact_for_polynomials_of_its_degree() {
        for n in 1..=12 {
            let rule = GaussLegendre::new(n);
            for degree in 0..2 * n {
                let exact = (3f64.powi(degree as i32 + 1) - 1.0) / (degree as f64 + 1.0);
                let got = rule.integrate(1.0, 3.0, |x| x.powi(degree as i32));
                assert_relative_eq!(got, exact, max_relative = 1e-12);
            }
        }
    }

    #[test]
    fn panels_add_up_to_the_whole() {
        let rule = GaussLegendre::new(20);
        let got = rule.integrate_panels(0.0, 10.0, 8, |x| (-x).exp());
        assert_relative_eq!(got, 1.0 - (-10f64).exp(), max_relative = 1e-14);
    }

    #[test]
    fn a_root_is_found_to_floating_point_accuracy() {
        let root = find_root(|x| x.powi(3) - 2.0, 0.0, 40.0).unwrap();
        assert_relative_eq!(root, 2f64.cbrt(), max_relative = 4.0 * f64::EPSILON);
        assert_eq!(find_root(|x| x * x + 1.0, -1.0, 1.0), None);
        assert_eq!(find_root(|_| f64::NAN, -1.0, 1.0), None);
    }
}

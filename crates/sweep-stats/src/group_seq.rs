//! Group-sequential bounds: when a comparison may be decided at planned looks.
//!
//! The recursion of Armitage, `McPherson` and Rowe (1969) on Brownian motion observed at information
//! times `t_k`. Not for looks at any time: see [`crate::e_value`]. The bounds of m comparisons are
//! those at α/m; dividing the nominal levels of an α-level boundary by m is not the same and too
//! liberal.

use crate::distribution::{norm_pdf, norm_ppf, norm_sf};
use crate::missing::{Known, Missing, check_alpha};
use crate::quadrature::{GaussLegendre, find_root};

/// Largest bound searched for; a look that cannot be rejected at all has it.
pub const MAX_Z: f64 = 40.0;

/// Most looks for which bounds are computed.
pub const MAX_LOOKS: usize = 100;

const NODES: usize = 120;

/// How error is spent over information time t (Lan, `DeMets` 1983).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// α·ln(1 + (e−1)t), close to Pocock's constant bounds.
    Pocock,
    /// Close to O'Brien and Fleming: two-sided 4(1 − Φ(z_{1−α/4}/√t)), one-sided
    /// 2(1 − Φ(z_{1−α/2}/√t)).
    ObrienFleming,
}

/// One bound (B better) or two symmetric ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Reject when z ≥ bound.
    One,
    /// Reject when |z| ≥ bound.
    Two,
}

/// Bounds at each look.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Bound of the z statistic at each look.
    pub z: Vec<f64>,
    /// Nominal p value at each look: reject when the p value of that look (one- or two-sided as
    /// the bounds) is at most this.
    pub nominal_p: Vec<f64>,
    /// Error spent up to and including each look.
    pub spent: Vec<f64>,
}

/// Information times of `looks` equally spaced looks, k/K.
pub fn equal_looks(looks: usize) -> Vec<f64> {
    (1..=looks).map(|k| k as f64 / looks as f64).collect()
}

/// Error spent up to information time `t` (0 at 0, `alpha` from 1 on).
///
/// # Errors
/// [`Missing::OutOfRange`].
pub fn spent(spending: Spending, sides: Sides, alpha: f64, t: f64) -> Known<f64> {
    check_alpha(alpha)?;
    if t.is_nan() {
        return Err(Missing::NotFinite);
    }
    if t <= 0.0 {
        return Ok(0.0);
    }
    let t = t.min(1.0);
    let halves = match sides {
        Sides::One => 1.0,
        Sides::Two => 2.0,
    };
    Ok(match spending {
        Spending::Pocock => alpha * libm::log1p(1f64.exp_m1() * t),
        Spending::ObrienFleming => {
            // P(max of Brownian motion up to t ≥ z), at α/halves on each side
            2.0 * halves * norm_sf(-norm_ppf(alpha / (2.0 * halves))? / t.sqrt())
        }
    })
}

/// Bounds that spend `alpha` over looks at ascending information times `times` in (0, 1].
///
/// Each bound is found on its own, look by look, since the error spent up to each look is given.
///
/// # Errors
/// [`Missing::NoData`] for no looks, [`Missing::TooLarge`] above [`MAX_LOOKS`],
/// [`Missing::OutOfRange`] for times that do not ascend within (0, 1].
pub fn spending_bounds(
    times: &[f64],
    alpha: f64,
    spending: Spending,
    sides: Sides,
) -> Known<Bounds> {
    check_times(times)?;
    let mut walk = Walk::new(sides);
    let mut bounds = Bounds { z: vec![], nominal_p: vec![], spent: vec![] };
    let mut spent_before = 0.0;
    for &t in times {
        let spent_now = spent(spending, sides, alpha, t)?;
        let increment = spent_now - spent_before;
        if walk.crossing(t, 0.0) < increment {
            return Err(Missing::OutOfRange("`alpha` is too large for a bound above 0"));
        }
        // no root: even the largest bound is crossed more often than the error allows
        let z = find_root(|z| walk.crossing(t, z) - increment, 0.0, MAX_Z).unwrap_or(MAX_Z);
        walk.step(t, z);
        bounds.nominal_p.push(nominal(z, sides));
        bounds.z.push(z);
        bounds.spent.push(spent_now);
        spent_before = spent_now;
    }
    Ok(bounds)
}

/// Pocock's constant bound over equally spaced looks at total error `alpha`.
///
/// # Errors
/// As [`spending_bounds`].
pub fn pocock(looks: usize, alpha: f64, sides: Sides) -> Known<Bounds> {
    of_shape(looks, alpha, sides, |_| 1.0)
}

/// O'Brien and Fleming's bounds c·√(K/k) over equally spaced looks at total error `alpha`.
///
/// # Errors
/// As [`spending_bounds`].
pub fn obrien_fleming(looks: usize, alpha: f64, sides: Sides) -> Known<Bounds> {
    of_shape(looks, alpha, sides, |t| 1.0 / t.sqrt())
}

fn of_shape(looks: usize, alpha: f64, sides: Sides, shape: impl Fn(f64) -> f64) -> Known<Bounds> {
    check_alpha(alpha)?;
    let times = equal_looks(looks);
    check_times(&times)?;
    let crossed = |c: f64| -> Vec<f64> {
        let mut walk = Walk::new(sides);
        let mut total = 0.0;
        times
            .iter()
            .map(|&t| {
                let z = (c * shape(t)).min(MAX_Z);
                total += walk.crossing(t, z);
                walk.step(t, z);
                total
            })
            .collect()
    };
    let c = find_root(|c| crossed(c).last().copied().unwrap_or(0.0) - alpha, 0.0, 12.0)
        .ok_or(Missing::TooLarge("bound beyond z = 12"))?;
    let z: Vec<f64> = times.iter().map(|&t| (c * shape(t)).min(MAX_Z)).collect();
    Ok(Bounds { nominal_p: z.iter().map(|&z| nominal(z, sides)).collect(), spent: crossed(c), z })
}

fn nominal(z: f64, sides: Sides) -> f64 {
    match sides {
        Sides::One => norm_sf(z),
        Sides::Two => (2.0 * norm_sf(z)).min(1.0),
    }
}

fn check_times(times: &[f64]) -> Known<()> {
    if times.is_empty() {
        return Err(Missing::NoData);
    }
    if times.len() > MAX_LOOKS {
        return Err(Missing::TooLarge("more than 100 looks"));
    }
    let ascending = times.windows(2).all(|w| w[0] < w[1]);
    if ascending && times.iter().all(|&t| t > 0.0 && t <= 1.0) {
        Ok(())
    } else {
        Err(Missing::OutOfRange("information times must ascend within 0..=1, 0 excluded"))
    }
}

/// Brownian motion that has not crossed a bound yet: its sub-density on quadrature nodes.
struct Walk {
    sides: Sides,
    rule: GaussLegendre,
    time: f64,
    /// (position, weight × density) at `time`.
    density: Vec<(f64, f64)>,
}

impl Walk {
    fn new(sides: Sides) -> Walk {
        Walk { sides, rule: GaussLegendre::new(NODES), time: 0.0, density: vec![(0.0, 1.0)] }
    }

    /// Probability of not having crossed before and lying beyond bound `z` at time `t`.
    fn crossing(&self, t: f64, z: f64) -> f64 {
        let (b, sd) = (z * t.sqrt(), (t - self.time).sqrt());
        self.density
            .iter()
            .map(|&(x, mass)| {
                let below = match self.sides {
                    Sides::One => 0.0,
                    Sides::Two => norm_sf((b + x) / sd),
                };
                mass * (norm_sf((b - x) / sd) + below)
            })
            .sum()
    }

    /// Goes on to time `t` with bound `z` there.
    fn step(&mut self, t: f64, z: f64) {
        let (root, sd) = (t.sqrt(), (t - self.time).sqrt());
        // at 9 standard deviations nothing is left of the density
        let high = z.min(9.0) * root;
        let low = match self.sides {
            Sides::One => -9.0 * root,
            Sides::Two => -high,
        };
        self.density = self
            .rule
            .on(low, high)
            .map(|(y, weight)| {
                let density: f64 =
                    self.density.iter().map(|&(x, mass)| mass * norm_pdf((y - x) / sd)).sum();
                (y, weight * density / sd)
            })
            .collect();
        self.time = t;
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    /// Reference values for six equally spaced looks (derived with 240 and 400 nodes, which agree
    /// to 1e-9).
    #[test]
    fn one_sided_spending_bounds_are_the_reference_values() {
        let table: [(Spending, f64, [f64; 6]); 4] = [
            (
                Spending::Pocock,
                0.05,
                [2.238580397, 2.199987683, 2.164543670, 2.136848317, 2.114977866, 2.097280252],
            ),
            (
                Spending::Pocock,
                0.05 / 11.0,
                [3.049872594, 3.060638977, 3.057976152, 3.054231602, 3.051011016, 3.048463032],
            ),
            (
                Spending::ObrienFleming,
                0.05,
                [4.660208100, 3.200348980, 2.552303071, 2.179915408, 1.933398768, 1.755176897],
            ),
            (
                Spending::ObrienFleming,
                0.05 / 11.0,
                [6.852217474, 4.777271577, 3.847611304, 3.296068954, 2.926077200, 2.657292497],
            ),
        ];
        for (spending, alpha, want) in table {
            let got = spending_bounds(&equal_looks(6), alpha, spending, Sides::One).unwrap();
            for (got, want) in got.z.iter().zip(want) {
                assert_abs_diff_eq!(*got, want, epsilon = 1e-7);
            }
        }
    }

    #[test]
    fn one_look_is_the_fixed_test() {
        for spending in [Spending::Pocock, Spending::ObrienFleming] {
            let one = spending_bounds(&[1.0], 0.05, spending, Sides::One).unwrap();
            assert_abs_diff_eq!(one.z[0], 1.6448536269514722, epsilon = 1e-12);
            let two = spending_bounds(&[1.0], 0.05, spending, Sides::Two).unwrap();
            assert_abs_diff_eq!(two.z[0], 1.959963984540054, epsilon = 1e-12);
        }
    }

    #[test]
    fn all_error_is_spent_at_the_last_look_also_with_uneven_looks() {
        let times = [5.0 / 28.0, 10.0 / 28.0, 25.0 / 28.0, 1.0];
        let bounds =
            spending_bounds(&times, 0.05 / 199.0, Spending::ObrienFleming, Sides::One).unwrap();
        assert_abs_diff_eq!(bounds.spent[3], 0.05 / 199.0, epsilon = 1e-15);
        assert!(bounds.nominal_p.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn impossible_looks_are_refused() {
        let bounds = |times: &[f64]| spending_bounds(times, 0.05, Spending::Pocock, Sides::One);
        assert!(bounds(&[]).is_err());
        assert!(bounds(&[0.5, 0.5]).is_err());
        assert!(bounds(&[0.0, 1.0]).is_err());
        assert!(pocock(0, 0.05, Sides::Two).is_err());
        assert!(obrien_fleming(4, 0.0, Sides::Two).is_err());
        assert!(spending_bounds(&[0.5, 1.0], 0.95, Spending::Pocock, Sides::One).is_err());
        // an error of practically nothing leaves the largest bound
        let tiny = spending_bounds(&[1e-4, 1.0], 1e-9, Spending::ObrienFleming, Sides::One);
        assert_eq!(tiny.unwrap().z[0], MAX_Z);
    }
}

//! The studentized range with infinite degrees of freedom, behind Nemenyi's test.

use crate::distribution::{norm_cdf, norm_pdf};
use crate::missing::{Known, Missing};
use crate::quadrature::{GaussLegendre, find_root};

/// Upper tail P(Q > q) of the range of `k ≥ 2` independent standard normals:
/// 1 − k∫φ(z)·[Φ(z) − Φ(z − q)]^(k−1) dz, Gauss–Legendre with 200 nodes on −8 … 8 + q.
///
/// # Errors
/// [`Missing::TooFewConfigurations`] for k < 2, [`Missing::NotFinite`].
pub fn studentized_range_sf(q: f64, k: usize) -> Known<f64> {
    if k < 2 {
        return Err(Missing::TooFewConfigurations { have: k, need: 2 });
    }
    if !q.is_finite() {
        return Err(Missing::NotFinite);
    }
    Ok(upper_tail(&GaussLegendre::new(200), q, k))
}

/// The q with P(Q > q) = `alpha` for the range of `k` standard normals.
///
/// # Errors
/// As [`studentized_range_sf`]; [`Missing::OutOfRange`] unless 0 < `alpha` < 1.
pub fn studentized_range_isf(alpha: f64, k: usize) -> Known<f64> {
    crate::missing::check_alpha(alpha)?;
    studentized_range_sf(1.0, k)?;
    let rule = GaussLegendre::new(200);
    find_root(|q| upper_tail(&rule, q, k) - alpha, 0.0, 60.0)
        .ok_or(Missing::TooLarge("quantile of the studentized range"))
}

fn upper_tail(rule: &GaussLegendre, q: f64, k: usize) -> f64 {
    if q <= 0.0 {
        return 1.0;
    }
    // beyond 40 the tail is below the smallest positive number, and the nodes would thin out
    let q = q.min(40.0);
    let below = rule.integrate(-8.0, 8.0 + q, |z| {
        norm_pdf(z) * (norm_cdf(z) - norm_cdf(z - q)).powf((k - 1) as f64)
    });
    (1.0 - k as f64 * below).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn the_range_of_two_is_a_normal_difference() {
        for q in [0.1, 1.0, 2.0, 3.5, 6.0] {
            let exact = 2.0 * norm_cdf(-q / std::f64::consts::SQRT_2);
            assert_abs_diff_eq!(studentized_range_sf(q, 2).unwrap(), exact, epsilon = 1e-12);
        }
    }

    #[test]
    fn quantiles_invert_the_tail() {
        for k in [2, 3, 20, 200] {
            for alpha in [0.5, 0.05, 0.001] {
                let q = studentized_range_isf(alpha, k).unwrap();
                assert_abs_diff_eq!(studentized_range_sf(q, k).unwrap(), alpha, epsilon = 1e-11);
            }
        }
        assert!(studentized_range_sf(1.0, 1).is_err());
        assert!(studentized_range_isf(0.0, 3).is_err());
        assert_eq!(studentized_range_sf(-1.0, 3), Ok(1.0));
    }
}

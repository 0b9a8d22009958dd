//! Correction of p values within one family of comparisons.
//!
//! The family is the caller's decision; a comparison of the family without a p value must enter as
//! 1, so that it counts.

use crate::missing::{Known, Missing};

/// Which correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Holm (1979): familywise error; the default for claims.
    Holm,
    /// Benjamini and Hochberg (1995): false discovery rate; for screening, labelled FDR.
    BenjaminiHochberg,
    /// Benjamini and Yekutieli (2001): false discovery rate under any dependence.
    BenjaminiYekutieli,
    /// Bonferroni: familywise error.
    Bonferroni,
}

/// Adjusted p values in the order given, each at least its raw value and at most 1. An empty family
/// gives an empty list.
///
/// # Errors
/// [`Missing::OutOfRange`] when a p value is not in 0 ..= 1.
pub fn adjust(p: &[f64], correction: Correction) -> Known<Vec<f64>> {
    if !p.iter().all(|p| (0.0..=1.0).contains(p)) {
        return Err(Missing::OutOfRange("p values must be in 0..=1"));
    }
    let m = p.len() as f64;
    Ok(match correction {
        Correction::Bonferroni => p.iter().map(|p| (p * m).min(1.0)).collect(),
        Correction::Holm => step_down(p),
        Correction::BenjaminiHochberg => step_up(p, 1.0),
        Correction::BenjaminiYekutieli => {
            step_up(p, (1..=p.len()).map(|i| 1.0 / i as f64).sum::<f64>())
        }
    })
}

/// Holm's adjusted p values; see [`adjust`].
pub fn holm(p: &[f64]) -> Known<Vec<f64>> {
    adjust(p, Correction::Holm)
}

/// Benjamini–Hochberg adjusted p values (FDR); see [`adjust`].
pub fn benjamini_hochberg(p: &[f64]) -> Known<Vec<f64>> {
    adjust(p, Correction::BenjaminiHochberg)
}

/// Benjamini–Yekutieli adjusted p values (FDR); see [`adjust`].
pub fn benjamini_yekutieli(p: &[f64]) -> Known<Vec<f64>> {
    adjust(p, Correction::BenjaminiYekutieli)
}

/// Bonferroni adjusted p values; see [`adjust`].
pub fn bonferroni(p: &[f64]) -> Known<Vec<f64>> {
    adjust(p, Correction::Bonferroni)
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    order
}

fn step_down(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (rank, i) in ascending(p).into_iter().enumerate() {
        largest = largest.max((p[i] * (p.len() - rank) as f64).min(1.0));
        adjusted[i] = largest;
    }
    adjusted
}

fn step_up(p: &[f64], factor: f64) -> Vec<f64> {
    let mut adjusted = vec![0.0; p.len()];
    let mut smallest = 1.0f64;
    for (rank, i) in ascending(p).into_iter().enumerate().rev() {
        // m/(rank + 1) first: at the last rank it is exactly 1, and no value falls below its raw one
        smallest = smallest.min(p[i] * (p.len() as f64 / (rank + 1) as f64 * factor));
        adjusted[i] = smallest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_steps_back() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]).unwrap(), [0.03, 0.06, 0.06]);
    }

    #[test]
    fn one_comparison_is_not_corrected_and_none_is_fine() {
        for c in [
            Correction::Holm,
            Correction::BenjaminiHochberg,
            Correction::BenjaminiYekutieli,
            Correction::Bonferroni,
        ] {
            assert_eq!(adjust(&[0.03], c).unwrap(), [0.03]);
            assert_eq!(adjust(&[], c).unwrap(), [0.0; 0]);
            assert!(adjust(&[f64::NAN], c).is_err());
        }
    }
}

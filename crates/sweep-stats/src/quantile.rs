//! Quantiles of a sample: type 7 and the interquartile mean.
//!
//! Not for quantiles of distributions: see [`crate::distribution`].

/// The `p` quantile of an ascending slice by linear interpolation (type 7 of Hyndman and Fan 1996,
/// the default of numpy and R). `None` for an empty slice or `p` outside 0 ..= 1.
pub fn quantile_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    if sorted.is_empty() || !(0.0..=1.0).contains(&p) {
        return None;
    }
    let position = p * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below], sorted[above]);
    Some(low + (position - below as f64) * (high - low))
}

/// The interquartile mean of an ascending slice: the mean of what is left after dropping ⌊n/4⌋
/// values at each end (Agarwal et al. 2021, rliable). `None` for an empty slice.
pub fn iqm_sorted(sorted: &[f64]) -> Option<f64> {
    let kept = kept_by_iqm(sorted.len());
    if kept.is_empty() {
        return None;
    }
    let len = kept.len() as f64;
    Some(sorted[kept].iter().sum::<f64>() / len)
}

/// The positions an interquartile mean of `n` sorted values keeps.
pub(crate) fn kept_by_iqm(n: usize) -> std::ops::Range<usize> {
    n / 4..n - n / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_7_interpolates_between_neighbours() {
        let x = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile_sorted(&x, 0.25), Some(1.75));
        assert_eq!(quantile_sorted(&x, 0.5), Some(3.0));
        assert_eq!(quantile_sorted(&x, 1.0), Some(8.0));
        assert_eq!(quantile_sorted(&[], 0.5), None);
        assert_eq!(quantile_sorted(&x, f64::NAN), None);
    }

    #[test]
    fn the_interquartile_mean_drops_a_quarter_at_each_end() {
        assert_eq!(iqm_sorted(&[0.0, 1.0, 2.0, 3.0, 100.0]), Some(2.0));
        assert_eq!(iqm_sorted(&[7.0]), Some(7.0));
        assert_eq!(iqm_sorted(&[]), None);
    }
}

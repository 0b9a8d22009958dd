//! The exact null distribution behind sign-flip and signed-rank tests: the sum of a random subset.
//!
//! Private to the crate. Values are whole numbers; each enters the subset with probability ½.

/// Lower tail of a subset sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    /// P(sum ≤ w).
    pub(crate) at_most: f64,
    /// P(sum = w).
    pub(crate) exactly: f64,
}

/// `P(Σ of a random subset ≤ w)` by dynamic programming: for each v > 0, q downwards,
/// `c[q] = (c[q] + c[q−v])/2`. Halving instead of counting keeps it in range for n > 1000, and it
/// is exact in f64 up to 53 values. Only sums up to `w` are ever needed, so callers ask for the
/// smaller tail: cost n·w.
pub(crate) fn lower_tail(values: &mut dyn Iterator<Item = usize>, w: usize) -> Tail {
    let (mut c, mut next) = (vec![0.0f64; w + 1], vec![0.0f64; w + 1]);
    c[0] = 1.0;
    let mut top = 0usize; // largest sum reached, cut at w; every entry above it is 0
    for v in values.filter(|&v| v > 0) {
        let reach = top.saturating_add(v).min(w);
        // two buffers instead of one walked downwards, so that the loops become vector code
        let without = v.min(reach + 1);
        for (new, old) in next[..without].iter_mut().zip(&c) {
            *new = 0.5 * old;
        }
        for ((new, old), shifted) in next[without..=reach].iter_mut().zip(&c[without..]).zip(&c) {
            *new = 0.5 * (old + shifted);
        }
        std::mem::swap(&mut c, &mut next);
        top = reach;
    }
    Tail { at_most: c.iter().sum(), exactly: c[w] }
}

/// One- and two-sided p values of a statistic symmetric about half of `total`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SymmetricP {
    pub(crate) two: f64,
    pub(crate) greater: f64,
    pub(crate) less: f64,
}

/// p values of `positive` out of `total`, ties with the observation included.
pub(crate) fn symmetric_p(
    values: &mut dyn Iterator<Item = usize>,
    positive: usize,
    total: usize,
) -> SymmetricP {
    let negative = total - positive;
    let tail = lower_tail(values, positive.min(negative));
    // A p value is positive; far beyond 1000 seeds only rounding makes it 0.
    let small = tail.at_most.clamp(f64::MIN_POSITIVE, 1.0);
    let large = (1.0 - tail.at_most + tail.exactly).clamp(f64::MIN_POSITIVE, 1.0);
    SymmetricP {
        two: if positive == negative { 1.0 } else { (2.0 * small).min(1.0) },
        greater: if positive >= negative { small } else { large },
        less: if positive >= negative { large } else { small },
    }
}

/// 2^(1−n): the smallest p a two-sided exact test of n non-zero pairs can give, at most 1.
pub(crate) fn attainable(n_nonzero: usize) -> f64 {
    match n_nonzero {
        0 => 1.0,
        n if n > 1000 => f64::MIN_POSITIVE,
        n => 2f64.powi(1 - n as i32),
    }
}

//! The two products of a head: features with class weights, and gradients of logits with features.
//!
//! Both read each row of features once, with the widest vector instructions of the machine, and sum in an order that only these
//! decide: neither threads nor the other rows of a batch change a bit.

use pulp::{Simd, WithSimd};

/// Rows side by side in [`products`].
const ROWS: usize = 2;
/// Classes side by side in [`products`].
const CLASSES: usize = 4;
/// Rows of features added at once in [`weighted_sums`].
const TERMS: usize = 4;

/// Inner products of rows of features with the rows of `weight`.
///
/// # Shapes
/// `rows` N times [D], `weight` [C, D] → `out` [N, C]
pub(super) fn products(rows: &[&[f32]], weight: &[f32], dim: usize, out: &mut [f32]) {
    pulp::Arch::new().dispatch(Products { rows, weight, dim, out });
}

// Types and not closures: what a closure calls is not compiled for the wider instructions unless all of it is inlined.
struct Products<'a> {
    rows: &'a [&'a [f32]],
    weight: &'a [f32],
    dim: usize,
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, weight, dim, out } = self;
        let classes = weight.len() / dim;
        let mut row = 0;
        while row + ROWS <= rows.len() {
            let x = [rows[row], rows[row + 1]];
            all_classes(simd, x, weight, dim, &mut out[row * classes..]);
            row += ROWS;
        }
        while row < rows.len() {
            all_classes(simd, [rows[row]], weight, dim, &mut out[row * classes..]);
            row += 1;
        }
    }
}

/// Inner products of `R` rows with every class, to the first R·C numbers of `out`.
#[inline(always)]
fn all_classes<S: Simd, const R: usize>(
    simd: S,
    x: [&[f32]; R],
    weight: &[f32],
    dim: usize,
    out: &mut [f32],
) {
    let classes = weight.len() / dim;
    let mut c = 0;
    while c + CLASSES <= classes {
        let w = &weight[c * dim..(c + CLASSES) * dim];
        let w = [&w[..dim], &w[dim..2 * dim], &w[2 * dim..3 * dim], &w[3 * dim..]];
        let found = block::<S, R, CLASSES>(simd, x, w);
        for r in 0..R {
            out[r * classes + c..r * classes + c + CLASSES].copy_from_slice(&found[r]);
        }
        c += CLASSES;
    }
    while c < classes {
        let found = block::<S, R, 1>(simd, x, [&weight[c * dim..(c + 1) * dim]]);
        for r in 0..R {
            out[r * classes + c] = found[r][0];
        }
        c += 1;
    }
}

/// Inner products of `R` rows with `K` rows.
#[inline(always)]
fn block<S: Simd, const R: usize, const K: usize>(
    simd: S,
    x: [&[f32]; R],
    w: [&[f32]; K],
) -> [[f32; K]; R] {
    let dim = x[0].len();
    let whole = S::as_simd_f32s(x[0]).0.len();
    let mut xs: [&[S::f32s]; R] = [&[]; R];
    let mut ws: [&[S::f32s]; K] = [&[]; K];
    for r in 0..R {
        xs[r] = &S::as_simd_f32s(x[r]).0[..whole];
    }
    for k in 0..K {
        ws[k] = &S::as_simd_f32s(w[k]).0[..whole];
    }
    let mut sums = [[simd.splat_f32s(0.0); K]; R];
    for at in 0..whole {
        for r in 0..R {
            for k in 0..K {
                sums[r][k] = simd.mul_add_f32s(xs[r][at], ws[k][at], sums[r][k]);
            }
        }
    }
    let mut out = [[0.0; K]; R];
    for r in 0..R {
        for k in 0..K {
            let mut sum = simd.reduce_sum_f32s(sums[r][k]);
            for rest in whole * S::F32_LANES..dim {
                sum += x[r][rest] * w[k][rest];
            }
            out[r][k] = sum;
        }
    }
    out
}

/// Sums of rows of features, weighted for each class: Σ_i `factors[i, c]`·`rows[i]`.
///
/// # Shapes
/// `rows` N times [D], `factors` [N, C] → `out` [C, D]
pub(super) fn weighted_sums(rows: &[&[f32]], factors: &[f32], dim: usize, out: &mut [f32]) {
    pulp::Arch::new().dispatch(WeightedSums { rows, factors, dim, out });
}

struct WeightedSums<'a> {
    rows: &'a [&'a [f32]],
    factors: &'a [f32],
    dim: usize,
    out: &'a mut [f32],
}

impl WithSimd for WeightedSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, factors, dim, out } = self;
        let classes = out.len() / dim;
        out.fill(0.0);
        let mut row = 0;
        while row + TERMS <= rows.len() {
            let x = [rows[row], rows[row + 1], rows[row + 2], rows[row + 3]];
            add_rows(simd, x, &factors[row * classes..], dim, out);
            row += TERMS;
        }
        while row < rows.len() {
            add_rows(simd, [rows[row]], &factors[row * classes..], dim, out);
            row += 1;
        }
    }
}

/// Adds Σ_t `factors[t, c]`·`x[t]` to each row c of `out`.
#[inline(always)]
fn add_rows<S: Simd, const T: usize>(
    simd: S,
    x: [&[f32]; T],
    factors: &[f32],
    dim: usize,
    out: &mut [f32],
) {
    let classes = out.len() / dim;
    let whole = S::as_simd_f32s(x[0]).0.len();
    let mut xs: [&[S::f32s]; T] = [&[]; T];
    for t in 0..T {
        xs[t] = &S::as_simd_f32s(x[t]).0[..whole];
    }
    for (c, out) in out.chunks_exact_mut(dim).enumerate() {
        let mut factor = [0.0; T];
        let mut wide = [simd.splat_f32s(0.0); T];
        for t in 0..T {
            factor[t] = factors[t * classes + c];
            wide[t] = simd.splat_f32s(factor[t]);
        }
        let (sums, rest) = S::as_mut_simd_f32s(out);
        for (at, sum) in sums.iter_mut().enumerate() {
            let mut total = *sum;
            for t in 0..T {
                total = simd.mul_add_f32s(xs[t][at], wide[t], total);
            }
            *sum = total;
        }
        let start = dim - rest.len();
        for (at, sum) in rest.iter_mut().enumerate() {
            for t in 0..T {
                *sum += x[t][start + at] * factor[t];
            }
        }
    }
}

/// Σ a_i b_i in double precision.
pub(super) fn exact_product(a: &[f32], b: &[f32]) -> f64 {
    const PARTS: usize = 8;
    let mut sums = [0.0; PARTS];
    let (a_parts, b_parts) = (a.chunks_exact(PARTS), b.chunks_exact(PARTS));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder());
    let rest: f64 = rest.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    for (a, b) in a_parts.zip(b_parts) {
        for part in 0..PARTS {
            sums[part] += f64::from(a[part]) * f64::from(b[part]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::KeyedRng;

    fn random(count: usize, name: &str) -> Vec<f32> {
        let mut rng = KeyedRng::new(1).named(name);
        (0..count).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn products_and_sums_are_those_of_plain_loops_at_every_remainder() {
        for (samples, classes, dim) in [(1, 1, 1), (2, 4, 8), (5, 3, 19), (7, 10, 64), (32, 5, 33)]
        {
            let (x, w) = (random(samples * dim, "x"), random(classes * dim, "w"));
            let rows: Vec<&[f32]> = x.chunks_exact(dim).collect();
            let mut out = vec![0.0; samples * classes];
            products(&rows, &w, dim, &mut out);
            for (i, row) in rows.iter().enumerate() {
                for (c, w) in w.chunks_exact(dim).enumerate() {
                    let expected = exact_product(row, w);
                    let found = f64::from(out[i * classes + c]);
                    approx::assert_abs_diff_eq!(found, expected, epsilon = 1e-5 * dim as f64);
                }
            }
            let mut sums = vec![f32::NAN; classes * dim];
            weighted_sums(&rows, &out, dim, &mut sums);
            for c in 0..classes {
                for d in 0..dim {
                    let terms = rows.iter().enumerate();
                    let expected: f64 =
                        terms.map(|(i, x)| f64::from(out[i * classes + c]) * f64::from(x[d])).sum();
                    let found = f64::from(sums[c * dim + d]);
                    approx::assert_abs_diff_eq!(found, expected, epsilon = 1e-4 * samples as f64);
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_product_alone_and_among_others() {
        let (x, w) = (random(5 * 40, "x"), random(6 * 40, "w"));
        let rows: Vec<&[f32]> = x.chunks_exact(40).collect();
        let (mut together, mut alone) = (vec![0.0; 30], vec![0.0; 6]);
        products(&rows, &w, 40, &mut together);
        for (row, together) in rows.iter().zip(together.chunks_exact(6)) {
            products(&[row], &w, 40, &mut alone);
            assert_eq!(alone, together);
        }
    }
}

//! The two products of a head: features with class weights, and gradients of logits with features.
//!
//! Both read each row of features once, with the widest vector instructions of the machine, and sum in an order that only these
//! decide: neither threads nor the other rows of a batch change a bit.

use std::ops::Range;

use pulp::{Simd, WithSimd};

/// Sums kept in registers are at most this many classes by [`ROWS`] or [`VECTORS`]: 12 of the 16 registers of AVX2.
const CLASSES: usize = 4;
/// Rows side by side in [`products`].
const ROWS: usize = 3;
/// Vectors side by side in [`weighted_sums`].
const VECTORS: usize = 3;
/// Vectors of features after which [`products`] comes back to the first row: as many of [`CLASSES`] and [`ROWS`] fit in an L1 cache.
const STRETCH: usize = 128;

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
        let stretch = STRETCH * S::F32_LANES;
        for first in (0..classes).step_by(CLASSES) {
            let last = classes.min(first + CLASSES);
            let weight = &weight[first * dim..last * dim];
            let columns = Columns { first, classes };
            for start in (0..dim).step_by(stretch) {
                let part = start..dim.min(start + stretch);
                match last - first {
                    1 => all_rows::<S, 1>(simd, rows, weight, part, columns, out),
                    2 => all_rows::<S, 2>(simd, rows, weight, part, columns, out),
                    3 => all_rows::<S, 3>(simd, rows, weight, part, columns, out),
                    _ => all_rows::<S, 4>(simd, rows, weight, part, columns, out),
                }
            }
        }
    }
}

/// Which columns of [N, C] are meant: those from `first`.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    classes: usize,
}

/// Adds what `part` of the features contributes to the products of all rows with the `K` rows of `weight`; the first part begins.
#[inline(always)]
fn all_rows<S: Simd, const K: usize>(
    simd: S,
    rows: &[&[f32]],
    weight: &[f32],
    part: Range<usize>,
    columns: Columns,
    out: &mut [f32],
) {
    let dim = weight.len() / K;
    let mut w: [&[f32]; K] = [&[]; K];
    for k in 0..K {
        w[k] = &weight[k * dim..(k + 1) * dim][part.clone()];
    }
    let mut row = 0;
    while row + ROWS <= rows.len() {
        let x = [0, 1, 2].map(|r| &rows[row + r][part.clone()]);
        let found = block::<S, ROWS, K>(simd, x, w);
        for found in found {
            columns.add(row, part.start == 0, &found, out);
            row += 1;
        }
    }
    while row < rows.len() {
        let [found] = block::<S, 1, K>(simd, [&rows[row][part.clone()]], w);
        columns.add(row, part.start == 0, &found, out);
        row += 1;
    }
}

impl Columns {
    #[inline(always)]
    fn add(self, row: usize, begin: bool, found: &[f32], out: &mut [f32]) {
        let out = &mut out[row * self.classes + self.first..][..found.len()];
        for (out, found) in out.iter_mut().zip(found) {
            *out = if begin { *found } else { *out + found };
        }
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
        for k in 0..K {
            let w = ws[k][at];
            for r in 0..R {
                sums[r][k] = simd.mul_add_f32s(xs[r][at], w, sums[r][k]);
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
        for (index, out) in out.chunks_mut(CLASSES * dim).enumerate() {
            let columns = Columns { first: index * CLASSES, classes };
            match out.len() / dim {
                1 => all_features::<S, 1>(simd, rows, factors, columns, out),
                2 => all_features::<S, 2>(simd, rows, factors, columns, out),
                3 => all_features::<S, 3>(simd, rows, factors, columns, out),
                _ => all_features::<S, 4>(simd, rows, factors, columns, out),
            }
        }
    }
}

/// The `K` rows of `out` from those columns of `factors`.
#[inline(always)]
fn all_features<S: Simd, const K: usize>(
    simd: S,
    rows: &[&[f32]],
    factors: &[f32],
    columns: Columns,
    out: &mut [f32],
) {
    let dim = out.len() / K;
    let whole = dim / S::F32_LANES;
    let mut at = 0;
    while at + VECTORS <= whole {
        tile::<S, K, VECTORS>(simd, rows, factors, columns, at, out);
        at += VECTORS;
    }
    while at < whole {
        tile::<S, K, 1>(simd, rows, factors, columns, at, out);
        at += 1;
    }
    for at in whole * S::F32_LANES..dim {
        for k in 0..K {
            let mut sum = 0.0;
            for (x, factors) in rows.iter().zip(factors.chunks_exact(columns.classes)) {
                sum += x[at] * factors[columns.first + k];
            }
            out[k * dim + at] = sum;
        }
    }
}

/// `V` vectors from the `at`th of each of the `K` rows of `out`.
#[inline(always)]
fn tile<S: Simd, const K: usize, const V: usize>(
    simd: S,
    rows: &[&[f32]],
    factors: &[f32],
    columns: Columns,
    at: usize,
    out: &mut [f32],
) {
    let dim = out.len() / K;
    let mut sums = [[simd.splat_f32s(0.0); V]; K];
    for (x, factors) in rows.iter().zip(factors.chunks_exact(columns.classes)) {
        let x = &S::as_simd_f32s(x).0[at..at + V];
        let factors = &factors[columns.first..columns.first + K];
        for k in 0..K {
            let factor = simd.splat_f32s(factors[k]);
            for v in 0..V {
                sums[k][v] = simd.mul_add_f32s(x[v], factor, sums[k][v]);
            }
        }
    }
    for k in 0..K {
        S::as_mut_simd_f32s(&mut out[k * dim..(k + 1) * dim]).0[at..at + V]
            .copy_from_slice(&sums[k]);
    }
}

/// Σ a_i b_i in double precision.
pub(super) fn exact_product(a: &[f32], b: &[f32]) -> f64 {
    pulp::Arch::new().dispatch(ExactProduct { a, b })
}

struct ExactProduct<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for ExactProduct<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        const PARTS: usize = 32;
        let (a, b) = (self.a.as_chunks::<PARTS>(), self.b.as_chunks::<PARTS>());
        let mut sums = [0.0; PARTS];
        for (a, b) in a.0.iter().zip(b.0) {
            for part in 0..PARTS {
                sums[part] += f64::from(a[part]) * f64::from(b[part]);
            }
        }
        let mut sum = 0.0;
        for (a, b) in a.1.iter().zip(b.1) {
            sum += f64::from(*a) * f64::from(*b);
        }
        for part in sums {
            sum += part;
        }
        sum
    }
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

//! The two products of a head: features with class weights, and gradients of logits with features.
//!
//! Both read each row of features once. Sums run in a fixed order and with fused multiply-adds only, so their bits are the same on
//! every machine, with whatever vector instructions.

/// Numbers summed side by side.
const LANES: usize = 8;

#[inline(always)]
fn lanes(values: &[f32], at: usize) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    out.copy_from_slice(&values[at..at + LANES]);
    out
}

/// Adds `a[l]·b[l]` to each `sum[l]`.
#[inline(always)]
fn multiply_add(sum: &mut [f32; LANES], a: &[f32; LANES], b: &[f32; LANES]) {
    for lane in 0..LANES {
        sum[lane] = a[lane].mul_add(b[lane], sum[lane]);
    }
}

/// Sum of the lanes, in pairs.
#[inline(always)]
fn total(sum: [f32; LANES]) -> f32 {
    ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))
}

/// Inner products of `R` rows with `K` rows.
#[inline(always)]
fn block<const R: usize, const K: usize>(x: [&[f32]; R], w: [&[f32]; K]) -> [[f32; K]; R] {
    let dim = x[0].len();
    let mut sums = [[[0.0; LANES]; K]; R];
    let whole = dim / LANES * LANES;
    let mut at = 0;
    while at < whole {
        let w: [_; K] = std::array::from_fn(|k| lanes(w[k], at));
        for r in 0..R {
            let x = lanes(x[r], at);
            for k in 0..K {
                multiply_add(&mut sums[r][k], &x, &w[k]);
            }
        }
        at += LANES;
    }
    let mut out = [[0.0; K]; R];
    for r in 0..R {
        for k in 0..K {
            let mut sum = total(sums[r][k]);
            for rest in whole..dim {
                sum = x[r][rest].mul_add(w[k][rest], sum);
            }
            out[r][k] = sum;
        }
    }
    out
}

/// Rows side by side in [`products`].
const ROWS: usize = 2;
/// Classes side by side in [`products`].
const CLASSES: usize = 4;

/// Inner products of rows of features with the rows of `weight`.
///
/// # Shapes
/// `rows` N times [D], `weight` [C, D] → `out` [N, C]
pub(super) fn products(rows: &[&[f32]], weight: &[f32], dim: usize, out: &mut [f32]) {
    let classes = weight.len() / dim;
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let class = |c: usize| &weight[c * dim..(c + 1) * dim];
            let mut row = 0;
            while row < rows.len() {
                let pair = row + ROWS <= rows.len();
                let mut c = 0;
                while c < classes {
                    let width = if c + CLASSES <= classes { CLASSES } else { 1 };
                    match (pair, width) {
                        (true, CLASSES) => {
                            let w: [_; CLASSES] = std::array::from_fn(|k| class(c + k));
                            let found = block([rows[row], rows[row + 1]], w);
                            for r in 0..ROWS {
                                let at = (row + r) * classes + c;
                                out[at..at + CLASSES].copy_from_slice(&found[r]);
                            }
                        }
                        (true, _) => {
                            let found = block([rows[row], rows[row + 1]], [class(c)]);
                            out[row * classes + c] = found[0][0];
                            out[(row + 1) * classes + c] = found[1][0];
                        }
                        (false, CLASSES) => {
                            let w: [_; CLASSES] = std::array::from_fn(|k| class(c + k));
                            let found = block([rows[row]], w);
                            let at = row * classes + c;
                            out[at..at + CLASSES].copy_from_slice(&found[0]);
                        }
                        (false, _) => {
                            out[row * classes + c] = block([rows[row]], [class(c)])[0][0];
                        }
                    }
                    c += width;
                }
                row += if pair { ROWS } else { 1 };
            }
        },
    );
}

/// Rows of features added at once in [`weighted_sums`].
const TERMS: usize = 4;

/// Sums of rows of features, weighted for each class: Σ_i `factors[i, c]`·`rows[i]`.
///
/// # Shapes
/// `rows` N times [D], `factors` [N, C] → `out` [C, D]
pub(super) fn weighted_sums(rows: &[&[f32]], factors: &[f32], dim: usize, out: &mut [f32]) {
    let classes = out.len() / dim;
    out.fill(0.0);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut row = 0;
            while row < rows.len() {
                if row + TERMS <= rows.len() {
                    let x: [&[f32]; TERMS] = std::array::from_fn(|t| rows[row + t]);
                    let factor =
                        |c: usize| std::array::from_fn(|t| factors[(row + t) * classes + c]);
                    add_rows(x, factor, classes, dim, out);
                    row += TERMS;
                } else {
                    let factor = |c: usize| [factors[row * classes + c]];
                    add_rows([rows[row]], factor, classes, dim, out);
                    row += 1;
                }
            }
        },
    );
}

/// Adds Σ_t `factor(c)[t]`·`x[t]` to each row c of `out`.
#[inline(always)]
fn add_rows<const T: usize>(
    x: [&[f32]; T],
    factor: impl Fn(usize) -> [f32; T],
    classes: usize,
    dim: usize,
    out: &mut [f32],
) {
    let whole = dim / LANES * LANES;
    for c in 0..classes {
        let (factor, out) = (factor(c), &mut out[c * dim..(c + 1) * dim]);
        let mut at = 0;
        while at < whole {
            let mut sum = lanes(out, at);
            for t in 0..T {
                multiply_add(&mut sum, &lanes(x[t], at), &[factor[t]; LANES]);
            }
            out[at..at + LANES].copy_from_slice(&sum);
            at += LANES;
        }
        for rest in whole..dim {
            for t in 0..T {
                out[rest] = x[t][rest].mul_add(factor[t], out[rest]);
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

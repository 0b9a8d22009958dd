//! The one matrix product of the CPU operations, over checked slices.

use gemm::Parallelism;

/// A matrix seen in a slice: element (r, c) is `values[r · row_stride + c · col_stride]`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills `values`.
    pub(super) fn new(values: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(
            values.len(),
            rows * cols,
            "a {rows}×{cols} matrix in a slice of another length"
        );
        Self { values, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The same numbers, rows and columns swapped.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// Multiplications below which a product stays on the calling thread.
const PARALLEL: usize = 1 << 20;

/// `out = lhs · rhs`, or `out += lhs · rhs` with `accumulate`; `out` is row-major.
///
/// Every element is one sum along the inner dimension in an order that does not depend on the number of threads.
pub(super) fn product(out: &mut [f32], lhs: Matrix<'_>, rhs: Matrix<'_>, accumulate: bool) {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    assert_eq!(rhs.rows, k, "inner sizes of a matrix product differ");
    assert_eq!(out.len(), m * n, "the result of a {m}×{n} matrix product does not fit");
    let parallelism = if m * n * k < PARALLEL { Parallelism::None } else { Parallelism::Rayon(0) };
    #[expect(
        unsafe_code,
        reason = "the matrix product takes raw pointers; `Matrix::new` and the checks above bound every access"
    )]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            lhs.values.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.values.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_with_a_transposed_factor_is_the_textbook_one() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut out = [1.0; 4];
        product(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&a, 2, 3).transposed(), true);
        assert_eq!(out, [15.0, 33.0, 33.0, 78.0]);
        product(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&a, 2, 3).transposed(), false);
        assert_eq!(out, [14.0, 32.0, 32.0, 77.0]);
    }
}

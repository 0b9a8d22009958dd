//! Labels as masks: every loss picks the target by mask, never by `gather`, whose gradient is a scatter with atomics on CUDA and so
//! not reproducible.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

/// The labels of one batch, one-hot.
#[derive(Debug, Clone)]
pub struct Targets<B: Backend> {
    one_hot: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
}

impl<B: Backend> Targets<B> {
    /// One-hot targets of `labels`, each from 0 to `classes` − 1.
    ///
    /// # Panics
    /// When a label is not below `classes`.
    pub fn new(labels: &[u32], classes: usize, device: &B::Device) -> Self {
        let mut one_hot = vec![0.0_f32; labels.len() * classes];
        for (row, label) in one_hot.chunks_exact_mut(classes).zip(labels) {
            row[*label as usize] = 1.0;
        }
        let one_hot = TensorData::new(one_hot, [labels.len(), classes]);
        Self {
            one_hot: Tensor::from_data(one_hot, (device, DType::F32)),
            labels: Tensor::from_data(labels, device),
        }
    }

    /// o: 1 at the label, else 0. [N, C]
    pub fn one_hot(&self) -> Tensor<B, 2> {
        self.one_hot.clone()
    }

    /// The labels as they came, only for what takes no part in a gradient. [N]
    pub(super) fn labels(&self) -> Tensor<B, 1, Int> {
        self.labels.clone()
    }

    /// 1 − o. [N, C]
    pub(super) fn others(&self) -> Tensor<B, 2> {
        self.one_hot().neg().add_scalar(1.0)
    }

    /// t = 2o − 1: 1 at the label, else −1. [N, C]
    pub(super) fn signs(&self) -> Tensor<B, 2> {
        self.one_hot().mul_scalar(2.0).sub_scalar(1.0)
    }

    /// True at the label. [N, C]
    pub(super) fn mask(&self) -> Tensor<B, 2, Bool> {
        self.one_hot().greater_elem(0.5)
    }

    /// The target's entry of each row: [N, C] → [N, 1]
    pub(super) fn pick(&self, values: Tensor<B, 2>) -> Tensor<B, 2> {
        (values * self.one_hot()).sum_dim(1)
    }

    /// [N, C] with each target's entry replaced by `target` [N, 1].
    pub(super) fn replace(&self, values: Tensor<B, 2>, target: Tensor<B, 2>) -> Tensor<B, 2> {
        // Expanded first: burn-cubecl 0.21 sets out to mask as many elements as the smallest operand has, which leaves gradients of a
        // narrower `target` wrong on GPUs.
        let shape = values.dims();
        values.mask_where(self.mask(), target.expand(shape))
    }
}

//! From a flex tensor to its numbers and back.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};

/// The tensor's numbers in row-major order behind one slice; copies only if a view must be straightened.
pub(super) struct Dense(FlexTensor);

impl Dense {
    pub(super) fn new(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    pub(super) fn values(&self) -> &[f32] {
        self.0.storage::<f32>()
    }

    /// The tensor again.
    pub(super) fn into_tensor(self) -> FlexTensor {
        self.0
    }

    /// The four sizes, channels last.
    pub(super) fn dims4(&self) -> [usize; 4] {
        let shape = self.0.layout().shape();
        [shape[0], shape[1], shape[2], shape[3]]
    }
}

/// A tensor that owns `values`.
pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape)), DType::F32)
}

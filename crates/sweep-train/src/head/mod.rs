//! The last layer of a network: features to plain logits.
//!
//! The loss chooses its head ([`Loss::head`]), never the user. Plain logits know no margin, no scale and no λ: predictions and
//! accuracies come from them. What training minimises is made of the same pieces in [`crate::loss`].

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]

mod init;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use sweep_core::loss::{HeadKind, Loss};

use crate::rng::KeyedRng;

/// Added to a sum of squares before its root, so that a zero vector has a finite norm gradient (at most 1e6).
const NORM_EPSILON: f64 = 1e-12;

/// A head of one of the four kinds, with the second head of `cosine_xent` where there is one. All parameters are f32.
#[derive(Module, Debug)]
pub struct Head<B: Backend> {
    /// One row per class: [C, D].
    ///
    /// Not burn's [D, C]: with a few classes the products of the CPU backend take less than half the time this way round.
    pub weight: Param<Tensor<B, 2>>,
    /// [C]; only of a linear head.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// Second head of `cosine_xent`, on the normalised embedding: [C, C], one row per class.
    pub weight2: Option<Param<Tensor<B, 2>>>,
    /// [C]; there exactly when `weight2` is.
    pub bias2: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    kind: HeadKind,
}

impl<B: Backend> Head<B> {
    /// The head that `loss` needs, with its starting values: a function of `seed` and the parameter's name alone, so that every
    /// loss with this kind of head starts from the same weights, on any device.
    ///
    /// - linear: weights as torch's `Linear` (Kaiming uniform, |w| ≤ 1/√D), bias 0, for bce −ln(C−1) (each class starts at the
    ///   probability 1/C);
    /// - linear without bias: Kaiming normal, standard deviation √(2/D);
    /// - normalised weights and cosine: directions of N(0, 1) vectors with norm 1, since the norm is a hidden learning rate
    ///   (∂L/∂W ∝ 1/‖W‖).
    pub fn new(
        loss: &Loss,
        features: usize,
        classes: usize,
        seed: u64,
        device: &B::Device,
    ) -> Self {
        let kind = loss.head();
        let stream = |parameter: &str| KeyedRng::new(seed).named("weights").named(parameter);
        let rng = &mut stream("head.weight");
        let weight = match kind {
            HeadKind::Linear => init::torch_linear(rng, features, classes),
            HeadKind::LinearNoBias => init::kaiming_normal(rng, features, classes),
            HeadKind::NormWeight | HeadKind::Cosine => init::unit_rows(rng, features, classes),
        };
        let bias = (kind == HeadKind::Linear).then(|| {
            let start = match loss {
                Loss::Bce {} => -((classes as f64 - 1.0).ln() as f32),
                _ => 0.0,
            };
            vector(vec![start; classes], device)
        });
        let second = matches!(loss, Loss::CosineXent { .. }).then(|| {
            let weight = init::torch_linear(&mut stream("head.weight2"), classes, classes);
            (matrix(weight, [classes, classes], device), vector(vec![0.0; classes], device))
        });
        Self::from_parts(kind, matrix(weight, [classes, features], device), bias, second)
    }

    /// A head from given numbers.
    ///
    /// # Shapes
    /// `weight` [C, D], `bias` [C]; `second`: weight [C, C] and bias [C]
    pub fn from_parts(
        kind: HeadKind,
        weight: Tensor<B, 2>,
        bias: Option<Tensor<B, 1>>,
        second: Option<(Tensor<B, 2>, Tensor<B, 1>)>,
    ) -> Self {
        let (weight2, bias2) = second.unzip();
        Self {
            weight: Param::from_tensor(weight),
            bias: bias.map(Param::from_tensor),
            weight2: weight2.map(Param::from_tensor),
            bias2: bias2.map(Param::from_tensor),
            kind,
        }
    }

    /// Which of the four kinds this is.
    pub fn kind(&self) -> HeadKind {
        self.kind
    }

    /// Class scores without margin, scale or λ; their argmax is the prediction. Of the second head where there is one.
    ///
    /// # Shapes
    /// `x` [N, D] → [N, C]
    pub fn plain_logits(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let x = in_f32(x);
        let first = match self.kind {
            HeadKind::Linear | HeadKind::LinearNoBias => self.linear(x),
            HeadKind::NormWeight => self.normweight(x),
            HeadKind::Cosine => self.angles(x).cosines,
        };
        match self.weight2 {
            Some(_) => self.second(unit_rows(first)),
            None => first,
        }
    }

    /// xWᵀ + b, or xWᵀ where there is no bias. [N, D] → [N, C]
    pub(crate) fn linear(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        affine(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// x(W/‖W‖)ᵀ. [N, D] → [N, C]
    ///
    /// Dividing after the product instead of before saves work on [C, D]; the numbers are the same.
    pub(crate) fn normweight(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.linear(x) / self.weight_norms()
    }

    /// Cosines of the angles between features and class weights, (x/‖x‖)(W/‖W‖)ᵀ, with the norms they were made of.
    ///
    /// # Shapes
    /// `x` [N, D]
    pub(crate) fn angles(&self, x: Tensor<B, 2>) -> Angles<B> {
        let feature_norms = row_norms(x.clone());
        let weight_norms = self.weight_norms();
        let cosines = self.linear(x) / weight_norms.clone() / feature_norms.clone();
        Angles { cosines, feature_norms, weight_norms }
    }

    /// ‖W_j‖ of each class: [1, C]
    pub(crate) fn weight_norms(&self) -> Tensor<B, 2> {
        row_norms(self.weight.val()).transpose()
    }

    /// The second head of `cosine_xent` on normalised embeddings. [N, C] → [N, C]
    ///
    /// # Panics
    /// When the head was made for another loss.
    pub(crate) fn second(&self, unit: Tensor<B, 2>) -> Tensor<B, 2> {
        let Some(weight) = &self.weight2 else {
            panic!("this head has no second part: it was not made for cosine_xent");
        };
        affine(unit, weight.val(), self.bias2.as_ref().map(Param::val))
    }
}

/// What a cosine head sees.
pub(crate) struct Angles<B: Backend> {
    /// [N, C]
    pub(crate) cosines: Tensor<B, 2>,
    /// ‖x‖: [N, 1]
    pub(crate) feature_norms: Tensor<B, 2>,
    /// ‖W_j‖: [1, C]
    pub(crate) weight_norms: Tensor<B, 2>,
}

/// xWᵀ + b: [N, D], [C, D], [C] → [N, C]
fn affine<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    // as (Wxᵀ)ᵀ, so that the gradient of the weights comes out contiguous
    let product = weight.matmul(x.transpose()).transpose();
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}

/// ‖v‖ of each row: [N, D] → [N, 1]
pub(crate) fn row_norms<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    rows.square().sum_dim(1).add_scalar(NORM_EPSILON).sqrt()
}

/// Each row divided by its norm; a zero row stays zero. [N, D] → [N, D]
pub(crate) fn unit_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let norms = row_norms(rows.clone());
    rows / norms
}

/// Heads and losses run in f32 also where the backbone does not: in bf16 a cosine is known to 0.004 only.
pub(crate) fn in_f32<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    x.cast(DType::F32)
}

fn matrix<B: Backend>(values: Vec<f32>, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

fn vector<B: Backend>(values: Vec<f32>, device: &B::Device) -> Tensor<B, 1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    type B = Flex;

    fn values<const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    fn head(loss: &Loss, seed: u64) -> Head<B> {
        Head::new(loss, 64, 4, seed, &Default::default())
    }

    fn softmax() -> Loss {
        Loss::Softmax { label_smoothing: 0.0 }
    }

    #[test]
    fn the_same_head_and_seed_start_from_the_same_weights_whatever_the_loss() {
        let softmax = values(head(&softmax(), 7).weight.val());
        for loss in [Loss::Bce {}, Loss::Cosine {}, Loss::CosineXent { cross_entropy_weight: 0.1 }]
        {
            assert_eq!(values(head(&loss, 7).weight.val()), softmax);
            assert_ne!(values(head(&loss, 8).weight.val()), softmax);
        }
        let arcface = Loss::Arcface { scale: 30.0, margin: 0.5 };
        let additive = Loss::AmSoftmax { scale: 10.0, margin: 0.2 };
        assert_eq!(values(head(&arcface, 7).weight.val()), values(head(&additive, 7).weight.val()));
    }

    #[test]
    fn a_linear_head_starts_within_torchs_bound_and_fills_it() {
        let weights = values(head(&softmax(), 1).weight.val());
        let largest = weights.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
        assert!(largest <= 1.0 / 8.0 && largest > 0.9 / 8.0, "{largest}");
        assert!(weights.iter().any(|w| *w < -0.1));
    }

    #[test]
    fn only_bce_starts_with_a_bias() {
        assert_eq!(values(head(&softmax(), 1).bias.unwrap().val()), [0.0; 4]);
        assert_eq!(values(head(&Loss::Bce {}, 1).bias.unwrap().val()), [-(3.0_f64.ln() as f32); 4]);
        assert!(head(&Loss::LSoftmax { margin: 2, anneal: None }, 1).bias.is_none());
    }

    #[test]
    fn directional_heads_start_with_unit_norm() {
        for loss in [
            Loss::ASoftmax { margin: 2, anneal: None },
            Loss::AmSoftmax { scale: 30.0, margin: 0.35 },
        ] {
            for norm in values(head(&loss, 3).weight_norms()) {
                approx::assert_abs_diff_eq!(norm, 1.0, epsilon = 1e-6);
            }
        }
    }

    #[test]
    fn kaiming_normal_has_its_spread() {
        let loss = Loss::LSoftmax { margin: 4, anneal: None };
        let weights = values(Head::<B>::new(&loss, 512, 10, 5, &Default::default()).weight.val());
        let mean_square =
            weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weights.len() as f64;
        approx::assert_relative_eq!(mean_square, 2.0 / 512.0, max_relative = 0.1);
    }

    #[test]
    fn the_second_head_gives_the_plain_logits_where_there_is_one() {
        let one = Tensor::<B, 2>::from_data([[2.0, 0.0], [0.0, 1.0]], &Default::default());
        let swap = Tensor::<B, 2>::from_data([[0.0, 1.0], [1.0, 0.0]], &Default::default());
        let zero = Tensor::<B, 1>::from_data([0.0, 0.5], &Default::default());
        let head = Head::from_parts(HeadKind::Linear, one, None, Some((swap, zero)));
        let x = Tensor::<B, 2>::from_data([[3.0, 8.0]], &Default::default());
        // e = [6, 8], e/‖e‖ = [0.6, 0.8], swapped, plus bias
        let logits = values(head.plain_logits(x));
        approx::assert_abs_diff_eq!(logits[..], [0.8, 1.1], epsilon = 1e-6);
    }
}

//! The losses: per-sample values of every [`Loss`], differentiable on any autodiff backend.
//!
//! One file per family, each from plain logits or their pieces to values [N]; [`Objective`] picks among them. One reduction for
//! all: sum over classes here, mean over samples by the caller, weighted by sample count. Formulas for users: `docs/losses.md`.
//! Names and ranges of hyperparameters: [`sweep_core::loss`]. Heads and their starting values: [`crate::head`].
//!
//! Read [`Objective::evaluate_at`] first, then `cross_entropy`, `sigma`, `hinge`, `bce`, `angular`, `additive`, `cosine`.

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]

mod additive;
mod angular;
mod bce;
mod cosine;
mod cross_entropy;
mod hinge;
mod predict;
mod sigma;
mod targets;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use sweep_core::loss::Loss;

use crate::head::{Head, in_f32};

pub use additive::arcface_target;
pub use angular::psi;
pub use predict::predict;
pub use targets::Targets;

/// What one forward pass of an [`Objective`] gives.
#[derive(Debug, Clone)]
pub struct Evaluation<B: Backend> {
    /// The training loss of each sample, margin and λ included: [N].
    pub per_sample: Tensor<B, 1>,
    /// Plain logits, for [`predict`]: [N, C].
    pub logits: Tensor<B, 2>,
}

/// What a run minimises: a loss with everything it needs to know besides the batch.
///
/// Not generic, so that the same value serves training and validation: the validation loss is the training objective, margin and
/// current λ included. Values of different losses must not be compared.
#[derive(Debug, Clone)]
pub struct Objective {
    loss: Loss,
    /// m_j of each class for ldam, else empty.
    class_margins: Vec<f64>,
    total_steps: u64,
}

impl Objective {
    /// The objective of a run of `total_steps` planned optimizer steps (from the configuration, never from progress).
    ///
    /// `class_counts` are the sample counts of the training part, after duplicate handling; only ldam reads them, and a class
    /// without samples counts as one.
    pub fn new(loss: &Loss, class_counts: &[u32], total_steps: u64) -> Self {
        let class_margins = match loss {
            Loss::Ldam { max_margin, .. } => additive::ldam_margins(*max_margin, class_counts),
            _ => Vec::new(),
        };
        Self { loss: loss.clone(), class_margins, total_steps }
    }

    /// The loss with its hyperparameters.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// m_j of each class for ldam, else empty.
    pub(crate) fn class_margins(&self) -> &[f64] {
        &self.class_margins
    }

    /// λ at optimizer step `step` (from 0), for the epoch metrics; `None` for losses without one.
    pub fn lambda(&self, step: u64) -> Option<f64> {
        match &self.loss {
            Loss::LSoftmax { anneal, .. } | Loss::ASoftmax { anneal, .. } => {
                Some(anneal.map_or(0.0, |anneal| anneal.lambda(step, self.total_steps)))
            }
            _ => None,
        }
    }

    /// Loss and plain logits at optimizer step `step` (from 0).
    ///
    /// # Shapes
    /// `x` [N, D], `targets` [N, C]
    pub fn evaluate<B: Backend>(
        &self,
        head: &Head<B>,
        x: Tensor<B, 2>,
        targets: &Targets<B>,
        step: u64,
    ) -> Evaluation<B> {
        self.evaluate_at(head, x, targets, self.lambda(step).unwrap_or(0.0))
    }

    /// Loss and plain logits with λ handed in; losses without λ ignore it.
    ///
    /// # Shapes
    /// `x` [N, D], `targets` [N, C]
    ///
    /// # Panics
    /// When `head` was made for a loss with another head, or a margin of l_softmax or a_softmax is not in 1..=4 (no checked
    /// sweep file holds one).
    pub fn evaluate_at<B: Backend>(
        &self,
        head: &Head<B>,
        x: Tensor<B, 2>,
        targets: &Targets<B>,
        lambda: f64,
    ) -> Evaluation<B> {
        assert_eq!(head.kind(), self.loss.head(), "the head was made for another loss");
        let x = in_f32(x);
        let plain = |loss: &dyn Fn(Tensor<B, 2>) -> Tensor<B, 2>| {
            let logits = head.linear(x.clone());
            (loss(logits.clone()), logits)
        };
        let additive = |scale: f64, margins: additive::Margins<'_>| {
            let cosines = head.angles(x.clone()).cosines;
            (additive::additive_margin(cosines.clone(), targets, scale, margins), cosines)
        };
        let (values, logits) = match self.loss {
            Loss::L1Sigma { sigma } => plain(&|z| sigma::l1(z, targets, sigma)),
            Loss::L2Sigma { sigma } => plain(&|z| sigma::l2(z, targets, sigma)),
            Loss::Hinge { margin, power } => {
                plain(&|z| hinge::one_against_all(z, targets, margin, power))
            }
            Loss::HingeCs { margin, power } => {
                plain(&|z| hinge::crammer_singer(z, targets, margin, power))
            }
            Loss::HingeWw { margin, power } => {
                plain(&|z| hinge::weston_watkins(z, targets, margin, power))
            }
            Loss::Bce {} => plain(&|z| bce::one_against_all(z, targets)),
            Loss::Softmax { label_smoothing } => {
                plain(&|z| cross_entropy::smoothed(z, targets, label_smoothing))
            }
            Loss::Focal { gamma, alpha } => {
                plain(&|z| cross_entropy::focal(z, targets, gamma, alpha))
            }
            Loss::LSoftmax { margin, .. } => angular::l_softmax(head, x, targets, margin, lambda),
            Loss::ASoftmax { margin, .. } => angular::a_softmax(head, x, targets, margin, lambda),
            Loss::AmSoftmax { scale, margin } => additive(scale, additive::Margins::Same(margin)),
            Loss::Ldam { scale, .. } => {
                additive(scale, additive::Margins::PerClass(&self.class_margins))
            }
            Loss::Arcface { scale, margin } => additive::arcface(head, x, targets, scale, margin),
            Loss::Cosine {} => plain(&|e| cosine::cosine(e, targets)),
            Loss::CosineXent { cross_entropy_weight } => {
                cosine::with_cross_entropy(head, x, targets, cross_entropy_weight)
            }
        };
        Evaluation { per_sample: values.squeeze_dim(1), logits }
    }
}

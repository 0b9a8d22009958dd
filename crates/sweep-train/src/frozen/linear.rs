//! A head on features: its parameters, one optimizer step, its word on the validation images.

use burn::backend::Flex;
use burn::module::Param;
use burn::tensor::Tensor;
use sweep_core::loss::{HeadKind, Loss};
use sweep_core::training::Optimizer;

use super::features::Features;
use super::kernels;
use super::row::{self, Found, Row, Second};
use super::update::Parameter;
use crate::checkpoint::SavedMoments;
use crate::head::Head;
use crate::loss::Objective;
use crate::optim::gradients::clip_factor;

/// Added to a sum of squares before its root, as in [`crate::head`].
const NORM_EPSILON: f64 = 1e-12;

/// Numbers of a head: what training starts from, and where it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadNumbers {
    /// One row per class: [C, D].
    pub weight: Vec<f32>,
    /// [C]; only of a linear head.
    pub bias: Option<Vec<f32>>,
    /// Of the second head of cosine_xent: [C, C] and [C].
    pub second: Option<(Vec<f32>, Vec<f32>)>,
}

impl HeadNumbers {
    /// Where [`Head::new`] starts.
    pub fn start(loss: &Loss, features: usize, classes: usize, seed: u64) -> Self {
        let head = Head::<Flex>::new(loss, features, classes, seed, &Default::default());
        fn numbers<const D: usize>(param: Param<Tensor<Flex, D>>) -> Vec<f32> {
            param.val().into_data().into_vec().expect("heads are f32")
        }
        Self {
            weight: numbers(head.weight),
            bias: head.bias.map(numbers),
            second: head.weight2.map(numbers).zip(head.bias2.map(numbers)),
        }
    }
}

/// A head in training on the features of a frozen backbone.
#[derive(Clone, Debug)]
pub struct LinearHead {
    kind: HeadKind,
    rule: Optimizer,
    clip_norm: Option<f64>,
    dim: usize,
    classes: usize,
    /// Weight, then bias, then weight and bias of the second head, as far as there are such.
    parameters: Vec<Parameter>,
    has_bias: bool,
}

/// Per-sample losses and plain logits.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// [N]
    pub losses: Vec<f32>,
    /// [N, C], row-major.
    pub logits: Vec<f32>,
}

impl LinearHead {
    /// A head for `loss` that starts from `numbers`, on features of `dim` numbers, stepped by `rule` after clipping to `clip_norm`.
    ///
    /// # Panics
    /// When `numbers` are not those of a head for `loss`.
    pub fn new(
        loss: &Loss,
        dim: usize,
        numbers: HeadNumbers,
        rule: Optimizer,
        clip_norm: Option<f64>,
    ) -> Self {
        let kind = loss.head();
        let has_bias = numbers.bias.is_some();
        assert_eq!(has_bias, kind == HeadKind::Linear, "a linear head has a bias");
        let second = matches!(loss, Loss::CosineXent { .. });
        assert_eq!(numbers.second.is_some(), second, "cosine_xent has a second head");
        let classes = numbers.weight.len() / dim;
        let (weight2, bias2) = numbers.second.unzip();
        let parts = [Some(numbers.weight), numbers.bias, weight2, bias2];
        let parameters =
            parts.into_iter().flatten().map(|values| Parameter::new(values, &rule)).collect();
        Self { kind, rule, clip_norm, dim, classes, parameters, has_bias }
    }

    /// Which kind of head this is.
    pub fn kind(&self) -> HeadKind {
        self.kind
    }

    /// Its numbers as they are now.
    pub fn numbers(&self) -> HeadNumbers {
        let mut values = self.parameters.iter().map(|p| p.values.clone());
        let weight = values.next().unwrap_or_default();
        let bias = if self.has_bias { values.next() } else { None };
        HeadNumbers { weight, bias, second: values.next().zip(values.next()) }
    }

    /// One step on the training images `examples`, the `step`th from 0, at `learning_rate`: what it said of them before. `None`, and
    /// no step, when a loss or a gradient is not finite.
    pub fn step(
        &mut self,
        features: &Features,
        examples: &[usize],
        objective: &Objective,
        step: u64,
        learning_rate: f64,
    ) -> Option<Said> {
        let lambda = objective.lambda(step).unwrap_or(0.0);
        let said = self.gradients(features, examples, objective, lambda);
        let squares: Vec<f64> = self.parameters.iter().map(Parameter::squared_norm).collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        let finite = said.losses.iter().map(|&l| f64::from(l)).sum::<f64>().is_finite();
        if !finite || !norm.is_finite() {
            return None;
        }
        let factor = self.clip_norm.map_or(1.0, |largest| clip_factor(norm, largest));
        for parameter in &mut self.parameters {
            parameter.step(&self.rule, step + 1, learning_rate, factor);
        }
        Some(said)
    }

    /// What it says of `images` (indices into all of `features`), λ being `lambda`.
    pub fn evaluate(
        &mut self,
        features: &Features,
        images: std::ops::Range<usize>,
        objective: &Objective,
        lambda: f64,
    ) -> Said {
        let images: Vec<usize> = images.collect();
        let rows: Vec<&[f32]> = images.iter().map(|&e| features.row(e)).collect();
        let weight_norms = self.weight_norms(objective.loss());
        let seen = Seen { features, images: &images, rows: &rows, weight_norms: &weight_norms };
        self.rows(&seen, objective, lambda, None)
    }

    /// Gradients of the mean loss of `examples` by each parameter, in the order of [`Self::numbers`]; what it said of them. For tests.
    pub fn differentiate(
        &mut self,
        features: &Features,
        examples: &[usize],
        objective: &Objective,
        lambda: f64,
    ) -> (Said, Vec<Vec<f32>>) {
        let said = self.gradients(features, examples, objective, lambda);
        (said, self.parameters.iter().map(|p| p.gradient.clone()).collect())
    }

    fn gradients(
        &mut self,
        features: &Features,
        examples: &[usize],
        objective: &Objective,
        lambda: f64,
    ) -> Said {
        let (classes, dim) = (self.classes, self.dim);
        let mut factors = vec![0.0; examples.len() * classes];
        let mut sums = Sums::new(classes, self.parameters.len() > 2);
        let rows: Vec<&[f32]> = examples.iter().map(|&e| features.row(e)).collect();
        let weight_norms = self.weight_norms(objective.loss());
        let seen = Seen { features, images: examples, rows: &rows, weight_norms: &weight_norms };
        let said = self.rows(&seen, objective, lambda, Some((&mut factors, &mut sums)));
        let mean = 1.0 / examples.len().max(1) as f64;
        let (weight, others) = self.parameters.split_at_mut(1);
        let weight = &mut weight[0];
        kernels::weighted_sums(&rows, &factors, dim, &mut weight.gradient);
        let classes = weight.gradient.chunks_exact_mut(dim).zip(weight.values.chunks_exact(dim));
        for ((gradient, values), (norm, by_norm)) in
            classes.zip(weight_norms.iter().zip(&sums.norms))
        {
            let factor = (mean * by_norm / norm) as f32;
            for (gradient, value) in gradient.iter_mut().zip(values) {
                *gradient += factor * value;
            }
        }
        let parts = self.has_bias.then_some(sums.bias).into_iter().chain(sums.second);
        for (parameter, sums) in others.iter_mut().zip(parts) {
            for (gradient, sum) in parameter.gradient.iter_mut().zip(sums) {
                *gradient = (mean * sum) as f32;
            }
        }
        said
    }

    /// ‖W_j‖ of each class, for a loss that asks for them.
    fn weight_norms(&self, loss: &Loss) -> Vec<f64> {
        if row::knows_norms(loss) {
            self.parameters[0].values.chunks_exact(self.dim).map(weight_norm).collect()
        } else {
            Vec::new()
        }
    }

    /// Loss and logits of each image; with `wanted`, ∂(mean loss)/∂a [N, C] and the sums of what else there is to differentiate.
    fn rows(
        &self,
        seen: &Seen<'_>,
        objective: &Objective,
        lambda: f64,
        mut wanted: Option<(&mut [f32], &mut Sums)>,
    ) -> Said {
        let (classes, dim) = (self.classes, self.dim);
        let weight = &self.parameters[0].values;
        let bias: &[f32] = if self.has_bias { &self.parameters[1].values } else { &[] };
        let Seen { features, images, rows, weight_norms } = *seen;
        let mut products = vec![0.0; images.len() * classes];
        kernels::products(rows, weight, dim, &mut products);
        let arcface = matches!(objective.loss(), Loss::Arcface { .. });
        let mut found = Found::new(classes);
        let mut exact = vec![0.0; classes];
        let mut unwanted = Sums::new(classes, self.parameters.len() > 2);
        let mean = 1.0 / images.len().max(1) as f64;
        let mut said = Said {
            losses: Vec::with_capacity(images.len()),
            logits: Vec::with_capacity(images.len() * classes),
        };
        for (index, products) in products.chunks_exact(classes).enumerate() {
            let (image, x) = (images[index], rows[index]);
            let label = features.labels()[image] as usize;
            for (exact, product) in exact.iter_mut().zip(products) {
                *exact = f64::from(*product);
            }
            let exact_target = if arcface {
                kernels::exact_product(x, &weight[label * dim..(label + 1) * dim])
            } else {
                0.0
            };
            let row = Row {
                products: &exact,
                bias,
                weight_norms,
                feature_norm: features.norm(image),
                label,
                exact_target,
            };
            let sums = wanted.as_mut().map_or(&mut unwanted, |(_, sums)| &mut **sums);
            let mut second = match (&self.parameters[..], &mut sums.second[..]) {
                ([_, _, weight, bias], [weight_gradient, bias_gradient]) => Some(Second {
                    weight: &weight.values,
                    bias: &bias.values,
                    weight_gradient,
                    bias_gradient,
                }),
                _ => None,
            };
            let loss = row::evaluate(objective, lambda, &row, second.as_mut(), &mut found);
            said.losses.push(loss as f32);
            said.logits.extend(found.logits.iter().map(|z| *z as f32));
            if let Some((factors, sums)) = &mut wanted {
                let factors = &mut factors[index * classes..(index + 1) * classes];
                for (c, factor) in factors.iter_mut().enumerate() {
                    *factor = (mean * found.products[c]) as f32;
                    sums.bias[c] += found.products[c];
                    sums.norms[c] += found.norms[c];
                }
            }
        }
        said
    }

    /// Its numbers and its optimizer's.
    pub(crate) fn saved(&self) -> (Vec<Vec<f32>>, Vec<Option<SavedMoments>>) {
        let moments = |p: &Parameter| SavedMoments {
            first: p.first.clone(),
            second: (!p.second.is_empty()).then(|| p.second.clone()),
        };
        self.parameters.iter().map(|p| (p.values.clone(), Some(moments(p)))).unzip()
    }

    /// Takes back what [`Self::saved`] gave; `false`, and unchanged, when it does not fit.
    pub(crate) fn restore(
        &mut self,
        tensors: Vec<Vec<f32>>,
        moments: Vec<Option<SavedMoments>>,
    ) -> bool {
        let mut restored = self.parameters.clone();
        if tensors.len() != restored.len() || moments.len() != restored.len() {
            return false;
        }
        for ((parameter, values), moments) in restored.iter_mut().zip(tensors).zip(moments) {
            let Some(SavedMoments { first, second }) = moments else { return false };
            let second = second.unwrap_or_default();
            let fits = [
                (&values, &parameter.values),
                (&first, &parameter.first),
                (&second, &parameter.second),
            ]
            .iter()
            .all(|(new, old)| new.len() == old.len());
            if !fits {
                return false;
            }
            (parameter.values, parameter.first, parameter.second) = (values, first, second);
        }
        self.parameters = restored;
        true
    }
}

/// What a head is asked about.
#[derive(Clone, Copy)]
struct Seen<'a> {
    features: &'a Features,
    /// Indices into all of `features`.
    images: &'a [usize],
    /// Their rows.
    rows: &'a [&'a [f32]],
    /// As [`LinearHead::weight_norms`] gives them.
    weight_norms: &'a [f64],
}

/// Sums over a batch, in double precision.
struct Sums {
    /// ∂L/∂b_j
    bias: Vec<f64>,
    /// ∂L/∂‖W_j‖
    norms: Vec<f64>,
    /// Of weight and bias of the second head.
    second: Vec<Vec<f64>>,
}

impl Sums {
    fn new(classes: usize, second: bool) -> Self {
        let second = if second {
            vec![vec![0.0; classes * classes], vec![0.0; classes]]
        } else {
            Vec::new()
        };
        Self { bias: vec![0.0; classes], norms: vec![0.0; classes], second }
    }
}

fn weight_norm(row: &[f32]) -> f64 {
    (kernels::exact_product(row, row) + NORM_EPSILON).sqrt()
}

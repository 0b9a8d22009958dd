//! Network and head as one module, and its numbers on the host.

use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sweep_core::model::Model;
use sweep_core::run::Configuration;
use sweep_data::Packed;

use crate::checkpoint::SavedMoments;
use crate::head::Head;
use crate::network::{Backbone, BackboneConfig, BackboneKind, NeckConfig, Template};
use crate::optim::rule::Moments;
use crate::rng::KeyedRng;

/// What one run trains.
#[derive(Module, Debug)]
pub(super) struct Classifier<B: Backend> {
    pub(super) backbone: Backbone<B>,
    pub(super) head: Head<B>,
}

/// What a classifier sees and tells apart.
pub(super) struct Task {
    /// Channels of a picture.
    pub(super) channels: usize,
    /// Height and width of a picture.
    pub(super) side: usize,
    /// Number of classes.
    pub(super) classes: usize,
}

impl Task {
    /// The task that a data set sets.
    pub(super) fn of(packed: &Packed) -> Self {
        Self {
            channels: packed.channels(),
            side: packed.image_size() as usize,
            classes: packed.class_count(),
        }
    }
}

impl<B: Backend> Classifier<Autodiff<B>> {
    /// A classifier with its starting weights: those of `template`, of the configuration's backbone, where there is one, else of each
    /// parameter a function of `seed` and the parameter's name alone, so the same for every loss with the same kind of head.
    pub(super) fn new(
        configuration: &Configuration,
        task: &Task,
        seed: u64,
        template: Option<&Template<B>>,
        device: &B::Device,
    ) -> Self {
        let config = backbone(&configuration.model, task);
        let rng = KeyedRng::new(seed).named("weights");
        let backbone = match template {
            Some(template) => config.from_template(template, &rng, device),
            None => config.init(&rng, device),
        };
        let head = Head::new(&configuration.loss, config.features(), task.classes, seed, device);
        Self { backbone, head }
    }
}

/// The network in front of the head.
pub(super) fn backbone(model: &Model, task: &Task) -> BackboneConfig {
    let neck = model.neck;
    BackboneConfig {
        kind: BackboneKind::of(model.backbone),
        channels: task.channels,
        side: task.side,
        neck: neck.map(|neck| NeckConfig { dim: neck.dim as usize, batch_norm: neck.batch_norm }),
    }
}

/// The float tensors of `module` in module order, flat, running statistics included.
pub(super) fn tensors<B: Backend, M: Module<B>>(module: &M) -> Vec<Vec<f32>> {
    struct Reader(Vec<Vec<f32>>);
    impl<B: Backend> ModuleVisitor<B> for Reader {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(numbers(param.val()));
        }
    }
    let mut reader = Reader(Vec::new());
    module.visit(&mut reader);
    reader.0
}

/// `module` with the numbers that [`tensors`] took from one of the same shape; `None` when they do not fit.
pub(super) fn with_tensors<B: Backend, M: Module<B>>(module: M, saved: Vec<Vec<f32>>) -> Option<M> {
    struct Writer {
        saved: std::vec::IntoIter<Vec<f32>>,
        fits: bool,
    }
    impl<B: Backend> ModuleMapper<B> for Writer {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let (id, tensor, mapper) = param.consume();
            let tensor = match self.saved.next() {
                Some(numbers) if numbers.len() == tensor.shape().num_elements() => {
                    let data = TensorData::new(numbers, tensor.shape());
                    let restored = Tensor::from_data(data, (&tensor.device(), tensor.dtype()));
                    if tensor.is_require_grad() { restored.require_grad() } else { restored }
                }
                _ => {
                    self.fits = false;
                    tensor
                }
            };
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    let mut writer = Writer { saved: saved.into_iter(), fits: true };
    let module = module.map(&mut writer);
    (writer.fits && writer.saved.next().is_none()).then_some(module)
}

/// Moments on the host.
pub(super) fn saved_moments<B: Backend>(
    moments: &[Option<Moments<B>>],
) -> Vec<Option<SavedMoments>> {
    let saved = |m: &Moments<B>| SavedMoments {
        first: numbers(m.first.clone()),
        second: m.second.clone().map(numbers),
    };
    moments.iter().map(|m| m.as_ref().map(saved)).collect()
}

/// Moments on `device`.
pub(super) fn restored_moments<B: Backend>(
    saved: Vec<Option<SavedMoments>>,
    device: &B::Device,
) -> Vec<Option<Moments<B>>> {
    let tensor = |numbers: Vec<f32>| {
        let length = numbers.len();
        Tensor::from_data(TensorData::new(numbers, [length]), device)
    };
    let restored =
        |m: SavedMoments| Moments { first: tensor(m.first), second: m.second.map(tensor) };
    saved.into_iter().map(|m| m.map(restored)).collect()
}

/// The numbers of a tensor, row-major.
pub(super) fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("just converted to f32")
}

//! The one type that trainers hold: a body (which network) and, if wanted, a neck.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use sweep_core::model;

use super::state::{self, State, StateError};
use super::{Depth, Init, Neck, NeckConfig, ResNet, SmallCnn};
use crate::ops::FusedBackend;
use crate::rng::KeyedRng;

/// Which network turns images into features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackboneKind {
    /// [`SmallCnn`], for images of about 8×8 to 32×32.
    SmallCnn,
    /// [`ResNet`] of the given depth; images of one channel are repeated to three.
    ResNet(Depth),
}

impl BackboneKind {
    /// The network that a sweep file calls `backbone`.
    pub fn of(backbone: model::Backbone) -> Self {
        match backbone {
            model::Backbone::SmallCnn => Self::SmallCnn,
            model::Backbone::Resnet18 => Self::ResNet(Depth::Resnet18),
            model::Backbone::Resnet34 => Self::ResNet(Depth::Resnet34),
            model::Backbone::Resnet50 => Self::ResNet(Depth::Resnet50),
        }
    }
}

/// What a [`Backbone`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackboneConfig {
    /// Which network.
    pub kind: BackboneKind,
    /// Channels of an image: 1 or 3 for a residual network.
    pub channels: usize,
    /// Height and width of an image; at least 4 for the small network, which is built for exactly this size.
    pub side: usize,
    /// The neck, if any.
    pub neck: Option<NeckConfig>,
}

impl BackboneConfig {
    /// A network as files of weights have it: for three channels, without a neck.
    pub fn published(kind: BackboneKind) -> Self {
        Self { kind, channels: 3, side: 32, neck: None }
    }

    /// Features per image.
    pub fn features(&self) -> usize {
        match (self.neck, self.kind) {
            (Some(neck), _) => neck.dim,
            (None, BackboneKind::SmallCnn) => 32,
            (None, BackboneKind::ResNet(depth)) => depth.features(),
        }
    }

    /// The network with its initial weights: they depend on `rng` and on each parameter's name, on nothing else.
    pub fn init<B: Backend>(&self, rng: &KeyedRng, device: &B::Device) -> Backbone<B> {
        Backbone { body: self.body(&Init::new(rng, device)), neck: self.neck(rng, device) }
    }

    /// The network without a neck, with the weights of `state`: what runs that start from these are cloned from.
    ///
    /// # Errors
    /// When `state` lacks a value of the network or has it in another shape.
    pub fn template<B: Backend>(
        &self,
        state: &State,
        device: &B::Device,
    ) -> Result<Template<B>, StateError> {
        state::load(self.body(&Init::blank(device)), state).map(Template)
    }

    /// The network with the weights of `template`, whose memory it shares until its first step, and a neck, if any, drawn from `rng`.
    pub fn from_template<B: Backend>(
        &self,
        template: &Template<B>,
        rng: &KeyedRng,
        device: &B::Device,
    ) -> Backbone<Autodiff<B>> {
        // By way of the inner module, so that no two runs share a node of a graph.
        let body = BackboneBody::from_inner(template.0.valid());
        Backbone { body, neck: self.neck(rng, device) }
    }

    /// The network without a neck, its weights zero.
    pub fn blank<B: Backend>(&self, device: &B::Device) -> Backbone<B> {
        Backbone { body: self.body(&Init::blank(device)), neck: None }
    }

    fn body<B: Backend>(&self, init: &Init<'_, B>) -> BackboneBody<B> {
        match self.kind {
            BackboneKind::SmallCnn => {
                BackboneBody::SmallCnn(SmallCnn::new(init, self.channels, self.side))
            }
            BackboneKind::ResNet(depth) => BackboneBody::ResNet(ResNet::new(init, depth)),
        }
    }

    fn neck<B: Backend>(&self, rng: &KeyedRng, device: &B::Device) -> Option<Neck<B>> {
        let features = Self { neck: None, ..*self }.features();
        self.neck.map(|neck| Neck::new(&Init::new(rng, device).part("neck"), features, neck))
    }
}

/// Pretrained weights as a network on a device. Kept on the autodiff backend, where alone parameters know that they train: burn's clone of
/// an inner module forgets it.
#[derive(Debug)]
pub struct Template<B: Backend>(BackboneBody<Autodiff<B>>);

impl<B: Backend> Template<B> {
    /// The network as it is.
    pub fn frozen(&self) -> Backbone<B> {
        Backbone { body: self.0.valid(), neck: None }
    }
}

/// A network from images to features.
#[derive(Module, Debug)]
pub struct Backbone<B: Backend> {
    body: BackboneBody<B>,
    neck: Option<Neck<B>>,
}

/// The networks a backbone may have as its body.
#[expect(clippy::large_enum_variant, reason = "one per run, and burn's modules cannot be boxed")]
#[derive(Module, Debug)]
pub enum BackboneBody<B: Backend> {
    /// See [`SmallCnn`](super::SmallCnn).
    SmallCnn(SmallCnn<B>),
    /// See [`ResNet`](super::ResNet).
    ResNet(ResNet<B>),
}

impl<B: FusedBackend> Backbone<B> {
    /// Features in evaluation: batch norms use their running statistics, nothing changes.
    ///
    /// # Shapes
    /// `images` [N, channels, H, W], normalised → [N, features]
    pub fn features(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let features = match &self.body {
            BackboneBody::SmallCnn(body) => body.forward(channels_last(images)),
            BackboneBody::ResNet(body) => body.forward(channels_last(three_channels(images))),
        };
        match &self.neck {
            Some(neck) => neck.forward(features),
            None => features,
        }
    }

    /// Features in training: batch norms use the batch's statistics and move their running ones.
    ///
    /// # Shapes
    /// `images` [N, channels, H, W], normalised → [N, features]
    pub fn features_train(&mut self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let features = match &mut self.body {
            BackboneBody::SmallCnn(body) => body.forward_train(channels_last(images)),
            BackboneBody::ResNet(body) => body.forward_train(channels_last(three_channels(images))),
        };
        match &mut self.neck {
            Some(neck) => neck.forward_train(features),
            None => features,
        }
    }
}

fn channels_last<B: Backend>(images: Tensor<B, 4>) -> Tensor<B, 4> {
    images.permute([0, 2, 3, 1])
}

fn three_channels<B: Backend>(images: Tensor<B, 4>) -> Tensor<B, 4> {
    match images.dims()[1] {
        1 => images.repeat_dim(1, 3),
        _ => images,
    }
}

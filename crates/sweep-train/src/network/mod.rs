//! Networks that turn images into features: a small one for tiny images, and torchvision's residual networks.
//!
//! Not here: heads and losses on top of the features (`head`, `loss`), the operations below the layers (`ops`), the optimizer.
//!
//! Reading order: [`Backbone`], [`SmallCnn`] and [`ResNet`], then `layers` (parameters) and `init` (where they start), and [`state`]
//! (parameters by name).

mod backbone;
mod init;
mod layers;
mod neck;
mod resnet;
mod small_cnn;
pub mod state;

pub use backbone::{Backbone, BackboneBody, BackboneConfig, BackboneKind, Template};
pub use init::Init;
pub use layers::{BatchNorm, Conv2d, Linear};
pub use neck::{Neck, NeckConfig};
pub use resnet::{Block, Depth, Downsample, ResNet};
pub use small_cnn::SmallCnn;

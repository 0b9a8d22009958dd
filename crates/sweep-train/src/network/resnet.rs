//! Residual networks in torchvision's architecture ("ResNet v1.5": the stride sits in the 3×3 convolution of a bottleneck), without the
//! final classifier. Source: He et al. 2015 and torchvision's `resnet.py`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{BatchNorm, Conv2d, Init};
use crate::ops::{self, FusedBackend, Window};

/// How deep a residual network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 8 basic blocks, 512 features.
    Resnet18,
    /// 16 basic blocks, 512 features.
    Resnet34,
    /// 16 bottleneck blocks, 2048 features.
    Resnet50,
}

impl Depth {
    /// Blocks in each of the four layers.
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::Resnet18 => [2, 2, 2, 2],
            Self::Resnet34 | Self::Resnet50 => [3, 4, 6, 3],
        }
    }

    /// Channels after a block, as a multiple of its width.
    fn expansion(self) -> usize {
        match self {
            Self::Resnet18 | Self::Resnet34 => 1,
            Self::Resnet50 => 4,
        }
    }

    /// Features after global average pooling.
    pub fn features(self) -> usize {
        512 * self.expansion()
    }
}

/// The shortcut where shape changes: 1×1 convolution and batch norm, `downsample.0` and `downsample.1` in torchvision.
pub type Downsample<B> = (Conv2d<B>, BatchNorm<B>);

/// One residual block: two 3×3 convolutions (basic), or 1×1 – 3×3 – 1×1 where `conv3` is present (bottleneck).
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    conv2: Conv2d<B>,
    bn2: BatchNorm<B>,
    conv3: Option<Conv2d<B>>,
    bn3: Option<BatchNorm<B>>,
    downsample: Option<Downsample<B>>,
}

impl<B: Backend> Block<B> {
    fn new(
        init: &Init<'_, B>,
        inputs: usize,
        width: usize,
        expansion: usize,
        stride: usize,
    ) -> Self {
        let outputs = width * expansion;
        let conv = |name, channels, kernel, stride| {
            Conv2d::kaiming(&init.part(name), channels, Window::new(kernel, stride, kernel / 2))
        };
        let bn = |name, channels| BatchNorm::new(&init.part(name), channels);
        let bottleneck = expansion > 1;
        let (kernel1, stride1) = if bottleneck { (1, 1) } else { (3, stride) };
        let stride2 = if bottleneck { stride } else { 1 };
        let downsample = init.part("downsample");
        Self {
            conv1: conv("conv1", [inputs, width], kernel1, stride1),
            bn1: bn("bn1", width),
            conv2: conv("conv2", [width, width], 3, stride2),
            bn2: bn("bn2", width),
            conv3: bottleneck.then(|| conv("conv3", [width, outputs], 1, 1)),
            bn3: bottleneck.then(|| bn("bn3", outputs)),
            downsample: (stride != 1 || inputs != outputs).then(|| {
                let conv = Conv2d::kaiming(
                    &downsample.part(0),
                    [inputs, outputs],
                    Window::new(1, stride, 0),
                );
                (conv, BatchNorm::new(&downsample.part(1), outputs))
            }),
        }
    }
}

impl<B: FusedBackend> Block<B> {
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let shortcut = match &self.downsample {
            Some((conv, bn)) => bn.forward(conv.forward(x.clone()), None, false),
            None => x.clone(),
        };
        let y = self.bn1.forward(self.conv1.forward(x), None, true);
        let y = self.conv2.forward(y);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let y = self.bn2.forward(y, None, true);
                bn3.forward(conv3.forward(y), Some(shortcut), true)
            }
            _ => self.bn2.forward(y, Some(shortcut), true),
        }
    }

    fn forward_train(&mut self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let shortcut = match &mut self.downsample {
            Some((conv, bn)) => bn.forward_train(conv.forward(x.clone()), None, false),
            None => x.clone(),
        };
        let y = self.bn1.forward_train(self.conv1.forward(x), None, true);
        let y = self.conv2.forward(y);
        match (&self.conv3, &mut self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let y = self.bn2.forward_train(y, None, true);
                bn3.forward_train(conv3.forward(y), Some(shortcut), true)
            }
            _ => self.bn2.forward_train(y, Some(shortcut), true),
        }
    }
}

/// A residual network up to its pooled features.
#[derive(Module, Debug)]
pub struct ResNet<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    layer1: Vec<Block<B>>,
    layer2: Vec<Block<B>>,
    layer3: Vec<Block<B>>,
    layer4: Vec<Block<B>>,
}

const STEM: Window = Window::new(7, 2, 3);
const STEM_POOL: Window = Window::new(3, 2, 1);

impl<B: Backend> ResNet<B> {
    /// A network for images of three channels with torchvision's initialisation.
    pub fn new(init: &Init<'_, B>, depth: Depth) -> Self {
        let blocks = depth.blocks();
        let layer = |index: usize| {
            let init = init.part(format_args!("layer{}", index + 1));
            let width = 64 << index;
            let before = if index == 0 { 64 } else { width / 2 * depth.expansion() };
            (0..blocks[index])
                .map(|block| {
                    let inputs = if block == 0 { before } else { width * depth.expansion() };
                    let stride = if block == 0 && index > 0 { 2 } else { 1 };
                    Block::new(&init.part(block), inputs, width, depth.expansion(), stride)
                })
                .collect()
        };
        Self {
            conv1: Conv2d::kaiming(&init.part("conv1"), [3, 64], STEM),
            bn1: BatchNorm::new(&init.part("bn1"), 64),
            layer1: layer(0),
            layer2: layer(1),
            layer3: layer(2),
            layer4: layer(3),
        }
    }
}

impl<B: FusedBackend> ResNet<B> {
    /// Features in evaluation.
    ///
    /// # Shapes
    /// [N, H, W, 3] → [N, features]
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = self.bn1.forward(self.conv1.forward(x), None, true);
        let x = ops::max_pool2d(x, STEM_POOL);
        let layers = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let x = layers.into_iter().flatten().fold(x, |x, block| block.forward(x));
        ops::global_avg_pool(x)
    }

    /// Features in training; moves the running statistics.
    pub fn forward_train(&mut self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = self.bn1.forward_train(self.conv1.forward(x), None, true);
        let x = ops::max_pool2d(x, STEM_POOL);
        let layers = [&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4];
        let x = layers.into_iter().flatten().fold(x, |x, block| block.forward_train(x));
        ops::global_avg_pool(x)
    }
}

//! Times training steps (forward, softmax cross entropy, backward, SGD) and prints one JSON line per repetition.
//!
//! `bench_step MODEL SIDE BATCH STEPS REPETITIONS [DEVICE]`, MODEL one of `small_cnn`, `resnet18`, `resnet34`, `resnet50`. Weights and images come from
//! the integer hash that `bench/step.py` uses too, so that the losses of both sides can be compared before their times. It waits for
//! a line on standard input before each repetition, so that two programs can take turns.

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
#[cfg(feature = "gpu")]
use sweep_train::device::gpu;
use sweep_train::device::{Device, Resolved};
use sweep_train::network::{Backbone, BackboneConfig, BackboneKind, Depth, Linear, state};
use sweep_train::ops::FusedBackend;
use sweep_train::rng::KeyedRng;

/// The learning rate of `bench/step.py`.
const RATE: f64 = 1e-6;

#[derive(Module, Debug)]
struct Model<B: burn::tensor::backend::Backend> {
    backbone: Backbone<B>,
    fc: Linear<B>,
}

/// A number in [-1, 1) for the `index`-th value of the tensor number `tensor`.
fn hashed(tensor: u32, index: u32) -> f32 {
    let mut z = tensor.wrapping_mul(0x9E37_79B1) ^ index.wrapping_mul(0x85EB_CA77);
    z = (z ^ (z >> 15)).wrapping_mul(0x2C1B_3C6D);
    z = (z ^ (z >> 12)).wrapping_mul(0x297A_2D39);
    z ^= z >> 15;
    (z >> 8) as f32 / 8_388_608.0 - 1.0
}

/// The weights both sides start from: scaled hashes in the order of the names, batch norms at 1 and 0.
fn weights(names: &state::State) -> state::State {
    let parameters = names.iter().enumerate().map(|(number, (name, values))| {
        let shape = values.shape.clone();
        let count = shape.num_elements();
        let filled: Vec<f32> =
            if name.ends_with("running_mean") || (shape.len() == 1 && name.ends_with("bias")) {
                vec![0.0; count]
            } else if shape.len() == 1 {
                vec![1.0; count]
            } else {
                let fan_in: usize = shape[1..].iter().product();
                let scale = (3.0 / fan_in as f32).sqrt();
                (0..count).map(|index| scale * hashed(number as u32, index as u32)).collect()
            };
        (name.clone(), TensorData::new(filled, shape))
    });
    parameters.collect()
}

struct Sgd<'a, B: AutodiffBackend> {
    gradients: &'a mut B::Gradients,
    rate: f64,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Sgd<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let tensor = match tensor.grad_remove(self.gradients) {
            Some(grad) => Tensor::from_inner(tensor.inner() - grad * self.rate).require_grad(),
            None => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, side, batch, steps, repetitions, device @ ..] = arguments.as_slice() else {
        panic!("MODEL SIDE BATCH STEPS REPETITIONS [DEVICE]")
    };
    let [side, batch, steps, repetitions] = [side, batch, steps, repetitions]
        .map(|number| number.parse::<usize>().expect("a whole number"));
    let sizes = Sizes { side, batch, steps, repetitions };
    let device: Device = device.first().map_or("cpu", String::as_str).parse().expect("a device");
    match device.resolved() {
        Ok(Resolved::Cpu) => timed::<Flex>(model, &sizes, &Default::default()),
        #[cfg(feature = "gpu")]
        Ok(found @ Resolved::Cuda(index)) => {
            found.keep_kernels(&std::env::temp_dir().join("sweep-bench-step"));
            let device = gpu::gpu(index);
            timed::<gpu::Gpu>(model, &sizes, &device);
        }
        #[cfg(not(feature = "gpu"))]
        Ok(Resolved::Cuda(_)) => unreachable!("a program without CUDA resolves no CUDA device"),
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(3);
        }
    }
}

struct Sizes {
    side: usize,
    batch: usize,
    steps: usize,
    repetitions: usize,
}

fn timed<B: FusedBackend>(model: &str, sizes: &Sizes, device: &B::Device) {
    let Sizes { side, batch, steps, repetitions } = *sizes;
    let (kind, channels) = match model {
        "small_cnn" => (BackboneKind::SmallCnn, 1),
        "resnet18" => (BackboneKind::ResNet(Depth::Resnet18), 3),
        "resnet34" => (BackboneKind::ResNet(Depth::Resnet34), 3),
        _ => (BackboneKind::ResNet(Depth::Resnet50), 3),
    };
    let rng = KeyedRng::new(1);
    let config = BackboneConfig { kind, channels, side, neck: None };
    let classes = 10;
    let fc = Linear::torch_default(
        &sweep_train::network::Init::new(&rng, device).part("fc"),
        [config.features(), classes],
        true,
    );
    let model = Model { backbone: config.init::<Autodiff<B>>(&rng, device), fc };
    let names = state::state(&model);
    let mut model =
        state::load(model, &weights(&names)).expect("the state was made from the model");
    let count = batch * channels * side * side;
    let values: Vec<f32> = (0..count).map(|index| hashed(1_000_000, index as u32)).collect();
    let images = Tensor::<Autodiff<B>, 4>::from_data(
        TensorData::new(values, [batch, channels, side, side]),
        device,
    );
    let targets: Vec<f32> = (0..batch * classes)
        .map(|at| f32::from(u8::from(at % classes == (at / classes) % classes)))
        .collect();
    let targets =
        Tensor::<Autodiff<B>, 2>::from_data(TensorData::new(targets, [batch, classes]), device);

    let mut step = || {
        let features = model.backbone.features_train(images.clone());
        let logits = model.fc.forward(features);
        let loss = -(log_softmax(logits, 1) * targets.clone()).sum() / batch as f64;
        let value =
            loss.clone().into_data().convert::<f32>().to_vec::<f32>().expect("just converted")[0];
        let mut gradients = loss.backward();
        let mut sgd = Sgd::<Autodiff<B>> { gradients: &mut gradients, rate: RATE };
        model = model.clone().map(&mut sgd);
        value
    };
    let first: Vec<f32> = (0..3).map(|_| step()).collect();
    println!("{{\"losses\": {first:?}}}");
    let mut input = std::io::stdin().lock();
    for _ in 0..repetitions {
        let mut line = String::new();
        if input.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        let start = Instant::now();
        for _ in 0..steps {
            step();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{{\"seconds_per_step\": {}}}", seconds / steps as f64);
        std::io::stdout().flush().expect("standard output is open");
    }
}

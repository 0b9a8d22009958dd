//! The fused operations against burn's own (composed) ones: values, every gradient, statistics, and the same bits on any number of
//! threads.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use burn::backend::Autodiff;
#[cfg(not(feature = "gpu-tests"))]
use burn::backend::Flex as Base;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
#[cfg(feature = "gpu-tests")]
use sweep_train::device::gpu::Gpu as Base;
use sweep_train::ops::{
    self, FusedBackend, ResidualAndActivation, RunningStatistics, Window, composed,
};
use sweep_train::rng::KeyedRng;

type Back = Autodiff<Base>;

fn random<const D: usize>(name: &str, shape: [usize; D], mean: f64) -> Tensor<Back, D> {
    let mut rng = KeyedRng::new(1).named(name);
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| (mean + rng.normal()) as f32).collect();
    Tensor::<Back, D>::from_data(TensorData::new(values, shape), &Default::default()).require_grad()
}

fn values<const D: usize>(tensor: Tensor<Base, D>) -> Vec<f32> {
    tensor.into_data().to_vec().unwrap()
}

/// The largest difference, relative to the largest value.
fn distance<const D: usize>(a: Tensor<Base, D>, b: Tensor<Base, D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1e-6f32, |most, b| most.max(b.abs()));
    a.iter().zip(&b).fold(
        0f32,
        |most, (a, b)| if (a - b).is_nan() { f32::NAN } else { most.max((a - b).abs()) },
    ) / scale
}

#[track_caller]
fn assert_close<const D: usize>(
    what: &str,
    a: Tensor<Base, D>,
    b: Tensor<Base, D>,
    tolerance: f32,
) {
    let distance = distance(a, b);
    assert!(distance <= tolerance, "{what}: fused and composed differ by {distance}");
}

/// What a batch norm has before its first batch.
fn running<B: FusedBackend>(channels: usize) -> RunningStatistics<B> {
    let device = Default::default();
    RunningStatistics {
        mean: Tensor::zeros([channels], &device),
        variance: Tensor::ones([channels], &device),
    }
}

/// A loss whose gradient is different at every output.
fn weighted<const D: usize>(y: Tensor<Back, D>) -> Tensor<Back, 1> {
    let weights = random("loss weights", y.dims(), 0.0).detach();
    (y * weights).sum()
}

#[test]
fn convolutions_equal_the_composed_ones() {
    // samples, side, inputs, outputs, kernel, stride, padding
    let cases = [
        (3, 8, 1, 16, 3, 1, 1),
        (2, 4, 16, 32, 3, 1, 1),
        (2, 17, 3, 8, 7, 2, 3),
        (2, 9, 5, 7, 3, 2, 1),
        (2, 6, 8, 12, 1, 1, 0),
        (2, 7, 8, 12, 1, 2, 0),
        (40, 16, 64, 64, 3, 1, 1),
        (1, 1, 2048, 10, 1, 1, 0),
    ];
    for (samples, side, inputs, outputs, kernel, stride, padding) in cases {
        let window = Window::new(kernel, stride, padding);
        let what = format!("{samples}x{side}x{side}x{inputs} to {outputs}, {window:?}");
        let run = |fused: bool| {
            let x = random("x", [samples, side, side + 1, inputs], 0.5);
            let weight = random("weight", [outputs, kernel, kernel, inputs], 0.0);
            let conv = if fused { ops::conv2d } else { composed::conv };
            let y = conv(x.clone(), weight.clone(), window);
            let grads = weighted(y.clone()).backward();
            (y.inner(), x.grad(&grads).unwrap(), weight.grad(&grads).unwrap())
        };
        let (fused, composed) = (run(true), run(false));
        assert_close(&what, fused.0, composed.0, 1e-5);
        assert_close(&format!("{what}, gradient of x"), fused.1, composed.1, 1e-5);
        assert_close(&format!("{what}, gradient of the weight"), fused.2, composed.2, 2e-5);
    }
}

#[test]
fn training_batch_norm_equals_the_composed_one() {
    for (shape, mean) in [
        ([4, 5, 3, 16], 0.0),
        ([10, 1, 1, 7], 2.0),
        ([8, 16, 16, 33], -1.0),
        ([32, 8, 8, 128], 30.0),
    ] {
        for (with_residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
            if relu && mean > 10.0 {
                continue; // the composed one is not exact enough there to agree on the sign of values near 0
            }
            let what = format!("batch norm of {shape:?}, residual {with_residual}, relu {relu}");
            let channels = shape[3];
            let run = |fused: bool| {
                let x = random("x", shape, mean);
                let (weight, bias) =
                    (random("weight", [channels], 1.0), random("bias", [channels], 0.0));
                let residual = with_residual.then(|| random("residual", shape, 0.0));
                let (y, mean, variance) = if fused {
                    let running = running(channels);
                    let then = ResidualAndActivation { residual: residual.clone(), relu };
                    let out = ops::batch_norm_train(
                        x.clone(),
                        weight.clone(),
                        bias.clone(),
                        then,
                        running,
                        1e-5,
                        0.1,
                    );
                    (out.y, out.running.mean, out.running.variance)
                } else {
                    let (y, mean, variance) = composed::norm_train(
                        x.clone(),
                        weight.clone(),
                        bias.clone(),
                        residual.clone(),
                        relu,
                        1e-5,
                    );
                    let count = (shape[0] * shape[1] * shape[2]) as f64;
                    (y, mean * 0.1, variance * (0.1 * count / (count - 1.0)) + 0.9)
                };
                let grads = weighted(y.clone()).backward();
                let of_residual = residual.map(|residual| residual.grad(&grads).unwrap());
                let small = [
                    weight.grad(&grads).unwrap(),
                    bias.grad(&grads).unwrap(),
                    mean.inner(),
                    variance.inner(),
                ];
                (y.inner(), x.grad(&grads).unwrap(), of_residual, small)
            };
            let (fused, composed) = (run(true), run(false));
            // The composed statistics are f32 sums and lose digits where the mean is large against the deviation.
            let tolerance = if mean.abs() > 10.0 { 2e-4 } else { 1e-5 };
            assert_close(&what, fused.0, composed.0, tolerance);
            assert_close(&format!("{what}, gradient of x"), fused.1, composed.1, 10.0 * tolerance);
            assert_eq!(fused.2.is_some(), with_residual);
            if let (Some(fused), Some(composed)) = (fused.2, composed.2) {
                assert_close(
                    &format!("{what}, gradient of the residual"),
                    fused,
                    composed,
                    tolerance,
                );
            }
            for ((fused, composed), part) in fused.3.into_iter().zip(composed.3).zip([
                "γ",
                "β",
                "running mean",
                "running variance",
            ]) {
                assert_close(&format!("{what}, {part}"), fused, composed, 10.0 * tolerance);
            }
        }
    }
}

#[test]
fn evaluation_batch_norm_equals_the_composed_one() {
    let shape = [3, 4, 5, 20];
    for (with_residual, relu) in [(false, false), (true, true)] {
        let x = random("x", shape, 0.0).inner();
        let (scale, shift) =
            (random("scale", [20], 1.0).inner(), random("shift", [20], 0.0).inner());
        let residual = with_residual.then(|| random("residual", shape, 0.0).inner());
        let running = running(20);
        let then = ResidualAndActivation { residual: residual.clone(), relu };
        let fused =
            ops::batch_norm_eval(x.clone(), scale.clone(), shift.clone(), then, running, 0.0);
        assert_close("affine", fused, composed::affine(x, scale, shift, residual, relu), 1e-6);
    }
}

#[test]
fn pooling_equals_the_composed_one() {
    for (shape, window) in [
        ([3, 8, 8, 16], Window::new(2, 2, 0)),
        ([2, 9, 7, 5], Window::new(3, 2, 1)),
        ([40, 32, 32, 64], Window::new(3, 2, 1)),
    ] {
        let run = |fused: bool| {
            let x = random("x", shape, 0.0);
            let y = if fused {
                ops::max_pool2d(x.clone(), window)
            } else {
                composed::max_pool(x.clone(), window)
            };
            let grads = weighted(y.clone()).backward();
            (y.inner(), x.grad(&grads).unwrap())
        };
        let (fused, composed) = (run(true), run(false));
        assert_close("max pool", fused.0, composed.0, 0.0);
        assert_close("max pool, gradient", fused.1, composed.1, 1e-6);
        let run = |fused: bool| {
            let x = random("x", shape, 0.0);
            let y =
                if fused { ops::global_avg_pool(x.clone()) } else { composed::avg_pool(x.clone()) };
            let grads = weighted(y.clone()).backward();
            (y.inner(), x.grad(&grads).unwrap())
        };
        let (fused, composed) = (run(true), run(false));
        assert_close("average pool", fused.0, composed.0, 1e-5);
        assert_close("average pool, gradient", fused.1, composed.1, 1e-6);
    }
}

#[test]
fn a_tie_in_max_pooling_gives_its_gradient_to_the_first_pixel() {
    let x: Tensor<Back, 4> = Tensor::ones([1, 2, 2, 1], &Default::default()).require_grad();
    let grads = ops::max_pool2d(x.clone(), Window::new(2, 2, 0)).sum().backward();
    assert_eq!(values(x.grad(&grads).unwrap()), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn results_are_the_same_bits_on_one_and_on_three_threads() {
    let run = || {
        let x = random("x", [37, 16, 16, 32], 0.3);
        let weight = random("weight", [48, 3, 3, 32], 0.0);
        let (gamma, beta) = (random("gamma", [48], 1.0), random("beta", [48], 0.0));
        let y = ops::conv2d(x.clone(), weight.clone(), Window::new(3, 1, 1));
        let running = running(48);
        let then = ResidualAndActivation { residual: None, relu: true };
        let y = ops::batch_norm_train(y, gamma.clone(), beta.clone(), then, running, 1e-5, 0.1).y;
        let y = ops::max_pool2d(y, Window::new(3, 2, 1));
        let grads = weighted(y.clone()).backward();
        [
            values(y.inner()),
            values(x.grad(&grads).unwrap()),
            values(weight.grad(&grads).unwrap()),
            values(gamma.grad(&grads).unwrap()),
            values(beta.grad(&grads).unwrap()),
        ]
        .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
    };
    assert!(on(1) == on(3));
}

/// A convolution, batch norm with residual and ReLU, and a pool: what it gives and its gradients with respect to x, weight and γ.
fn block(dtype: FloatDType) -> (Tensor<Back, 2>, [Tensor<Base, 4>; 2], Tensor<Base, 1>) {
    let x = random("x", [4, 8, 8, 16], 0.5);
    let weight = random("weight", [24, 3, 3, 16], 0.0);
    let (gamma, beta) = (random("gamma", [24], 1.0), random("beta", [24], 0.0));
    let narrow = x.clone().cast(dtype);
    let y = ops::conv2d(narrow, weight.clone(), Window::new(3, 1, 1));
    assert_eq!(y.dtype(), DType::from(dtype));
    let then = ResidualAndActivation { residual: Some(y.clone()), relu: true };
    let normed = ops::batch_norm_train(y, gamma.clone(), beta, then, running(24), 1e-5, 0.1);
    assert_eq!(normed.y.dtype(), DType::from(dtype));
    assert_eq!(normed.running.mean.dtype(), DType::F32);
    let pooled = ops::max_pool2d(normed.y, Window::new(2, 2, 0));
    let y = ops::global_avg_pool(pooled);
    let gradients = weighted(y.clone()).backward();
    let of = |tensor: &Tensor<Back, 4>| tensor.grad(&gradients).unwrap();
    (y, [of(&x), of(&weight)], gamma.grad(&gradients).unwrap())
}

#[test]
#[cfg_attr(feature = "vulkan-tests", ignore = "Vulkan's shading language has no bfloat16")]
fn a_block_in_bf16_is_the_one_in_f32_but_for_its_rounding() {
    let (wide, narrow) = (block(FloatDType::F32), block(FloatDType::BF16));
    assert_eq!(narrow.0.dtype(), DType::F32, "features leave in f32");
    assert_ne!(values(wide.0.clone().inner()), values(narrow.0.clone().inner()));
    // Eight bits of mantissa, a few roundings in a row; gradients at a maximum may go to a neighbour that rounding made equal.
    assert_close("output", narrow.0.inner(), wide.0.inner(), 0.02);
    for (what, (narrow, wide)) in ["x", "weight"].into_iter().zip(narrow.1.into_iter().zip(wide.1))
    {
        assert_eq!(narrow.dtype(), DType::F32, "{what}");
        let difference = (narrow - wide.clone()).powf_scalar(2.0).sum().sqrt().into_scalar();
        let norm = wide.powf_scalar(2.0).sum().sqrt().into_scalar();
        assert!(difference <= 0.1 * norm, "gradient of {what}: {difference} of {norm}");
    }
    assert_close("gradient of γ", narrow.2, wide.2, 0.1);
}

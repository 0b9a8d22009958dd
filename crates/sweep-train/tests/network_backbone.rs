//! What every backbone promises: shapes, names, initial weights that depend on the seed alone, a state that survives a round trip, and
//! the same bits alone or beside others.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use burn::backend::{Autodiff, Flex};
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use sweep_train::network::state::{State, StateError, load, state};
use sweep_train::network::{Backbone, BackboneConfig, BackboneKind, Depth, NeckConfig};
use sweep_train::rng::KeyedRng;

type Back = Autodiff<Flex>;

const SMALL: BackboneConfig =
    BackboneConfig { kind: BackboneKind::SmallCnn, channels: 1, side: 8, neck: None };
const RESNET: BackboneConfig = BackboneConfig {
    kind: BackboneKind::ResNet(Depth::Resnet18),
    channels: 3,
    side: 32,
    neck: None,
};
const NECK: Option<NeckConfig> = Some(NeckConfig { dim: 24, batch_norm: true });

fn backbone(config: &BackboneConfig, seed: u64) -> Backbone<Back> {
    config.init(&KeyedRng::new(seed).named("weights"), &Default::default())
}

fn images(samples: usize, config: &BackboneConfig) -> Tensor<Back, 4> {
    let mut rng = KeyedRng::new(9).named("images");
    let shape = [samples, config.channels, config.side, config.side];
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

fn bits(tensor: Tensor<Back, 2>) -> Vec<u32> {
    tensor.into_data().to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn features_have_the_promised_dimension() {
    for (config, features) in [
        (SMALL, 32),
        (BackboneConfig { neck: NECK, ..SMALL }, 24),
        (BackboneConfig { channels: 3, side: 11, ..SMALL }, 32),
        (RESNET, 512),
        (BackboneConfig { channels: 1, neck: NECK, ..RESNET }, 24),
        (BackboneConfig { kind: BackboneKind::ResNet(Depth::Resnet34), ..RESNET }, 512),
        (BackboneConfig { kind: BackboneKind::ResNet(Depth::Resnet50), ..RESNET }, 2048),
    ] {
        assert_eq!(config.features(), features);
        let mut net = backbone(&config, 1);
        assert_eq!(net.features(images(3, &config)).dims(), [3, features]);
        assert_eq!(net.features_train(images(3, &config)).dims(), [3, features]);
        assert_eq!(net.valid().features(images(2, &config).inner()).dims(), [2, features]);
    }
}

#[test]
fn the_number_of_parameters_is_torchvisions() {
    // torchvision's counts less the classifier of 1000 classes.
    for (depth, total) in [
        (Depth::Resnet18, 11_689_512 - 513_000),
        (Depth::Resnet34, 21_797_672 - 513_000),
        (Depth::Resnet50, 25_557_032 - 2_049_000),
    ] {
        let config = BackboneConfig { kind: BackboneKind::ResNet(depth), ..RESNET };
        let values = state(&backbone(&config, 1));
        let learned: usize = values
            .iter()
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, values)| values.shape.iter().product::<usize>())
            .sum();
        assert_eq!(learned, total);
    }
}

#[test]
fn names_of_the_small_network_are_plain() {
    let names: Vec<String> =
        state(&backbone(&BackboneConfig { neck: NECK, ..SMALL }, 1)).into_keys().collect();
    let norm = |layer: &str| {
        ["bias", "running_mean", "running_var", "weight"]
            .map(|part| format!("{layer}.{part}"))
            .to_vec()
    };
    let mut expected = [norm("bn1"), norm("bn2"), norm("neck.bn")].concat();
    expected.extend(
        ["conv1.weight", "conv2.weight", "linear.bias", "linear.weight", "neck.linear.weight"]
            .map(String::from),
    );
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn initial_weights_depend_on_the_seed_and_on_nothing_else() {
    let alone = state(&backbone(&RESNET, 1));
    Flex::seed_elsewhere();
    let threads: Vec<State> = std::thread::scope(|scope| {
        let start = |seed| scope.spawn(move || state(&backbone(&RESNET, seed)));
        [start(2), start(1), start(1)].map(|thread| thread.join().unwrap()).into()
    });
    assert!(same(&alone, &threads[1]) && same(&alone, &threads[2]));
    assert!(!same(&alone, &threads[0]));
    // A neck does not change the weights below it.
    let with_neck = state(&backbone(&BackboneConfig { neck: NECK, ..RESNET }, 1));
    assert!(alone.iter().all(|(name, values)| with_neck[name].as_bytes() == values.as_bytes()));
}

/// Draws from burn's own generator, as a foreign part of the process might.
trait SeedElsewhere {
    fn seed_elsewhere();
}

impl SeedElsewhere for Flex {
    fn seed_elsewhere() {
        let _ = Tensor::<Flex, 1>::random(
            [5],
            burn::tensor::Distribution::Default,
            &Default::default(),
        );
    }
}

fn same(a: &State, b: &State) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.as_bytes() == b.1.as_bytes())
}

#[test]
fn initial_convolutions_have_the_deviation_of_their_scheme() {
    let values = state(&backbone(&RESNET, 1));
    for (name, fan_out) in [
        ("conv1.weight", 64 * 49),
        ("layer3.1.conv2.weight", 256 * 9),
        ("layer4.0.downsample.0.weight", 512),
    ] {
        let weights: Vec<f32> = values[name].to_vec().unwrap();
        let variance = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
        let expected = 2.0 / f64::from(fan_out);
        assert!(
            (variance / expected - 1.0).abs() < 0.05,
            "{name}: variance {variance}, expected {expected}"
        );
    }
}

#[test]
fn a_state_round_trip_restores_every_bit() {
    for config in [SMALL, BackboneConfig { neck: NECK, ..RESNET }] {
        let mut trained = backbone(&config, 1);
        let _ = trained.features_train(images(4, &config)); // moves the running statistics
        let saved = state(&trained);
        let restored = load(backbone(&config, 2), &saved).unwrap();
        assert!(same(&saved, &state(&restored)));
        assert_eq!(
            bits(trained.features(images(2, &config))),
            bits(restored.features(images(2, &config)))
        );
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_with_the_name() {
    let mut saved = state(&backbone(&SMALL, 1));
    saved.insert("bn1.weight".into(), TensorData::new(vec![0f32; 3], [3]));
    let error = load(backbone(&SMALL, 1), &saved).unwrap_err();
    assert_eq!(error.to_string(), "`bn1.weight` has shape [3] in the state, but must have [16]");
    saved.remove("bn1.weight");
    let error = load(backbone(&SMALL, 1), &saved).unwrap_err();
    assert_eq!(error, StateError::Missing { name: "bn1.weight".into() });
}

#[test]
fn training_moves_the_running_statistics_and_evaluation_does_not() {
    let mut net = backbone(&SMALL, 1);
    let before = state(&net);
    let _ = net.features(images(4, &SMALL));
    assert!(same(&before, &state(&net)));
    let _ = net.features_train(images(4, &SMALL));
    let after = state(&net);
    let moved: Vec<&String> =
        before.keys().filter(|name| before[*name].as_bytes() != after[*name].as_bytes()).collect();
    assert_eq!(
        moved,
        ["bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var"]
    );
}

#[test]
fn every_parameter_gets_a_gradient_and_no_running_statistic_does() {
    use burn::module::{Module, ModuleVisitor, Param};
    struct Seen<'a> {
        with: usize,
        without: usize,
        gradients: &'a <Back as burn::tensor::backend::AutodiffBackend>::Gradients,
    }
    impl ModuleVisitor<Back> for Seen<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Back, D>>) {
            match param.val().grad(self.gradients) {
                Some(_) => self.with += 1,
                None => self.without += 1,
            }
        }
    }
    let config = BackboneConfig { neck: NECK, ..RESNET };
    let mut net = backbone(&config, 1);
    for _ in 0..2 {
        let gradients = net.features_train(images(4, &config)).powf_scalar(2.0).sum().backward();
        let mut seen = Seen { with: 0, without: 0, gradients: &gradients };
        net.visit(&mut seen);
        // 20 convolutions, 20 + 1 norms of two, the neck's linear map; two statistics each.
        assert_eq!((seen.with, seen.without), (20 + 42 + 1, 42));
    }
}

#[test]
fn training_features_are_the_same_bits_alone_beside_others_and_on_any_number_of_threads() {
    let features = || {
        let mut net = backbone(&RESNET, 1);
        let _ = net.features_train(images(9, &RESNET));
        bits(net.features_train(images(9, &RESNET)))
    };
    let alone = features();
    let beside = std::thread::scope(|scope| {
        [scope.spawn(features), scope.spawn(features)].map(|slot| slot.join().unwrap())
    });
    assert!(beside.iter().all(|other| *other == alone));
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(features) == alone, "{threads} threads");
    }
}

//! The tables of training and model settings.

use super::{Fill, Kind, Parameter, Reals, Variant};

/// Settings of `training:`.
pub fn training() -> &'static [Parameter] {
    TRAINING
}

/// Settings of `model:`.
pub fn model() -> &'static [Parameter] {
    MODEL
}

/// Settings of `analysis:`.
pub fn analysis() -> &'static [Parameter] {
    ANALYSIS
}

/// Settings of `adaptive:`.
pub fn adaptive() -> &'static [Parameter] {
    ADAPTIVE
}

const fn real(name: &'static str, range: Reals, default: f64, meaning: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Real(range),
        nullable: false,
        default: Fill::Real(default),
        meaning,
    }
}

const fn whole(
    name: &'static str,
    min: u64,
    max: u64,
    default: Fill,
    meaning: &'static str,
) -> Parameter {
    Parameter { name, kind: Kind::Integer { min, max }, nullable: false, default, meaning }
}

const fn word(
    name: &'static str,
    words: &'static [&'static str],
    default: Fill,
    meaning: &'static str,
) -> Parameter {
    Parameter { name, kind: Kind::Word(words), nullable: false, default, meaning }
}

/// The setting that `learning_rate:` directly under `training:` stands for, whatever the optimizer.
pub(crate) const LEARNING_RATE: &Parameter = &learning_rate(0.01);

const fn learning_rate(default: f64) -> Parameter {
    real("learning_rate", Reals::POSITIVE, default, "step size before the schedule")
}

const fn weight_decay(default: f64) -> Parameter {
    real("weight_decay", Reals::NON_NEGATIVE, default, "pull of all weights towards 0")
}

const SGD: &[Parameter] = &[
    learning_rate(0.01),
    real("momentum", Reals::BELOW_ONE, 0.9, "share of the last step kept"),
    Parameter {
        name: "nesterov",
        kind: Kind::Flag,
        nullable: false,
        default: Fill::Flag(false),
        meaning: "look ahead by the momentum; needs momentum > 0",
    },
    weight_decay(5e-4),
];

const BETA1: Parameter = real("beta1", Reals::BELOW_ONE, 0.9, "decay of the mean gradient");
const BETA2: Parameter =
    real("beta2", Reals::BELOW_ONE, 0.999, "decay of the mean squared gradient");
const EPSILON: Parameter = real("epsilon", Reals::POSITIVE, 1e-8, "added to the divisor");

/// Defaults as torch's.
const ADAM: &[Parameter] = &[learning_rate(0.001), BETA1, BETA2, EPSILON, weight_decay(0.0)];
const ADAMW: &[Parameter] = &[learning_rate(0.001), BETA1, BETA2, EPSILON, weight_decay(0.01)];

const TRAINING: &[Parameter] = &[
    word(
        "mode",
        &["full", "head"],
        Fill::Word("full"),
        "which layers train; head: only the last, on features computed once",
    ),
    whole("epochs", 1, 100_000, Fill::Integer(30), "passes over the training images"),
    whole("batch_size", 2, 65_536, Fill::Integer(32), "images per step (batch norm needs two)"),
    whole(
        "image_size",
        4,
        2048,
        Fill::ByDataSet,
        "side of the square crop in pixels; default: the data set's own size, else 224 for resnets",
    ),
    Parameter {
        name: "optimizer",
        kind: Kind::Tagged(&[
            Variant { name: "sgd", fields: Some(SGD) },
            Variant { name: "adam", fields: Some(ADAM) },
            Variant { name: "adamw", fields: Some(ADAMW) },
        ]),
        nullable: false,
        default: Fill::Variant("sgd"),
        meaning: "how gradients become steps",
    },
    Parameter {
        name: "schedule",
        kind: Kind::Tagged(&[
            Variant { name: "constant", fields: None },
            Variant { name: "cosine", fields: None },
            Variant {
                name: "step",
                fields: Some(&[
                    whole("every", 1, 100_000, Fill::Required, "epochs between two drops"),
                    real("factor", Reals::UP_TO_ONE, 0.1, "factor of each drop"),
                ]),
            },
        ]),
        nullable: false,
        default: Fill::Variant("cosine"),
        meaning: "how the learning rate changes over the run",
    },
    whole(
        "warmup_epochs",
        0,
        100_000,
        Fill::Integer(0),
        "epochs of linear warm-up; fewer than epochs",
    ),
    Parameter {
        name: "clip_norm",
        kind: Kind::Real(Reals::POSITIVE),
        nullable: true,
        default: Fill::Real(10.0),
        meaning: "largest global gradient norm; null: no clipping",
    },
    word(
        "augment",
        &["none", "mild", "torchvision"],
        Fill::Word("none"),
        "what a training image goes through",
    ),
    word(
        "precision",
        &["f32", "bf16"],
        Fill::Word("f32"),
        "numbers of activations; weights, statistics, head and loss are f32 always",
    ),
];

const MODEL: &[Parameter] = &[
    word(
        "backbone",
        &["small_cnn", "resnet18", "resnet34", "resnet50"],
        Fill::Required,
        "the network in front of the head",
    ),
    Parameter {
        name: "weights",
        kind: Kind::Weights,
        nullable: true,
        default: Fill::Null,
        meaning: "where the backbone starts; null: random weights",
    },
    Parameter {
        name: "neck",
        kind: Kind::Group(&[
            whole("dim", 1, 65_536, Fill::Required, "features after the neck"),
            Parameter {
                name: "batch_norm",
                kind: Kind::Flag,
                nullable: false,
                default: Fill::Flag(true),
                meaning: "whether batch norm follows",
            },
        ]),
        nullable: true,
        default: Fill::Null,
        meaning: "linear layer without bias between backbone and head; null: none",
    },
];

const fn or_null(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Real(Reals::SHARE), nullable: true, default: Fill::Null, meaning }
}

const ANALYSIS: &[Parameter] = &[
    word("metric", &["val_accuracy"], Fill::Word("val_accuracy"), "what is compared"),
    real("alpha", Reals::LEVEL, 0.05, "level of each family of tests"),
    or_null(
        "rope",
        "half-width of the region of practical equivalence as a share; null: max(0.01, one validation image) per data set",
    ),
    word(
        "test",
        &["sign_flip", "wilcoxon", "paired_t"],
        Fill::Word("sign_flip"),
        "the test over paired seeds",
    ),
    word(
        "compare",
        &["baseline", "all_pairs"],
        Fill::Word("baseline"),
        "who is compared with whom; all_pairs where no baseline is named",
    ),
    word(
        "correction",
        &["holm", "bonferroni"],
        Fill::Word("holm"),
        "correction within a family of tests",
    ),
    real("confidence", Reals::CONFIDENCE, 0.95, "level of intervals"),
    or_null("detect", "difference of interest as a share; null: the rope"),
    word("epoch", &["last"], Fill::Word("last"), "the epoch the metric is taken at"),
];

const ADAPTIVE: &[Parameter] = &[
    whole("max_seeds", 3, 10_000, Fill::Integer(30), "seeds at the last look"),
    whole(
        "look_every",
        3,
        10_000,
        Fill::Integer(5),
        "seeds between two looks; a pair with fewer than 3 common seeds decides nothing",
    ),
    word(
        "spending",
        &["pocock", "obrien_fleming"],
        Fill::Word("pocock"),
        "how the error is spent over the looks",
    ),
    word(
        "elimination",
        &["paired_t", "sign_flip"],
        Fill::Word("paired_t"),
        "the one-sided test that drops a configuration",
    ),
    whole(
        "confirm",
        0,
        10_000,
        Fill::Integer(10),
        "seeds after the last look for what is left, never used for choosing",
    ),
    Parameter {
        name: "anytime",
        kind: Kind::Flag,
        nullable: false,
        default: Fill::Flag(false),
        meaning: "decide by e-values, which hold whenever one looks; spending and elimination play no part then",
    },
];

//! The table of losses.

use super::{Fill, Kind, LossEntry, Parameter, Reals};

/// All losses, in the order of `docs/losses.md`.
pub fn losses() -> &'static [LossEntry] {
    LOSSES
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

const fn one_of(
    name: &'static str,
    numbers: &'static [u64],
    default: u64,
    meaning: &'static str,
) -> Parameter {
    Parameter {
        name,
        kind: Kind::OneOf(numbers),
        nullable: false,
        default: Fill::Integer(default),
        meaning,
    }
}

const SIGMA: &[Parameter] = &[Parameter {
    name: "sigma",
    kind: Kind::Word(&["softmax", "sigmoid"]),
    nullable: false,
    default: Fill::Word("softmax"),
    meaning: "how logits become probabilities",
}];

const POWER: Parameter = one_of("power", &[1, 2, 3], 1, "power of each violation");
const HINGE_MARGIN: &str = "margin Δ of a correct score";
const MULTI_HINGE: &[Parameter] = &[real("margin", Reals::POSITIVE, 1.0, HINGE_MARGIN), POWER];
const SCALE: Parameter = real("scale", Reals::POSITIVE, 30.0, "factor s of all cosines");

const fn anneal(fields: &'static [Parameter]) -> Parameter {
    Parameter {
        name: "anneal",
        kind: Kind::Group(fields),
        nullable: true,
        default: Fill::Group,
        meaning: "how λ, the weight of the plain logit, falls over the run: max(min, base·(1 + gamma_total·step/T)^(−power)); null: λ = 0",
    }
}

const fn angular(anneal_fields: &'static [Parameter]) -> [Parameter; 2] {
    [
        one_of("margin", &[1, 2, 3, 4], 4, "angular margin m: the target angle counts m-fold"),
        anneal(anneal_fields),
    ]
}

const ANNEAL_BASE: Parameter = real("base", Reals::POSITIVE, 1000.0, "λ at the first step");

/// Ends at λ = 7e-4, as 20 000 steps of the authors' settings.
const L_SOFTMAX_ANNEAL: &[Parameter] = &[
    ANNEAL_BASE,
    real("gamma_total", Reals::NON_NEGATIVE, 0.5, "growth over the whole run"),
    real("power", Reals::POSITIVE, 35.0, "exponent"),
    real("min", Reals::NON_NEGATIVE, 0.0, "smallest λ"),
];

/// Reaches λ = 5 at half of the run.
const A_SOFTMAX_ANNEAL: &[Parameter] = &[
    ANNEAL_BASE,
    real("gamma_total", Reals::NON_NEGATIVE, 400.0, "growth over the whole run"),
    real("power", Reals::POSITIVE, 1.0, "exponent"),
    real("min", Reals::NON_NEGATIVE, 5.0, "smallest λ"),
];

const L_SOFTMAX: &[Parameter] = &angular(L_SOFTMAX_ANNEAL);
const A_SOFTMAX: &[Parameter] = &angular(A_SOFTMAX_ANNEAL);

const LOSSES: &[LossEntry] = &[
    LossEntry {
        name: "l1_sigma",
        formula: "Σ_j |o_j − σ(z)_j|",
        paper: "Janocha & Czarnecki 2017, On loss functions for deep neural networks in classification",
        parameters: SIGMA,
    },
    LossEntry {
        name: "l2_sigma",
        formula: "Σ_j (o_j − σ(z)_j)²",
        paper: "Janocha & Czarnecki 2017, On loss functions for deep neural networks in classification",
        parameters: SIGMA,
    },
    LossEntry {
        name: "hinge",
        formula: "Σ_j max(0, Δ − t_j z_j)^q, t = ±1",
        paper: "Janocha & Czarnecki 2017, On loss functions for deep neural networks in classification",
        parameters: &[real("margin", Reals::POSITIVE, 0.5, HINGE_MARGIN), POWER],
    },
    LossEntry {
        name: "hinge_cs",
        formula: "max(0, Δ + max_{j≠y} z_j − z_y)^q",
        paper: "Crammer & Singer 2001, On the algorithmic implementation of multiclass kernel-based vector machines",
        parameters: MULTI_HINGE,
    },
    LossEntry {
        name: "hinge_ww",
        formula: "Σ_{j≠y} max(0, Δ + z_j − z_y)^q",
        paper: "Weston & Watkins 1999, Support vector machines for multi-class pattern recognition",
        parameters: MULTI_HINGE,
    },
    LossEntry {
        name: "bce",
        formula: "Σ_j softplus(−t_j z_j), t = ±1",
        paper: "binary cross entropy, one class against all others",
        parameters: &[],
    },
    LossEntry {
        name: "softmax",
        formula: "lse(z) − Σ_j q_j z_j, q = (1 − ε)·o + ε/C",
        paper: "cross entropy of softmax; label smoothing: Szegedy et al. 2016, Rethinking the Inception architecture",
        parameters: &[real(
            "label_smoothing",
            Reals::BELOW_ONE,
            0.0,
            "ε, the target's own class included (0.1 is usual)",
        )],
    },
    LossEntry {
        name: "focal",
        formula: "−α(1 − p_y)^γ ln p_y",
        paper: "Lin et al. 2017, Focal loss for dense object detection",
        parameters: &[
            real("gamma", Reals::ZERO_OR_FROM_ONE, 2.0, "γ: how little easy samples count"),
            real("alpha", Reals::POSITIVE, 1.0, "factor of the whole loss"),
        ],
    },
    LossEntry {
        name: "l_softmax",
        formula: "CE with target logit (λf_y + ‖W_y‖‖x‖ψ_m(θ_y))/(1 + λ)",
        paper: "Liu et al. 2016, Large-margin softmax loss for convolutional neural networks",
        parameters: L_SOFTMAX,
    },
    LossEntry {
        name: "a_softmax",
        formula: "CE with target logit (λf_y + ‖x‖ψ_m(θ_y))/(1 + λ), ‖W_j‖ = 1",
        paper: "Liu et al. 2017, SphereFace: deep hypersphere embedding for face recognition",
        parameters: A_SOFTMAX,
    },
    LossEntry {
        name: "am_softmax",
        formula: "CE of s(cos θ_j − m·o_j)",
        paper: "Wang et al. 2018, Additive margin softmax for face verification; Wang et al. 2018, CosFace",
        parameters: &[
            real("margin", Reals::BELOW_ONE, 0.35, "m, taken off the target's cosine"),
            SCALE,
        ],
    },
    LossEntry {
        name: "arcface",
        formula: "CE of s·cos θ_j with target s·cos(θ_y + m)",
        paper: "Deng et al. 2019, ArcFace: additive angular margin loss for deep face recognition",
        parameters: &[
            real("margin", Reals::ACUTE_ANGLE, 0.5, "m in radians, added to the target's angle"),
            SCALE,
        ],
    },
    LossEntry {
        name: "ldam",
        formula: "CE of s(cos θ_j − m_j·o_j), m_j = m_max·(n_min/n_j)^¼",
        paper: "Cao et al. 2019, Learning imbalanced datasets with label-distribution-aware margin loss",
        parameters: &[
            real("max_margin", Reals::BELOW_ONE, 0.5, "margin m_max of the smallest class"),
            SCALE,
        ],
    },
    LossEntry {
        name: "cosine",
        formula: "1 − e_y/‖e‖",
        paper: "Barz & Denzler 2020, Deep learning on small datasets without pre-training using cosine loss",
        parameters: &[],
    },
    LossEntry {
        name: "cosine_xent",
        formula: "1 − e_y/‖e‖ + λ·CE of a second linear head on e/‖e‖",
        paper: "Barz & Denzler 2020, Deep learning on small datasets without pre-training using cosine loss",
        parameters: &[real(
            "cross_entropy_weight",
            Reals::POSITIVE,
            0.1,
            "λ, the weight of the cross entropy",
        )],
    },
];

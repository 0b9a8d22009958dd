//! The losses a sweep can ask for: their names and hyperparameters, without a tensor (those live in `sweep-train`).
//!
//! A hyperparameter lives inside the loss that has it, so "a margin on bce" cannot be written. Values here are complete
//! (defaults filled in) and in range once they come out of a checked sweep file. Formulas and papers: `docs/losses.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::catalogue::{self, Kind};
use crate::file;

/// A loss with all its hyperparameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// `Σ_j |o_j − σ(z)_j|` (Janocha & Czarnecki 2017).
    L1Sigma {
        /// Which σ.
        sigma: Sigma,
    },
    /// `Σ_j (o_j − σ(z)_j)²` (Janocha & Czarnecki 2017).
    L2Sigma {
        /// Which σ.
        sigma: Sigma,
    },
    /// One against all: `Σ_j max(0, Δ − t_j z_j)^q`.
    Hinge {
        /// Δ > 0.
        margin: f64,
        /// q in {1, 2, 3}.
        power: u32,
    },
    /// Crammer–Singer: `max(0, Δ + max_{j≠y} z_j − z_y)^q`.
    HingeCs {
        /// Δ > 0.
        margin: f64,
        /// q in {1, 2, 3}.
        power: u32,
    },
    /// Weston–Watkins: `Σ_{j≠y} max(0, Δ + z_j − z_y)^q`.
    HingeWw {
        /// Δ > 0.
        margin: f64,
        /// q in {1, 2, 3}.
        power: u32,
    },
    /// One-against-all binary cross entropy: `Σ_j softplus(−t_j z_j)`.
    Bce {},
    /// Cross entropy of softmax, with label smoothing: `lse(z) − Σ_j q_j z_j`.
    Softmax {
        /// ε in [0, 1), torch's convention (the target is smoothed too).
        label_smoothing: f64,
    },
    /// `−α(1−p_y)^γ ln p_y` (Lin 2017).
    Focal {
        /// γ, 0 or ≥ 1.
        gamma: f64,
        /// α > 0.
        alpha: f64,
    },
    /// Large-margin softmax (Liu 2016).
    LSoftmax {
        /// m in {1, 2, 3, 4}.
        margin: u32,
        /// How λ falls; `None` means λ = 0.
        anneal: Option<Anneal>,
    },
    /// `SphereFace` (Liu 2017).
    ASoftmax {
        /// m in {1, 2, 3, 4}.
        margin: u32,
        /// How λ falls; `None` means λ = 0.
        anneal: Option<Anneal>,
    },
    /// Additive margin softmax, also called `CosFace` (Wang 2018): cross entropy of `s(cosθ_j − m·o_j)`.
    AmSoftmax {
        /// s > 0.
        scale: f64,
        /// m in [0, 1).
        margin: f64,
    },
    /// `ArcFace` (Deng 2019): target `cos(θ_y + m)`.
    Arcface {
        /// s > 0.
        scale: f64,
        /// m in radians, in [0, π/2).
        margin: f64,
    },
    /// LDAM (Cao 2019): additive margins `m_max·(n_min/n_j)^¼`.
    Ldam {
        /// s > 0.
        scale: f64,
        /// `m_max` in [0, 1).
        max_margin: f64,
    },
    /// `1 − e_y/‖e‖` (Barz & Denzler 2020).
    Cosine {},
    /// Cosine + λ·cross entropy of a second head on e/‖e‖ (Barz & Denzler 2020).
    CosineXent {
        /// λ > 0.
        cross_entropy_weight: f64,
    },
}

/// The squashing function of [`Loss::L1Sigma`] and [`Loss::L2Sigma`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sigma {
    /// Probabilities that sum to one.
    Softmax,
    /// One probability per class.
    Sigmoid,
}

/// `λ = max(min, base·(1 + gamma_total·step/T)^(−power))` with T the planned optimizer steps of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anneal {
    /// λ at step 0, > 0.
    pub base: f64,
    /// Growth over the whole run, ≥ 0.
    pub gamma_total: f64,
    /// Exponent, > 0.
    pub power: f64,
    /// Smallest λ, ≥ 0.
    pub min: f64,
}

impl Anneal {
    /// λ before optimizer step `step` (from 0) of `total` planned steps.
    pub fn lambda(&self, step: u64, total: u64) -> f64 {
        let progress = step as f64 / total.max(1) as f64;
        (self.base * (1.0 + self.gamma_total * progress).powf(-self.power)).max(self.min)
    }
}

/// The last layer a loss needs; chosen by the loss, never by the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// xWᵀ + b.
    Linear,
    /// xWᵀ.
    LinearNoBias,
    /// x(W/‖W‖)ᵀ.
    NormWeight,
    /// (x/‖x‖)(W/‖W‖)ᵀ.
    Cosine,
}

impl Loss {
    /// The name used in sweep files, such as `am_softmax`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::L1Sigma { .. } => "l1_sigma",
            Self::L2Sigma { .. } => "l2_sigma",
            Self::Hinge { .. } => "hinge",
            Self::HingeCs { .. } => "hinge_cs",
            Self::HingeWw { .. } => "hinge_ww",
            Self::Bce {} => "bce",
            Self::Softmax { .. } => "softmax",
            Self::Focal { .. } => "focal",
            Self::LSoftmax { .. } => "l_softmax",
            Self::ASoftmax { .. } => "a_softmax",
            Self::AmSoftmax { .. } => "am_softmax",
            Self::Arcface { .. } => "arcface",
            Self::Ldam { .. } => "ldam",
            Self::Cosine {} => "cosine",
            Self::CosineXent { .. } => "cosine_xent",
        }
    }

    /// The text of tables and CSV, such as `am_softmax(margin=0.2,scale=10)`.
    ///
    /// Margin and scale stand always, other hyperparameters when they are not the default. Equal texts mean equal losses.
    pub fn canonical(&self) -> String {
        let name = self.name();
        let json = serde_json::to_value(self).unwrap_or_default();
        let mut shown: Vec<String> = Vec::new();
        for parameter in catalogue::loss(name).map_or(&[][..], |entry| entry.parameters) {
            let value = &json[name][parameter.name];
            let default = parameter.default_json().unwrap_or_default();
            let always = matches!(parameter.name, "margin" | "scale" | "max_margin");
            match (&parameter.kind, value) {
                _ if !always && *value == default => {}
                (Kind::Group(fields), Json::Object(_)) => {
                    let differing =
                        fields.iter().filter(|field| value[field.name] != default[field.name]);
                    shown.extend(differing.map(|field| {
                        format!(
                            "{}.{}={}",
                            parameter.name,
                            field.name,
                            file::flow(&value[field.name])
                        )
                    }));
                }
                _ => shown.push(format!("{}={}", parameter.name, file::flow(value))),
            }
        }
        if shown.is_empty() { name.to_owned() } else { format!("{name}({})", shown.join(",")) }
    }

    /// The head whose plain logits this loss reads.
    pub fn head(&self) -> HeadKind {
        match self {
            Self::LSoftmax { .. } => HeadKind::LinearNoBias,
            Self::ASoftmax { .. } => HeadKind::NormWeight,
            Self::AmSoftmax { .. } | Self::Arcface { .. } | Self::Ldam { .. } => HeadKind::Cosine,
            _ => HeadKind::Linear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts_show_margin_and_scale_always_and_the_rest_when_it_differs() {
        assert_eq!(
            Loss::AmSoftmax { scale: 10.0, margin: 0.2 }.canonical(),
            "am_softmax(margin=0.2,scale=10)"
        );
        assert_eq!(
            Loss::AmSoftmax { scale: 30.0, margin: 0.35 }.canonical(),
            "am_softmax(margin=0.35,scale=30)"
        );
        assert_eq!(Loss::Softmax { label_smoothing: 0.0 }.canonical(), "softmax");
        assert_eq!(
            Loss::Softmax { label_smoothing: 0.1 }.canonical(),
            "softmax(label_smoothing=0.1)"
        );
        assert_eq!(
            Loss::LSoftmax { margin: 2, anneal: None }.canonical(),
            "l_softmax(margin=2,anneal=null)"
        );
        let anneal = Anneal { base: 1000.0, gamma_total: 0.75, power: 35.0, min: 0.0 };
        assert_eq!(
            Loss::LSoftmax { margin: 2, anneal: Some(anneal) }.canonical(),
            "l_softmax(margin=2,anneal.gamma_total=0.75)"
        );
        assert_eq!(Loss::Cosine {}.canonical(), "cosine");
    }
}

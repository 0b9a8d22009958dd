//! Every setting a sweep file knows, with its range, default and meaning: the one source for reading files, for `sweep losses`
//! and for messages.
//!
//! Types of the values are in [`crate::loss`], [`crate::training`] and [`crate::model`]; a test holds both together. Formulas,
//! papers, ranges and defaults: `docs/losses.md`.

mod losses;
mod settings;

use std::f64::consts::FRAC_PI_2;

use serde_json::{Map, Value as Json};

pub use losses::losses;
pub(crate) use settings::LEARNING_RATE;
pub use settings::{adaptive, analysis, model, training};

/// A loss as `sweep losses` shows it.
#[derive(Debug, PartialEq)]
pub struct LossEntry {
    /// The name used in sweep files.
    pub name: &'static str,
    /// Loss of one sample; symbols as in `docs/losses.md`.
    pub formula: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// Its hyperparameters.
    pub parameters: &'static [Parameter],
}

/// One setting.
#[derive(Debug, PartialEq)]
pub struct Parameter {
    /// The key used in sweep files.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether `null` is allowed.
    pub nullable: bool,
    /// What it is when not written.
    pub default: Fill,
    /// What it does, in a few words.
    pub meaning: &'static str,
}

/// What values a setting takes.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// A finite number.
    Real(Reals),
    /// A whole number, bounds included.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// One of a few whole numbers.
    OneOf(&'static [u64]),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A map of settings.
    Group(&'static [Parameter]),
    /// Starting weights: published ones by name, or a file.
    Weights,
    /// A word, or a map whose one key says which settings follow.
    Tagged(&'static [Variant]),
}

/// One way of a [`Kind::Tagged`] setting.
#[derive(Debug, PartialEq)]
pub struct Variant {
    /// The word.
    pub name: &'static str,
    /// What may follow; `None`: nothing, it is written as a bare word.
    pub fields: Option<&'static [Parameter]>,
}

/// A range of finite numbers.
#[derive(Debug, PartialEq)]
pub struct Reals {
    min: f64,
    min_allowed: bool,
    max: f64,
    max_allowed: bool,
    /// Zero is allowed although it is below `min`.
    or_zero: bool,
    /// The range in words.
    text: &'static str,
}

/// What a setting is when not written.
#[derive(Debug, PartialEq)]
pub enum Fill {
    /// A number.
    Real(f64),
    /// A whole number.
    Integer(u64),
    /// A word.
    Word(&'static str),
    /// `true` or `false`.
    Flag(bool),
    /// `null`.
    Null,
    /// A map with its own defaults.
    Group,
    /// This way, with its own defaults.
    Variant(&'static str),
    /// It depends on the data set.
    ByDataSet,
    /// There is none: it must be written.
    Required,
}

impl Reals {
    pub(crate) const POSITIVE: Self = Self {
        min: 0.0,
        min_allowed: false,
        max: f64::MAX,
        max_allowed: true,
        or_zero: false,
        text: "> 0",
    };
    pub(crate) const NON_NEGATIVE: Self =
        Self { min_allowed: true, text: ">= 0", ..Self::POSITIVE };
    /// [0, 1).
    pub(crate) const BELOW_ONE: Self =
        Self { max: 1.0, max_allowed: false, text: "in [0, 1)", ..Self::NON_NEGATIVE };
    /// (0, 1].
    pub(crate) const UP_TO_ONE: Self = Self { max: 1.0, text: "in (0, 1]", ..Self::POSITIVE };
    /// (0, 1).
    pub(crate) const SHARE: Self =
        Self { max: 1.0, max_allowed: false, text: "in (0, 1)", ..Self::POSITIVE };
    /// (0, ½).
    pub(crate) const LEVEL: Self =
        Self { max: 0.5, max_allowed: false, text: "in (0, 0.5)", ..Self::POSITIVE };
    /// (½, 1).
    pub(crate) const CONFIDENCE: Self =
        Self { min: 0.5, max: 1.0, max_allowed: false, text: "in (0.5, 1)", ..Self::POSITIVE };
    /// [0, π/2).
    pub(crate) const ACUTE_ANGLE: Self = Self {
        max: FRAC_PI_2,
        max_allowed: false,
        text: "of radians in [0, π/2), π/2 = 1.5707…",
        ..Self::NON_NEGATIVE
    };
    /// 0 or ≥ 1: below 1 a power has an infinite slope at 0.
    pub(crate) const ZERO_OR_FROM_ONE: Self = Self {
        min: 1.0,
        min_allowed: true,
        or_zero: true,
        text: "that is 0 or >= 1",
        ..Self::POSITIVE
    };

    /// Whether `value` may be used. Losses and optimizers compute in f32, so it must stay a number (and not become 0) there.
    pub fn allows(&self, value: f64) -> bool {
        let narrow = value as f32;
        if !narrow.is_finite() || (value != 0.0 && narrow == 0.0) {
            return false;
        }
        let above = if self.min_allowed { value >= self.min } else { value > self.min };
        let below = if self.max_allowed { value <= self.max } else { value < self.max };
        (above && below) || (self.or_zero && value == 0.0)
    }

    /// The range in words, such as "in [0, 1)".
    pub fn text(&self) -> &'static str {
        self.text
    }
}

impl Kind {
    /// What is allowed, in words: "in [0, 1)", "one of 1, 2, 3", "true or false".
    pub fn allowed(&self) -> String {
        match self {
            Self::Real(range) => format!("a number {}", range.text),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::OneOf(numbers) => format!("one of {}", join(numbers.iter())),
            Self::Word(words) => format!("one of {}", join(words.iter())),
            Self::Flag => "true or false".to_owned(),
            Self::Weights => {
                "imagenet, imagenet_v2, or the path or URL of a .pth or .safetensors file"
                    .to_owned()
            }
            Self::Group(fields) => format!("a map of {}", join(fields.iter().map(|f| f.name))),
            Self::Tagged(variants) => {
                let bare = variants.iter().map(|v| match v.fields {
                    None => v.name.to_owned(),
                    Some(fields) => {
                        format!("{{ {}: {{ {} }} }}", v.name, join(fields.iter().map(|f| f.name)))
                    }
                });
                format!("one of {}", join(bare))
            }
        }
    }
}

impl Parameter {
    /// What is allowed, in words.
    pub fn allowed(&self) -> String {
        let text = self.kind.allowed();
        if self.nullable { format!("{text}; or null") } else { text }
    }

    /// The default as it would be written in a sweep file; `None` where there is none or the data set decides.
    pub fn default_text(&self) -> Option<String> {
        self.default_json().map(|json| crate::file::flow(&json))
    }

    /// The default, complete; `None` where there is none or the data set decides.
    pub(crate) fn default_json(&self) -> Option<Json> {
        match (&self.default, &self.kind) {
            (Fill::Real(number), _) => Some(Json::from(*number)),
            (Fill::Integer(number), _) => Some(Json::from(*number)),
            (Fill::Word(word), _) => Some(Json::from(*word)),
            (Fill::Flag(flag), _) => Some(Json::from(*flag)),
            (Fill::Null, _) => Some(Json::Null),
            (Fill::Group, Kind::Group(fields)) => Some(Json::Object(defaults(fields))),
            (Fill::Variant(name), Kind::Tagged(variants)) => {
                variants.iter().find(|v| v.name == *name).map(Variant::default_json)
            }
            (Fill::Group | Fill::Variant(_) | Fill::ByDataSet | Fill::Required, _) => None,
        }
    }
}

impl Variant {
    /// The variant with all its defaults, as serde writes an externally tagged enum.
    pub(crate) fn default_json(&self) -> Json {
        match self.fields {
            None => Json::from(self.name),
            Some(fields) => Json::Object(Map::from_iter([(
                self.name.to_owned(),
                Json::Object(defaults(fields)),
            )])),
        }
    }
}

/// The defaults of these settings, those without one left out.
pub(crate) fn defaults(parameters: &[Parameter]) -> Map<String, Json> {
    parameters.iter().filter_map(|p| Some((p.name.to_owned(), p.default_json()?))).collect()
}

/// The loss of this name; `cross_entropy` is read as `softmax`.
pub fn loss(name: &str) -> Option<&'static LossEntry> {
    let name = if name == "cross_entropy" { "softmax" } else { name };
    losses().iter().find(|entry| entry.name == name)
}

fn join<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Loss;

    #[test]
    fn every_loss_with_its_defaults_is_a_loss_and_back() {
        assert_eq!(losses().len(), 15);
        for entry in losses() {
            let json = Json::Object(Map::from_iter([(
                entry.name.to_owned(),
                Json::Object(defaults(entry.parameters)),
            )]));
            let loss: Loss = serde_json::from_value(json.clone())
                .unwrap_or_else(|e| panic!("{}: {e}", entry.name));
            assert_eq!(serde_json::to_value(&loss).unwrap(), json);
            assert_eq!(loss.name(), entry.name);
        }
    }

    #[test]
    fn training_and_model_with_their_defaults_are_complete_but_for_what_is_asked() {
        let mut settings = defaults(training());
        assert!(!settings.contains_key("image_size"));
        settings.insert("image_size".into(), 8.into());
        let training: crate::training::Training =
            serde_json::from_value(Json::Object(settings)).unwrap();
        assert_eq!(
            (training.epochs, training.batch_size, training.clip_norm),
            (30, 32, Some(10.0))
        );
        let missing: Vec<_> =
            model().iter().filter(|p| p.default == Fill::Required).map(|p| p.name).collect();
        assert_eq!(missing, ["backbone"]);
    }

    #[test]
    fn analysis_with_its_defaults_is_the_default_analysis() {
        let read: crate::analysis::Analysis =
            serde_json::from_value(Json::Object(defaults(analysis()))).unwrap();
        assert_eq!(read, crate::analysis::Analysis::default());
    }

    #[test]
    fn every_default_is_allowed() {
        fn check(parameters: &[Parameter]) {
            for p in parameters {
                match (&p.kind, &p.default) {
                    (Kind::Real(range), Fill::Real(v)) => assert!(range.allows(*v), "{}", p.name),
                    (Kind::Integer { min, max }, Fill::Integer(v)) => {
                        assert!((min..=max).contains(&v), "{}", p.name)
                    }
                    (Kind::OneOf(all), Fill::Integer(v)) => assert!(all.contains(v), "{}", p.name),
                    (Kind::Word(all), Fill::Word(v)) => assert!(all.contains(v), "{}", p.name),
                    (_, Fill::Null) => assert!(p.nullable, "{}", p.name),
                    (Kind::Group(fields), _) => check(fields),
                    (Kind::Tagged(variants), fill) => {
                        if let Fill::Variant(name) = fill {
                            assert!(variants.iter().any(|v| v.name == *name), "{}", p.name);
                        }
                        variants.iter().for_each(|v| check(v.fields.unwrap_or_default()));
                    }
                    (Kind::Flag, Fill::Flag(_)) | (_, Fill::ByDataSet | Fill::Required) => {}
                    other => panic!("{}: {other:?}", p.name),
                }
            }
        }
        losses().iter().for_each(|entry| check(entry.parameters));
        check(training());
        check(model());
        check(analysis());
        check(adaptive());
    }

    #[test]
    fn ranges_end_where_they_say() {
        assert!(
            Reals::BELOW_ONE.allows(0.0)
                && !Reals::BELOW_ONE.allows(1.0)
                && !Reals::BELOW_ONE.allows(-1e-9)
        );
        assert!(Reals::UP_TO_ONE.allows(1.0) && !Reals::UP_TO_ONE.allows(0.0));
        assert!(Reals::ACUTE_ANGLE.allows(1.57) && !Reals::ACUTE_ANGLE.allows(FRAC_PI_2));
        assert!(
            Reals::ZERO_OR_FROM_ONE.allows(0.0)
                && Reals::ZERO_OR_FROM_ONE.allows(1.0)
                && !Reals::ZERO_OR_FROM_ONE.allows(0.5)
        );
        assert!(!Reals::POSITIVE.allows(f64::NAN) && !Reals::POSITIVE.allows(f64::INFINITY));
        assert!(
            !Reals::POSITIVE.allows(1e-60) && !Reals::POSITIVE.allows(1e60),
            "neither is a number in f32"
        );
    }
}

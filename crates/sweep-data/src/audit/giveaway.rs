//! Properties of files that predict the class without a look at the picture: what a network may learn instead of the subject.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Seen, extension};
use crate::dataset::Example;
use crate::decode::{Format, PixelKind};

/// Fewest images that a class must hold alone for its values to be named.
const FEWEST_EXCLUSIVE: usize = 5;

/// Values with fewer images are taken together when a class is guessed from them.
const FEWEST_OF_A_VALUE: usize = 5;

/// How well one property alone predicts the class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Giveaway {
    /// What was looked at.
    pub property: &'static str,
    /// Share of images whose class is the most frequent one of their value; values with fewer than five images are taken together,
    /// so that a value held once predicts nothing.
    pub accuracy: f64,
    /// Share of the most frequent class: what guessing without any property reaches.
    pub majority: f64,
    /// Values that only one class has.
    pub exclusive: Vec<Exclusive>,
}

/// Values of a property that only one class has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exclusive {
    /// The class.
    pub class: String,
    /// The values.
    pub values: Vec<String>,
    /// Images of the class with one of them.
    pub images: usize,
    /// Images of the class.
    pub of: usize,
    /// Those of `images` that validate.
    pub in_val: usize,
}

impl Giveaway {
    /// Whether a reader should know: five points better than guessing, or a tenth of a class told for certain.
    pub fn is_notable(&self) -> bool {
        self.accuracy >= self.majority + 0.05
            || self.exclusive.iter().any(|only| 10 * only.images >= only.of)
    }
}

/// All properties, in a fixed order; none for tables, whose pictures have no files of their own.
pub(super) fn giveaways(examples: &[Example], seen: &[Seen], classes: &[String]) -> Vec<Giveaway> {
    if examples.iter().any(|e| e.format == Format::Table) {
        return Vec::new();
    }
    type Property = fn(&Example, &Seen) -> Option<String>;
    let properties: [(&'static str, Property); 6] = [
        ("extension", |e, _| Some(extension(&e.path))),
        ("format", |e, _| Some(e.format.name().to_owned())),
        ("stored channels", |_, s| s.facts.map(|f| f.pixel.name().to_owned())),
        ("colour", |_, s| colour(s)),
        ("short side", |_, s| s.facts.map(|f| half_octave(f.width.min(f.height)))),
        ("aspect", |_, s| {
            s.facts.map(|f| format!("{:.1}", f64::from(f.width) / f64::from(f.height)))
        }),
    ];
    properties
        .into_iter()
        .map(|(name, property)| {
            let values: Vec<(String, u32)> = examples
                .iter()
                .zip(seen)
                .map(|(e, s)| (property(e, s).unwrap_or_else(|| "unreadable".to_owned()), e.label))
                .collect();
            let in_val: Vec<bool> =
                examples.iter().map(|e| e.part == crate::part::Part::Val).collect();
            giveaway(name, &values, &in_val, classes)
        })
        .collect()
}

fn colour(seen: &Seen) -> Option<String> {
    let traits = seen.picture.as_ref().ok()?;
    Some(match seen.facts?.pixel {
        PixelKind::Grey | PixelKind::GreyAlpha => "single channel".to_owned(),
        _ if traits.colourless => "equal channels".to_owned(),
        _ => "unequal channels".to_owned(),
    })
}

/// "256–361": a size within a factor of √2.
fn half_octave(side: u32) -> String {
    let bound = |k: i32| 2_f64.powf(f64::from(k) / 2.0).ceil();
    let k = (2.0 * f64::from(side.max(1)).log2()).floor() as i32;
    format!("{}–{}", bound(k), bound(k + 1) - 1.0)
}

fn giveaway(
    property: &'static str,
    values: &[(String, u32)],
    in_val: &[bool],
    classes: &[String],
) -> Giveaway {
    let mut table: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut totals = vec![0_usize; classes.len()];
    for (value, label) in values {
        table.entry(value).or_insert_with(|| vec![0; classes.len()])[*label as usize] += 1;
        totals[*label as usize] += 1;
    }
    let mut rare = vec![0_usize; classes.len()];
    let mut guessed = 0;
    for counts in table.values() {
        if counts.iter().sum::<usize>() < FEWEST_OF_A_VALUE {
            rare.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        } else {
            guessed += counts.iter().max().copied().unwrap_or(0);
        }
    }
    guessed += rare.into_iter().max().unwrap_or(0);
    let n = values.len().max(1) as f64;
    let exclusive = (0..classes.len()).filter_map(|class| {
        let only = |counts: &Vec<usize>| {
            counts[class] > 0 && counts.iter().sum::<usize>() == counts[class]
        };
        let values_alone: Vec<String> = table
            .iter()
            .filter(|(_, counts)| only(counts))
            .map(|(value, _)| (*value).to_owned())
            .collect();
        let alone = |i: &usize| values_alone.contains(&values[*i].0);
        let images: Vec<usize> = (0..values.len()).filter(alone).collect();
        let validating = images.iter().filter(|i| in_val[**i]).count();
        (images.len() >= FEWEST_EXCLUSIVE).then(|| Exclusive {
            class: classes[class].clone(),
            values: values_alone.clone(),
            images: images.len(),
            of: totals[class],
            in_val: validating,
        })
    });
    Giveaway {
        property,
        accuracy: guessed as f64 / n,
        majority: totals.iter().copied().max().unwrap_or(0) as f64 / n,
        exclusive: exclusive.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, u32, usize)]) -> Giveaway {
        let values: Vec<(String, u32)> = rows
            .iter()
            .flat_map(|(v, label, n)| std::iter::repeat_n(((*v).to_owned(), *label), *n))
            .collect();
        let in_val = vec![false; values.len()];
        giveaway("test", &values, &in_val, &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn a_property_that_names_the_class_predicts_it() {
        let found = table(&[(".jpg", 0, 60), (".png", 1, 40)]);
        assert_eq!((found.accuracy, found.majority), (1.0, 0.6));
        assert!(found.is_notable());
        assert_eq!(found.exclusive.len(), 2);
    }

    #[test]
    fn values_held_once_predict_nothing() {
        let rows: Vec<(String, u32)> =
            (0..100).map(|i| (i.to_string(), u32::from(i >= 60))).collect();
        let found = giveaway("test", &rows, &[false; 100], &["a".to_owned(), "b".to_owned()]);
        assert_eq!((found.accuracy, found.majority), (0.6, 0.6));
    }

    #[test]
    fn sizes_are_told_apart_by_a_factor_of_root_two() {
        assert_eq!(
            [255, 256, 361, 362, 363].map(half_octave),
            ["182–255", "256–362", "256–362", "256–362", "363–511"]
        );
    }
}

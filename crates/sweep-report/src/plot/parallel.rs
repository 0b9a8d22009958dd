//! Parallel coordinates: one line per configuration through every setting that varies, to its mean accuracy.
//!
//! Shows at a glance which settings the good ones share. Lines are darker the higher the mean; a line is no claim.

use serde_json::Value;

use super::svg::{Anchor, Canvas, Scale, escape, num, shorten};
use super::{Figure, FigureKind};
use crate::format;
use crate::parts::{Part, loss_name, parts, short_name};
use crate::report::{Report, Summary};

const GAP: f64 = 130.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 34.0;
const HEIGHT: f64 = 260.0;
/// Axes of settings; beyond that labels no longer fit.
const MOST_AXES: usize = 8;
/// Lines; the best ones are drawn.
const MOST_LINES: usize = 300;
/// Steps of colour.
const STEPS: usize = 5;

/// Parallel coordinates of a data set; `None` with fewer than two varying settings or fewer than three accuracies.
pub fn parallel(report: &Report, index: usize) -> Option<Figure> {
    let dataset = report.datasets.get(index)?;
    let settings: Vec<Vec<Part>> = report.candidates.iter().map(settings).collect();
    // A setting that only one loss has, with one value, tells nothing.
    let mut seen: Vec<(&str, &Value, bool)> = Vec::new();
    for part in settings.iter().flatten() {
        match seen.iter_mut().find(|(name, ..)| *name == part.name) {
            Some((_, first, differs)) => *differs |= **first != part.value,
            None => seen.push((&part.name, &part.value, false)),
        }
    }
    let mut names: Vec<&str> =
        seen.into_iter().filter(|(.., differs)| *differs).map(|(name, ..)| name).collect();
    let left_out = names.len().saturating_sub(MOST_AXES);
    names.truncate(MOST_AXES);
    let mut rated: Vec<(&Summary, f64)> =
        dataset.summaries.iter().filter_map(|s| Some((s, s.mean?))).collect();
    if names.len() < 2 || rated.len() < 3 {
        return None;
    }
    let all = rated.len();
    rated.sort_by(|a, b| b.1.total_cmp(&a.1));
    rated.truncate(MOST_LINES);
    let (high, low) = (rated.first()?.1, rated.last()?.1);
    let axes: Vec<Axis> = names.iter().map(|name| Axis::new(name, &settings)).collect();
    let place = |axis: usize| LEFT + axis as f64 * GAP;
    let bottom = TOP + HEIGHT;
    let accuracy = Scale::new((low * 100.0, high * 100.0), (bottom, TOP));
    let end = place(axes.len());
    let mut c = Canvas::default();
    // The best last, over the others.
    for (s, mean) in rated.iter().rev() {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (i, axis) in axes.iter().enumerate() {
            if let Some(y) = axis.at(&settings[s.candidate]) {
                points.push((place(i), y));
            }
        }
        points.push((end, accuracy.at(mean * 100.0)));
        let share = if high > low { (mean - low) / (high - low) } else { 1.0 };
        let step = ((share * STEPS as f64) as usize).min(STEPS - 1);
        line(
            &mut c,
            step,
            &points,
            &format!("{}: {} (n={})", s.label, format::percent(*mean), s.n),
        );
    }
    for (i, axis) in axes.iter().enumerate() {
        c.line("axis", (place(i), TOP), (place(i), bottom));
        let title = shorten(short_name(axis.name, &names), 17);
        c.text("strong", (place(i), TOP - 14.0), Anchor::Middle, &title);
        for (text, y) in axis.marks() {
            c.text("small", (place(i) + 5.0, y + 4.0), Anchor::Start, &shorten(&text, 14));
        }
    }
    c.line("axis", (end, TOP), (end, bottom));
    c.text("strong", (end, TOP - 14.0), Anchor::Middle, "accuracy, %");
    let (ticks, decimals) = accuracy.ticks(6);
    for tick in ticks {
        c.text(
            "small",
            (end + 5.0, accuracy.at(tick) + 4.0),
            Anchor::Start,
            &format!("{tick:.decimals$}"),
        );
    }
    let mut caption = "One line per configuration through each setting that varies, to its mean validation accuracy; darker is higher. A line that skips an axis has no such setting.".to_owned();
    if all > rated.len() {
        caption.push_str(&format!(" The best {MOST_LINES} of {all}."));
    }
    if left_out > 0 {
        caption.push_str(&format!(" {left_out} more settings vary and are left out."));
    }
    Some(Figure {
        name: format!("{}-parallel", dataset.name),
        dataset: Some(index),
        kind: FigureKind::Parallel,
        title: format!("{}: settings and accuracy", dataset.name),
        caption,
        width: (end + 70.0) as u32,
        height: (bottom + 16.0) as u32,
        body: c.finish(),
    })
}

/// The loss itself first, then its settings and those of the training.
fn settings(candidate: &sweep_core::sweep::Candidate) -> Vec<Part> {
    let loss = Part { name: "loss".to_owned(), value: Value::String(loss_name(candidate)) };
    std::iter::once(loss).chain(parts(candidate)).collect()
}

fn value<'a>(settings: &'a [Part], name: &str) -> Option<&'a Value> {
    settings.iter().find(|p| p.name == name).map(|p| &p.value)
}

/// Distinct values at even steps: what is near is seen as near in rank, whether the setting is in steps of 10 or of a hundredth.
struct Axis<'a> {
    name: &'a str,
    values: Vec<Part>,
}

impl<'a> Axis<'a> {
    fn new(name: &'a str, settings: &[Vec<Part>]) -> Self {
        let mut values: Vec<Part> = Vec::new();
        for part in settings.iter().flatten().filter(|p| p.name == name) {
            if !values.iter().any(|p| p.value == part.value) {
                values.push(part.clone());
            }
        }
        if values.iter().all(|p| p.number().is_some()) {
            values.sort_by(|a, b| a.number().unwrap_or(0.0).total_cmp(&b.number().unwrap_or(0.0)));
        }
        Self { name, values }
    }

    fn at(&self, settings: &[Part]) -> Option<f64> {
        let own = value(settings, self.name)?;
        let rank = self.values.iter().position(|p| p.value == *own)?;
        Some(self.scale().at(rank as f64))
    }

    fn scale(&self) -> Scale {
        Scale::new((0.0, self.values.len() as f64 - 1.0), (TOP + HEIGHT, TOP))
    }

    /// Values with their places, few enough to be read.
    fn marks(&self) -> Vec<(String, f64)> {
        let every = self.values.len().div_ceil(14).max(1);
        let scale = self.scale();
        let marks = self.values.iter().enumerate().step_by(every);
        marks.map(|(i, p)| (p.text(), scale.at(i as f64))).collect()
    }
}

fn line(c: &mut Canvas, step: usize, points: &[(f64, f64)], tip: &str) {
    let d: Vec<String> = points.iter().map(|(x, y)| format!("{} {}", num(*x), num(*y))).collect();
    c.raw(&format!(
        "<path class=\"way w{step}\" d=\"M{}\"><title>{}</title></path>",
        d.join("L"),
        escape(tip)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::study;

    #[test]
    fn every_configuration_is_a_line_through_the_settings_that_vary() {
        let losses = "  - softmax\n  - am_softmax: { margin: [0.1, 0.2], scale: [10, 30] }\n";
        let report = study(losses, "3", "", 60).all(|c, s| 30 + (c * 5 + s) as u32).report();
        let figure = parallel(&report, 0).unwrap();
        let svg = figure.inline();
        assert_eq!(svg.matches("class=\"way w").count(), 5, "{svg}");
        for axis in [">loss<", ">margin<", ">scale<", ">accuracy, %<"] {
            assert_eq!(svg.matches(axis).count(), 1, "{axis}");
        }
        // Only softmax has it.
        assert!(!svg.contains("label_smoothing"));
        // The highest mean is drawn last and darkest.
        let last = svg.rsplit("class=\"way ").next().unwrap();
        assert!(
            last.starts_with("w4\"") && last.contains("am_softmax(margin=0.2,scale=30)"),
            "{last}"
        );
    }

    #[test]
    fn nothing_is_drawn_of_what_does_not_vary() {
        let report = study("  - am_softmax: { margin: 0.1, scale: [10, 20, 30] }\n", "3", "", 60)
            .all(|c, _| 30 + c as u32)
            .report();
        assert!(parallel(&report, 0).is_none());
    }
}

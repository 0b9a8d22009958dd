//! Interval plot: one row per configuration, dots for seeds, thick E1, thin E2, the best set shaded.

use super::svg::{Anchor, Canvas, MAX_LABEL, Scale, label_width, shorten};
use super::{Figure, FigureKind};
use crate::format;
use crate::phrases;
use crate::report::{DataSetReport, Report};

const ROW: f64 = 26.0;
const PLOT: f64 = 440.0;
const NUMBERS: f64 = 250.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;

pub(super) fn figure(report: &Report, index: usize) -> Option<Figure> {
    let dataset = &report.datasets[index];
    let (low, high) = range(dataset)?;
    let labels = label_width(dataset.summaries.iter().map(|s| s.label.as_str()));
    let rows = dataset.summaries.len() as f64;
    let bottom = TOP + rows * ROW;
    let scale = Scale::new((low, high), (labels, labels + PLOT));
    let mut c = Canvas::default();

    let (ticks, decimals) = scale.ticks(6);
    for tick in ticks {
        c.line("grid", (scale.at(tick), TOP), (scale.at(tick), bottom));
        c.text(
            "small",
            (scale.at(tick), bottom + 16.0),
            Anchor::Middle,
            &format!("{tick:.decimals$}"),
        );
    }
    image_ticks(&mut c, dataset, &scale, (low, high), bottom);
    c.text("small", (labels + PLOT / 2.0, bottom + 32.0), Anchor::Middle, "validation accuracy, %");

    let baseline = dataset.family.as_ref().and_then(|f| f.baseline.as_ref()).map(|b| b.candidate);
    for (i, s) in dataset.summaries.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        if dataset.best_set.as_ref().is_some_and(|b| b.members.contains(&s.candidate)) {
            c.rect("shade", (0.0, y - ROW / 2.0 + 1.0), (labels + PLOT + NUMBERS, ROW - 2.0));
        }
        let is_base = baseline == Some(s.candidate);
        let label = shorten(&s.label, MAX_LABEL);
        c.text(if is_base { "strong" } else { "label" }, (4.0, y + 4.0), Anchor::Start, &label);
        if is_base && let Some(mean) = s.mean {
            c.line("base", (scale.at(mean * 100.0), TOP), (scale.at(mean * 100.0), bottom));
        }
        let x = |share: f64| scale.at((share * 100.0).clamp(low, high));
        if let Some(e2) = s.beyond {
            c.line("thin", (x(e2.low), y), (x(e2.high), y));
        }
        if let Some(e1) = s.on_these {
            c.line("thick", (x(e1.low), y), (x(e1.high), y));
        }
        for (k, v) in s.values.iter().enumerate() {
            let share = f64::from(v.correct) / f64::from(s.n_val.max(1));
            // Equal counts are the normal case on few images: a fixed small offset keeps their dots apart.
            let offset = ((k % 5) as f64 - 2.0) * 2.2;
            let class = if v.diverged {
                "seed gone"
            } else if is_base {
                "seed base-seed"
            } else {
                "seed"
            };
            let tip = format!(
                "seed {}: {} of {} images{}",
                v.seed,
                v.correct,
                s.n_val,
                if v.diverged { ", diverged" } else { "" }
            );
            c.circle(class, (x(share), y + offset), 3.2, &tip);
        }
        if let Some(mean) = s.mean {
            c.rect("mean", (x(mean) - 1.5, y - 6.0), (3.0, 12.0));
        }
        c.text("small", (labels + PLOT + 12.0, y + 4.0), Anchor::Start, &numbers(s));
    }
    c.line("axis", (labels, bottom), (labels + PLOT, bottom));

    let conf = format::short(report.sweep.analysis.confidence * 100.0, 1);
    Some(Figure {
        name: format!("{}-intervals", dataset.name),
        dataset: Some(index),
        kind: FigureKind::Intervals,
        title: format!("{}: accuracy of each configuration", dataset.name),
        caption: format!(
            "One row per configuration, one dot per seed on {} validation images. Thick: mean over seeds on these images (E1), {}. Thin: {conf} % crossed seeds × images interval, on images like these (E2; Wilson for one seed). Small ticks: one image = {} pp.{}{}",
            dataset.n_val,
            phrases::t_interval(report),
            format::short(100.0 / f64::from(dataset.n_val.max(1)), 2),
            if baseline.is_some() { " Dashed: mean of the baseline." } else { "" },
            match dataset.best_set.as_ref() {
                Some(b) => format!(
                    " Shaded: not distinguishable from the best (one-sided {}, n = {}).",
                    phrases::test_name_words(b.test),
                    b.n
                ),
                None => String::new(),
            }
        ),
        width: (labels + PLOT + NUMBERS).ceil() as u32,
        height: (bottom + BOTTOM).ceil() as u32,
        body: c.finish(),
    })
}

fn numbers(s: &crate::report::Summary) -> String {
    let state = phrases::state_words(s);
    let base = match s.mean {
        Some(_) => format!("{} (n={})", format::mean_with_half_width(s.mean, s.on_these), s.n),
        None => format::NONE.to_owned(),
    };
    if state.is_empty() { base } else { format!("{base} {}", shorten(&state, 24)) }
}

/// Percent from the lowest to the highest thing drawn, with a margin; `None` when there is nothing.
fn range(dataset: &DataSetReport) -> Option<(f64, f64)> {
    let mut values: Vec<f64> = Vec::new();
    for s in &dataset.summaries {
        values.extend(s.values.iter().map(|v| f64::from(v.correct) / f64::from(s.n_val.max(1))));
        values.extend(s.on_these.iter().chain(&s.beyond).flat_map(|i| [i.low, i.high]));
    }
    let low = values.iter().copied().min_by(f64::total_cmp)? * 100.0;
    let high = values.iter().copied().max_by(f64::total_cmp)? * 100.0;
    let margin = ((high - low) * 0.04).max(0.5);
    Some(((low - margin).max(0.0), (high + margin).min(100.0)))
}

/// Marks of one image along the axis, where they are far enough apart to be seen.
fn image_ticks(
    c: &mut Canvas,
    dataset: &DataSetReport,
    scale: &Scale,
    (low, high): (f64, f64),
    bottom: f64,
) {
    let n = f64::from(dataset.n_val.max(1));
    if (scale.at(100.0 / n) - scale.at(0.0)).abs() < 3.0 {
        return;
    }
    let (first, last) = ((low / 100.0 * n).ceil() as i64, (high / 100.0 * n).floor() as i64);
    for k in first..=last {
        let x = scale.at(k as f64 / n * 100.0);
        c.line("axis", (x, bottom - 3.0), (x, bottom));
    }
}

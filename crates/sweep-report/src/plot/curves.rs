//! Curves by epoch, one small panel per configuration: training and validation, median and 10–90 % band over seeds.
//!
//! Accuracy panels share their axis. Objectives of different losses are not comparable: each panel has its own axis.

use super::svg::{Anchor, Canvas, Scale, shorten};
use super::{Figure, FigureKind};
use crate::report::{Band, Curves, Report};

const PANEL_WIDTH: f64 = 270.0;
const PANEL_HEIGHT: f64 = 170.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 34.0;
const COLUMNS: usize = 3;
const LEGEND: f64 = 22.0;
/// Panels of a figure; every epoch of every run is in `epochs.csv`.
const MOST: usize = 24;

pub(super) fn figures(report: &Report, index: usize) -> Vec<Figure> {
    let accuracy: fn(&Curves) -> (&[Band], &[Band]) = |c| (&c.train_accuracy, &c.val_accuracy);
    let objective: fn(&Curves) -> (&[Band], &[Band]) = |c| (&c.train_loss, &c.val_loss);
    [(FigureKind::Accuracy, accuracy), (FigureKind::Objective, objective)]
        .into_iter()
        .filter_map(|(kind, pick)| figure(report, index, kind, pick))
        .collect()
}

fn figure(
    report: &Report,
    index: usize,
    kind: FigureKind,
    pick: fn(&Curves) -> (&[Band], &[Band]),
) -> Option<Figure> {
    let dataset = &report.datasets[index];
    let drawable: Vec<&Curves> =
        dataset.curves.iter().filter(|c| !pick(c).0.is_empty() || !pick(c).1.is_empty()).collect();
    let shown = &drawable[..drawable.len().min(MOST)];
    let accuracy = kind == FigureKind::Accuracy;
    let shared = accuracy.then(|| extent(shown.iter().copied(), pick)).flatten();
    let last_epoch =
        shown.iter().flat_map(|c| pick(c).0.iter().chain(pick(c).1)).map(|b| b.epoch).max()?;

    let columns = shown.len().min(COLUMNS);
    let rows = shown.len().div_ceil(COLUMNS);
    let mut c = Canvas::default();
    c.line("train", (LEFT, 11.0), (LEFT + 28.0, 11.0));
    c.text("small", (LEFT + 34.0, 15.0), Anchor::Start, "training");
    c.line("val", (LEFT + 100.0, 11.0), (LEFT + 128.0, 11.0));
    c.text("small", (LEFT + 134.0, 15.0), Anchor::Start, "validation");
    for (i, curves) in shown.iter().enumerate() {
        let origin =
            ((i % COLUMNS) as f64 * PANEL_WIDTH, LEGEND + (i / COLUMNS) as f64 * PANEL_HEIGHT);
        let range = shared.or_else(|| extent(std::iter::once(*curves), pick));
        if let Some(range) = range {
            panel(&mut c, origin, &curves.label, pick(curves), last_epoch, range, accuracy);
        }
    }

    let left_out = drawable.len() - shown.len();
    let what = if accuracy { "Accuracy" } else { "Objective" };
    let axis = if accuracy {
        "Share right by plain logits, in percent, on one axis for all panels; training accuracy is taken while training, with augmentation."
    } else {
        "Mean objective per image, margins and annealing included. Each panel has its own axis: values of different losses are not comparable."
    };
    let n = shown.iter().flat_map(|c| pick(c).1.iter().map(|b| b.n)).max().unwrap_or(0);
    Some(Figure {
        name: format!("{}-{}", dataset.name, if accuracy { "accuracy" } else { "objective" }),
        dataset: Some(index),
        kind,
        title: format!("{}: {} by epoch", dataset.name, what.to_lowercase()),
        caption: format!(
            "{axis} Lines: median over up to {n} seeds; bands: 10 % to 90 % of the seeds (no interval of a mean).{}",
            if left_out > 0 {
                format!(
                    " The first {MOST} of {} configurations; all are in epochs.csv.",
                    drawable.len()
                )
            } else {
                String::new()
            }
        ),
        width: (columns as f64 * PANEL_WIDTH + 8.0) as u32,
        height: (LEGEND + rows as f64 * PANEL_HEIGHT) as u32,
        body: c.finish(),
    })
}

fn panel(
    c: &mut Canvas,
    (x0, y0): (f64, f64),
    label: &str,
    (train, val): (&[Band], &[Band]),
    last_epoch: u32,
    range: (f64, f64),
    accuracy: bool,
) {
    let (left, right) = (x0 + LEFT, x0 + PANEL_WIDTH - 12.0);
    let (top, bottom) = (y0 + TOP, y0 + PANEL_HEIGHT - BOTTOM);
    let factor = if accuracy { 100.0 } else { 1.0 };
    let x = Scale::new((1.0, f64::from(last_epoch)), (left, right));
    let y = Scale::new((range.0 * factor, range.1 * factor), (bottom, top));
    c.text("label", (left, top - 8.0), Anchor::Start, &shorten(label, 34));
    let (ticks, decimals) = y.ticks(4);
    for tick in ticks {
        c.line("grid", (left, y.at(tick)), (right, y.at(tick)));
        c.text("small", (left - 5.0, y.at(tick) + 4.0), Anchor::End, &format!("{tick:.decimals$}"));
    }
    let (ticks, _) = x.ticks(5);
    for tick in ticks.into_iter().filter(|t| t.fract() == 0.0) {
        c.text("small", (x.at(tick), bottom + 14.0), Anchor::Middle, &format!("{tick:.0}"));
    }
    c.text("small", (right, bottom + 28.0), Anchor::End, "epoch");
    c.line("axis", (left, bottom), (right, bottom));
    for (bands, name) in [(train, "train"), (val, "val")] {
        let place = |value: f64, epoch: u32| (x.at(f64::from(epoch)), y.at(value * factor));
        let mut area: Vec<(f64, f64)> = bands.iter().map(|b| place(b.p90, b.epoch)).collect();
        area.extend(bands.iter().rev().map(|b| place(b.p10, b.epoch)));
        let line: Vec<(f64, f64)> = bands.iter().map(|b| place(b.median, b.epoch)).collect();
        if let [only] = line.as_slice() {
            c.circle(&format!("{name}-dot"), *only, 3.0, "");
            continue;
        }
        c.path(&format!("{name}-band"), &area, true);
        c.path(name, &line, false);
    }
}

fn extent<'a>(
    curves: impl Iterator<Item = &'a Curves>,
    pick: fn(&Curves) -> (&[Band], &[Band]),
) -> Option<(f64, f64)> {
    let mut range: Option<(f64, f64)> = None;
    for curve in curves {
        for band in pick(curve).0.iter().chain(pick(curve).1) {
            let (low, high) = range.unwrap_or((band.p10, band.p90));
            range = Some((low.min(band.p10), high.max(band.p90)));
        }
    }
    range
}

//! Curves of a few configurations over each other, with their values as data, so that a page can read them out.

use super::svg::{Anchor, Canvas, Scale, escape, num, shorten};
use super::{Figure, FigureKind};
use crate::report::{Band, Curves};

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;
/// Height of a line of the legend.
const LINE: f64 = 18.0;
/// Curves that can be told apart, by colour and by place in the legend.
const MOST: usize = 6;

/// What is drawn over the epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlayMetric {
    /// Share right, in percent.
    #[default]
    Accuracy,
    /// Training objective; of different losses not comparable.
    Objective,
}

/// Curves over each other: validation in full lines with a band over the seeds, training dashed; at most six. `None` without any
/// epoch. `name` is that of the figure.
pub fn overlay(name: &str, curves: &[Curves], metric: OverlayMetric) -> Option<Figure> {
    let pick = |c: &Curves| -> [Vec<Band>; 2] {
        match metric {
            OverlayMetric::Accuracy => [c.train_accuracy.clone(), c.val_accuracy.clone()],
            OverlayMetric::Objective => [c.train_loss.clone(), c.val_loss.clone()],
        }
    };
    let factor = if metric == OverlayMetric::Accuracy { 100.0 } else { 1.0 };
    let drawn: Vec<(&Curves, [Vec<Band>; 2])> =
        curves.iter().take(MOST).map(|c| (c, pick(c))).collect();
    let bands = || drawn.iter().flat_map(|(_, bands)| bands.iter().flatten());
    let last = bands().map(|b| b.epoch).max()?;
    let low = bands().map(|b| b.p10).min_by(f64::total_cmp)? * factor;
    let high = bands().map(|b| b.p90).max_by(f64::total_cmp)? * factor;
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = Scale::new((1.0, f64::from(last)), (LEFT, right));
    let y = Scale::new((low, high), (bottom, TOP));
    let mut c = Canvas::default();
    c.raw(&format!(
        "<g data-left=\"{}\" data-right=\"{}\" data-top=\"{}\" data-bottom=\"{}\" data-first=\"1\" data-last=\"{last}\">",
        num(LEFT),
        num(right),
        num(TOP),
        num(bottom)
    ));
    let (ticks, decimals) = y.ticks(6);
    for tick in ticks {
        c.line("grid", (LEFT, y.at(tick)), (right, y.at(tick)));
        c.text("small", (LEFT - 6.0, y.at(tick) + 4.0), Anchor::End, &format!("{tick:.decimals$}"));
    }
    for tick in x.ticks(8).0.into_iter().filter(|t| t.fract() == 0.0) {
        c.text("small", (x.at(tick), bottom + 15.0), Anchor::Middle, &format!("{tick:.0}"));
    }
    c.text("small", (right, bottom + 31.0), Anchor::End, "epoch");
    c.line("axis", (LEFT, bottom), (right, bottom));
    let at = |value: f64, epoch: u32| (x.at(f64::from(epoch)), y.at(value * factor));
    for (i, (_, [_, val])) in drawn.iter().enumerate() {
        let mut area: Vec<(f64, f64)> = val.iter().map(|b| at(b.p90, b.epoch)).collect();
        area.extend(val.iter().rev().map(|b| at(b.p10, b.epoch)));
        c.path(&format!("series-band k{i}"), &area, true);
    }
    for (i, (curves, bands)) in drawn.iter().enumerate() {
        for (bands, class, which) in
            [(&bands[0], "series dash", "training"), (&bands[1], "series", "validation")]
        {
            series(
                &mut c,
                &format!("{class} k{i}"),
                &format!("{} {which}", curves.label),
                bands,
                at,
                factor,
            );
        }
    }
    c.raw("</g>");
    for (i, (curves, bands)) in drawn.iter().enumerate() {
        let line = HEIGHT + i as f64 * LINE;
        let n = bands[1].iter().chain(&bands[0]).map(|b| b.n).max().unwrap_or(0);
        c.line(&format!("series k{i}"), (LEFT, line), (LEFT + 26.0, line));
        let words = format!("{} (n={n})", shorten(&curves.label, 90));
        c.text("label", (LEFT + 34.0, line + 4.0), Anchor::Start, &words);
    }
    let left_out = curves.len() - drawn.len();
    Some(Figure {
        name: name.to_owned(),
        dataset: None,
        kind: FigureKind::Overlay,
        title: match metric {
            OverlayMetric::Accuracy => "Accuracy by epoch, in percent".to_owned(),
            OverlayMetric::Objective => "Objective by epoch".to_owned(),
        },
        caption: format!(
            "Full lines: validation, with a band from 10 % to 90 % of the seeds (no interval of a mean); dashed: training, taken while training, with augmentation. Lines are medians over seeds with a result.{}{}",
            if metric == OverlayMetric::Objective {
                " Objectives of different losses are not comparable."
            } else {
                ""
            },
            if left_out > 0 {
                format!(" {left_out} more were chosen than can be told apart and are left out.")
            } else {
                String::new()
            }
        ),
        width: WIDTH as u32,
        height: (HEIGHT + drawn.len() as f64 * LINE) as u32,
        body: c.finish(),
    })
}

/// A line with its values from the first epoch on, for reading out.
fn series(
    c: &mut Canvas,
    class: &str,
    label: &str,
    bands: &[Band],
    at: impl Fn(f64, u32) -> (f64, f64),
    factor: f64,
) {
    let (Some(first), Some(last)) = (bands.first(), bands.last()) else { return };
    let values: Vec<String> = (first.epoch..=last.epoch)
        .map(|epoch| {
            let band = bands.iter().find(|b| b.epoch == epoch);
            let decimals = if factor > 1.0 { 1 } else { 3 };
            band.map_or_else(String::new, |b| format!("{:.decimals$}", b.median * factor))
        })
        .collect();
    let mut d = String::new();
    for (i, band) in bands.iter().enumerate() {
        let (x, y) = at(band.median, band.epoch);
        d.push_str(&format!("{}{} {}", if i == 0 { 'M' } else { 'L' }, num(x), num(y)));
    }
    c.raw(&format!(
        "<path class=\"{class}\" d=\"{d}\" data-label=\"{}\" data-from=\"{}\" data-values=\"{}\"/>",
        escape(label),
        first.epoch,
        values.join(" ")
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(label: &str, values: &[f64]) -> Curves {
        let bands = |shift: f64| -> Vec<Band> {
            let band = |(i, v): (usize, &f64)| Band {
                epoch: i as u32 + 1,
                n: 3,
                p10: v - 0.1,
                median: v + shift,
                p90: v + 0.1,
            };
            values.iter().enumerate().map(band).collect()
        };
        Curves {
            candidate: 0,
            label: label.to_owned(),
            train_loss: Vec::new(),
            val_loss: Vec::new(),
            train_accuracy: bands(0.05),
            val_accuracy: bands(0.0),
        }
    }

    #[test]
    fn values_can_be_read_out_of_the_figure() {
        let all = [curves("softmax", &[0.5, 0.625]), curves("a<b>\"c\"", &[0.4])];
        let svg = overlay("digits-curves", &all, OverlayMetric::Accuracy).unwrap().inline();
        assert!(
            svg.contains(
                "data-label=\"softmax validation\" data-from=\"1\" data-values=\"50.0 62.5\""
            ),
            "{svg}"
        );
        assert!(svg.contains("data-first=\"1\" data-last=\"2\""));
        assert!(svg.contains("a&lt;b&gt;&quot;c&quot; validation") && !svg.contains("a<b>"));
        assert!(!svg.contains("style="));
        assert!(overlay("x", &all, OverlayMetric::Objective).is_none());
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_out_and_said() {
        let all: Vec<Curves> = (0..8).map(|i| curves(&format!("c{i}"), &[0.5])).collect();
        let figure = overlay("x", &all, OverlayMetric::Accuracy).unwrap();
        assert!(
            figure.caption.ends_with("2 more were chosen than can be told apart and are left out.")
        );
    }
}

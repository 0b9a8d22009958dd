//! Variance bars: what the uncertainty of each difference is made of, and how far more seeds would take it.

use super::svg::{Anchor, Canvas, MAX_LABEL, Scale, label_width, shorten};
use super::{Figure, FigureKind};
use crate::format;
use crate::report::{Comparison, Components, Report};

const ROW: f64 = 26.0;
const BAR: f64 = 220.0;
const GAP: f64 = 30.0;
const PLOT: f64 = 330.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;
/// Comparisons drawn; with more nobody reads bars, and the table has them all.
const MOST_ROWS: usize = 40;

pub(super) fn figure(report: &Report, index: usize) -> Option<Figure> {
    let dataset = &report.datasets[index];
    let family = dataset.family.as_ref()?;
    let rows: Vec<(&Comparison, Components)> = family
        .comparisons
        .iter()
        .filter(|c| !c.beyond.more_seeds.is_empty())
        .filter_map(|c| Some((c, c.beyond.components?)))
        .take(MOST_ROWS)
        .collect();
    let all = rows.iter().flat_map(|(c, _)| c.beyond.more_seeds.iter().map(|m| m.detectable));
    let most = all.max_by(f64::total_cmp).filter(|most| *most > 0.0)?;
    let label = |c: &Comparison| match family.baseline {
        Some(_) => c.b_label.clone(),
        None => format!("{} − {}", c.b_label, c.a_label),
    };
    let labels: Vec<String> = rows.iter().map(|(c, _)| label(c)).collect();
    let left = label_width(labels.iter().map(String::as_str));
    let from = left + BAR + GAP;
    let bottom = TOP + rows.len() as f64 * ROW;
    let scale = Scale::new((0.0, most * 105.0), (from, from + PLOT));
    let mut c = Canvas::default();

    legend(&mut c, left);
    c.text("small", (from, 14.0), Anchor::Start, "smallest difference with 80 % power, pp");
    c.text("small", (from, 29.0), Anchor::Start, "● seeds at hand, × 2, × 4    | floor");
    let (ticks, decimals) = scale.ticks(5);
    for tick in ticks {
        c.line("grid", (scale.at(tick), TOP), (scale.at(tick), bottom));
        let text = format!("{tick:.decimals$}");
        c.text("small", (scale.at(tick), bottom + 16.0), Anchor::Middle, &text);
    }
    let detect = dataset.detect * 100.0;
    if detect <= most * 105.0 {
        c.line("base", (scale.at(detect), TOP), (scale.at(detect), bottom));
    }
    for (i, ((comparison, parts), label)) in rows.iter().zip(&labels).enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        c.text("label", (4.0, y + 4.0), Anchor::Start, &shorten(label, MAX_LABEL));
        bar(&mut c, parts, comparison.pairs.len(), dataset.n_val, (left, y));
        for (k, step) in comparison.beyond.more_seeds.iter().enumerate() {
            let tip =
                format!("{} seeds: {} pp", step.seeds, format::short(step.detectable * 100.0, 2));
            c.circle("dot", (scale.at(step.detectable * 100.0), y), 4.2 - k as f64, &tip);
        }
        if let Some(floor) = comparison.beyond.floor {
            let x = scale.at(floor * 100.0);
            c.line("floor", (x, y - 8.0), (x, y + 8.0));
        }
    }
    c.line("axis", (from, bottom), (from + PLOT, bottom));
    let left_out = family.comparisons.len().saturating_sub(rows.len());
    Some(Figure {
        name: format!("{}-variance", dataset.name),
        dataset: Some(index),
        kind: FigureKind::Variance,
        title: format!("{}: what the uncertainty is made of", dataset.name),
        caption: format!(
            "Left: shares of the variance of each mean difference on images like these (E2; crossed seeds × images, n = {} pairs, {} validation images). More seeds shrink the parts of seeds and of the rest, never that of the images. Right: the smallest difference with 80 % power at α over {}, with the seeds at hand, twice and four times as many; the line is the floor that no number of seeds passes. Dashed: the difference of interest, {} pp. Components below 0 count as 0.{}",
            rows.iter().map(|(c, _)| c.pairs.len()).max().unwrap_or(0),
            dataset.n_val,
            format::count(family.m as u64, "comparison", "comparisons"),
            format::short(detect, 2),
            if left_out > 0 {
                format!(" {left_out} more are in the table.")
            } else {
                String::new()
            }
        ),
        width: (from + PLOT + 20.0).ceil() as u32,
        height: (bottom + BOTTOM).ceil() as u32,
        body: c.finish(),
    })
}

fn legend(c: &mut Canvas, left: f64) {
    c.text("small", (left, 14.0), Anchor::Start, "share of the variance");
    for (i, (class, name)) in
        [("part-seed", "seeds"), ("part-image", "images"), ("part-rest", "rest")].iter().enumerate()
    {
        let x = left + i as f64 * 70.0;
        c.rect(class, (x, 21.0), (9.0, 9.0));
        c.text("small", (x + 13.0, 29.0), Anchor::Start, name);
    }
}

/// Parts of the variance of the mean over `seeds` seeds and `n_val` images.
fn bar(c: &mut Canvas, parts: &Components, seeds: usize, n_val: u32, (left, y): (f64, f64)) {
    let (s, n) = (seeds.max(1) as f64, f64::from(n_val.max(1)));
    let shares = [
        ("part-seed", "seeds", parts.seed.max(0.0) / s),
        ("part-image", "images", parts.image.max(0.0) / n),
        ("part-rest", "rest", parts.residual.max(0.0) / (s * n)),
    ];
    let all: f64 = shares.iter().map(|p| p.2).sum();
    if all <= 0.0 {
        return;
    }
    let mut x = left;
    for (class, _, part) in shares {
        let width = part / all * BAR;
        c.rect(class, (x, y - 7.0), (width, 14.0));
        x += width;
    }
    let words: Vec<String> = shares
        .iter()
        .map(|(_, name, part)| format!("{name} {:.0} %", part / all * 100.0))
        .collect();
    c.raw(&format!(
        "<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"14\"><title>{}</title></rect>",
        super::svg::num(left),
        super::svg::num(y - 7.0),
        super::svg::num(BAR),
        words.join(", ")
    ));
}

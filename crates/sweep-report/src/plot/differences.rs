//! Paired differences against the baseline: each seed's difference in images, both intervals, ROPE band, adjusted p, verdict.

use super::svg::{Anchor, Canvas, MAX_LABEL, Scale, label_width, shorten};
use super::{Figure, FigureKind};
use crate::format;
use crate::phrases;
use crate::report::{Comparison, DataSetReport, Report};

const ROW: f64 = 30.0;
const PLOT: f64 = 380.0;
const WORDS: f64 = 410.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// Rows of a figure; more are in the tables.
const MOST: usize = 60;

pub(super) fn figure(report: &Report, index: usize) -> Option<Figure> {
    let dataset = &report.datasets[index];
    let family = dataset.family.as_ref()?;
    let choice = family.baseline.as_ref()?;
    let rows: Vec<&Comparison> = family.comparisons.iter().take(MOST).collect();
    let n = f64::from(dataset.n_val.max(1));
    let reach = reach(dataset, &rows)?;
    let labels = label_width(rows.iter().map(|r| r.b_label.as_str()));
    let bottom = TOP + rows.len() as f64 * ROW;
    let scale = Scale::new((-reach, reach), (labels, labels + PLOT));
    let mut c = Canvas::default();

    let tested = rows.iter().any(|r| r.on_these.p_adjusted.is_some());
    let rope = dataset.rope * n;
    c.rect(
        "rope",
        (scale.at(-rope.min(reach)), TOP),
        (scale.at(rope.min(reach)) - scale.at(-rope.min(reach)), bottom - TOP),
    );
    let (ticks, decimals) = scale.ticks(6);
    for tick in ticks {
        c.line("grid", (scale.at(tick), TOP), (scale.at(tick), bottom));
        c.text(
            "small",
            (scale.at(tick), bottom + 16.0),
            Anchor::Middle,
            &format::signed(tick, decimals),
        );
    }
    c.line("zero", (scale.at(0.0), TOP), (scale.at(0.0), bottom));
    c.text(
        "small",
        (labels + PLOT / 2.0, bottom + 32.0),
        Anchor::Middle,
        "images right more than the baseline, per seed",
    );
    c.text("small", (labels, 18.0), Anchor::Start, "← worse");
    c.text("small", (labels + PLOT, 18.0), Anchor::End, "better →");
    c.text(
        "small",
        (labels + PLOT + 12.0, 18.0),
        Anchor::Start,
        if tested {
            "difference, adjusted p on these images"
        } else {
            "difference on these images"
        },
    );

    for (i, row) in rows.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        c.text("label", (4.0, y + 4.0), Anchor::Start, &shorten(&row.b_label, MAX_LABEL));
        let x = |images: f64| scale.at(images.clamp(-reach, reach));
        if let Some(e2) = row.beyond.interval {
            c.line("thin", (x(e2.low * n), y), (x(e2.high * n), y));
        }
        if let Some(e1) = row.on_these.interval {
            c.line("thick", (x(e1.low * n), y), (x(e1.high * n), y));
        }
        for (k, pair) in row.pairs.iter().enumerate() {
            let offset = ((k % 5) as f64 - 2.0) * 2.4;
            let tip =
                format!("seed {}: {} images", pair.seed, format::signed(pair.images as f64, 0));
            c.circle("seed", (x(pair.images as f64), y + offset), 3.2, &tip);
        }
        if let Some(estimate) = row.estimate {
            c.rect("mean", (x(estimate * n) - 1.5, y - 6.0), (3.0, 12.0));
        }
        let estimate = row.estimate.map_or_else(|| format::NONE.to_owned(), format::points);
        let p = row.on_these.p_adjusted.map(|p| format!("  p {}", format::p_value(p)));
        let numbers = format!("{estimate} pp{}", p.unwrap_or_default());
        c.text("label", (labels + PLOT + 12.0, y - 2.0), Anchor::Start, &numbers);
        let verdict = row
            .headline
            .as_ref()
            .map_or_else(|| "not all runs have ended".to_owned(), |h| what_it_is(&h.text));
        c.text("small", (labels + PLOT + 12.0, y + 11.0), Anchor::Start, &shorten(&verdict, 68));
    }
    c.line("axis", (labels, bottom), (labels + PLOT, bottom));

    let conf = format::short(report.sweep.analysis.confidence * 100.0, 1);
    let on_these = phrases::t_interval(report);
    let left_out = family.comparisons.len() - rows.len();
    Some(Figure {
        name: format!("{}-differences", dataset.name),
        dataset: Some(index),
        kind: FigureKind::Differences,
        title: format!("{}: paired differences against {}", dataset.name, choice.label),
        caption: format!(
            "Each dot is one seed: images right with the configuration minus images right with {}, of {}. Thick: {on_these} on these images (E1), seeds paired. Thin: {conf} % crossed seeds × images interval (E2). Band: ±{} pp count as equivalent. {}.{}",
            choice.label,
            dataset.n_val,
            format::short(dataset.rope * 100.0, 2),
            phrases::method(report, family),
            if left_out > 0 {
                format!(" {left_out} more comparisons are in the tables.")
            } else {
                String::new()
            }
        ),
        width: (labels + PLOT + WORDS).ceil() as u32,
        height: (bottom + BOTTOM).ceil() as u32,
        body: c.finish(),
    })
}

/// A verdict without the seeds or images it would take: those are in the tables.
fn what_it_is(text: &str) -> String {
    text.split(" — ").next().unwrap_or(text).to_owned()
}

/// Images to each side of 0 that hold everything drawn; `None` without a single pair.
fn reach(dataset: &DataSetReport, rows: &[&Comparison]) -> Option<f64> {
    let n = f64::from(dataset.n_val.max(1));
    let mut values: Vec<f64> = Vec::new();
    for row in rows {
        values.extend(row.pairs.iter().map(|p| p.images as f64));
        values.extend(
            row.on_these
                .interval
                .iter()
                .chain(&row.beyond.interval)
                .flat_map(|i| [i.low * n, i.high * n]),
        );
    }
    let largest = values.iter().map(|v| v.abs()).max_by(f64::total_cmp)?;
    Some((largest.min(n).max(1.0)) * 1.06)
}

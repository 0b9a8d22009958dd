//! The adaptive trace: seeds per configuration, the look of each elimination, and what was saved.

use super::svg::{Anchor, Canvas, MAX_LABEL, Scale, label_width, shorten};
use super::{Figure, FigureKind};
use crate::phrases;
use crate::report::{AdaptiveTrace, Report};

const ROW: f64 = 22.0;
const PLOT: f64 = 420.0;
const NOTES: f64 = 390.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 40.0;

pub(super) fn figure(report: &Report, index: usize) -> Option<Figure> {
    let dataset = &report.datasets[index];
    let trace = report.adaptive.iter().find(|t| t.dataset == dataset.name)?;
    let most = trace.rows.iter().map(|r| r.seeds).chain(trace.looks.iter().copied()).max()?;
    let labels = label_width(trace.rows.iter().map(|r| r.label.as_str()));
    let bottom = TOP + trace.rows.len() as f64 * ROW;
    let scale = Scale::new((0.0, f64::from(most.max(1))), (labels, labels + PLOT));
    let mut c = Canvas::default();
    for (k, look) in trace.looks.iter().enumerate() {
        let x = scale.at(f64::from(*look));
        c.line("grid", (x, TOP), (x, bottom));
        c.text("small", (x, TOP - 8.0), Anchor::Middle, &format!("look {}", k + 1));
        c.text("small", (x, bottom + 16.0), Anchor::Middle, &look.to_string());
    }
    for (i, row) in trace.rows.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        let class = if row.dropped.is_some() { "gone-bar" } else { "bar" };
        c.text("label", (4.0, y + 4.0), Anchor::Start, &shorten(&row.label, MAX_LABEL));
        c.rect(class, (labels, y - 7.0), (scale.at(f64::from(row.seeds)) - labels, 14.0));
        c.text("small", (labels + PLOT + 12.0, y + 4.0), Anchor::Start, &fate(report, row));
    }
    c.line("axis", (labels, bottom), (labels + PLOT, bottom));
    c.text("small", (labels + PLOT / 2.0, bottom + 32.0), Anchor::Middle, "seeds");
    Some(Figure {
        name: format!("{}-adaptive", dataset.name),
        dataset: Some(index),
        kind: FigureKind::Trace,
        title: format!("{}: how the seeds were given out", dataset.name),
        caption: caption(report, trace),
        width: (labels + PLOT + NOTES).ceil() as u32,
        height: (bottom + BOTTOM).ceil() as u32,
        body: c.finish(),
    })
}

fn fate(report: &Report, row: &crate::report::TraceRow) -> String {
    match row.dropped {
        None => format!("n={}", row.seeds),
        Some(d) => {
            let by = report.candidates.get(d.beaten_by).map_or("", |c| c.label.as_str());
            format!(
                "n={}, dropped at look {} ({}, {})",
                row.seeds,
                d.look,
                shorten(by, 24),
                phrases::evidence(d.test, d.p)
            )
        }
    }
}

fn caption(report: &Report, trace: &AdaptiveTrace) -> String {
    let mut tests: Vec<&str> = Vec::new();
    for test in trace.rows.iter().filter_map(|r| r.dropped).map(|d| d.test) {
        let words = phrases::test_name_words(test);
        if !tests.contains(&words) {
            tests.push(words);
        }
    }
    let test = match tests.as_slice() {
        [] => "nothing was dropped".to_owned(),
        tests => format!("dropped by {}", tests.join(" and ")),
    };
    let confirmed = match trace.confirmation_seeds {
        _ if trace.stopped.is_none() => String::new(),
        0 => " Means of survivors are too high by the luck of having been chosen: no confirmation seeds were trained.".to_owned(),
        n => format!(" {n} confirmation seeds of each survivor were never used for choosing."),
    };
    format!(
        "Seeds on these images (E1) given to each configuration by the declared rule: {}; {test}. {}. {}. Grey: dropped; it stays in every table.{confirmed}",
        trace.rule,
        phrases::capital(&phrases::looks_ended(report, trace)),
        phrases::runs_saved(trace)
    )
}

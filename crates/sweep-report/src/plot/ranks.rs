//! Critical-difference diagram: mean ranks over data sets, bars over groups within Nemenyi's critical difference.

use super::svg::{Anchor, Canvas, MAX_LABEL, Scale, label_width, shorten};
use super::{Figure, FigureKind};
use crate::format;
use crate::report::{Ranks, Report};

const ROW: f64 = 20.0;
const PLOT: f64 = 520.0;
const TOP: f64 = 52.0;
const BAR: f64 = 9.0;
/// Configurations a reader can follow.
const MOST_ROWS: usize = 40;

pub(super) fn figure(report: &Report) -> Option<Figure> {
    let ranks = report.ranks.as_ref()?;
    let k = ranks.rows.len();
    if !(2..=MOST_ROWS).contains(&k) {
        return None;
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|a, b| ranks.rows[*a].mean_rank.total_cmp(&ranks.rows[*b].mean_rank));
    let sorted: Vec<f64> = order.iter().map(|i| ranks.rows[*i].mean_rank).collect();
    let cliques = ranks.critical_difference.map(|cd| cliques(&sorted, cd)).unwrap_or_default();
    let labels = label_width(ranks.rows.iter().map(|r| r.label.as_str()));
    let scale = Scale::new((1.0, k as f64), (labels + 12.0, labels + 12.0 + PLOT));
    let rows_at = TOP + 18.0 + cliques.len() as f64 * BAR;
    let bottom = rows_at + k as f64 * ROW;
    let mut c = Canvas::default();
    if !ranks.claim {
        let middle = (labels + 12.0 + PLOT / 2.0, rows_at + k as f64 * ROW / 2.0 + 9.0);
        c.text("watermark", middle, Anchor::Middle, &watermark(ranks));
    }
    let (ticks, _) = scale.ticks(k.min(10));
    for tick in ticks.into_iter().filter(|t| t.fract() == 0.0) {
        c.line("grid", (scale.at(tick), TOP), (scale.at(tick), bottom));
        c.text("small", (scale.at(tick), TOP - 6.0), Anchor::Middle, &format!("{tick:.0}"));
    }
    c.line("axis", (scale.at(1.0), TOP), (scale.at(k as f64), TOP));
    if let Some(cd) = ranks.critical_difference {
        // Longer than the whole axis is itself the message; the line ends with the axis then.
        let to = scale.at((1.0 + cd).min(k as f64));
        c.line("thick", (scale.at(1.0), 18.0), (to, 18.0));
        let possible = k - 1;
        let text = format!("critical difference {cd:.2} of at most {possible}");
        c.text("small", (scale.at(1.0), 12.0), Anchor::Start, &text);
    }
    for (i, (from, to)) in cliques.iter().enumerate() {
        let y = TOP + 10.0 + i as f64 * BAR;
        c.line("clique", (scale.at(sorted[*from]) - 3.0, y), (scale.at(sorted[*to]) + 3.0, y));
    }
    for (i, at) in order.iter().enumerate() {
        let row = &ranks.rows[*at];
        let (x, y) = (scale.at(row.mean_rank), rows_at + (i as f64 + 0.5) * ROW);
        c.text("label", (4.0, y + 4.0), Anchor::Start, &shorten(&row.label, MAX_LABEL));
        c.line("grid", (labels + 6.0, y), (x, y));
        c.circle("dot", (x, y), 4.0, &format!("mean rank {}", format::short(row.mean_rank, 2)));
    }
    let alpha = format::short(report.sweep.analysis.alpha, 4);
    Some(Figure {
        name: "ranks".to_owned(),
        dataset: None,
        kind: FigureKind::Ranks,
        title: format!("mean ranks over {} data sets", ranks.n),
        caption: format!(
            "Mean ranks of the mean accuracies (1 is best) over n = {} data sets. Bars join configurations within Nemenyi's critical difference at {alpha}: each is as long as it can be. {}",
            ranks.n,
            if ranks.claim {
                "Claims rest on the Wilcoxon tests in the table, not on these bars, which depend on who else is ranked."
            } else {
                "Descriptive: fewer than 6 data sets carry no claim about others (E4), and no interval is given."
            }
        ),
        width: (labels + PLOT + 40.0).ceil() as u32,
        height: (bottom + 14.0).ceil() as u32,
        body: c.finish(),
    })
}

fn watermark(ranks: &Ranks) -> String {
    format!("N = {}: descriptive", ranks.n)
}

/// Maximal runs of neighbours within `cd`, as first and last index; `sorted` rises. A run within another is not drawn.
fn cliques(sorted: &[f64], cd: f64) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    for from in 0..sorted.len() {
        let last = (from..sorted.len()).rev().find(|to| sorted[*to] - sorted[from] < cd);
        let to = last.unwrap_or(from);
        if to > from && out.last().is_none_or(|(_, known)| to > *known) {
            out.push((from, to));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_maximal_and_never_inside_each_other() {
        assert_eq!(cliques(&[1.0, 1.5, 2.6, 3.0, 5.0], 1.2), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(cliques(&[1.0, 1.5, 2.0], 5.0), [(0, 2)]);
        assert!(cliques(&[1.0, 3.0], 1.0).is_empty());
    }
}

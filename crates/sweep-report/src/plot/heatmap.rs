//! Heat map of a loss with two varying settings, or a strip of one: mean ± half-width (n) per cell, best set outlined.

use serde_json::Value;
use sweep_core::sweep::Candidate;

use super::svg::{Anchor, Canvas, escape, num, shorten};
use super::{Figure, FigureKind};
use crate::format;
use crate::parts::{Part, loss_name, parts, short_name};
use crate::phrases;
use crate::report::{DataSetReport, Report, Summary};

const CELL: (f64, f64) = (92.0, 44.0);
const LEFT: f64 = 90.0;
const TOP: f64 = 34.0;
/// Figures of a data set; a grid of many further settings has a slice each.
const MOST_SLICES: usize = 12;
/// Cells to a side beyond which text no longer fits.
const MOST_CELLS: usize = 20;

/// What a heat map is of; what is not chosen is as in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeatMapChoice {
    /// Name of a loss.
    pub loss: Option<String>,
    /// Setting across, as [`axes`] names it.
    pub x: Option<String>,
    /// Setting down.
    pub y: Option<String>,
    /// What is in the cells.
    pub metric: HeatMapMetric,
}

/// What the cells of a heat map show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeatMapMetric {
    /// Mean validation accuracy with its interval.
    #[default]
    Accuracy,
    /// Mean recall over classes.
    Balanced,
    /// Standard deviation over seeds.
    Spread,
}

impl HeatMapMetric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accuracy, Self::Balanced, Self::Spread];

    /// In addresses.
    pub fn key(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Balanced => "balanced",
            Self::Spread => "sd",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accuracy => "mean accuracy",
            Self::Balanced => "balanced accuracy",
            Self::Spread => "sd over seeds",
        }
    }

    fn of(self, s: &Summary) -> Option<f64> {
        match self {
            Self::Accuracy => s.mean,
            Self::Balanced => s.balanced_accuracy,
            Self::Spread => s.sd,
        }
    }
}

/// The losses with a setting that varies, each with the names of these settings, the usual one across first.
pub fn axes(candidates: &[Candidate]) -> Vec<(String, Vec<String>)> {
    let settings: Vec<Vec<Part>> = candidates.iter().map(parts).collect();
    let of_loss = losses(candidates).into_iter().map(|(loss, members)| {
        let names = varying(&members, &settings).into_iter().map(str::to_owned).collect();
        (loss, names)
    });
    of_loss.filter(|(_, names): &(String, Vec<String>)| !names.is_empty()).collect()
}

/// Heat maps of a data set as chosen, at most `most`.
pub fn heat_maps(
    report: &Report,
    index: usize,
    choice: &HeatMapChoice,
    most: usize,
) -> Vec<Figure> {
    let settings: Vec<Vec<Part>> = report.candidates.iter().map(parts).collect();
    let mut out = Vec::new();
    for (loss, members) in losses(&report.candidates) {
        if choice.loss.as_ref().is_some_and(|chosen| *chosen != loss) {
            continue;
        }
        for grid in grids(&loss, &members, &settings, choice) {
            if out.len() == most {
                return out;
            }
            out.extend(figure(report, index, &grid, &settings, out.len(), choice.metric));
        }
    }
    out
}

/// The losses in the order of the file, with their candidates.
fn losses(candidates: &[Candidate]) -> Vec<(String, Vec<usize>)> {
    let mut out: Vec<(String, Vec<usize>)> = Vec::new();
    for (candidate, name) in candidates.iter().map(loss_name).enumerate() {
        match out.iter_mut().find(|(loss, _)| *loss == name) {
            Some((_, members)) => members.push(candidate),
            None => out.push((name, vec![candidate])),
        }
    }
    out
}

pub(super) fn figures(report: &Report, index: usize) -> Vec<Figure> {
    heat_maps(report, index, &HeatMapChoice::default(), MOST_SLICES)
}

/// One loss over one or two settings, all else equal.
struct Grid {
    loss: String,
    x: String,
    y: Option<String>,
    members: Vec<usize>,
    /// What is equal here but differs between the loss's grids.
    slice: String,
}

fn value<'a>(settings: &'a [Vec<Part>], candidate: usize, name: &str) -> Option<&'a Part> {
    settings[candidate].iter().find(|p| p.name == name)
}

/// The settings that differ among these candidates, the one across first, then the one down.
fn varying<'a>(members: &[usize], settings: &'a [Vec<Part>]) -> Vec<&'a str> {
    // Of each setting its first value, who has it, and whether all have that one: a sweep may have thousands of configurations.
    let mut seen: Vec<(&'a str, &'a Value, usize, bool)> = Vec::new();
    for part in members.iter().flat_map(|m| &settings[*m]) {
        match seen.iter_mut().find(|(name, ..)| *name == part.name) {
            Some((_, first, count, differs)) => {
                *count += 1;
                *differs |= **first != part.value;
            }
            None => seen.push((&part.name, &part.value, 1, false)),
        }
    }
    let differing =
        seen.into_iter().filter(|(_, _, count, differs)| *differs || *count < members.len());
    let mut varying: Vec<&'a str> = differing.map(|(name, ..)| name).collect();
    // Margin down, scale across, as in the papers; then whatever else varies.
    let rank = |name: &str| match name {
        "scale" => 0,
        "margin" | "max_margin" => 1,
        name if !name.contains('.') => 2,
        _ => 3,
    };
    varying.sort_by_key(|name| rank(name));
    varying
}

fn grids(
    loss: &str,
    members: &[usize],
    settings: &[Vec<Part>],
    choice: &HeatMapChoice,
) -> Vec<Grid> {
    let mut varying = varying(members, settings);
    // What was chosen goes first; what does not vary cannot be an axis.
    for chosen in [&choice.y, &choice.x].into_iter().flatten() {
        if let Some(at) = varying.iter().position(|name| name == chosen) {
            let name = varying.remove(at);
            varying.insert(0, name);
        }
    }
    if choice.x.is_none() && choice.y.is_some() && varying.len() > 1 {
        varying.swap(0, 1);
    }
    let Some((x, rest)) = varying.split_first() else { return Vec::new() };
    let (y, rest) = match rest.split_first() {
        Some((y, rest)) => (Some((*y).to_owned()), rest),
        None => (None, rest),
    };
    let mut out: Vec<Grid> = Vec::new();
    for m in members {
        let slice: Vec<String> = rest
            .iter()
            .filter_map(|name| {
                value(settings, *m, name)
                    .map(|p| format!("{}={}", short_name(name, &varying), p.text()))
            })
            .collect();
        let slice = slice.join(", ");
        match out.iter_mut().find(|g| g.slice == slice) {
            Some(grid) => grid.members.push(*m),
            None => out.push(Grid {
                loss: loss.to_owned(),
                x: (*x).to_owned(),
                y: y.clone(),
                members: vec![*m],
                slice,
            }),
        }
    }
    out.retain(|g| g.members.len() > 1);
    out
}

/// Distinct values in rising order where all are numbers, else in the order of the file.
fn axis(grid: &Grid, name: &str, settings: &[Vec<Part>]) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::new();
    for part in grid.members.iter().filter_map(|m| value(settings, *m, name)) {
        if !out.iter().any(|p| p.value == part.value) {
            out.push(part.clone());
        }
    }
    if out.iter().all(|p| p.number().is_some()) {
        out.sort_by(|a, b| a.number().unwrap_or(0.0).total_cmp(&b.number().unwrap_or(0.0)));
    }
    out
}

fn figure(
    report: &Report,
    index: usize,
    grid: &Grid,
    settings: &[Vec<Part>],
    number: usize,
    metric: HeatMapMetric,
) -> Option<Figure> {
    let dataset = &report.datasets[index];
    let xs = axis(grid, &grid.x, settings);
    let ys = match &grid.y {
        Some(y) => axis(grid, y, settings),
        None => vec![Part { name: String::new(), value: Value::Null }],
    };
    if xs.len() > MOST_CELLS || ys.len() > MOST_CELLS {
        return None;
    }
    let at = |x: &Part, y: &Part| -> Option<&Summary> {
        let fits = |m: &&usize| {
            value(settings, **m, &x.name).is_some_and(|p| p.value == x.value)
                && (grid.y.is_none()
                    || value(settings, **m, &y.name).is_some_and(|p| p.value == y.value))
        };
        let candidate = *grid.members.iter().find(fits)?;
        dataset.summaries.iter().find(|s| s.candidate == candidate)
    };
    let means: Vec<f64> = grid
        .members
        .iter()
        .filter_map(|m| metric.of(dataset.summaries.iter().find(|s| s.candidate == *m)?))
        .collect();
    let low = means.iter().copied().min_by(f64::total_cmp)?;
    let high = means.iter().copied().max_by(f64::total_cmp)?;

    let name = format!(
        "{}-{}-grid{}",
        dataset.name,
        grid.loss,
        if number == 0 { String::new() } else { format!("-{}", number + 1) }
    );
    let mut c = Canvas::default();
    let short = |full: &str| short_name(full, &[full]).to_owned();
    let (x_name, y_name) = (short(&grid.x), grid.y.as_deref().map(short));
    for (i, x) in xs.iter().enumerate() {
        c.text(
            "label",
            (LEFT + (i as f64 + 0.5) * CELL.0, TOP - 8.0),
            Anchor::Middle,
            &shorten(&format!("{x_name} {}", x.text()), 14),
        );
    }
    for (j, y) in ys.iter().enumerate() {
        let top = TOP + j as f64 * CELL.1;
        if let Some(y_name) = &y_name {
            c.text(
                "label",
                (LEFT - 10.0, top + CELL.1 / 2.0 + 4.0),
                Anchor::End,
                &shorten(&format!("{y_name} {}", y.text()), 14),
            );
        }
        for (i, x) in xs.iter().enumerate() {
            cell(
                &mut c,
                dataset,
                at(x, y),
                (LEFT + i as f64 * CELL.0, top),
                (low, high),
                report.sweep.analysis.alpha,
                metric,
            );
        }
    }
    // Outlines last, so that no neighbour's fill covers them.
    for (j, y) in ys.iter().enumerate() {
        for (i, x) in xs.iter().enumerate() {
            let member = at(x, y).is_some_and(|s| {
                dataset.best_set.as_ref().is_some_and(|b| b.members.contains(&s.candidate))
            });
            if member {
                c.rect(
                    "best",
                    (LEFT + i as f64 * CELL.0 + 2.0, TOP + j as f64 * CELL.1 + 2.0),
                    (CELL.0 - 4.0, CELL.1 - 4.0),
                );
            }
        }
    }
    let against =
        dataset.family.as_ref().and_then(|f| f.baseline.as_ref()).map(|b| b.label.clone());
    let slice = if grid.slice.is_empty() { String::new() } else { format!(" ({})", grid.slice) };
    Some(Figure {
        title: format!(
            "{}: {}{slice} by {}",
            dataset.name,
            grid.loss,
            y_name.map_or_else(|| x_name.clone(), |y| format!("{y} and {x_name}"))
        ),
        caption: format!(
            "{} Darker is higher, from {} to {}. Outlined: in the best set. Dashed: no accuracy.{} Neighbouring cells behave alike: a single cell above all its neighbours is more likely luck than a setting.",
            match metric {
                HeatMapMetric::Accuracy => format!("Mean validation accuracy in percent, ± half-width of the {} over n seeds on these images (E1).", phrases::t_interval(report)),
                HeatMapMetric::Balanced => "Mean over n seeds of the mean recall over classes, in percent.".to_owned(),
                HeatMapMetric::Spread => "Standard deviation of the validation accuracy over n seeds, in percentage points.".to_owned(),
            },
            format::percent(low),
            format::percent(high),
            match against {
                Some(label) if report.finished() && !report.adaptive.is_empty() => {
                    format!(" Hatched: no look decided a difference from {label}.")
                }
                Some(label) if report.finished() => format!(
                    " Hatched: unresolved against {label} by screening (Benjamini–Hochberg over the data set's comparisons, false discovery rate {} %).",
                    format::short(report.sweep.analysis.alpha * 100.0, 1)
                ),
                _ => String::new(),
            }
        ),
        name,
        dataset: Some(index),
        kind: FigureKind::HeatMap,
        width: (LEFT + xs.len() as f64 * CELL.0 + 10.0).ceil() as u32,
        height: (TOP + ys.len() as f64 * CELL.1 + 10.0).ceil() as u32,
        body: c.finish(),
    })
}

fn cell(
    c: &mut Canvas,
    dataset: &DataSetReport,
    summary: Option<&Summary>,
    (left, top): (f64, f64),
    (low, high): (f64, f64),
    alpha: f64,
    metric: HeatMapMetric,
) {
    let Some(s) = summary else { return };
    let Some(mean) = metric.of(s) else {
        c.rect("blank", (left + 3.0, top + 3.0), (CELL.0 - 6.0, CELL.1 - 6.0));
        c.text(
            "small",
            (left + CELL.0 / 2.0, top + CELL.1 / 2.0 + 4.0),
            Anchor::Middle,
            format::NONE,
        );
        return;
    };
    let share = if high > low { (mean - low) / (high - low) } else { 0.5 };
    let (red, green, blue) = colour(share);
    c.raw(&format!(
        "<rect class=\"cell\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"rgb({red},{green},{blue})\"><title>{}</title></rect>",
        num(left),
        num(top),
        num(CELL.0),
        num(CELL.1),
        escape(&s.label)
    ));
    let unresolved =
        dataset.family.iter().filter(|f| f.baseline.is_some()).flat_map(|f| &f.comparisons).any(
            |k| {
                k.b == s.candidate
                    && match (&k.look, &k.on_these.verdict) {
                        (Some(_), verdict) => {
                            verdict.as_ref().is_some_and(|v| !v.kind.claims_difference())
                        }
                        (None, _) => {
                            k.sensitivity.as_ref().is_some_and(|x| x.fdr.is_none_or(|p| p > alpha))
                        }
                    }
            },
        );
    if unresolved {
        hatch(c, share > 0.65, (left, top));
    }
    let class = if share > 0.65 { "on-dark" } else { "on-light" };
    c.text(
        class,
        (left + CELL.0 / 2.0, top + CELL.1 / 2.0 - 2.0),
        Anchor::Middle,
        &match metric {
            HeatMapMetric::Accuracy => format::mean_with_half_width(s.mean, s.on_these),
            _ => format::percent(mean),
        },
    );
    c.text(
        class,
        (left + CELL.0 / 2.0, top + CELL.1 / 2.0 + 13.0),
        Anchor::Middle,
        &format!("(n={})", s.n),
    );
}

/// Diagonal lines over a cell, drawn one by one: a pattern would need an id of its own per figure on a page.
fn hatch(c: &mut Canvas, dark: bool, (left, top): (f64, f64)) {
    const STEP: f64 = 9.0;
    let (width, height) = CELL;
    let class = if dark { "hatch-dark" } else { "hatch-light" };
    let mut offset = STEP;
    while offset < width + height {
        // From the left or upper edge down to the lower or right one.
        let from = (left + (offset - height).max(0.0), top + offset.min(height));
        let to = (left + offset.min(width), top + (offset - width).max(0.0));
        c.line(class, from, to);
        offset += STEP;
    }
}

/// One hue from pale to deep blue, even steps of lightness: readable in print and by colour-blind readers.
fn colour(share: f64) -> (u8, u8, u8) {
    let (pale, deep) = ([226.0, 238.0, 247.0], [8.0, 69.0, 120.0]);
    let mix = |i: usize| (pale[i] + (deep[i] - pale[i]) * share.clamp(0.0, 1.0)).round() as u8;
    (mix(0), mix(1), mix(2))
}

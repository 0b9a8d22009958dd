//! The elements of a sweep's page: each from a board, a report and a choice to markup, each patched by itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use sweep_core::ids::Timestamp;
use sweep_core::lifecycle::StateName;
use sweep_report::format::{self, duration, percent};
use sweep_report::html::{badge, breakable};
use sweep_report::phrases;
use sweep_report::plot::{self, Figure, FigureKind, HeatMapMetric};
use sweep_report::report::{Comparison, Curves, DataSetReport, Report, Summary};
use sweep_store::SweepStatus;

use super::board::{Board, Line};
use super::choice::{Choice, Order};
use super::frame::scroll;
use super::words::{self, Standing};

/// Rows of the leaderboard.
const BEST: usize = 20;
/// Marks of seeds on a page of configurations, so that a page stays light.
const MARKS: usize = 500;
/// Most configurations of a page.
const ROWS: usize = 50;
/// Configurations up to which each gets a row in a figure.
const FIGURE_ROWS: usize = 60;
/// Messages of failures.
const MESSAGES: usize = 20;
/// Runs named of each message.
const NAMED: usize = 8;
/// Heat maps shown at once.
const HEAT_MAPS: usize = 4;

/// One line: what a screen reader hears when something changes.
pub(crate) fn summary(status: &SweepStatus) -> Markup {
    let (counts, standing) = (&status.counts, Standing::of(status));
    let ended = counts.total() - counts.unfinished();
    let pace = words::pace(status);
    html! {
        (standing.badge()) " " (ended) " of " (counts.total()) " runs ended"
        @if counts.failed > 0 { ", " (counts.failed) " failed" }
        @if let Some((rate, left)) = pace { ", " (words::rate(rate)) ", about " (duration(left)) " left" }
    }
}

/// Counts by state.
pub(crate) fn progress(status: &SweepStatus) -> Markup {
    let counts = &status.counts;
    let ended = counts.total() - counts.unfinished();
    html! {
        (words::bar(ended.into(), counts.total().into(), &format!("{ended} of {} runs ended", counts.total())))
        dl.facts {
            @for state in StateName::ALL {
                @if counts.of(state) > 0 || state == StateName::Succeeded {
                    div { dt { (words::letter(state)) " " (state) } dd { (counts.of(state)) } }
                }
            }
            @if status.seconds > 0.0 { div { dt { "slot time" } dd { (duration(status.seconds)) } } }
        }
    }
}

/// What the whole sweep is, apart from how far it is.
pub(crate) fn facts(status: &SweepStatus, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            div { dt { "Sweep" } dd { code { (status.id) } } }
            div { dt { "Submitted" } dd { (words::time(status.created)) " (" (words::age(status.created, now)) ")" } }
            div { dt { "Share" } dd { "weight " (status.weight) ", band " (status.band) @if let Some(cap) = status.cap { ", at most " (cap) " at once" } } }
            @if status.round > 0 { div { dt { "Adaptive round" } dd { (status.round) } } }
            @if status.reports > 0 { div { dt { "Looks at its verdicts" } dd { (status.reports) } } }
        }
    }
}

fn of_dataset<'a>(report: &'a Report, choice: &Choice) -> Option<&'a DataSetReport> {
    report.datasets.get(choice.dataset)
}

/// Configurations of the chosen data set, the highest mean first; those without one last, in the order of the file.
pub(crate) fn ranked<'a>(report: &'a Report, choice: &Choice) -> Vec<&'a Summary> {
    let mut all: Vec<&Summary> =
        of_dataset(report, choice).map(|d| d.summaries.iter().collect()).unwrap_or_default();
    all.sort_by(|a, b| b.mean.unwrap_or(-1.0).total_cmp(&a.mean.unwrap_or(-1.0)));
    all
}

/// The leaderboard: sorted by mean, no winner where none can be told.
pub(crate) fn leaderboard(board: &Board, report: &Report, choice: &Choice) -> Markup {
    let Some(d) = of_dataset(report, choice) else { return html! {} };
    let ranked = ranked(report, choice);
    let (rated, finished) = (ranked.iter().filter(|s| s.mean.is_some()).count(), report.finished());
    let family = d.family.as_ref().filter(|f| f.baseline.is_some());
    let comparison =
        |s: &Summary| family.and_then(|f| f.comparisons.iter().find(|c| c.b == s.candidate));
    let is_baseline = |s: &Summary| {
        family.and_then(|f| f.baseline.as_ref()).is_some_and(|b| b.candidate == s.candidate)
    };
    let in_best =
        |s: &Summary| d.best_set.as_ref().is_some_and(|b| b.members.contains(&s.candidate));
    let seeds: (usize, usize) =
        (d.summaries.iter().map(|s| s.n).sum(), d.summaries.iter().map(|s| s.planned).sum());
    html! {
        @if !finished {
            p.interim { strong { "Interim: " (seeds.0) " of " (seeds.1) " seeds." } " Means and intervals of what has ended so far; the order will change. There are no p values and no verdicts before all runs have ended." }
        } @else if !board.is_small() {
            p.quiet { "Verdicts of a sweep of this size are in its report, not on this page." }
        }
        @if rated == 0 { p.quiet { "No run has an accuracy yet." } }
        @else {
            (scroll(&format!("Leaderboard on {}", d.name), &html! {
                table data-sortable {
                    caption { "Validation accuracy in percent on " (d.n_val) " images of " (d.name) ", the highest mean first" @if !report.adaptive.is_empty() { "; seeds were given out by looks" } "." }
                    thead { tr {
                        th scope="col" .number { "Rank" } th scope="col" { "Configuration" } th scope="col" .number { "Seeds" }
                        th scope="col" .number { "Mean" } th scope="col" { "On these images" }
                        @if board.is_small() { th scope="col" { "On images like these" } }
                        @if family.is_some() { th scope="col" .number { "Against the baseline" } th scope="col" { "Verdict" } }
                    } }
                    tbody {
                        @for (rank, s) in ranked.iter().take(BEST).filter(|s| s.mean.is_some()).enumerate() {
                            tr {
                                td.number { (rank + 1) }
                                th scope="row" {
                                    @if in_best(s) { span.same role="img" aria-label="not distinguishable from the best" title="not distinguishable from the best" { "●" } " " }
                                    (breakable(&s.label))
                                }
                                td.number { (s.n) "/" (s.planned) }
                                td.number { (format::percent_or_dash(s.mean)) }
                                td { (format::percent_interval(s.on_these)) }
                                @if board.is_small() { td { (format::percent_interval(s.beyond)) } }
                                @if family.is_some() { (against(comparison(s), is_baseline(s), d)) }
                            }
                        }
                    }
                }
            }))
            @if rated > BEST { p.quiet { (rated - BEST) " more configurations: " a href=(Choice { order: Order::Mean, ..choice.clone() }.address(board.id.as_str(), "configurations")) { "all by their mean" } "." } }
            @if let Some(line) = phrases::best_set_line(d) { p { (phrases::capital(&line)) "." } }
            @if let Some(line) = phrases::trace_line(report, d) { p.quiet { (phrases::capital(&line)) "." } }
            @for note in report.notes.iter().chain(&d.notes) { p.quiet { (phrases::capital(&note.text)) "." } }
        }
    }
}

/// The two cells of a comparison with the baseline.
fn against(comparison: Option<&Comparison>, is_baseline: bool, d: &DataSetReport) -> Markup {
    html! {
        @match comparison {
            Some(c) => {
                td.number data-v=[c.estimate] {
                    @match c.estimate { Some(e) => { (format::points(e)) " pp " (format::points_interval(c.on_these.interval)) }, None => { "—" } }
                }
                td { @if c.headline.is_some() { (badge(c)) " " (phrases::verdict_cell(c, d)) } @else { "open: runs have not ended" } }
            }
            None => { td.number { "—" } td { @if is_baseline { "baseline" } } }
        }
    }
}

/// Which configurations a page of the table shows.
pub(crate) struct Rows {
    /// Indices into the plan's configurations.
    pub(crate) shown: Vec<usize>,
    pub(crate) all: usize,
    pub(crate) pages: usize,
    pub(crate) page: usize,
}

/// The rows of a choice.
pub(crate) fn rows(board: &Board, choice: &Choice) -> Rows {
    let wanted = choice.filter.to_lowercase();
    let mut all: Vec<usize> = (0..board.of.len()).collect();
    if !wanted.is_empty() {
        all.retain(|c| board.summaries[*c].label.to_lowercase().contains(&wanted));
    }
    if choice.order == Order::Mean {
        let mean = |c: &usize| board.summaries[*c].mean.unwrap_or(-1.0);
        all.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    }
    let seeds = board.of.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let rows = (MARKS / seeds).clamp(10, ROWS);
    let pages = all.len().div_ceil(rows).max(1);
    let page = choice.page.clamp(1, pages);
    let shown = all.iter().copied().skip((page - 1) * rows).take(rows).collect();
    Rows { shown, all: all.len(), pages, page }
}

/// The table of configurations with their seeds.
pub(crate) fn configurations(board: &Board, choice: &Choice) -> Markup {
    let rows = rows(board, choice);
    let several = board.plan.datasets.len() > 1;
    let to = |page: usize| {
        Choice { page, ..choice.clone() }.address(board.id.as_str(), "configurations")
    };
    html! {
        (scroll("Configurations and their seeds", &html! {
            table id="configurations-table" data-sortable {
                caption { "Seeds by state: " @for state in StateName::ALL { span.marks-key { (words::letter(state)) " " (state) " " } } "— each leads to its run." }
                thead { tr {
                    th scope="col" { "Configuration" }
                    @if several { th scope="col" { "Data set" } }
                    th scope="col" .number { "Ended" } th scope="col" .number { "Mean" } th scope="col" { "On these images" } th scope="col" data-still { "Seeds" }
                } }
                tbody { @for c in &rows.shown { tr id={ "c" (c) } { (row(board, *c)) } } }
            }
        }))
        p.quiet {
            (rows.all) " configurations"
            @if rows.pages > 1 {
                ", page " (rows.page) " of " (rows.pages)
                @if rows.page > 1 { " · " a rel="prev" href=(to(rows.page - 1)) { "previous" } }
                @if rows.page < rows.pages { " · " a rel="next" href=(to(rows.page + 1)) { "next" } }
            }
        }
    }
}

/// The cells of a configuration.
pub(crate) fn row(board: &Board, configuration: usize) -> Markup {
    let s = &board.summaries[configuration];
    let planned = &board.plan.configurations[configuration];
    let dataset = board.plan.datasets.get(planned.dataset).map_or("", |d| d.name.as_str());
    html! {
        th scope="row" { (breakable(&s.label)) }
        @if board.plan.datasets.len() > 1 { td { (dataset) } }
        td.number data-v=(s.planned - s.pending) { (s.planned - s.pending) "/" (s.planned) }
        td.number { (format::percent_or_dash(s.mean)) }
        td { (format::percent_interval(s.on_these)) }
        td { (PreEscaped(marks(board, configuration))) }
    }
}

/// One mark per seed; by hand, because a page has hundreds and everything in it is ours.
fn marks(board: &Board, configuration: usize) -> String {
    let n_val = board.summaries[configuration].n_val;
    let mut out = String::from("<span class=\"marks\">");
    let lines = &board.of[configuration];
    for line in lines.iter().take(MARKS).map(|at| &board.lines[*at as usize]) {
        // Ids are base32, the rest are numbers and names of states.
        let _ = write!(
            out,
            "<a class=\"m-{}\" href=\"/runs/{}\" title=\"seed {}: {}\">{}</a>",
            line.state,
            line.id,
            line.seed,
            told(line, n_val),
            words::letter(line.state)
        );
    }
    if lines.len() > MARKS {
        let _ = write!(out, " … {} more", lines.len() - MARKS);
    }
    out.push_str("</span>");
    out
}

/// A run in a few words.
fn told(line: &Line, n_val: u32) -> String {
    let mut text = line.state.to_string();
    if let Some(correct) = line.correct {
        let _ = write!(text, ", {} %", percent(f64::from(correct) / f64::from(n_val.max(1))));
    }
    if line.diverged {
        text.push_str(", diverged");
    }
    if line.state == StateName::Leased && line.epoch > 0 {
        let _ = write!(text, ", {} epochs ended", line.epoch);
    }
    text
}

fn figure(f: &Figure) -> Markup {
    html! {
        figure {
            (scroll(&f.title, &PreEscaped(f.inline())))
            figcaption { strong { (f.title) "." } " " (f.caption) }
        }
    }
}

/// Figures with a row per configuration, or why not.
pub(crate) fn rows_figure(report: &Report, choice: &Choice, kind: FigureKind) -> Markup {
    let Some(d) = of_dataset(report, choice) else { return html! {} };
    if d.summaries.len() > FIGURE_ROWS {
        return html! { p.quiet { (d.summaries.len()) " configurations are too many for a figure with a row for each; the tables and the report have them." } };
    }
    match plot::figure(report, choice.dataset, kind) {
        Some(f) => figure(&f),
        None if kind == FigureKind::Trace => html! {},
        None => html! { p.quiet { "Nothing to show yet." } },
    }
}

/// Heat maps as chosen.
pub(crate) fn heat(report: &Report, choice: &Choice) -> Markup {
    let figures = if of_dataset(report, choice).is_some() {
        plot::heat_maps(report, choice.dataset, &choice.heat, HEAT_MAPS)
    } else {
        Vec::new()
    };
    html! {
        @for f in &figures { (figure(f)) }
        @if figures.is_empty() { p.quiet { "No loss has a varying setting with accuracies here, or an axis has more values than a heat map has room for." } }
    }
}

/// The form that chooses them.
pub(crate) fn heat_form(board: &Board, choice: &Choice) -> Markup {
    let axes = &board.axes;
    let mut names: Vec<&str> = Vec::new();
    for name in axes.iter().flat_map(|(_, names)| names) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let options = |all: &'static str, names: &[&str]| -> Vec<(String, String)> {
        let named = names.iter().map(|n| ((*n).to_owned(), (*n).to_owned()));
        std::iter::once((String::new(), all.to_owned())).chain(named).collect()
    };
    let losses: Vec<&str> = axes.iter().map(|(loss, _)| loss.as_str()).collect();
    let (losses, names) = (options("all losses", &losses), options("the usual", &names));
    let field = |key: &str, words: &str, options: &[(String, String)], chosen: Option<&str>| {
        html! {
            label for={ "heat-" (key) } { (words) }
            select id={ "heat-" (key) } name=(key) {
                @for (value, text) in options { option value=(value) selected[chosen == Some(value.as_str())] { (text) } }
            }
        }
    };
    let metrics: Vec<(String, String)> = HeatMapMetric::ALL
        .into_iter()
        .map(|m| (m.key().to_owned(), m.words().to_owned()))
        .collect();
    html! {
        form.filter method="get" action={ "/sweeps/" (board.id) "#heat-maps" } {
            (kept(choice, &["loss", "x", "y", "metric"]))
            (field("loss", "Loss", &losses, choice.heat.loss.as_deref()))
            (field("x", "Across", &names, choice.heat.x.as_deref()))
            (field("y", "Down", &names, choice.heat.y.as_deref()))
            (field("metric", "Cells", &metrics, Some(choice.heat.metric.key())))
            button type="submit" { "Show" }
        }
    }
}

/// Hidden fields of what a form does not choose itself.
pub(crate) fn kept(choice: &Choice, chosen: &[&str]) -> Markup {
    html! { @for (key, value) in choice.pairs() { @if !chosen.contains(&key) { input type="hidden" name=(key) value=(value); } } }
}

/// Parallel coordinates.
pub(crate) fn parallel(report: &Report, choice: &Choice) -> Markup {
    match plot::parallel(report, choice.dataset) {
        Some(f) => figure(&f),
        None => html! { p.quiet { "Needs two settings that vary and three accuracies." } },
    }
}

/// The candidates whose curves are shown: the chosen ones, else the three with the highest mean and the baseline's.
pub(crate) fn curve_candidates(report: &Report, choice: &Choice) -> Vec<usize> {
    if !choice.curves.is_empty() {
        return choice.curves.clone();
    }
    let rated = |s: &&&Summary| s.mean.is_some();
    let ranked = ranked(report, choice);
    let mut found: Vec<usize> = ranked.iter().filter(rated).take(3).map(|s| s.candidate).collect();
    let family = of_dataset(report, choice).and_then(|d| d.family.as_ref());
    let baseline = family.and_then(|f| f.baseline.as_ref()).map(|b| b.candidate);
    found.extend(baseline.filter(|b| !found.contains(b)));
    found
}

/// Curves over each other.
pub(crate) fn curves(curves: &[Curves], choice: &Choice) -> Markup {
    match plot::overlay("curves-overlay", curves, choice.metric()) {
        Some(f) => figure(&f),
        None => html! { p.quiet { "No run with a result yet." } },
    }
}

/// The form that chooses whose curves are shown: of what is near the top, and of what was chosen.
pub(crate) fn curves_form(board: &Board, report: &Report, choice: &Choice) -> Markup {
    let shown = curve_candidates(report, choice);
    let mut offered: Vec<usize> = shown.clone();
    for s in ranked(report, choice).iter().take(BEST) {
        if !offered.contains(&s.candidate) {
            offered.push(s.candidate);
        }
    }
    let label = |candidate: &usize| {
        board.sweep.candidates().get(*candidate).map_or("", |c| c.label.as_str())
    };
    html! {
        details {
            summary { "Choose configurations and what is drawn" }
            form method="get" action={ "/sweeps/" (board.id) "#curves-by-epoch" } {
                (kept(choice, &["curve", "curves"]))
                fieldset {
                    legend { "Configurations, at most six" }
                    @for candidate in &offered {
                        label.choice { input type="checkbox" name="curve" value=(candidate) checked[shown.contains(candidate)]; " " (label(candidate)) }
                    }
                }
                p {
                    label.choice { input type="radio" name="curves" value="accuracy" checked[!choice.objective]; " accuracy" }
                    label.choice { input type="radio" name="curves" value="objective" checked[choice.objective]; " objective" }
                }
                button type="submit" { "Show" }
            }
        }
    }
}

/// Failures by message, the most frequent first.
pub(crate) fn failures(board: &Board) -> Markup {
    let mut by_message: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in board.lines.iter().filter(|line| line.state == StateName::Failed) {
        by_message.entry(line.error.as_deref().unwrap_or("no message")).or_default().push(line);
    }
    let mut all: Vec<(&str, Vec<&Line>)> = by_message.into_iter().collect();
    all.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    html! {
        @if all.is_empty() { p.quiet { "No run has failed." } }
        @else {
            (scroll("Failures by message", &html! {
                table {
                    thead { tr { th scope="col" .number { "Runs" } th scope="col" { "Message" } th scope="col" { "Such as" } } }
                    tbody {
                        @for (message, lines) in all.iter().take(MESSAGES) {
                            tr {
                                td.number { (lines.len()) }
                                td.message { (message) }
                                td { @for (i, line) in lines.iter().take(NAMED).enumerate() {
                                    @if i > 0 { ", " }
                                    a href={ "/runs/" (line.id) } title=(board.summaries[line.configuration as usize].label) { "seed " (line.seed) " of " (board.summaries[line.configuration as usize].label) }
                                } }
                            }
                        }
                    }
                }
            }))
            @if all.len() > MESSAGES { p.quiet { (all.len() - MESSAGES) " more messages are in runs.csv." } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::board::tests::{board, result};

    fn ended(configurations: usize, seeds: usize) -> Board {
        let mut board = board(configurations, seeds);
        for at in 0..board.lines.len() as u32 {
            let told = result(&board.lines[at as usize].clone());
            board.learn(at, Some(told), None, StateName::Succeeded);
        }
        board.settle();
        board.report = board.analyse().map(std::sync::Arc::new);
        board
    }

    #[test]
    fn a_running_sweep_has_an_interim_order_and_no_verdict() {
        let mut board = ended(3, 4);
        board.lines[0].state = StateName::Leased;
        let line = board.lines[0].clone();
        board.learn(0, None, None, StateName::Leased);
        board.settle();
        board.report = board.analyse().map(std::sync::Arc::new);
        let report = board.known();
        let text = leaderboard(&board, &report, &Choice::of_all()).into_string();
        assert!(text.contains("Interim: 11 of 12 seeds."), "{text}");
        assert!(text.contains("open: runs have not ended") && !text.contains("in the best set"));
        assert!(!text.contains("not distinguishable from the best"));
        let text = row(&board, line.configuration as usize).into_string();
        assert!(text.contains("class=\"m-leased\"") && text.contains("3/4"), "{text}");
    }

    #[test]
    fn an_ended_sweep_says_who_cannot_be_told_from_the_best() {
        let board = ended(3, 6);
        let report = board.known();
        let text = leaderboard(&board, &report, &Choice::of_all()).into_string();
        assert!(!text.contains("Interim"), "{text}");
        assert!(text.contains("not distinguishable from the best"), "{text}");
        assert!(text.contains("baseline</td>"), "{text}");
    }

    #[test]
    fn pages_of_configurations_stay_light_and_can_be_searched_and_ordered() {
        let board = ended(210, 10);
        let all = rows(&board, &Choice::of_all());
        assert_eq!((all.shown.len(), all.all, all.pages), (50, 210, 5));
        assert!(configurations(&board, &Choice::of_all()).into_string().len() < 100_000);
        let last = rows(&board, &Choice { page: 99, ..Choice::of_all() });
        assert_eq!((last.page, last.shown.len()), (5, 10));
        let best = rows(&board, &Choice { order: Order::Mean, ..Choice::of_all() });
        let mean = |c: &usize| board.summaries[*c].mean.unwrap();
        assert!(best.shown.windows(2).all(|pair| mean(&pair[0]) >= mean(&pair[1])));
        let label = board.summaries[7].label.clone();
        let found = rows(&board, &Choice { filter: label.to_uppercase(), ..Choice::of_all() });
        assert_eq!(found.shown, [7]);
        let report = board.known();
        let text = leaderboard(&board, &report, &Choice::of_all()).into_string();
        assert!(
            text.contains("190 more configurations") && text.contains("are in its report"),
            "{text}"
        );
    }

    #[test]
    fn failures_are_grouped_by_message_the_most_frequent_first() {
        let mut board = ended(3, 4);
        for (at, message) in [(0, "rare"), (1, "often <b>"), (2, "often <b>"), (3, "often <b>")] {
            board.learn(at, None, Some(message), StateName::Failed);
        }
        board.settle();
        let text = failures(&board).into_string();
        let (often, rare) = (text.find("often &lt;b&gt;").unwrap(), text.find("rare").unwrap());
        assert!(often < rare && text.matches("often").count() == 1, "{text}");
        assert!(text.contains("<td class=\"number\">3</td>"), "{text}");
    }
}

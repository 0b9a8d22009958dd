//! The part of the page that looks over all data sets: averages, ranks, and how little either claims.

use maud::{Markup, html};

use super::{capital, figure, p};
use crate::format;
use crate::plot::{Figure, FigureKind};
use crate::report::{Across, Ranks, Report};

/// Pairs shown; the rest is in `report.json`.
const MOST_PAIRS: usize = 100;

pub(super) fn section(report: &Report, figures: &[Figure]) -> Markup {
    html! {
        @if report.across.is_some() || report.ranks.is_some() {
            section id="across" {
                h2 { "Across data sets" }
                @if let Some(across) = &report.across { (averages(across)) }
                @if let Some(ranks) = &report.ranks {
                    @for f in figures.iter().filter(|f| f.kind == FigureKind::Ranks) { (figure(f)) }
                    (rank_table(ranks))
                    @if ranks.claim { (pair_table(report, ranks)) }
                }
            }
        }
    }
}

fn averages(across: &Across) -> Markup {
    html! {
        p { (capital(&across.wording)) }
        div.scroll {
            table {
                thead { tr { th { "Configuration" } th.number { "Mean difference" } th.number { "Standard error, pp" } } }
                tbody {
                    @for row in &across.rows {
                        tr {
                            th scope="row" { (row.label) }
                            td.number { (format::points(row.estimate)) " pp" }
                            td.number { (format::percent_or_dash(row.se)) }
                        }
                    }
                }
            }
        }
    }
}

fn rank_table(ranks: &Ranks) -> Markup {
    html! {
        p { (capital(&ranks.wording)) }
        p.quiet {
            "Friedman p " (p(ranks.p_chi2)) ", Iman–Davenport p " (p(ranks.p_iman_davenport)) ", exact p " (p(ranks.p_exact)) "."
            @if let Some(cd) = ranks.critical_difference {
                " Nemenyi's critical difference of mean ranks is " (format!("{cd:.2}")) " of a largest possible gap of " (ranks.rows.len() - 1) "."
            }
            @if !ranks.left_out.is_empty() { " Not ranked, because they have no accuracy on some data set: " (ranks.left_out.join(", ")) "." }
        }
        div.scroll {
            table {
                thead { tr { th { "Configuration" } th.number { "Mean rank" } } }
                tbody {
                    @for row in &ranks.rows {
                        tr { th scope="row" { (row.label) } td.number { (format!("{:.2}", row.mean_rank)) } }
                    }
                }
            }
        }
    }
}

fn pair_table(report: &Report, ranks: &Ranks) -> Markup {
    let label = |candidate: usize| {
        report.candidates.get(candidate).map_or("", |c| c.label.as_str()).to_owned()
    };
    html! {
        details {
            summary { "Pairs over data sets" }
            div.scroll {
                table {
                    caption { "Exact Wilcoxon tests over " (ranks.n) " data sets on the differences of mean accuracies, Holm over " (ranks.pairs.len()) "." }
                    thead { tr { th { "Better mean rank" } th { "Worse" } th.number { "p" } th.number { "p, adjusted" } th { "Verdict" } } }
                    tbody {
                        @for pair in ranks.pairs.iter().take(MOST_PAIRS) {
                            tr {
                                th scope="row" { (label(pair.better)) }
                                td { (label(pair.worse)) }
                                td.number { (format::p_value(pair.p)) }
                                td.number { (format::p_value(pair.p_adjusted)) }
                                td { @if pair.differs { "better over data sets" } @else { "unresolved" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

//! The part of the page that looks over all data sets: averages, ranks, and how little either claims.

use maud::{Markup, html};

use super::{figure, folded, grid_table};
use crate::beside;
use crate::plot::{Figure, FigureKind};
use crate::report::Report;

pub(super) fn section(report: &Report, figures: &[Figure]) -> Markup {
    html! {
        @if report.across.is_some() || report.ranks.is_some() {
            section id="across" {
                h2 { "Across data sets" }
                @if let Some(across) = &report.across { (grid_table(&beside::across(across))) }
                @if let Some(ranks) = &report.ranks {
                    @for f in figures.iter().filter(|f| f.kind == FigureKind::Ranks) { (figure(f)) }
                    (grid_table(&beside::mean_ranks(ranks)))
                    @if ranks.claim { (folded("Pairs over data sets", Some(beside::rank_pairs(report, ranks)))) }
                }
            }
        }
    }
}

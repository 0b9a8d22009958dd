//! Which class was taken for which, and how often each class was right.

use maud::{Markup, html};
use sweep_core::dataset::DataSetInfo;
use sweep_core::result::Validation;
use sweep_report::format::percent;
use sweep_stats::proportion::wilson;
use sweep_store::RunDetail;

use crate::dashboard::frame::scroll;

/// Classes of a table; beyond them the most frequent mistakes are listed.
const TABLE: usize = 24;
/// Mistakes listed.
const LISTED: usize = 40;
/// Of the intervals.
const CONFIDENCE: f64 = 0.95;

/// The confusion and the accuracy of each class.
pub(super) fn show(run: &RunDetail, validation: &Validation, info: &DataSetInfo) -> Markup {
    let confusion = &validation.confusion;
    let classes = &info.classes;
    let fits =
        confusion.len() == classes.len() && confusion.iter().all(|row| row.len() == classes.len());
    html! {
        @if !fits || classes.is_empty() {
            p.quiet { "The result has no confusion of these classes." }
        } @else {
            div.two {
                @if classes.len() <= TABLE { (table(run, confusion, classes)) } @else { (list(run, confusion, classes)) }
                (per_class(confusion, info))
            }
        }
    }
}

/// The address of the wrong images of one class that were taken for another.
fn address(run: &RunDetail, truth: usize, taken: usize) -> String {
    format!("/runs/{}?truth={truth}&taken={taken}#mistakes", run.id)
}

fn table(run: &RunDetail, confusion: &[Vec<u32>], classes: &[String]) -> Markup {
    scroll(
        "Confusion",
        &html! {
            table.confusion {
                caption { "Validation images: rows are the truth, columns what they were taken for." }
                thead { tr { th scope="col" { "truth" } @for class in classes { th scope="col" .number { (class) } } } }
                tbody {
                    @for (truth, row) in confusion.iter().enumerate() {
                        @let all = row.iter().sum::<u32>().max(1);
                        tr {
                            th scope="row" { (classes[truth]) }
                            @for (taken, count) in row.iter().enumerate() {
                                td class=(shade(truth == taken, *count, all)) {
                                    @if truth != taken && *count > 0 {
                                        a href=(address(run, truth, taken)) aria-label={ (count) " images of " (classes[truth]) " taken for " (classes[taken]) } { (count) }
                                    } @else { (count) }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// The more of a class, the stronger; the number itself says how many.
fn shade(is_right: bool, count: u32, of: u32) -> &'static str {
    match (is_right, f64::from(count) / f64::from(of)) {
        (true, _) => "hit",
        (false, 0.0) => "h0",
        (false, share) if share < 0.05 => "h1",
        (false, share) if share < 0.2 => "h2",
        (false, _) => "h3",
    }
}

fn list(run: &RunDetail, confusion: &[Vec<u32>], classes: &[String]) -> Markup {
    let mut wrong: Vec<(u32, usize, usize)> = confusion
        .iter()
        .enumerate()
        .flat_map(|(truth, row)| row.iter().enumerate().map(move |(taken, n)| (*n, truth, taken)))
        .filter(|(n, truth, taken)| *n > 0 && truth != taken)
        .collect();
    wrong.sort_by_key(|(n, truth, taken)| (std::cmp::Reverse(*n), *truth, *taken));
    let all = wrong.len();
    wrong.truncate(LISTED);
    html! {
        div {
            (scroll("Most frequent mistakes", &html! {
                table {
                    caption { "The " (wrong.len()) " most frequent of " (all) " kinds of mistake among " (classes.len()) " classes." }
                    thead { tr { th scope="col" { "Truth" } th scope="col" { "Taken for" } th scope="col" .number { "Images" } } }
                    tbody { @for (n, truth, taken) in wrong { tr {
                        td { (classes[truth]) } td { (classes[taken]) }
                        td.number { a href=(address(run, truth, taken)) { (n) } }
                    } } }
                }
            }))
        }
    }
}

fn per_class(confusion: &[Vec<u32>], info: &DataSetInfo) -> Markup {
    scroll(
        "Accuracy of each class",
        &html! {
            table data-sortable {
                caption { "Images of each class and the share that was right, with the 95 % Wilson interval of this one run." }
                thead { tr {
                    th scope="col" { "Class" } th scope="col" .number { "Training" } th scope="col" .number { "Validation" } th scope="col" .number { "Right" }
                    th scope="col" .number { "Accuracy, %" } th scope="col" .number { "Interval" }
                } }
                tbody {
                    @for (class, name) in info.classes.iter().enumerate() {
                        @let images = info.val.get(class).copied().unwrap_or(0);
                        @let right = confusion[class][class];
                        tr {
                            th scope="row" { (name) }
                            td.number { (info.train.get(class).copied().unwrap_or(0)) }
                            td.number { (images) }
                            td.number { (right) }
                            td.number { @if images > 0 { (percent(f64::from(right) / f64::from(images))) } @else { "—" } }
                            td.number {
                                @match wilson(right.min(images).into(), images.into(), CONFIDENCE) {
                                    Ok(interval) => { "[" (percent(interval.low)) ", " (percent(interval.high)) "]" }
                                    Err(_) => { "—" }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shade_says_how_much_of_a_class_went_astray() {
        assert_eq!(
            [
                shade(true, 0, 10),
                shade(false, 0, 10),
                shade(false, 1, 100),
                shade(false, 1, 10),
                shade(false, 9, 10)
            ],
            ["hit", "h0", "h1", "h2", "h3"]
        );
    }
}

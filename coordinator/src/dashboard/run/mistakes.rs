//! The validation images that the run got wrong: the picture, what it is and what it was taken for.

use maud::{Markup, html};
use sweep_core::dataset::DataSetInfo;
use sweep_core::mistakes::MISTAKES_MAX;
use sweep_core::result::Validation;

use super::{RunQuery, Seen};

/// Pictures of a page.
const PAGE: usize = 48;

/// A wrong image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wrong {
    /// Place in the split.
    image: usize,
    truth: usize,
    /// `None` where a logit was not finite.
    taken: Option<u32>,
}

/// The wrong images with their classes: validation images stand in the order of their classes.
fn wrong<'a>(
    validation: &'a Validation,
    info: &'a DataSetInfo,
) -> impl Iterator<Item = Wrong> + 'a {
    let ends: Vec<usize> = info
        .val
        .iter()
        .scan(0, |end, n| {
            *end += *n as usize;
            Some(*end)
        })
        .collect();
    validation.wrong().map(move |(image, taken)| {
        let truth = ends.partition_point(|end| *end <= image);
        Wrong { image, truth, taken }
    })
}

/// A page of them, those that are asked for.
pub(super) fn show(
    seen: &Seen,
    validation: &Validation,
    info: &DataSetInfo,
    asked: &RunQuery,
) -> Markup {
    let all = validation.correct.len() - validation.correct.count_ones();
    if validation.mistakes.is_none() {
        return html! { p.quiet { (all) " of " (validation.correct.len()) " images are wrong. This result is from before it was kept what each was taken for: train the run again to see them." } };
    }
    let name = |class: Option<usize>| {
        class.and_then(|class| info.classes.get(class)).map_or("no class", String::as_str)
    };
    let fits = |one: &Wrong| {
        asked.truth.is_none_or(|truth| one.truth == truth as usize)
            && asked.taken.is_none_or(|taken| one.taken == Some(taken))
    };
    let found: Vec<Wrong> = wrong(validation, info).filter(fits).collect();
    let pages = found.len().div_ceil(PAGE).max(1);
    let page = asked.page.unwrap_or(1).clamp(1, pages);
    let shown = &found[(page - 1) * PAGE..found.len().min(page * PAGE)];
    let address = |page: usize| {
        let filter = [("truth", asked.truth), ("taken", asked.taken)].into_iter();
        let filter: String =
            filter.filter_map(|(key, class)| Some(format!("{key}={}&", class?))).collect();
        format!("/runs/{}?{filter}page={page}#mistakes", seen.run.id)
    };
    let is_filtered = asked.truth.is_some() || asked.taken.is_some();
    html! {
        p {
            (all) " of " (validation.correct.len()) " images are wrong"
            @if is_filtered {
                "; " (found.len()) " of them"
                @if let Some(truth) = asked.truth { " are " strong { (name(Some(truth as usize))) } }
                @if let Some(taken) = asked.taken { @if asked.truth.is_some() { " and" } " were taken for " strong { (name(Some(taken as usize))) } }
                " (" a href={ "/runs/" (seen.run.id) "#mistakes" } { "show all" } ")"
            }
            "."
        }
        @if all > MISTAKES_MAX { p.quiet { "What an image was taken for is kept for the first " (MISTAKES_MAX) " in the order of the split." } }
        @if let Some(Err(why)) = &seen.pictures { p.notes { "No pictures: " (why) "." } }
        ul.pictures {
            @for one in shown { (picture(seen, one, name(Some(one.truth)), name(one.taken.map(|class| class as usize)))) }
        }
        @if pages > 1 {
            p.quiet {
                "Page " (page) " of " (pages)
                @if page > 1 { " · " a rel="prev" href=(address(page - 1)) { "before" } }
                @if page < pages { " · " a rel="next" href=(address(page + 1)) { "next" } }
            }
        }
        @if !shown.is_empty() { p.quiet { "As the network sees them in evaluation, at most 96 pixels wide." } }
    }
}

fn picture(seen: &Seen, one: &Wrong, truth: &str, taken: &str) -> Markup {
    let opened = seen.pictures.as_ref().and_then(|found| found.as_ref().ok());
    let path = opened.and_then(|opened| opened.path(one.image)).unwrap_or_default();
    html! {
        li {
            @if opened.is_some() {
                img src={ "/runs/" (seen.run.id) "/images/" (one.image) } width="96" height="96" loading="lazy" alt={ "validation image " (one.image) } title=(path);
            } @else {
                span.blank aria-hidden="true" { (one.image) }
            }
            span { (truth) " → " strong { (taken) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_of_an_image_is_the_class_whose_images_stand_there() {
        let info = DataSetInfo {
            name: "x".to_owned(),
            title: "x".to_owned(),
            classes: ["a", "none of these", "b"].map(str::to_owned).to_vec(),
            train: vec![1, 1, 1],
            val: vec![2, 0, 2],
            content: sweep_core::ids::Digest::of(b"c"),
            split: sweep_core::ids::Digest::of(b"s"),
            channels: 1,
            fixed_size: None,
            warnings: Vec::new(),
        };
        let validation = Validation {
            correct: [true, false, false, false].into_iter().collect(),
            confusion: Vec::new(),
            mistakes: Some([Some(2), Some(0), None].into_iter().collect()),
        };
        let all: Vec<_> = wrong(&validation, &info).map(|w| (w.image, w.truth, w.taken)).collect();
        assert_eq!(all, [(1, 0, Some(2)), (2, 2, Some(0)), (3, 2, None)]);
    }
}

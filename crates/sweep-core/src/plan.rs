//! A checked sweep on its data sets → configurations and runs, or what cannot run there.

mod warnings;

use std::collections::HashMap;

use crate::dataset::{DataSetInfo, DataSetRef};
use crate::file::{Marks, Problems, Span, SweepFileError};
use crate::loss::Loss;
use crate::model::{Backbone, Weights, WeightsRef};
use crate::run::{Configuration, Run, RunSpec};
use crate::sweep::{Candidate, Plan, Planned, Sweep};

/// Side of the crop for `ResNets` where neither file nor data set names one: what their published results use.
const RESNET_IMAGE_SIZE: u32 = 224;

/// See [`Sweep::plan`].
pub(crate) fn plan(sweep: &Sweep, datasets: &[DataSetInfo]) -> Result<Plan, SweepFileError> {
    let mut problems = Problems::default();
    data_sets_fit(sweep, datasets, &mut problems);
    let mut configurations = Vec::new();
    if problems.none() {
        for (dataset, info) in datasets.iter().enumerate() {
            for (candidate, (drawn, marks)) in sweep.candidates.iter().zip(&sweep.marks).enumerate()
            {
                if let Some(configuration) = configuration(info, drawn, marks, &mut problems) {
                    configurations.push(Planned { dataset, candidate, configuration });
                }
            }
        }
        distinct(sweep, &configurations, &mut problems);
    }
    problems.into_result(sweep.file(), sweep.text())?;
    let runs = runs(sweep.seeds(), &configurations);
    let warnings = warnings::warnings(sweep, datasets);
    Ok(Plan { configurations, runs, datasets: datasets.to_vec(), warnings, rounds: Vec::new() })
}

/// Seed-major, so that a sweep stopped early has every configuration on the same seeds.
fn runs(seeds: &[u64], configurations: &[Planned]) -> Vec<Run> {
    let specs = seeds.iter().flat_map(|seed| {
        configurations
            .iter()
            .map(|planned| RunSpec { configuration: planned.configuration.clone(), seed: *seed })
    });
    (0_u32..).zip(specs).map(|(ord, spec)| Run { id: spec.id(), ord, spec }).collect()
}

fn data_sets_fit(sweep: &Sweep, datasets: &[DataSetInfo], problems: &mut Problems) {
    let places = &sweep.says.datasets;
    if places.len() != datasets.len() {
        let at = places.first().map_or(Span::START, |(_, at)| *at);
        problems.add(
            at,
            format!("the file names {} data sets, but {} were read", places.len(), datasets.len()),
        );
        return;
    }
    for (i, ((_, at), info)) in places.iter().zip(datasets).enumerate() {
        if let Some(other) = datasets[..i]
            .iter()
            .find(|o| o.name == info.name || (o.content == info.content && o.split == info.split))
        {
            problems.add(
                *at,
                format!(
                    "data set `{}` is the same as `{}`; each may stand once",
                    info.name, other.name
                ),
            );
        }
        if info.class_count() < 2
            || info.train.len() != info.class_count()
            || info.val.len() != info.class_count()
        {
            problems.add(
                *at,
                format!(
                    "data set `{}` has {} classes, but at least 2 are needed",
                    info.name,
                    info.class_count()
                ),
            );
        } else if info.train_count() < 2 || info.val_count() < 1 {
            let text = format!(
                "data set `{}` has {} training and {} validation images",
                info.name,
                info.train_count(),
                info.val_count()
            );
            problems.add(*at, format!("{text}, but at least 2 and 1 are needed"));
        }
    }
}

fn configuration(
    info: &DataSetInfo,
    candidate: &Candidate,
    marks: &Marks,
    problems: &mut Problems,
) -> Option<Configuration> {
    let mut training = candidate.training.clone();
    let name = &info.name;
    match (training.image_size, info.fixed_size) {
        (0, Some(size)) => training.image_size = size,
        (0, None) if candidate.model.backbone != Backbone::SmallCnn => {
            training.image_size = RESNET_IMAGE_SIZE
        }
        (0, None) => {
            let at = marks.backbone.unwrap_or(marks.entry);
            problems.add(at, format!("`small_cnn` on data set `{name}` needs `image_size` in `training`: its images have no size of their own"));
            return None;
        }
        (size, Some(fixed)) if size != fixed => {
            let at = marks.image_size.unwrap_or(marks.entry);
            problems.add(at, format!("`image_size` is {size}, but data set `{name}` has images of {fixed}×{fixed}; leave it out or write {fixed}"));
            return None;
        }
        _ => {}
    }
    if training.batch_size > info.train_count() {
        let at = marks.batch_size.unwrap_or(marks.entry);
        let count = info.train_count();
        problems.add(at, format!("`batch_size` is {}, but data set `{name}` has {count} training images (allowed: 2 to {count})", training.batch_size));
        return None;
    }
    if let Weights::Pretrained(WeightsRef { name, sha256: None }) = &candidate.model.weights {
        let at = marks.weights.unwrap_or(marks.entry);
        problems.add(at, format!("the file of `weights`, `{name}`, has not been read"));
        return None;
    }
    if let (Loss::Ldam { .. }, Some(class)) =
        (&candidate.loss, info.train.iter().position(|n| *n == 0))
    {
        let class = &info.classes[class];
        problems.add(marks.entry, format!("`ldam` needs training images of every class, but data set `{name}` has none of `{class}`"));
        return None;
    }
    Some(Configuration {
        dataset: DataSetRef::from(info),
        loss: candidate.loss.clone(),
        model: candidate.model.clone(),
        training,
    })
}

/// Two candidates may become one on a data set that decides the image size.
fn distinct(sweep: &Sweep, configurations: &[Planned], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for planned in configurations {
        if let Some(first) = seen.insert(planned.configuration.id(), planned.candidate) {
            let (label, first) =
                (&sweep.candidates[planned.candidate].label, sweep.marks[first].entry);
            let text = format!(
                "duplicate configuration {label} on data set `{}` (first on line {})",
                planned.configuration.dataset.name, first.line
            );
            problems.add(sweep.marks[planned.candidate].entry, text);
        }
    }
}

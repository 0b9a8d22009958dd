//! What a file says → the points of its search space, each complete and each once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::entry::{Dimension, Entry, Setting, Target};
use super::problem::{Problems, Span, quoted};
use super::{SweepFile, flow};
use crate::canonical;
use crate::catalogue;
use crate::model::{Backbone, PUBLISHED_NAMES, Published, Weights, WeightsRef};
use crate::sweep::Candidate;

/// Where a candidate comes from, for messages that only a data set can raise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// The name of the loss.
    pub(crate) entry: Span,
    /// `batch_size`, where written.
    pub(crate) batch_size: Option<Span>,
    /// `image_size`, where written.
    pub(crate) image_size: Option<Span>,
    /// `backbone`.
    pub(crate) backbone: Option<Span>,
    /// `weights`, where written.
    pub(crate) weights: Option<Span>,
    /// `mode`, where written.
    mode: Option<Span>,
}

/// A point of the search space.
struct Point {
    candidate: Candidate,
    marks: Marks,
    training: Json,
}

/// All candidates in the order of the file, with their marks.
pub(crate) fn expand(file: &SweepFile, problems: &mut Problems) -> Vec<(Candidate, Marks)> {
    let bare = without_learning_rates(&file.training);
    if !within_max_runs(file, &bare, problems) {
        return Vec::new();
    }
    let mut used = vec![false; file.exclude.len()];
    let mut points: Vec<Point> = Vec::new();
    for entry in &file.losses {
        for point in points_of(file, &bare, entry, problems) {
            let loss = if file.exclude.is_empty() {
                Json::Null
            } else {
                serde_json::to_value(&point.candidate.loss).unwrap_or_default()
            };
            let hits: Vec<usize> = (0..file.exclude.len())
                .filter(|i| matches(&file.exclude[*i], entry, &loss, &point))
                .collect();
            hits.iter().for_each(|i| used[*i] = true);
            if hits.is_empty() {
                points.push(point);
            }
        }
    }
    let included: Vec<Point> =
        file.include.iter().flat_map(|entry| points_of(file, &bare, entry, problems)).collect();
    if !problems.none() {
        return Vec::new();
    }
    for (entry, _) in file.exclude.iter().zip(used).filter(|(_, used)| !used) {
        problems.add(
            entry.at,
            format!(
                "this excludes nothing: no configuration of `{}` has these values",
                entry.loss.name
            ),
        );
    }
    points.extend(included);
    if points.is_empty() {
        problems.add(file.losses_at, "no configuration is left after `exclude`");
    }
    distinct(&points, problems);
    one_mode(&points, problems);
    baseline_is_among_them(file, &points, problems);
    defaults_are_used(file, problems);
    points.into_iter().map(|point| (point.candidate, point.marks)).collect()
}

fn within_max_runs(file: &SweepFile, bare: &[Dimension], problems: &mut Problems) -> bool {
    let sizes = file.losses.iter().chain(&file.include).map(|entry| {
        dimensions(file, bare, entry)
            .iter()
            .try_fold(1_u64, |n, d| n.checked_mul(d.choices.len() as u64))
    });
    let per_seed = sizes.into_iter().try_fold(0_u64, |sum, size| sum.checked_add(size?));
    let seeds = match &file.adaptive {
        Some((adaptive, _)) => adaptive.most_seeds(),
        None => file.seeds.len() as u64,
    };
    let runs = per_seed.and_then(|n| n.checked_mul(file.datasets.len() as u64)?.checked_mul(seeds));
    let fits = runs.is_some_and(|runs| runs <= file.max_runs);
    if !fits {
        let runs = runs.map_or("more than 10^19".to_owned(), |runs| runs.to_string());
        let text = format!(
            "the search space has {runs} runs (configurations × {} data sets × {seeds} seeds), but `max_runs` is {}",
            file.datasets.len(),
            file.max_runs
        );
        problems.add(file.losses_at, text);
    }
    fits
}

/// The dimensions of an entry, outermost first: its own, then those of the whole file that it does not override.
fn dimensions<'a>(
    file: &'a SweepFile,
    bare: &'a [Dimension],
    entry: &'a Entry,
) -> Vec<&'a Dimension> {
    let own: Vec<Target> = entry.dimensions.iter().flat_map(Dimension::targets).collect();
    let mut out: Vec<&Dimension> = entry.dimensions.iter().collect();
    for (dimension, bare) in file.training.iter().zip(bare) {
        let Some(target) = dimension.targets().next() else { continue };
        let optimizer = Target::Training("optimizer");
        if own.contains(&target) || (target == Target::LearningRate && own.contains(&optimizer)) {
            continue;
        }
        out.push(if own.contains(&Target::LearningRate) { bare } else { dimension });
    }
    out.extend(&file.model);
    out
}

/// The dimensions of `training:` for a loss with its own learning rate: an axis of learning rates inside the optimizer must not
/// multiply its points.
fn without_learning_rates(training: &[Dimension]) -> Vec<Dimension> {
    let bare = |dimension: &Dimension| {
        let mut seen = HashSet::new();
        let mut choices = dimension.choices.clone();
        for setting in
            choices.iter_mut().flatten().filter(|s| s.target == Target::Training("optimizer"))
        {
            set_learning_rate(&mut setting.json, &Json::Null);
        }
        choices.retain(|choice| {
            seen.insert(choice.iter().map(|s| s.json.to_string()).collect::<Vec<_>>())
        });
        Dimension { choices, together: dimension.together }
    };
    training.iter().map(bare).collect()
}

fn set_learning_rate(optimizer: &mut Json, value: &Json) {
    for settings in optimizer.as_object_mut().into_iter().flat_map(Map::values_mut) {
        settings["learning_rate"] = value.clone();
    }
}

fn points_of(
    file: &SweepFile,
    bare: &[Dimension],
    entry: &Entry,
    problems: &mut Problems,
) -> Vec<Point> {
    let dimensions = dimensions(file, bare, entry);
    let total: usize = dimensions.iter().map(|d| d.choices.len()).product();
    let mut out = Vec::with_capacity(total);
    for index in 0..total {
        let mut rest = index;
        let mut settings: Vec<&Setting> = Vec::new();
        for dimension in dimensions.iter().rev() {
            let choice = &dimension.choices[rest % dimension.choices.len()];
            rest /= dimension.choices.len();
            settings.extend(choice);
        }
        out.extend(point(file, entry, &settings, problems));
    }
    out
}

fn point(
    file: &SweepFile,
    entry: &Entry,
    settings: &[&Setting],
    problems: &mut Problems,
) -> Option<Point> {
    let mut loss = catalogue::defaults(entry.loss.parameters);
    let defaults = file
        .defaults
        .iter()
        .filter(|d| d.loss == entry.loss)
        .flat_map(|d| &d.dimensions)
        .flat_map(|d| d.choices.iter().flatten());
    for setting in defaults {
        loss.insert(setting.target.name().to_owned(), setting.json.clone());
    }
    let mut training = catalogue::defaults(catalogue::training());
    training.insert("image_size".to_owned(), 0.into());
    let mut model = catalogue::defaults(catalogue::model());
    let mut learning_rate = None;
    for setting in settings {
        let name = setting.target.name().to_owned();
        match setting.target {
            Target::Loss(_) => drop(loss.insert(name, setting.json.clone())),
            Target::Training(_) => drop(training.insert(name, setting.json.clone())),
            Target::Model(_) => drop(model.insert(name, setting.json.clone())),
            Target::LearningRate => learning_rate = Some(&setting.json),
        }
    }
    if let (Some(rate), Some(optimizer)) = (learning_rate, training.get_mut("optimizer")) {
        set_learning_rate(optimizer, rate);
    }
    let at = |target: Target| settings.iter().find(|s| s.target == target).map(|s| s.at);
    cross_checks(&training, &model, entry, &at, problems)?;
    let weights = weights(&model, at(Target::Model("weights")).unwrap_or(entry.at), problems)?;
    model.insert("weights".to_owned(), serde_json::to_value(weights).unwrap_or_default());
    let training = Json::Object(training);
    let loss = Json::Object(Map::from_iter([(entry.loss.name.to_owned(), Json::Object(loss))]));
    let agree = "the catalogue's settings are those of the type; a test holds them together";
    let candidate = Candidate {
        label: String::new(),
        loss: serde_json::from_value(loss).expect(agree),
        model: serde_json::from_value(Json::Object(model)).expect(agree),
        training: serde_json::from_value(training.clone()).expect(agree),
    };
    let marks = Marks {
        entry: entry.at,
        batch_size: at(Target::Training("batch_size")),
        image_size: at(Target::Training("image_size")),
        backbone: at(Target::Model("backbone")),
        weights: at(Target::Model("weights")),
        mode: at(Target::Training("mode")),
    };
    Some(Point { candidate, marks, training })
}

/// Rules that hold two settings together.
fn cross_checks(
    training: &Map<String, Json>,
    model: &Map<String, Json>,
    entry: &Entry,
    at: &dyn Fn(Target) -> Option<Span>,
    problems: &mut Problems,
) -> Option<()> {
    let place = |names: &[&'static str]| {
        names.iter().find_map(|n| at(Target::Training(n))).unwrap_or(entry.at)
    };
    let number = |name: &str| training.get(name).and_then(Json::as_u64).unwrap_or_default();
    let (warmup, epochs) = (number("warmup_epochs"), number("epochs"));
    if warmup >= epochs {
        let text = format!("`warmup_epochs` is {warmup}, but must be below `epochs`, {epochs}");
        problems.add(place(&["warmup_epochs", "epochs"]), text);
        return None;
    }
    let sgd = training.get("optimizer").and_then(|o| o.get("sgd"));
    if let Some(sgd) = sgd
        && sgd["nesterov"] == Json::Bool(true)
        && sgd["momentum"].as_f64() == Some(0.0)
    {
        problems.add(place(&["optimizer"]), "`nesterov` needs `momentum` > 0");
        return None;
    }
    if training["mode"] == "head" {
        if training["augment"] != "none" {
            let text = format!(
                "`augment` is {}, but in `mode: head` the features of each image are computed once, from its evaluation view (allowed: none)",
                flow(&training["augment"])
            );
            problems.add(place(&["augment", "mode"]), text);
            return None;
        }
        if training["precision"] != "f32" {
            let text = format!(
                "`precision` is {}, but in `mode: head` the features of each image are computed once, in f32 (allowed: f32)",
                flow(&training["precision"])
            );
            problems.add(place(&["precision", "mode"]), text);
            return None;
        }
        if !model["neck"].is_null() {
            let text = "`neck` trains together with the head, which `mode: head` cannot do in this version (allowed: null)";
            problems.add(at(Target::Model("neck")).unwrap_or(entry.at), text);
            return None;
        }
    }
    Some(())
}

/// The weights that a model names, as far as they are known without reading a file.
fn weights(model: &Map<String, Json>, at: Span, problems: &mut Problems) -> Option<Weights> {
    let Some(name) = model["weights"].as_str() else { return Some(Weights::Random) };
    let backbone = Backbone::deserialize(&model["backbone"]).ok()?;
    if backbone == Backbone::SmallCnn {
        let text = format!(
            "`weights` is {}, but `small_cnn` has no weights to start from (allowed: null, or a resnet as `backbone`)",
            quoted(name)
        );
        problems.add(at, text);
        return None;
    }
    let published = Published::find(backbone, name);
    if published.is_none() && PUBLISHED_NAMES.contains(&name) {
        let text = format!(
            "`weights` is {}, but for {} torchvision publishes only `imagenet`",
            quoted(name),
            flow(&model["backbone"])
        );
        problems.add(at, text);
        return None;
    }
    let sha256 = published.map(|p| p.sha256());
    Some(Weights::Pretrained(WeightsRef { name: name.to_owned(), sha256 }))
}

/// Whether the pattern fits the point: each of its settings holds one of the values listed.
fn matches(pattern: &Entry, entry: &Entry, loss: &Json, point: &Point) -> bool {
    if pattern.loss != entry.loss {
        return false;
    }
    pattern.dimensions.iter().all(|dimension| {
        dimension.choices.iter().any(|choice| {
            choice.iter().all(|setting| match setting.target {
                Target::Loss(name) => loss[entry.loss.name][name] == setting.json,
                Target::Training(name) => point.training[name] == setting.json,
                Target::LearningRate => {
                    setting.json.as_f64()
                        == Some(point.candidate.training.optimizer.learning_rate())
                }
                Target::Model(_) => false,
            })
        })
    })
}

fn distinct(points: &[Point], problems: &mut Problems) {
    let mut seen: HashMap<String, Span> = HashMap::with_capacity(points.len());
    for Point { candidate, marks, .. } in points {
        let key = canonical::json(&(&candidate.loss, &candidate.model, &candidate.training));
        if let Some(first) = seen.get(&key) {
            let text = format!(
                "duplicate configuration {} (first on line {}); each may stand once",
                candidate.loss.canonical(),
                first.line
            );
            problems.add(marks.entry, text);
        } else {
            seen.insert(key, marks.entry);
        }
    }
}

/// A frozen backbone is another question than a trained one; no table may hold both.
fn one_mode(points: &[Point], problems: &mut Problems) {
    let Some(first) = points.first() else { return };
    let mode = |point: &Point| point.candidate.training.mode;
    if let Some(other) = points.iter().find(|point| mode(point) != mode(first)) {
        let at = other.marks.mode.or(first.marks.mode).unwrap_or(other.marks.entry);
        problems.add(at, "a sweep has one `mode`: `full` and `head` answer different questions and are never compared; write a sweep for each");
    }
}

fn baseline_is_among_them(file: &SweepFile, points: &[Point], problems: &mut Problems) {
    let Some((baseline, at)) = file.baseline else { return };
    if !points.iter().any(|p| p.candidate.loss.name() == baseline) {
        let mut names: Vec<&str> = Vec::new();
        for point in points {
            let name = point.candidate.loss.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        problems.add(
            at,
            format!(
                "`baseline` is `{baseline}`, but must be one of the losses of this file: {}",
                names.join(", ")
            ),
        );
    }
}

fn defaults_are_used(file: &SweepFile, problems: &mut Problems) {
    for default in &file.defaults {
        if !file.losses.iter().chain(&file.include).any(|entry| entry.loss == default.loss) {
            problems.add(
                default.at,
                format!(
                    "`defaults` names `{}`, which is not among the losses of this file",
                    default.loss.name
                ),
            );
        }
    }
}

/// The settings besides the loss that differ between candidates, for each candidate as ` learning_rate=0.5 batch_size=8`.
pub(crate) fn varying(candidates: &[Candidate]) -> Vec<String> {
    // Of each leaf its first value, in how many candidates it is, and whether it has another value somewhere.
    let mut seen: BTreeMap<Leaf, (String, usize, bool)> = BTreeMap::new();
    for (leaf, value) in candidates.iter().flat_map(leaves) {
        let (first, count, differs) = seen.entry(leaf).or_insert_with(|| (value.clone(), 0, false));
        *count += 1;
        *differs |= *first != value;
    }
    // That adam has no momentum is said by its name.
    let shown = |leaf: &Leaf, count: usize, differs: bool| {
        differs || (!leaf.of_variant && count < candidates.len())
    };
    let shown: BTreeSet<Leaf> = seen
        .into_iter()
        .filter(|(leaf, (_, n, differs))| shown(leaf, *n, *differs))
        .map(|(leaf, _)| leaf)
        .collect();
    let text = |candidate: &Candidate| {
        let leaves = if shown.is_empty() { BTreeMap::new() } else { leaves(candidate) };
        leaves
            .iter()
            .filter(|(leaf, _)| shown.contains(leaf))
            .map(|(leaf, value)| format!(" {}={value}", leaf.name))
            .collect()
    };
    candidates.iter().map(text).collect()
}

/// A scalar of model or training.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Leaf {
    /// Place in the catalogue, so that leaves sort in its order.
    place: usize,
    /// Whether only one way of a setting has it, as momentum of sgd.
    of_variant: bool,
    name: String,
}

/// Every scalar of model and training.
fn leaves(candidate: &Candidate) -> BTreeMap<Leaf, String> {
    let model = serde_json::to_value(&candidate.model).unwrap_or_default();
    let training = serde_json::to_value(&candidate.training).unwrap_or_default();
    let mut out = BTreeMap::new();
    let model_settings = catalogue::model().iter().map(|p| (p, &model));
    let settings = model_settings.chain(catalogue::training().iter().map(|p| (p, &training)));
    for (place, (parameter, from)) in settings.enumerate() {
        // What serialisation leaves out is at its default.
        let left_out = parameter.default_json();
        let value = from.get(parameter.name).or(left_out.as_ref()).unwrap_or(&Json::Null);
        let leaf = |of_variant: bool, name: &str| Leaf { place, of_variant, name: name.to_owned() };
        match (&parameter.kind, value) {
            (catalogue::Kind::Tagged(_), Json::Object(variant)) => {
                for (tag, fields) in variant {
                    out.insert(leaf(false, parameter.name), tag.clone());
                    let fields = fields.as_object().into_iter().flatten();
                    out.extend(fields.map(|(name, value)| (leaf(true, name), flow(value))));
                }
            }
            (catalogue::Kind::Group(_), Json::Object(fields)) => {
                out.extend(fields.iter().map(|(name, value)| {
                    (leaf(false, &format!("{}.{name}", parameter.name)), flow(value))
                }));
            }
            (catalogue::Kind::Weights, _) => {
                let name = value["pretrained"]["name"].as_str();
                out.insert(leaf(false, parameter.name), name.unwrap_or("null").to_owned());
            }
            _ if parameter.name == "image_size" && value == &Json::from(0) => {}
            _ => drop(out.insert(leaf(false, parameter.name), flow(value))),
        }
    }
    out
}

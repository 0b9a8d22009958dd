//! What is odd about a data set (`sweep data check`): counts, formats, equal pictures, and properties that give the class away.
//!
//! Every picture is decoded. Oddities are findings, never an `Err`: the reader wants all of them at once. [`Audit::text`] renders.

mod giveaway;
mod near;
mod text;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::dataset::{DataSet, Example, Pixels, Skipped, picture_key};
use crate::decode::{self, Facts, Format, PixelKind, Rgb};
use crate::duplicates;
use crate::pack::Progress;
use crate::parallel;
use crate::part::Part;
use crate::source::Origin;
pub use giveaway::{Exclusive, Giveaway};
pub use near::Near;

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// The data set's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its licence; `None`: unknown.
    pub license: Option<String>,
    /// Words that must be shown with the data, for a built-in set.
    pub attribution: Option<String>,
    /// Where the files were found; `None` for a built-in set.
    pub origin: Option<Origin>,
    /// Digest of content, as in run ids.
    pub content: sweep_core::ids::Digest,
    /// Digest of the split, as in run ids.
    pub split: sweep_core::ids::Digest,
    /// Images per class, in label order.
    pub classes: Vec<ClassCount>,
    /// Kinds of files, most frequent first.
    pub kinds: Vec<Kind>,
    /// Smallest and largest picture and how many are small; `None` without readable pictures.
    pub sizes: Option<Sizes>,
    /// Files the manifest's rules left out before the split.
    pub skipped: Vec<Skipped>,
    /// Files that cannot be decoded.
    pub unreadable: Vec<Skipped>,
    /// Groups of equal pictures; equal files are among them.
    pub equal: Vec<Group>,
    /// Validation images whose equal is in train.
    pub leaked: Vec<String>,
    /// Pairs that look alike without being equal, nearest first; for the eye.
    pub near: Vec<Near>,
    /// How well properties of the files alone predict the class.
    pub giveaways: Vec<Giveaway>,
}

/// Images of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Images that train.
    pub train: u32,
    /// Images that validate.
    pub val: u32,
    /// What the manifest expects in train.
    pub expected_train: Option<u32>,
    /// What the manifest expects in val.
    pub expected_val: Option<u32>,
}

/// Files of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// By magic bytes.
    pub format: Format,
    /// What a pixel holds; `None` for tables.
    pub pixel: Option<PixelKind>,
    /// Of the file's name, in lower case, with its dot; empty without one.
    pub extension: String,
    /// Whether a JPEG is progressive.
    pub progressive: bool,
    /// Whether the extension says something else than the magic bytes.
    pub mislabelled: bool,
    /// How many files.
    pub files: usize,
}

/// Sizes of the pictures as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// (width, height) with the fewest pixels.
    pub smallest: (u32, u32),
    /// (width, height) with the most pixels.
    pub largest: (u32, u32),
    /// Median of the number of pixels (the lower of two).
    pub median_pixels: u64,
    /// Pictures with a short side below 224, which training enlarges.
    pub short_side_below_224: usize,
    /// How many pictures there are.
    pub pictures: usize,
}

/// Equal pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Whether the files are equal too, byte for byte.
    pub equal_files: bool,
    /// Whether they lie in more than one class: a conflict of labels.
    pub across_classes: bool,
    /// Whether they lie in both parts: validation measures memory.
    pub across_parts: bool,
    /// The images.
    pub members: Vec<Member>,
}

/// One image of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The file.
    pub path: String,
    /// Its class.
    pub class: String,
    /// Its part.
    pub part: Part,
}

/// What was seen of one example.
pub(crate) struct Seen {
    pub(crate) facts: Option<Facts>,
    /// Decoded; `Err` holds why not.
    pub(crate) picture: Result<Traits, String>,
}

/// What is kept of a decoded picture.
pub(crate) struct Traits {
    pub(crate) key: [u8; 32],
    pub(crate) dhash: Option<u64>,
    /// Whether its three channels are equal everywhere.
    pub(crate) colourless: bool,
}

/// Looks at every image of `set`; `progress` is called after each, from several threads.
pub fn audit(set: &DataSet, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Audit {
    let examples = set.examples();
    let done = AtomicUsize::new(0);
    let seen = parallel::map(examples.len(), parallel::available(), |i| {
        let seen = see(set, i);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(Progress { done, total: examples.len(), path: &examples[i].path });
        seen
    });
    let info = set.info();
    let equal = equal(set, &seen);
    Audit {
        name: info.name.clone(),
        title: info.title.clone(),
        license: set.manifest().license().map(str::to_owned),
        attribution: set.attribution().map(str::to_owned),
        origin: set.origin().cloned(),
        content: info.content,
        split: info.split,
        classes: class_counts(set),
        kinds: kinds(examples, &seen),
        sizes: sizes(&seen),
        skipped: set.skipped().to_vec(),
        unreadable: examples
            .iter()
            .zip(&seen)
            .filter_map(|(e, s)| {
                s.picture
                    .as_ref()
                    .err()
                    .map(|why| Skipped { path: e.path.clone(), reason: why.clone() })
            })
            .collect(),
        leaked: leaked(examples, &seen),
        near: near::pairs(examples, &seen),
        giveaways: giveaway::giveaways(examples, &seen, &info.classes),
        equal,
    }
}

impl Audit {
    /// Whether something must be mended: a file that cannot be read, or equal pictures with different labels.
    pub fn has_errors(&self) -> bool {
        !self.unreadable.is_empty() || self.equal.iter().any(|group| group.across_classes)
    }
}

fn see(set: &DataSet, i: usize) -> Seen {
    let bytes = match set.bytes_of(i) {
        Ok(bytes) => bytes,
        Err(error) => return Seen { facts: None, picture: Err(error.to_string()) },
    };
    if let Pixels::Table(..) = set.pixels {
        let key = *blake3::hash(&bytes).as_bytes();
        return Seen { facts: None, picture: Ok(Traits { key, dhash: None, colourless: true }) };
    }
    let picture = decode::decode(&bytes, set.manifest().decode())
        .map(|rgb| traits(&rgb))
        .map_err(|error| error.to_string());
    Seen { facts: Facts::of(&bytes).ok(), picture }
}

fn traits(rgb: &Rgb) -> Traits {
    let colourless = rgb.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
    Traits { key: picture_key(rgb), dhash: Some(near::dhash(rgb)), colourless }
}

fn class_counts(set: &DataSet) -> Vec<ClassCount> {
    let info = set.info();
    let expect = set.manifest().expect.as_ref();
    let wanted = |list: Option<&Vec<(String, u32)>>, name: &str| {
        list?.iter().find(|(class, _)| class == name).map(|(_, n)| *n)
    };
    (info.classes.iter().zip(&info.train).zip(&info.val))
        .map(|((name, train), val)| ClassCount {
            name: name.clone(),
            train: *train,
            val: *val,
            expected_train: wanted(expect.map(|e| &e.train), name),
            expected_val: wanted(expect.map(|e| &e.val), name),
        })
        .collect()
}

/// ".jpg" of a path, in lower case; empty where there is none.
pub(crate) fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map(|at| name[at..].to_lowercase()).unwrap_or_default()
}

fn kinds(examples: &[Example], seen: &[Seen]) -> Vec<Kind> {
    let mut counts = std::collections::BTreeMap::new();
    for (example, seen) in examples.iter().zip(seen) {
        let pixel = seen.facts.map(|f| f.pixel);
        let progressive = seen.facts.is_some_and(|f| f.progressive);
        let extension =
            if example.format == Format::Table { String::new() } else { extension(&example.path) };
        *counts.entry((example.format, pixel, extension, progressive)).or_insert(0) += 1;
    }
    let mut kinds: Vec<Kind> = counts
        .into_iter()
        .map(|((format, pixel, extension, progressive), files)| {
            let mislabelled = match format {
                Format::Jpeg => !matches!(extension.as_str(), ".jpg" | ".jpeg" | ".jpe" | ".jfif"),
                Format::Png => extension != ".png",
                Format::Gif => extension != ".gif",
                Format::Table => false,
            };
            Kind { format, pixel, extension, progressive, mislabelled, files }
        })
        .collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.files));
    kinds
}

fn sizes(seen: &[Seen]) -> Option<Sizes> {
    let mut facts: Vec<Facts> = seen.iter().filter_map(|s| s.facts).collect();
    facts.sort_by_key(|f| (f.pixels(), f.width));
    let (smallest, largest) = (facts.first()?, facts.last()?);
    Some(Sizes {
        smallest: (smallest.width, smallest.height),
        largest: (largest.width, largest.height),
        median_pixels: facts[(facts.len() - 1) / 2].pixels(),
        pictures: facts.len(),
        short_side_below_224: facts.iter().filter(|f| f.width.min(f.height) < 224).count(),
    })
}

/// Key of each readable example, unreadable ones by their own number so that they equal nothing.
fn keys(seen: &[Seen]) -> Vec<Result<[u8; 32], usize>> {
    (0..)
        .zip(seen)
        .map(|(i, s)| s.picture.as_ref().map(|traits| traits.key).map_err(|_| i))
        .collect()
}

fn equal(set: &DataSet, seen: &[Seen]) -> Vec<Group> {
    let (examples, classes) = (set.examples(), &set.info().classes);
    let mut groups: Vec<Group> = duplicates::groups(keys(seen).into_iter())
        .into_iter()
        .map(|group| {
            let first = &examples[group[0]];
            let any =
                |differs: &dyn Fn(&Example) -> bool| group.iter().any(|i| differs(&examples[*i]));
            let mut members: Vec<Member> = group
                .iter()
                .map(|i| &examples[*i])
                .map(|e| Member {
                    path: e.path.clone(),
                    class: classes[e.label as usize].clone(),
                    part: e.part,
                })
                .collect();
            members.sort_by(|a, b| a.path.cmp(&b.path));
            Group {
                equal_files: !any(&|e| e.sha256 != first.sha256),
                across_classes: any(&|e| e.label != first.label),
                across_parts: any(&|e| e.part != first.part),
                members,
            }
        })
        .collect();
    groups.sort_by(|a, b| a.members[0].path.cmp(&b.members[0].path));
    groups
}

fn leaked(examples: &[Example], seen: &[Seen]) -> Vec<String> {
    let images: Vec<_> = keys(seen).into_iter().zip(examples.iter().map(|e| e.part)).collect();
    let mut paths: Vec<String> =
        duplicates::leaked(&images).into_iter().map(|i| examples[i].path.clone()).collect();
    paths.sort_unstable();
    paths
}

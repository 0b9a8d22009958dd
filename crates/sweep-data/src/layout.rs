//! Which class, and where the files say so which part, each file belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::LoadError;
use crate::files::{self, Listing};
use crate::manifest::{Layout, Manifest, ManifestError, Problem, Split, Spot};
use crate::part::Part;
use crate::suggest::hint;

/// The files of a data set with their labels.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) classes: Vec<String>,
    pub(crate) files: Vec<LabelledFile>,
}

/// One file, its label and, where the split is given by the files, its part.
#[derive(Debug)]
pub(crate) struct LabelledFile {
    pub(crate) path: String,
    pub(crate) label: u32,
    pub(crate) part: Option<Part>,
}

/// A file with the name that tells its class, before it is compared with the classes.
struct Named {
    path: String,
    name: String,
    part: Option<Part>,
}

/// Most folders looked through that hold nothing but one folder: archives often have one, or one inside another.
const WRAPPERS: usize = 4;

/// The manifest with the layout that fits the files, the folder where it begins, and the labelled files.
///
/// Layouts are tried in order on `root`, then on the folder inside it where that is all it holds. A layout fits when every file
/// gets a class (and a part) and no class is empty.
pub(crate) fn fitting(
    manifest: Manifest,
    root: &Path,
) -> Result<(Manifest, PathBuf, Labelled), LoadError> {
    let mut roots = vec![root.to_path_buf()];
    while let Some(inner) = only_folder(&roots[roots.len() - 1], &manifest.ignore)? {
        if roots.len() > WRAPPERS {
            break;
        }
        roots.push(inner);
    }
    let choices: Vec<Manifest> = match manifest.layouts.as_slice() {
        [] => vec![manifest.clone()],
        several => several.iter().map(|one| manifest.with_layout(one)).collect(),
    };
    let mut reasons: Vec<ManifestError> = Vec::new();
    for root in &roots {
        for choice in &choices {
            let labelled = labelled(choice, root).and_then(|found| no_class_empty(choice, found));
            match labelled {
                Ok(found) => return Ok((choice.clone(), root.clone(), found)),
                // What it says of the folder as it was given is what its owner can act on.
                Err(LoadError::Manifest(reason)) if reasons.len() < choices.len() => {
                    reasons.push(reason);
                }
                Err(LoadError::Manifest(_)) => {}
                Err(other) => return Err(other),
            }
        }
    }
    if manifest.layouts.is_empty()
        && let Some(reason) = reasons.pop()
    {
        return Err(reason.into());
    }
    let tried: Vec<String> = (manifest.layouts.iter().zip(reasons))
        .map(|(layout, reason)| format!("  {}: {}", layout.called, reason.problem))
        .collect();
    let problem = Problem::NoLayout {
        root: root.display().to_string(),
        n: tried.len(),
        tried: tried.join("\n"),
        found: found(&files::list(root, &manifest.ignore)?),
    };
    Err(manifest.error(manifest.spots.layout, problem).into())
}

/// The folder inside `root`, where `root` holds nothing else.
fn only_folder(root: &Path, ignore: &globset::GlobSet) -> Result<Option<PathBuf>, LoadError> {
    let io = |error| LoadError::Io { path: root.display().to_string(), error };
    let mut only = None;
    for entry in std::fs::read_dir(root).map_err(io)? {
        let entry = entry.map_err(io)?;
        if ignore.is_match(Path::new(&entry.file_name())) {
            continue;
        }
        let is_folder = entry.file_type().map_err(io)?.is_dir();
        if !is_folder || only.is_some() {
            return Ok(None);
        }
        only = Some(entry.path());
    }
    Ok(only)
}

fn no_class_empty(manifest: &Manifest, found: Labelled) -> Result<Labelled, LoadError> {
    let used: BTreeSet<u32> = found.files.iter().map(|file| file.label).collect();
    match (0..).zip(&found.classes).find(|(label, _)| !used.contains(label)) {
        None => Ok(found),
        Some((_, class)) => {
            let problem = Problem::EmptyClass { class: class.clone(), part: "" };
            Err(manifest.error(manifest.spots.classes, problem).into())
        }
    }
}

/// "there are 600 files, such as `train/apple_1.jpg`, in the folders test, train".
fn found(listing: &Listing) -> String {
    const SHOWN: usize = 8;
    let mut text = format!("there are {} files", listing.files.len());
    if let Some(first) = listing.files.first() {
        text += &format!(", such as `{first}`");
    }
    let top: Vec<&str> =
        listing.folders.iter().map(String::as_str).filter(|f| !f.contains('/')).collect();
    match top.as_slice() {
        [] => text + ", and no folders",
        few if few.len() <= SHOWN => text + &format!(", in the folders {}", few.join(", ")),
        many => text + &format!(", in {} folders ({}, …)", many.len(), many[..SHOWN].join(", ")),
    }
}

/// Labels every file below `root`.
pub(crate) fn labelled(manifest: &Manifest, root: &Path) -> Result<Labelled, LoadError> {
    let (what, named, empty) = match &manifest.layout {
        Layout::FolderPerClass => {
            let listing = files::list(root, &manifest.ignore)?;
            let (named, empty) = by_folder(manifest, &listing)?;
            ("folder", named, empty)
        }
        Layout::FilenamePrefix(pattern) => {
            let listing = files::list(root, &manifest.ignore)?;
            ("prefix", by_pattern(manifest, &listing, pattern)?, Vec::new())
        }
        Layout::Csv { file, path, label } => {
            ("label", by_table(manifest, root, file, path, label)?, Vec::new())
        }
        // A packed table holds its labels itself.
        Layout::Packed(_) => ("label", Vec::new(), Vec::new()),
    };
    let spot = manifest.spots.classes;
    let names = named.iter().map(|file| file.name.as_str()).chain(empty.iter().map(String::as_str));
    let classes = Classes::new(manifest, names)?;
    let mut out = Vec::with_capacity(named.len());
    for file in named {
        let label = classes
            .label(&file.name)
            .ok_or_else(|| classes.unknown(manifest, spot, what, &file.name))?;
        out.push(LabelledFile { path: file.path, label, part: file.part });
    }
    for name in empty {
        classes.label(&name).ok_or_else(|| classes.unknown(manifest, spot, what, &name))?;
    }
    Ok(Labelled { classes: classes.names, files: out })
}

/// Class names in label order and how names found lead to them.
pub(crate) struct Classes {
    names: Vec<String>,
    labels: BTreeMap<String, u32>,
}

impl Classes {
    /// The manifest's classes, or the sorted names found where it lists none.
    fn new<'a>(
        manifest: &Manifest,
        found: impl Iterator<Item = &'a str>,
    ) -> Result<Self, LoadError> {
        let rename: BTreeMap<&str, &str> =
            manifest.rename.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let names = match &manifest.classes {
            Some(names) => names.clone(),
            None => {
                let meant = |name: &'a str| {
                    rename
                        .get(name.to_lowercase().as_str())
                        .map_or(name.to_owned(), |n| (*n).to_owned())
                };
                let mut seen = BTreeMap::new();
                for name in found.map(meant).collect::<BTreeSet<_>>() {
                    seen.entry(name.to_lowercase()).or_insert(name);
                }
                seen.into_values().collect()
            }
        };
        if let Some(wrong) = names.iter().find(|name| !crate::manifest::is_class_name(name)) {
            return Err(manifest.error(Spot::START, Problem::ClassName(wrong.clone())).into());
        }
        if names.len() < 2 {
            let problem = Problem::TooFewClasses { found: names.len(), names: names.join(", ") };
            return Err(manifest.error(manifest.spots.source, problem).into());
        }
        let mut labels: BTreeMap<String, u32> = BTreeMap::new();
        for (label, name) in (0..).zip(&names) {
            labels.insert(name.to_lowercase(), label);
        }
        // A class of that very name goes before a rename.
        for (from, to) in &manifest.rename {
            if let Some(label) = labels.get(&to.to_lowercase()).copied() {
                labels.entry(from.clone()).or_insert(label);
            }
        }
        Ok(Self { names, labels })
    }

    fn label(&self, name: &str) -> Option<u32> {
        self.labels.get(&name.to_lowercase()).copied()
    }

    fn unknown(
        &self,
        manifest: &Manifest,
        spot: Spot,
        what: &'static str,
        name: &str,
    ) -> LoadError {
        let hint = hint(name, self.names.iter().map(String::as_str));
        let problem = Problem::NoSuchClass {
            what,
            name: name.to_owned(),
            known: self.names.join(", "),
            hint,
        };
        manifest.error(spot, problem).into()
    }
}

/// Folder layout: `class/…` or, in a split by folders, `part/class/…`. Also the class folders without files.
fn by_folder(
    manifest: &Manifest,
    listing: &Listing,
) -> Result<(Vec<Named>, Vec<String>), LoadError> {
    looks_split(manifest, listing)?;
    let mut named = Vec::new();
    for path in &listing.files {
        let (part, inner) = part_of(manifest, listing, path)?;
        let Some((class, _)) = inner.split_once('/') else {
            return Err(manifest
                .error(manifest.spots.layout, Problem::LooseFile(path.clone()))
                .into());
        };
        named.push(Named { path: path.clone(), name: class.to_owned(), part });
    }
    let used: BTreeSet<&str> = named.iter().map(|file| file.name.as_str()).collect();
    let class_folders = listing.folders.iter().filter_map(|folder| {
        let inner = match &manifest.split {
            Split::Folders { train, val } => {
                inside(folder, train).or_else(|| inside(folder, val))?
            }
            _ => folder,
        };
        (!inner.contains('/') && !used.contains(inner)).then(|| inner.to_owned())
    });
    let empty = class_folders.collect();
    Ok((named, empty))
}

/// Whether two or three top folders named like parts were about to be taken for classes.
fn looks_split(manifest: &Manifest, listing: &Listing) -> Result<(), LoadError> {
    if manifest.split_written || manifest.classes.is_some() {
        return Ok(());
    }
    let top: Vec<&String> = listing.folders.iter().filter(|folder| !folder.contains('/')).collect();
    let is = |folder: &str, words: &[&str]| words.contains(&folder.to_lowercase().as_str());
    let train = top.iter().find(|folder| is(folder, &["train", "training"]));
    let val = ["val", "valid", "validation", "test", "testing"]
        .iter()
        .find_map(|word| top.iter().find(|folder| is(folder, &[word])));
    match (train, val) {
        (Some(train), Some(val)) => {
            let problem = Problem::LooksSplit { train: train.to_string(), val: val.to_string() };
            Err(manifest.error(manifest.spots.source, problem).into())
        }
        _ => Ok(()),
    }
}

fn by_pattern(
    manifest: &Manifest,
    listing: &Listing,
    pattern: &regex::Regex,
) -> Result<Vec<Named>, LoadError> {
    let mut named = Vec::new();
    for path in &listing.files {
        let (part, inner) = part_of(manifest, listing, path)?;
        let file = inner.rsplit('/').next().unwrap_or(inner);
        let Some(class) = pattern.captures(file).and_then(|found| found.name("class")) else {
            return Err(manifest
                .error(manifest.spots.layout, Problem::NoMatch(path.clone()))
                .into());
        };
        named.push(Named { path: path.clone(), name: class.as_str().to_owned(), part });
    }
    Ok(named)
}

/// The part a path lies in and the path below it, where the split is by folders.
fn part_of<'a>(
    manifest: &Manifest,
    listing: &Listing,
    path: &'a str,
) -> Result<(Option<Part>, &'a str), LoadError> {
    let Split::Folders { train, val } = &manifest.split else { return Ok((None, path)) };
    for (folder, part) in [(train, Part::Train), (val, Part::Val)] {
        if !listing.folders.contains(folder) {
            let known: Vec<&str> =
                listing.folders.iter().map(String::as_str).filter(|f| !f.contains('/')).collect();
            let hint = hint(folder, known.iter().copied());
            let problem = Problem::NoPartFolder {
                folder: folder.clone(),
                part: part.name(),
                known: known.join(", "),
                hint,
            };
            return Err(manifest.error(manifest.spots.split, problem).into());
        }
        if let Some(inner) = inside(path, folder) {
            return Ok((Some(part), inner));
        }
    }
    let problem = Problem::InNoPart { file: path.to_owned(), folders: format!("{train}, {val}") };
    Err(manifest.error(manifest.spots.split, problem).into())
}

/// `path` relative to `folder`, if it lies in it.
fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

fn by_table(
    manifest: &Manifest,
    root: &Path,
    file: &str,
    path: &str,
    label: &str,
) -> Result<Vec<Named>, LoadError> {
    let wrong = |problem| LoadError::from(manifest.error(manifest.spots.layout, problem));
    let at_line =
        |line: u64, reason: String| wrong(Problem::Table { file: file.to_owned(), line, reason });
    let bytes = files::read(root, file)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|error| at_line(1, error.to_string()))?.clone();
    let column = |name: &str| {
        let hint = hint(name, header.iter());
        let missing = Problem::NoColumn {
            file: file.to_owned(),
            column: name.to_owned(),
            known: header.iter().collect::<Vec<_>>().join(", "),
            hint,
        };
        header
            .iter()
            .position(|h| h.trim_start_matches('\u{feff}') == name)
            .ok_or_else(|| wrong(missing))
    };
    let (path, label) = (column(path)?, column(label)?);
    let part = match &manifest.split {
        Split::Column(name) => Some(column(name)?),
        _ => None,
    };
    let mut seen = BTreeSet::new();
    let mut named = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            at_line(line, error.to_string())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let file = cell(path);
        if !crate::manifest::is_inside(file) {
            return Err(at_line(line, Problem::Escapes(file.to_owned()).to_string()));
        }
        if !seen.insert(file.to_owned()) {
            return Err(at_line(line, format!("`{file}` is listed twice")));
        }
        if !root.join(file).is_file() {
            return Err(at_line(line, format!("file `{file}` is not there")));
        }
        let part = match part.map(cell) {
            None => None,
            Some("train") => Some(Part::Train),
            Some("val") => Some(Part::Val),
            Some(other) => {
                return Err(at_line(
                    line,
                    format!("part `{other}` is unknown (known: train, val)"),
                ));
            }
        };
        named.push(Named { path: file.to_owned(), name: cell(label).to_owned(), part });
    }
    Ok(named)
}

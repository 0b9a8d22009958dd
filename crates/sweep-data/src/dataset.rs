//! A manifest and its files → a [`DataSet`]: checked, labelled, split, with the digests that name its runs.
//!
//! Loading reads every file for its sha256 and its header, once until it changes (`stat_cache`). It decodes only where a policy
//! looks at pictures (`on_error: skip`, `duplicates` other than `warn`); [`crate::pack`] decodes for training, [`mod@crate::audit`] for a report.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sweep_core::canonical;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;

use crate::builtin::{BUILT_IN, DIGITS_ATTRIBUTION, DIGITS_MANIFEST, DIGITS_TABLE};
use crate::decode::{self, DecodeError, Facts, Format, Gif, OnError, PIXELS_VERSION};
use crate::duplicates;
use crate::error::LoadError;
use crate::files;
use crate::hash::Sha256;
use crate::layout::{self, Labelled, LabelledFile};
use crate::manifest::{Amount, Duplicates, Layout, Manifest, Problem, Split, Table};
use crate::parallel;
use crate::part::Part;
use crate::source::{self, Opening, Origin};
use crate::split::{self, Candidate};
use crate::stat_cache::{Stamp, StatCache};
use crate::suggest::hint;
use crate::table::{self, Rows};

/// The end of the name of an inner split.
const INNER: &str = "_inner";

/// An inner split: three quarters of the training part train, the rest is chosen on.
const INNER_SHARE: Amount = Amount::PartsPerMillion(750_000);
const INNER_SEED: u64 = 1;

/// One image of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The file relative to the data set's folder, with `/`; for a table its file and line.
    pub path: String,
    /// Index into the classes.
    pub label: u32,
    /// What it is for.
    pub part: Part,
    /// Of the file; for a table of the picture's bytes.
    pub sha256: Sha256,
    /// Length of the file.
    pub bytes: u64,
    /// What the header says.
    pub format: Format,
    /// Where a table holds it.
    pub(crate) row: usize,
}

/// A file that a policy left out, before the split.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// The file relative to the data set's folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A checked data set. Whoever holds one knows that its files were there, labelled and split as its manifest says.
#[derive(Clone, Debug)]
pub struct DataSet {
    pub(crate) manifest: Manifest,
    pub(crate) info: DataSetInfo,
    pub(crate) examples: Vec<Example>,
    skipped: Vec<Skipped>,
    pub(crate) pixels: Pixels,
    origin: Option<Origin>,
    attribution: Option<&'static str>,
}

/// Where the pictures are.
#[derive(Clone, Debug)]
pub(crate) enum Pixels {
    /// In files below this folder.
    Files(PathBuf),
    /// In memory, as numbers.
    Table(Table, Arc<Rows>),
}

/// One file after a first look.
struct Scanned {
    file: LabelledFile,
    row: usize,
    sha256: Sha256,
    equal: [u8; 32],
    bytes: u64,
    format: Format,
}

impl DataSet {
    /// The data set a sweep file names: a built-in name, `NAME` for `datasets/NAME.yaml` below `base`, or a path (with a `/`, or
    /// ending in `.yaml` or `.yml`) relative to `base`, the folder of the sweep file.
    ///
    /// `NAME_inner`, where no manifest has that name, is the inner split of `NAME`: its training part parted again, three
    /// quarters to train on and a quarter to choose on. Its validation images, and training images equal to one of them, play
    /// no part in it, so what is chosen there may be judged on `NAME`.
    ///
    /// # Errors
    /// [`LoadError`]; its text is meant for the person who wrote the files.
    pub fn load(reference: &str, base: &Path) -> Result<Self, LoadError> {
        Self::load_with(reference, base, &Opening::default())
    }

    /// [`DataSet::load`], with a say in where archives are unpacked and downloads kept.
    ///
    /// # Errors
    /// As [`DataSet::load`].
    pub fn load_with(
        reference: &str,
        base: &Path,
        opening: &Opening<'_>,
    ) -> Result<Self, LoadError> {
        if let Some(set) = Self::builtin(reference) {
            return set;
        }
        let path = manifest_path(reference, base);
        if path.is_file() {
            return Self::opened(&path, opening, false);
        }
        if let Some(outer) = without_inner(reference) {
            if let Some(set) = Self::builtin_with(&outer, true) {
                return set;
            }
            let path = manifest_path(&outer, base);
            if path.is_file() {
                return Self::opened(&path, opening, true);
            }
        }
        let folder = path.parent().unwrap_or(base);
        let mut known: Vec<String> = BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
        known.extend(manifests_in(folder));
        let hint = hint(reference, known.iter().map(String::as_str));
        let looked = path.display().to_string();
        Err(LoadError::Unknown {
            name: reference.to_owned(),
            known: known.join(", "),
            hint,
            looked,
        })
    }

    /// The data set of the manifest at `path`; `instead`, a folder or an archive, takes the place of the manifest's sources.
    ///
    /// # Errors
    /// [`LoadError`]; its text is meant for the person who wrote the files.
    pub fn from_manifest(path: &Path, instead: Option<&Path>) -> Result<Self, LoadError> {
        Self::opened(path, &Opening { instead, ..Opening::default() }, false)
    }

    /// [`DataSet::from_manifest`], with a say in where archives are unpacked and downloads kept.
    ///
    /// # Errors
    /// As [`DataSet::from_manifest`].
    pub fn open(path: &Path, opening: &Opening<'_>) -> Result<Self, LoadError> {
        Self::opened(path, opening, false)
    }

    fn opened(path: &Path, opening: &Opening<'_>, inner: bool) -> Result<Self, LoadError> {
        let io = |error| LoadError::Io { path: path.display().to_string(), error };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let manifest = Manifest::parse(&path.display().to_string(), &text)?;
        let beside = path.parent().unwrap_or(Path::new("."));
        let origin = source::find(&manifest, beside, opening)?;
        let mut set = match &manifest.layout {
            Layout::Packed(table) => {
                let bytes = files::read(&origin.folder, &table.file)?;
                let table = table.clone();
                Self::from_table(manifest, table, &bytes, inner)?
            }
            _ => {
                let (manifest, root, labelled) = layout::fitting(manifest, &origin.folder)?;
                let cache = opening.cache_folder();
                let mut set = Self::from_files(manifest, root.clone(), labelled, inner, &cache)?;
                let layout = set.manifest.layout_in_use().map(str::to_owned);
                set.origin = Some(Origin { folder: root, layout, ..origin });
                return Ok(set);
            }
        };
        set.origin = Some(origin);
        Ok(set)
    }

    /// A data set that is part of the binary, or `None`.
    pub fn builtin(name: &str) -> Option<Result<Self, LoadError>> {
        Self::builtin_with(name, false)
    }

    fn builtin_with(name: &str, inner: bool) -> Option<Result<Self, LoadError>> {
        (name == "digits").then(|| {
            let manifest = Manifest::parse("digits (built in)", DIGITS_MANIFEST)?;
            let Layout::Packed(table) = manifest.layout.clone() else {
                unreachable!("the built-in manifest has a table")
            };
            let mut set = Self::from_table(manifest, table, DIGITS_TABLE, inner)?;
            set.attribution = Some(DIGITS_ATTRIBUTION);
            Ok(set)
        })
    }

    /// What the core must know: counts, classes, digests.
    pub fn info(&self) -> &DataSetInfo {
        &self.info
    }

    /// The manifest it was read by.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the files were found; `None` for a built-in set.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Words that must be shown with the data, for a built-in set.
    pub fn attribution(&self) -> Option<&str> {
        self.attribution
    }

    /// The images: train before val, within a part by (label, sha256, path). Result bits follow the order of the val images.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Files that a policy left out before the split.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Bytes of example `i`: its file, or its row of a table.
    pub(crate) fn bytes_of(&self, i: usize) -> Result<std::borrow::Cow<'_, [u8]>, LoadError> {
        let example = &self.examples[i];
        match &self.pixels {
            Pixels::Files(root) => files::read(root, &example.path).map(Into::into),
            Pixels::Table(_, rows) => Ok(rows.picture(example.row).into()),
        }
    }

    fn from_table(
        manifest: Manifest,
        table: Table,
        bytes: &[u8],
        inner: bool,
    ) -> Result<Self, LoadError> {
        let Some(classes) = manifest.classes.clone() else {
            let problem = Problem::MissingKey("classes".to_owned());
            return Err(manifest.error(manifest.spots.layout, problem).into());
        };
        let rows = table::rows(&manifest, &table, &classes, bytes)?;
        let scanned = (0..rows.labels.len())
            .map(|row| {
                let sha256 = Sha256::of(rows.picture(row));
                let file = LabelledFile {
                    path: format!("{}:{}", table.file, row + 1),
                    label: rows.labels[row],
                    part: None,
                };
                let bytes = rows.picture_len as u64;
                Scanned { file, row, sha256, equal: sha256.0, bytes, format: Format::Table }
            })
            .collect();
        let pixels = Pixels::Table(table, Arc::new(rows));
        Self::assembled(manifest, classes, scanned, Vec::new(), pixels, inner)
    }

    fn from_files(
        manifest: Manifest,
        root: PathBuf,
        labelled: Labelled,
        inner: bool,
        cache: &Path,
    ) -> Result<Self, LoadError> {
        let Labelled { classes, files } = labelled;
        let how = format!("{PIXELS_VERSION} {:?} {:?}", manifest.decode, manifest.duplicates);
        let known = StatCache::<Seen>::open(cache, &root, &how);
        let looks =
            parallel::map(files.len(), parallel::available(), |i| -> Result<_, LoadError> {
                let path = &files[i].path;
                let stamp = Stamp::of(&root.join(path));
                let look = match known.seen(path, stamp) {
                    Some(seen) => Look::Picture(*seen),
                    None => look(&manifest, &root, path)?,
                };
                Ok((look, stamp))
            });
        let (mut scanned, mut skipped) = (Vec::new(), Vec::new());
        let mut remembered = HashMap::new();
        for (file, look) in files.into_iter().zip(looks) {
            match look? {
                (Look::Picture(seen), stamp) => {
                    let Seen { sha256, equal, bytes, format } = seen;
                    remembered.extend(stamp.map(|stamp| (file.path.clone(), (stamp, seen))));
                    scanned.push(Scanned { file, row: 0, sha256, equal, bytes, format });
                }
                (Look::Skip(reason), _) => skipped.push(Skipped { path: file.path, reason }),
            }
        }
        known.keep(remembered);
        Self::assembled(manifest, classes, scanned, skipped, Pixels::Files(root), inner)
    }

    /// Splits, applies the duplicates policy, compares with `expect`, and names the result.
    fn assembled(
        manifest: Manifest,
        classes: Vec<String>,
        mut scanned: Vec<Scanned>,
        skipped: Vec<Skipped>,
        pixels: Pixels,
        inner: bool,
    ) -> Result<Self, LoadError> {
        no_empty_class(&manifest, &classes, &scanned, "", |_| true)?;
        let mut parts = parts(&manifest, &classes, &scanned)?;
        if manifest.duplicates == Duplicates::Fail {
            refuse_duplicates(&manifest, &scanned)?;
        }
        if manifest.duplicates == Duplicates::DropFromTrain {
            let keys: Vec<([u8; 32], Part)> =
                scanned.iter().zip(&parts).map(|(s, p)| (s.equal, *p)).collect();
            for i in duplicates::to_drop(&keys).into_iter().rev() {
                scanned.remove(i);
                parts.remove(i);
            }
        }
        for (part, words) in [(Part::Train, " in part `train`"), (Part::Val, " in part `val`")] {
            no_empty_class(&manifest, &classes, &scanned, words, |i| parts[i] == part)?;
        }
        expected(
            &manifest,
            &classes,
            Part::Train,
            &counts(&scanned, &parts, &classes, Part::Train),
        )?;
        expected(&manifest, &classes, Part::Val, &counts(&scanned, &parts, &classes, Part::Val))?;
        if inner {
            (scanned, parts) = inner_split(&manifest, &classes, scanned, &parts)?;
        }
        let (train, val) = (
            counts(&scanned, &parts, &classes, Part::Train),
            counts(&scanned, &parts, &classes, Part::Val),
        );
        let mut warnings = warnings(&scanned, &parts);
        if !skipped.is_empty() {
            let (n, s) = (skipped.len(), if skipped.len() == 1 { " was" } else { "s were" });
            warnings.push(format!("{n} file{s} left out by the manifest's `decode` rules"));
        }
        let mut examples: Vec<Example> = scanned
            .into_iter()
            .zip(parts)
            .map(|(s, part)| Example {
                path: s.file.path,
                label: s.file.label,
                part,
                sha256: s.sha256,
                bytes: s.bytes,
                format: s.format,
                row: s.row,
            })
            .collect();
        examples.sort_by(|a, b| {
            (a.part, a.label, a.sha256, &a.path).cmp(&(b.part, b.label, b.sha256, &b.path))
        });
        let (channels, fixed_size) = match &pixels {
            Pixels::Files(_) => (3, None),
            Pixels::Table(table, _) => (table.channels, Some(table.side)),
        };
        let triples =
            examples.iter().map(|e| (e.sha256, classes[e.label as usize].as_str(), e.part));
        let info = DataSetInfo {
            name: if inner { format!("{}{INNER}", manifest.name) } else { manifest.name.clone() },
            title: if inner {
                format!("{}, the training part alone, split again", manifest.title)
            } else {
                manifest.title.clone()
            },
            train,
            val,
            content: content(&manifest, &classes, &examples, &pixels),
            split: split::digest(triples),
            classes,
            channels,
            fixed_size,
            warnings,
        };
        Ok(Self { manifest, info, examples, skipped, pixels, origin: None, attribution: None })
    }
}

/// What a first look at a file finds.
enum Look {
    Picture(Seen),
    Skip(String),
}

/// What is kept of a look at a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    sha256: Sha256,
    equal: [u8; 32],
    bytes: u64,
    format: Format,
}

fn look(manifest: &Manifest, root: &Path, path: &str) -> Result<Look, LoadError> {
    let settings = &manifest.decode;
    let bytes = files::read(root, path)?;
    let sha256 = Sha256::of(&bytes);
    let seen = Facts::of(&bytes).and_then(|facts| {
        if facts.pixels() > settings.max_pixels {
            let (width, height) = (facts.width, facts.height);
            return Err(DecodeError::TooLarge {
                width,
                height,
                pixels: facts.pixels(),
                allowed: settings.max_pixels,
            });
        }
        let looks_at_pictures =
            settings.on_error == OnError::Skip || manifest.duplicates != Duplicates::Warn;
        let equal = if looks_at_pictures {
            picture_key(&decode::decode(&bytes, settings)?)
        } else {
            sha256.0
        };
        Ok((facts.format, equal))
    });
    match seen {
        Ok((Format::Gif, _)) if settings.gif == Gif::Skip => {
            Ok(Look::Skip("a GIF, and `gif: skip`".to_owned()))
        }
        Ok((format, equal)) => {
            Ok(Look::Picture(Seen { sha256, equal, bytes: bytes.len() as u64, format }))
        }
        Err(error) if settings.on_error == OnError::Skip => Ok(Look::Skip(error.to_string())),
        Err(error) => Err(LoadError::Picture { path: path.to_owned(), error }),
    }
}

/// The same for equal decoded pictures and for no others.
pub(crate) fn picture_key(rgb: &decode::Rgb) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&rgb.width.to_le_bytes());
    hasher.update(&rgb.height.to_le_bytes());
    hasher.update(&rgb.pixels);
    *hasher.finalize().as_bytes()
}

/// The training part, parted again. What equals a validation image is left out: choosing on it would be choosing on what judges.
fn inner_split(
    manifest: &Manifest,
    classes: &[String],
    scanned: Vec<Scanned>,
    parts: &[Part],
) -> Result<(Vec<Scanned>, Vec<Part>), LoadError> {
    let keys: Vec<([u8; 32], Part)> =
        scanned.iter().zip(parts).map(|(s, p)| (s.equal, *p)).collect();
    let leaks: std::collections::HashSet<usize> = duplicates::to_drop(&keys).into_iter().collect();
    let kept: Vec<Scanned> = (scanned.into_iter().zip(parts).enumerate())
        .filter(|(i, (_, part))| **part == Part::Train && !leaks.contains(i))
        .map(|(_, (image, _))| image)
        .collect();
    let parts = parted(manifest, classes, &kept, INNER_SHARE, INNER_SEED, true)?;
    Ok((kept, parts))
}

fn parts(
    manifest: &Manifest,
    classes: &[String],
    scanned: &[Scanned],
) -> Result<Vec<Part>, LoadError> {
    let Split::Stratified { amount, seed } = manifest.split else {
        return Ok(scanned.iter().map(|s| s.file.part.unwrap_or(Part::Train)).collect());
    };
    let together = manifest.duplicates == Duplicates::KeepTogether;
    parted(manifest, classes, scanned, amount, seed, together)
}

/// Parts by count per class.
fn parted(
    manifest: &Manifest,
    classes: &[String],
    scanned: &[Scanned],
    amount: Amount,
    seed: u64,
    together: bool,
) -> Result<Vec<Part>, LoadError> {
    let candidates: Vec<Candidate> = scanned
        .iter()
        .map(|s| Candidate {
            path: s.file.path.clone(),
            label: s.file.label,
            sha256: s.sha256,
            equal: s.equal,
        })
        .collect();
    for (label, class) in (0..).zip(classes) {
        let images = candidates.iter().filter(|c| c.label == label).count();
        let train = split::train_count(amount, images);
        if train == 0 || train >= images {
            let problem =
                Problem::TooFewImages { class: class.clone(), images, train: train.max(1) };
            return Err(manifest.error(manifest.spots.split, problem).into());
        }
    }
    Ok(split::stratified(&candidates, classes, amount, seed, together))
}

fn no_empty_class(
    manifest: &Manifest,
    classes: &[String],
    scanned: &[Scanned],
    part: &'static str,
    counts: impl Fn(usize) -> bool,
) -> Result<(), LoadError> {
    let held =
        |label: u32| scanned.iter().enumerate().any(|(i, s)| s.file.label == label && counts(i));
    match (0..).zip(classes).find(|(label, _)| !held(*label)) {
        None => Ok(()),
        Some((_, class)) => {
            let problem = Problem::EmptyClass { class: class.clone(), part };
            Err(manifest.error(manifest.spots.classes, problem).into())
        }
    }
}

fn refuse_duplicates(manifest: &Manifest, scanned: &[Scanned]) -> Result<(), LoadError> {
    const SHOWN: usize = 10;
    let groups = duplicates::groups(scanned.iter().map(|s| s.equal));
    if groups.is_empty() {
        return Ok(());
    }
    let line = |group: &Vec<usize>| {
        let paths: Vec<&str> = group.iter().map(|i| scanned[*i].file.path.as_str()).collect();
        format!("  {}", paths.join(" = "))
    };
    let list: Vec<String> = groups.iter().take(SHOWN).map(line).collect();
    let problem = Problem::Duplicates { groups: groups.len(), list: list.join("\n") };
    Err(manifest.error(manifest.spots.duplicates, problem).into())
}

/// What a reader of a verdict must be told.
fn warnings(scanned: &[Scanned], parts: &[Part]) -> Vec<String> {
    let mut warnings = Vec::new();
    let keys: Vec<([u8; 32], Part)> =
        scanned.iter().zip(parts).map(|(s, p)| (s.equal, *p)).collect();
    let leaked = duplicates::leaked(&keys).len();
    if leaked > 0 {
        let val = parts.iter().filter(|part| **part == Part::Val).count();
        warnings.push(duplicates::leak_text(leaked, val));
    }
    let groups = duplicates::groups(scanned.iter().map(|s| s.equal));
    let conflict = |group: &&Vec<usize>| {
        group.iter().any(|i| scanned[*i].file.label != scanned[group[0]].file.label)
    };
    let conflicts = groups.iter().filter(conflict).count();
    if conflicts > 0 {
        let (noun, verb) = if conflicts == 1 { ("picture", "lies") } else { ("pictures", "lie") };
        warnings.push(format!("{conflicts} {noun} {verb} in more than one class"));
    }
    warnings
}

fn counts(scanned: &[Scanned], parts: &[Part], classes: &[String], part: Part) -> Vec<u32> {
    let mut counts = vec![0; classes.len()];
    for (image, _) in scanned.iter().zip(parts).filter(|(_, p)| **p == part) {
        counts[image.file.label as usize] += 1;
    }
    counts
}

fn expected(
    manifest: &Manifest,
    classes: &[String],
    part: Part,
    found: &[u32],
) -> Result<(), LoadError> {
    let Some(expect) = &manifest.expect else { return Ok(()) };
    let listed = if part == Part::Train { &expect.train } else { &expect.val };
    let mut rows = Vec::new();
    let mut differs = false;
    for (class, wanted) in listed {
        let Some(label) = classes.iter().position(|name| name == class) else {
            let hint = hint(class, classes.iter().map(String::as_str));
            let problem =
                Problem::UnknownClass { name: class.clone(), known: classes.join(", "), hint };
            return Err(manifest.error(manifest.spots.expect, problem).into());
        };
        let mark = if found[label] == *wanted { "" } else { "   ← differs" };
        differs |= found[label] != *wanted;
        rows.push(format!("  {class}: expected {wanted}, found {}{mark}", found[label]));
    }
    if differs {
        let problem = Problem::Expect { part: part.name(), rows: rows.join("\n") };
        return Err(manifest.error(manifest.spots.expect, problem).into());
    }
    Ok(())
}

/// Digest of what decides pixels, labels and what augmentation may do, apart from `image_size` and the split.
fn content(
    manifest: &Manifest,
    classes: &[String],
    examples: &[Example],
    pixels: &Pixels,
) -> Digest {
    let mut images: Vec<(String, u32)> =
        examples.iter().map(|e| (e.sha256.to_string(), e.label)).collect();
    images.sort_unstable();
    let kind = match pixels {
        Pixels::Files(_) => None,
        Pixels::Table(table, _) => Some((table.side, table.channels, table.maximum)),
    };
    canonical::digest(&(
        PIXELS_VERSION,
        kind,
        manifest.decode.identity(),
        classes,
        manifest.hflip,
        images,
    ))
}

/// Where the manifest of a data set would be.
fn manifest_path(reference: &str, base: &Path) -> PathBuf {
    let is_path =
        reference.contains('/') || reference.ends_with(".yaml") || reference.ends_with(".yml");
    if is_path {
        base.join(reference)
    } else {
        base.join("datasets").join(format!("{reference}.yaml"))
    }
}

/// `weather_inner` → `weather`, `a/b_inner.yaml` → `a/b.yaml`.
fn without_inner(reference: &str) -> Option<String> {
    for extension in ["", ".yaml", ".yml"] {
        if let Some(outer) = reference.strip_suffix(extension).and_then(|r| r.strip_suffix(INNER)) {
            return Some(format!("{outer}{extension}"));
        }
    }
    None
}

/// Names of the manifests in a folder, sorted; none where it cannot be read.
fn manifests_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_suffix(".yaml"))
                .map(str::to_owned)
        })
        .collect();
    names.sort_unstable();
    names
}

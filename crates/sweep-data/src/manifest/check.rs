//! From the shape a person wrote to a [`Manifest`] that holds every rule.

use globset::{GlobBuilder, GlobSetBuilder};
use regex::RegexBuilder;
use serde_saphyr::Spanned;

use super::error::{ManifestError, Page, Problem, Spot};
use super::shape::{ExpectShape, LayoutShape, ManifestFile, SplitShape, StratifiedShape};
use super::{Amount, Duplicates, Expect, Layout, Manifest, Split, Spots, Table, places};
use crate::decode::Decode;
use crate::suggest::hint;

/// What nobody means as an image: labels of other tools and the litter of file managers. A written `ignore` replaces it.
const IGNORED: [&str; 5] = ["**/*.xml", "**/.*", "**/__MACOSX", "**/Thumbs.db", "**/desktop.ini"];

/// Larger limits would let one file take more memory than a worker has: 500 million pixels are 1.5 GB decoded.
const MAX_MAX_PIXELS: u64 = 500_000_000;

/// Longest compiled pattern, so that a manifest from elsewhere cannot take the memory.
const PATTERN_BYTES: usize = 1 << 20;

pub(super) type Checked<T> = Result<T, ManifestError>;

pub(super) fn checked(page: Page) -> Checked<Manifest> {
    let file: ManifestFile =
        serde_saphyr::from_str(&page.text).map_err(|error| page.yaml(&error))?;
    let name = name(&page, &file.name)?;
    let classes = file.classes.as_ref().map(|list| classes(&page, list)).transpose()?;
    let (sources, source) = places::sources(&page, &file)?;
    let duplicates = file.duplicates.as_ref().map(|d| d.value).unwrap_or_default();
    let spot = |location: Option<serde_saphyr::Location>| location.map_or(source, Spot::from);
    let mut spots = Spots {
        source,
        layout: spot(file.layout.as_ref().map(|l| l.referenced)),
        classes: spot(file.classes.as_ref().map(|c| c.referenced)),
        split: spot(file.split.as_ref().map(|s| s.referenced)),
        duplicates: spot(file.duplicates.as_ref().map(|d| d.referenced)),
        expect: spot(file.expect.as_ref().map(|e| e.referenced)),
    };
    let written = file.split.as_ref();
    let (layouts, in_use) = match &file.layouts {
        Some(list) => {
            spots.layout = list.referenced.into();
            let layouts = places::layouts(&page, &file, list, &spots, duplicates)?;
            let first = layouts[0].clone();
            (layouts, first)
        }
        None => {
            let in_use = places::layout_and_split(&page, file.layout.as_ref(), written)?;
            fits(&page, &spots, &in_use.0, &in_use.1, duplicates)?;
            let called = String::new();
            let (layout, split) = in_use;
            let split_written = written.is_some();
            (Vec::new(), places::Alternative { called, layout, split, split_written })
        }
    };
    let known = classes.as_deref();
    let mut rename = Vec::new();
    for (from, to) in &file.rename {
        class_known(&page, to, known)?;
        rename.push((from.to_lowercase(), to.value.clone()));
    }
    let expect = file.expect.as_ref().map(|e| expect(&page, &e.value, known)).transpose()?;
    let decode = Decode {
        gif: file.decode.gif,
        alpha: file.decode.alpha.unwrap_or(Decode::default().alpha),
        color: file.decode.color,
        exif_orientation: file.decode.exif_orientation,
        on_error: file.decode.on_error,
        max_pixels: max_pixels(&page, file.decode.max_pixels.as_ref())?,
    };
    let ignore = ignore(&page, file.ignore.as_deref())?;
    Ok(Manifest {
        title: file.title.unwrap_or_else(|| name.clone()),
        name,
        citation: file.citation,
        license: file.license,
        obtain: file.obtain,
        classes,
        sources,
        layout: in_use.layout,
        called: None,
        layouts,
        rename,
        ignore,
        split_written: in_use.split_written,
        split: in_use.split,
        duplicates,
        decode,
        hflip: file.augment.hflip,
        expect,
        page,
        spots,
    })
}

fn name(page: &Page, name: &Spanned<String>) -> Checked<String> {
    let ok = (1..=64).contains(&name.value.len())
        && name.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if ok {
        Ok(name.value.clone())
    } else {
        Err(page.error(name.referenced.into(), Problem::Name(name.value.clone())))
    }
}

fn classes(page: &Page, list: &Spanned<Vec<Spanned<String>>>) -> Checked<Vec<String>> {
    let mut seen = Vec::new();
    for class in &list.value {
        let spot = class.referenced.into();
        if !is_class_name(&class.value) {
            return Err(page.error(spot, Problem::ClassName(class.value.clone())));
        }
        let lower = class.value.to_lowercase();
        if seen.contains(&lower) {
            return Err(page.error(spot, Problem::ClassTwice(class.value.clone())));
        }
        seen.push(lower);
    }
    let names: Vec<String> = list.value.iter().map(|class| class.value.clone()).collect();
    if names.len() < 2 {
        let problem = Problem::TooFewClasses { found: names.len(), names: names.join(", ") };
        return Err(page.error(list.referenced.into(), problem));
    }
    Ok(names)
}

/// Whether a text can name a class.
pub(crate) fn is_class_name(text: &str) -> bool {
    (1..=100).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text
}

fn class_known(page: &Page, class: &Spanned<String>, known: Option<&[String]>) -> Checked<()> {
    match known {
        Some(known) if !known.contains(&class.value) => {
            Err(page.error(class.referenced.into(), unknown_class(&class.value, known)))
        }
        _ => Ok(()),
    }
}

fn unknown_class(name: &str, known: &[String]) -> Problem {
    let hint = hint(name, known.iter().map(String::as_str));
    Problem::UnknownClass { name: name.to_owned(), known: known.join(", "), hint }
}

pub(super) fn layout(page: &Page, shape: &LayoutShape) -> Checked<Layout> {
    match shape {
        LayoutShape::FolderPerClass => Ok(Layout::FolderPerClass),
        LayoutShape::FilenamePrefix(prefix) => {
            let spot = prefix.pattern.referenced.into();
            let pattern = RegexBuilder::new(&prefix.pattern.value)
                .size_limit(PATTERN_BYTES)
                .build()
                .map_err(|error| {
                    page.error(spot, Problem::Pattern(last_line(&error.to_string())))
                })?;
            if pattern.capture_names().flatten().any(|group| group == "class") {
                Ok(Layout::FilenamePrefix(pattern))
            } else {
                Err(page.error(spot, Problem::NoClassGroup))
            }
        }
        LayoutShape::Csv(csv) => {
            inside(page, &csv.file)?;
            Ok(Layout::Csv {
                file: csv.file.value.clone(),
                path: csv.path.clone(),
                label: csv.label.clone(),
            })
        }
        LayoutShape::Packed(table) => {
            inside(page, &table.file)?;
            let side = in_range(page, "side", &table.side, 1..=1024, "in 1..=1024")?;
            let maximum = in_range(page, "maximum", &table.maximum, 1..=255, "in 1..=255")? as u8;
            let channels = table.channels.value;
            if channels != 1 && channels != 3 {
                let problem = Problem::Range {
                    key: "channels",
                    value: channels.to_string(),
                    allowed: "1 or 3",
                };
                return Err(page.error(table.channels.referenced.into(), problem));
            }
            Ok(Layout::Packed(Table {
                file: table.file.value.clone(),
                side,
                channels: channels as u8,
                maximum,
            }))
        }
    }
}

pub(super) fn split(page: &Page, shape: &SplitShape, spot: Spot) -> Checked<Split> {
    match shape {
        SplitShape::Folders(folders) => {
            inside(page, &folders.train)?;
            inside(page, &folders.val)?;
            let (train, val) = (trimmed(&folders.train.value), trimmed(&folders.val.value));
            let nested = |a: &str, b: &str| {
                a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'))
            };
            if nested(&train, &val) || nested(&val, &train) {
                let why = "the parts must be two folders, neither inside the other";
                let problem = Problem::Together { first: "train", second: "val", why };
                return Err(page.error(folders.val.referenced.into(), problem));
            }
            Ok(Split::Folders { train, val })
        }
        SplitShape::Stratified(shape) => {
            Ok(Split::Stratified { amount: amount(page, shape, spot)?, seed: shape.seed })
        }
        SplitShape::Column(column) => Ok(Split::Column(column.value.clone())),
    }
}

fn amount(page: &Page, shape: &StratifiedShape, spot: Spot) -> Checked<Amount> {
    match (&shape.train, &shape.train_per_class) {
        (Some(share), None) => {
            let range = |value: f64| Problem::Range {
                key: "train",
                value: value.to_string(),
                allowed: "in (0, 1)",
            };
            let parts = (share.value * 1e6).round();
            if (1.0..=999_999.0).contains(&parts) {
                Ok(Amount::PartsPerMillion(parts as u64))
            } else {
                Err(page.error(share.referenced.into(), range(share.value)))
            }
        }
        (None, Some(count)) => match &shape.rounding {
            None => Ok(Amount::PerClass(in_range(
                page,
                "train_per_class",
                count,
                1..=u32::MAX,
                "at least 1",
            )?)),
            Some(rounding) => {
                let why = "a count needs no rounding";
                let problem =
                    Problem::Together { first: "rounding", second: "train_per_class", why };
                Err(page.error(rounding.referenced.into(), problem))
            }
        },
        _ => Err(page.error(spot, Problem::StratifiedHow)),
    }
}

fn in_range(
    page: &Page,
    key: &'static str,
    value: &Spanned<u32>,
    range: std::ops::RangeInclusive<u32>,
    allowed: &'static str,
) -> Checked<u32> {
    if range.contains(&value.value) {
        Ok(value.value)
    } else {
        Err(page.error(
            value.referenced.into(),
            Problem::Range { key, value: value.value.to_string(), allowed },
        ))
    }
}

fn max_pixels(page: &Page, value: Option<&Spanned<u64>>) -> Checked<u64> {
    match value {
        None => Ok(Decode::default().max_pixels),
        Some(value) if (1..=MAX_MAX_PIXELS).contains(&value.value) => Ok(value.value),
        Some(value) => {
            let text = value.value.to_string();
            let problem =
                Problem::Range { key: "max_pixels", value: text, allowed: "in 1..=500_000_000" };
            Err(page.error(value.referenced.into(), problem))
        }
    }
}

/// Rules between blocks.
pub(super) fn fits(
    page: &Page,
    spots: &Spots,
    layout: &Layout,
    split: &Split,
    duplicates: Duplicates,
) -> Checked<()> {
    let refuse =
        |spot, first, second, why| Err(page.error(spot, Problem::Together { first, second, why }));
    match (layout, split) {
        (Layout::Csv { .. }, Split::Folders { .. }) => {
            return refuse(
                spots.split,
                "split: folders",
                "layout: csv",
                "a table names its parts by `split: { column: … }`",
            );
        }
        (Layout::Packed(_), Split::Folders { .. } | Split::Column(_)) => {
            return refuse(
                spots.split,
                "split",
                "layout: packed",
                "a packed table is split by `stratified` only",
            );
        }
        (Layout::FolderPerClass | Layout::FilenamePrefix(_), Split::Column(_)) => {
            return refuse(
                spots.split,
                "split: column",
                "layout",
                "only `layout: csv` has columns",
            );
        }
        _ => {}
    }
    if duplicates == Duplicates::KeepTogether && !matches!(split, Split::Stratified { .. }) {
        let why = "the parts are given by the files; use `drop_from_train`";
        return refuse(spots.duplicates, "duplicates: keep_together", "split", why);
    }
    Ok(())
}

fn ignore(page: &Page, written: Option<&[Spanned<String>]>) -> Checked<globset::GlobSet> {
    let mut set = GlobSetBuilder::new();
    let mut add = |glob: &str, spot: Spot| {
        let wrong = |error: globset::Error| {
            page.error(
                spot,
                Problem::Glob { glob: glob.to_owned(), reason: error.kind().to_string() },
            )
        };
        let built = GlobBuilder::new(glob).literal_separator(true).build().map_err(wrong)?;
        set.add(built);
        Ok::<(), ManifestError>(())
    };
    match written {
        None => IGNORED.iter().try_for_each(|glob| add(glob, Spot::START))?,
        Some(list) => list.iter().try_for_each(|glob| add(&glob.value, glob.referenced.into()))?,
    }
    let start = page.error(
        Spot::START,
        Problem::Glob { glob: "ignore".to_owned(), reason: "too many globs".to_owned() },
    );
    set.build().map_err(|_| start)
}

/// A relative path without `..`, drive or root.
pub(super) fn inside(page: &Page, path: &Spanned<String>) -> Checked<()> {
    if is_inside(&path.value) {
        Ok(())
    } else {
        Err(page.error(path.referenced.into(), Problem::Escapes(path.value.clone())))
    }
}

/// Whether a written path stays inside the folder it is relative to.
pub(crate) fn is_inside(path: &str) -> bool {
    let normal = path.split('/').all(|part| part != "..");
    normal && !path.is_empty() && !path.starts_with('/') && !path.contains(['\\', '\0'])
}

/// `./train/` → `train`.
fn trimmed(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

fn expect(page: &Page, shape: &ExpectShape, known: Option<&[String]>) -> Checked<Expect> {
    let part = |counts: &std::collections::BTreeMap<String, Spanned<u32>>| {
        let mut rows = Vec::new();
        for (class, count) in counts {
            if let Some(known) = known.filter(|known| !known.contains(class)) {
                return Err(page.error(count.referenced.into(), unknown_class(class, known)));
            }
            rows.push((class.clone(), count.value));
        }
        Ok(rows)
    };
    Ok(Expect { train: part(&shape.train)?, val: part(&shape.val)? })
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

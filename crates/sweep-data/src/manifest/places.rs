//! Where the files may be (`source`, `sources`) and how they may lie there (`layout`, `layouts`).
//!
//! The same images are published as an archive and passed on repacked; a manifest that knows both spares its reader the work.

use serde_saphyr::Spanned;

use super::check::{Checked, fits, inside, layout, split};
use super::error::{Page, Problem, Spot};
use super::shape::{
    AlternativeShape, ArchiveShape, KnownArchiveShape, LayoutShape, ManifestFile, SourceShape,
    SplitShape,
};
use super::{Amount, Duplicates, Layout, Split, Spots};
use crate::hash::Sha256OrPrefix;

/// One place where the files may be.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) place: Place,
    pub(crate) spot: Spot,
}

/// What kind of place.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A folder, relative to the manifest.
    Folder(String),
    /// An archive that is unpacked.
    Archive(Archive),
}

/// An archive and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) at: ArchiveAt,
    /// All 64 digits; `None`: unknown.
    pub(crate) sha256: Option<Sha256OrPrefix>,
    /// Its length; `None`: unknown.
    pub(crate) bytes: Option<u64>,
    /// The folder inside that holds the files.
    pub(crate) strip: Option<String>,
}

/// Where an archive is.
#[derive(Clone, Debug)]
pub(crate) enum ArchiveAt {
    /// A file, relative to the manifest.
    Path(String),
    /// An address, without secrets.
    Url(String),
}

/// One way in which the files may lie.
#[derive(Clone, Debug)]
pub(crate) struct Alternative {
    /// For messages; empty where there is no choice.
    pub(crate) called: String,
    pub(crate) layout: Layout,
    pub(crate) split: Split,
    pub(crate) split_written: bool,
}

/// The sources and where they stand.
pub(super) fn sources(page: &Page, file: &ManifestFile) -> Checked<(Vec<Source>, Spot)> {
    match (&file.source, &file.sources) {
        (Some(one), None) => {
            let source = source(page, one)?;
            let spot = source.spot;
            Ok((vec![source], spot))
        }
        (None, Some(list)) if !list.value.is_empty() => {
            let sources = list.value.iter().map(|one| source(page, one)).collect::<Checked<_>>()?;
            Ok((sources, list.referenced.into()))
        }
        (None, Some(list)) => {
            Err(page.error(list.referenced.into(), Problem::MissingKey("source".to_owned())))
        }
        (None, None) => Err(page.error(Spot::START, Problem::MissingKey("source".to_owned()))),
        (Some(_), Some(list)) => {
            let why = "`sources` is a list of places that are tried in order";
            let problem = Problem::Together { first: "sources", second: "source", why };
            Err(page.error(list.referenced.into(), problem))
        }
    }
}

fn source(page: &Page, shape: &Spanned<SourceShape>) -> Checked<Source> {
    let here = shape.referenced.into();
    match &shape.value {
        SourceShape::Folder(folder) => Ok(Source {
            place: Place::Folder(folder.value.clone()),
            spot: folder.referenced.into(),
        }),
        SourceShape::Archive(ArchiveShape::Path(path)) => {
            let at = ArchiveAt::Path(path.clone());
            let archive = Archive { at, sha256: None, bytes: None, strip: None };
            Ok(Source { place: Place::Archive(archive), spot: here })
        }
        SourceShape::Archive(ArchiveShape::Known(known)) => archive(page, known, here),
    }
}

fn archive(page: &Page, shape: &KnownArchiveShape, here: Spot) -> Checked<Source> {
    let sha256 = shape.sha256.as_ref().map(|text| sha256(page, text)).transpose()?.flatten();
    let (at, spot) = match (&shape.path, &shape.url) {
        (Some(path), None) => (ArchiveAt::Path(path.value.clone()), path.referenced.into()),
        (None, Some(url)) => {
            let spot = url.referenced.into();
            address(page, &url.value, spot, sha256.is_some())?;
            if shape.sha256.is_none() {
                return Err(page.error(spot, Problem::MissingKey("sha256".to_owned())));
            }
            (ArchiveAt::Url(url.value.clone()), spot)
        }
        _ => {
            let problem = Problem::Together {
                first: "path",
                second: "url",
                why: "an `archive` needs exactly one of `path` (a file, relative to this one) and `url`",
            };
            return Err(page.error(here, problem));
        }
    };
    if let Some(strip) = &shape.strip {
        inside(page, strip)?;
    }
    // 0 is "unknown", as an empty sha256 is.
    let bytes = shape.bytes.as_ref().map(|bytes| bytes.value).filter(|bytes| *bytes > 0);
    let strip = shape.strip.as_ref().map(|strip| strip.value.clone());
    Ok(Source { place: Place::Archive(Archive { at, sha256, bytes, strip }), spot })
}

fn sha256(page: &Page, text: &Spanned<String>) -> Checked<Option<Sha256OrPrefix>> {
    if text.value.is_empty() {
        return Ok(None);
    }
    let parsed = text.value.parse::<Sha256OrPrefix>().ok().filter(Sha256OrPrefix::is_complete);
    if parsed.is_some() {
        return Ok(parsed);
    }
    let allowed =
        "64 hexadecimal digits, or empty while it is unknown (`sweep data check` prints it)";
    let problem = Problem::Source { key: "sha256", value: text.value.clone(), allowed };
    Err(page.error(text.referenced.into(), problem))
}

/// Whether an address may be fetched from; what it says must be known beforehand, or come from whom it says.
fn address(page: &Page, url: &str, spot: Spot, known: bool) -> Checked<()> {
    let refuse = |value: &str, allowed| {
        let problem = Problem::Source { key: "url", value: value.to_owned(), allowed };
        Err(page.error(spot, problem))
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse(url, "an http or https address; a file on this machine is a `path`");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return refuse(
            "…",
            "an address without a user name or password: a manifest is no place for secrets",
        );
    }
    match scheme {
        _ if authority.is_empty() => refuse(url, "an address with a host"),
        "https" => Ok(()),
        "http" if known => Ok(()),
        "http" => refuse(
            url,
            "an https address while `sha256` is empty: nobody vouches for what http brings",
        ),
        _ => refuse(url, "an http or https address"),
    }
}

/// The layouts to try, in order.
pub(super) fn layouts(
    page: &Page,
    file: &ManifestFile,
    list: &Spanned<Vec<Spanned<AlternativeShape>>>,
    spots: &Spots,
    duplicates: Duplicates,
) -> Checked<Vec<Alternative>> {
    if let Some(layout) = &file.layout {
        let why = "`layouts` is a list of ways the files may lie, tried in order";
        let problem = Problem::Together { first: "layout", second: "layouts", why };
        return Err(page.error(layout.referenced.into(), problem));
    }
    if list.value.is_empty() {
        return Err(page.error(spots.layout, Problem::MissingKey("called".to_owned())));
    }
    if file.classes.is_none() {
        // Without them anything could be a class, and the first layout would always fit.
        return Err(page.error(spots.layout, Problem::MissingKey("classes".to_owned())));
    }
    let mut out = Vec::new();
    for shape in &list.value {
        let here = Spot::from(shape.referenced);
        let shape = &shape.value;
        let written = shape.split.as_ref().or(file.split.as_ref());
        let (layout, split) = layout_and_split(page, shape.layout.as_ref(), written)?;
        if let Layout::Packed(_) = layout {
            let why = "a table says itself what it holds; write it as `layout`";
            let problem = Problem::Together { first: "packed", second: "layouts", why };
            return Err(page.error(here, problem));
        }
        let own = |at: Option<serde_saphyr::Location>| at.map_or(here, Spot::from);
        let spots = Spots {
            layout: own(shape.layout.as_ref().map(|l| l.referenced)),
            split: own(written.map(|s| s.referenced)),
            ..*spots
        };
        fits(page, &spots, &layout, &split, duplicates)?;
        let (called, split_written) = (shape.called.clone(), written.is_some());
        out.push(Alternative { called, layout, split, split_written });
    }
    Ok(out)
}

/// What is written, or a folder per class and the study's split.
pub(super) fn layout_and_split(
    page: &Page,
    layout_shape: Option<&Spanned<LayoutShape>>,
    split_shape: Option<&Spanned<SplitShape>>,
) -> Checked<(Layout, Split)> {
    let layout = layout_shape.map_or(Ok(Layout::FolderPerClass), |l| layout(page, &l.value))?;
    let split = split_shape.map_or(
        Ok(Split::Stratified { amount: Amount::PartsPerMillion(800_000), seed: 1 }),
        |s| split(page, &s.value, s.referenced.into()),
    )?;
    Ok((layout, split))
}

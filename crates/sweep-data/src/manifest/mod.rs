//! A manifest: where a data set's files are, how they are labelled, split and decoded. Text in, [`Manifest`] out, no I/O.
//!
//! Not for looking at the files themselves: [`crate::dataset`] does that and points back here where the two disagree.

mod check;
mod error;
mod places;
mod shape;

use globset::GlobSet;
use regex::Regex;

use crate::decode::Decode;
pub(crate) use check::{is_class_name, is_inside};
pub use error::{ManifestError, Problem};
pub(crate) use error::{Page, Spot};
pub(crate) use places::{Alternative, Archive, ArchiveAt, Place, Source};
pub use shape::Duplicates;

/// A checked manifest. Whoever holds one need not check it again.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) citation: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) obtain: Option<String>,
    /// `None`: the sorted names of what the layout finds.
    pub(crate) classes: Option<Vec<String>>,
    /// Where the files may be, in order of preference; at least one.
    pub(crate) sources: Vec<Source>,
    /// The layout in use: the first of `layouts`, until the files have shown which one fits.
    pub(crate) layout: Layout,
    /// What it is called, once it was chosen.
    called: Option<String>,
    /// What to try in order; empty without `layouts:`.
    pub(crate) layouts: Vec<Alternative>,
    /// Lower-case name found → name meant.
    pub(crate) rename: Vec<(String, String)>,
    pub(crate) ignore: GlobSet,
    pub(crate) split: Split,
    pub(crate) split_written: bool,
    pub(crate) duplicates: Duplicates,
    pub(crate) decode: Decode,
    pub(crate) hflip: bool,
    pub(crate) expect: Option<Expect>,
    pub(crate) page: Page,
    pub(crate) spots: Spots,
}

/// Where in the text to point when files and manifest disagree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spots {
    pub(crate) source: Spot,
    pub(crate) layout: Spot,
    pub(crate) classes: Spot,
    pub(crate) split: Spot,
    pub(crate) duplicates: Spot,
    pub(crate) expect: Spot,
}

/// How a file's class is told.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// By the first folder of its path.
    FolderPerClass,
    /// By the group `class` of a pattern on its name.
    FilenamePrefix(Regex),
    /// By a table beside the files.
    Csv { file: String, path: String, label: String },
    /// One table that holds the pixels too.
    Packed(Table),
}

/// A table of square pictures: per line side² · channels values in 0..=maximum, then the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) file: String,
    pub(crate) side: u32,
    pub(crate) channels: u8,
    pub(crate) maximum: u8,
}

/// How images are parted into train and val.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// By the folder they lie in.
    Folders { train: String, val: String },
    /// By count per class, shuffled with a seed.
    Stratified { amount: Amount, seed: u64 },
    /// By a column of the table.
    Column(String),
}

/// How many images of a class train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// ⌊share · n⌋, the share in parts per million, so that 0.29 of 100 is 29.
    PartsPerMillion(u64),
    /// This many of each class.
    PerClass(u32),
}

/// Expected images per class; only the classes listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expect {
    pub(crate) train: Vec<(String, u32)>,
    pub(crate) val: Vec<(String, u32)>,
}

impl Manifest {
    /// Reads `text`; `file` names it in messages.
    ///
    /// # Errors
    /// [`ManifestError`] with line, caret and what is allowed.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let page = Page { file: file.to_owned(), text: text.to_owned() };
        check::checked(page)
    }

    /// The name used in sweep files, `[a-z0-9_]+`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Title for people; the name where none is given.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How to cite it.
    pub fn citation(&self) -> Option<&str> {
        self.citation.as_deref()
    }

    /// Its licence; `None`: unknown.
    pub fn license(&self) -> Option<&str> {
        self.license.as_deref()
    }

    /// Where to get the files.
    pub fn obtain(&self) -> Option<&str> {
        self.obtain.as_deref()
    }

    /// How files become pictures.
    pub fn decode(&self) -> &Decode {
        &self.decode
    }

    /// What becomes of equal pictures.
    pub fn duplicates(&self) -> Duplicates {
        self.duplicates
    }

    /// Whether a training view may be mirrored.
    pub fn hflip(&self) -> bool {
        self.hflip
    }

    /// What the layout in use is called; `None` where there is no choice.
    pub(crate) fn layout_in_use(&self) -> Option<&str> {
        self.called.as_deref()
    }

    /// This manifest with one of its layouts.
    pub(crate) fn with_layout(&self, alternative: &Alternative) -> Self {
        let Alternative { called, layout, split, split_written } = alternative.clone();
        Self { called: Some(called), layout, split, split_written, ..self.clone() }
    }

    /// `problem` at a spot of this manifest.
    pub(crate) fn error(&self, spot: Spot, problem: Problem) -> ManifestError {
        self.page.error(spot, problem)
    }
}

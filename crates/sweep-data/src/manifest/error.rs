//! What is wrong in a manifest and where: file, line, a caret under the word, and what is allowed.

use std::fmt;

use serde_saphyr::{Error as Yaml, Location};

use crate::suggest::hint;

/// A manifest that cannot be used. Retrying cannot help.
///
/// Shown as `file:line:column: what is wrong`, the line, and a caret under the place.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}\n{excerpt}")]
pub struct ManifestError {
    /// The manifest as it was named.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What is wrong.
    pub problem: Box<Problem>,
    excerpt: Box<Excerpt>,
}

/// What can be wrong in a manifest or between a manifest and its files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not YAML, or a value of another type; the parser's words.
    #[error("{0}")]
    Yaml(String),
    /// A key that no manifest has here.
    #[error("unknown key `{key}` (known: {known}){hint}")]
    UnknownKey {
        /// As written.
        key: String,
        /// The keys allowed here.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
    },
    /// A word that is none of the choices.
    #[error("unknown value `{value}` (known: {known}){hint}")]
    UnknownValue {
        /// As written.
        value: String,
        /// The values allowed here.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
    },
    /// A key that must be there.
    #[error("missing key `{0}`")]
    MissingKey(String),
    /// The data set's name is not a name.
    #[error("`name` is `{0}`, but must be 1 to 64 characters of a-z, 0-9 and _")]
    Name(String),
    /// A number out of its range.
    #[error("`{key}` is {value}, but must be {allowed}")]
    Range {
        /// The key.
        key: &'static str,
        /// As written.
        value: String,
        /// The range.
        allowed: &'static str,
    },
    /// A source that is no source.
    #[error("`{key}` is `{value}`, but must be {allowed}")]
    Source {
        /// The key.
        key: &'static str,
        /// As written.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// An archive that cannot be unpacked.
    #[error("archive `{archive}` {reason}")]
    Archive {
        /// The archive as it was looked for.
        archive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An archive that is not the one the manifest means.
    #[error(
        "archive `{archive}` has {key} {found}, but the manifest says {wanted}: it is another file, or damaged; delete it and get it again{obtain}"
    )]
    OtherArchive {
        /// The archive as it was looked for.
        archive: String,
        /// `sha256` or `bytes`.
        key: &'static str,
        /// What it has.
        found: String,
        /// What it should have.
        wanted: String,
        /// Where the data comes from, or nothing.
        obtain: String,
    },
    /// None of the places holds the files.
    #[error("the files are in none of the {n} places of `sources`:\n{tried}{holds}{obtain}")]
    NoSource {
        /// How many places.
        n: usize,
        /// What was wrong with each, one a line.
        tried: String,
        /// What the files must be, or nothing.
        holds: String,
        /// Where the data comes from, or nothing.
        obtain: String,
    },
    /// An archive that would have to be fetched by a program that cannot.
    #[error("this program does not download: get {url} yourself and put it at `{into}`{obtain}")]
    NoDownload {
        /// Where it is.
        url: String,
        /// Where it is looked for.
        into: String,
        /// Where the data comes from, or nothing.
        obtain: String,
    },
    /// Files that fit none of the layouts.
    #[error("the files in `{root}` fit none of the {n} layouts:\n{tried}\n{found}")]
    NoLayout {
        /// The folder that was looked at.
        root: String,
        /// How many layouts.
        n: usize,
        /// Why each does not fit, one a line.
        tried: String,
        /// What is there.
        found: String,
    },
    /// A class name that cannot be one.
    #[error(
        "class name `{0}` must have 1 to 100 characters, none of them a control character, and no space at its ends"
    )]
    ClassName(String),
    /// Two class names that differ only by case, or not at all.
    #[error("class `{0}` is listed twice (names are compared without regard to case)")]
    ClassTwice(String),
    /// Fewer than two classes.
    #[error("a data set needs at least two classes, found {found} ({names})")]
    TooFewClasses {
        /// How many.
        found: usize,
        /// Their names.
        names: String,
    },
    /// A class named somewhere that is not one.
    #[error("unknown class `{name}` (known: {known}){hint}")]
    UnknownClass {
        /// As written.
        name: String,
        /// The classes.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
    },
    /// A regular expression that does not compile.
    #[error("`pattern` is no regular expression: {0}")]
    Pattern(String),
    /// A pattern without the group that finds the class.
    #[error(
        "`pattern` has no group `(?<class>…)` that says which part of a file's name is its class"
    )]
    NoClassGroup,
    /// A glob that does not compile.
    #[error("`{glob}` is no glob: {reason}")]
    Glob {
        /// As written.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that leaves the data set's folder.
    #[error(
        "path `{0}` leaves the data set's folder: only paths inside it, without `..` and links to the outside, are read"
    )]
    Escapes(String),
    /// Settings that exclude each other.
    #[error("`{first}` cannot go with `{second}`: {why}")]
    Together {
        /// One setting.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A stratified split needs one way to say how much trains.
    #[error(
        "`stratified` needs exactly one of `train` (a share in (0, 1)) and `train_per_class` (a count)"
    )]
    StratifiedHow,
    /// The folder of images is not there.
    #[error("folder `{folder}` is not there (`folder` is relative to the manifest){obtain}")]
    NoFolder {
        /// The folder as it was looked for.
        folder: String,
        /// Where the data comes from, or nothing.
        obtain: String,
    },
    /// A folder that a part of the split names is not there.
    #[error("the data set has no folder `{folder}` for part `{part}` (its folders: {known}){hint}")]
    NoPartFolder {
        /// As written.
        folder: String,
        /// `train` or `val`.
        part: &'static str,
        /// The folders that are there.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
    },
    /// A folder, prefix or label that matches no class.
    #[error(
        "{what} `{name}` matches no class (classes: {known}){hint}; add it to `classes`, `rename` or `ignore`"
    )]
    NoSuchClass {
        /// What has the name: a folder, a file's prefix, a label.
        what: &'static str,
        /// The name that was found.
        name: String,
        /// The classes.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
    },
    /// The folder seems to be split already.
    #[error(
        "the folder holds `{train}` and `{val}`, which look like parts, not classes: write `split: {{ folders: {{ train: {train}, val: {val} }} }}`, or list `classes` if they are classes"
    )]
    LooksSplit {
        /// The folder that looks like train.
        train: String,
        /// The folder that looks like val.
        val: String,
    },
    /// A file that lies where no class can be told.
    #[error("file `{0}` lies in no class folder: move it into one or add it to `ignore`")]
    LooseFile(String),
    /// A file in a part's layout that lies in no part.
    #[error(
        "file `{file}` lies in none of the split's folders ({folders}): move it or add it to `ignore`"
    )]
    InNoPart {
        /// The file.
        file: String,
        /// The folders of the split.
        folders: String,
    },
    /// A file whose name the pattern does not match.
    #[error("file `{0}` does not match `pattern`: mend the pattern or add the file to `ignore`")]
    NoMatch(String),
    /// A table without the columns it should have.
    #[error("table `{file}` has no column `{column}` (its columns: {known}){hint}")]
    NoColumn {
        /// The table.
        file: String,
        /// The column.
        column: String,
        /// The columns that are there.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
    },
    /// A table that cannot be read, by line.
    #[error("table `{file}`, line {line}: {reason}")]
    Table {
        /// The table.
        file: String,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A class without images.
    #[error("class `{class}` has no images{part}")]
    EmptyClass {
        /// The class.
        class: String,
        /// " in part `val`", or nothing.
        part: &'static str,
    },
    /// A class with too few images to be split.
    #[error(
        "class `{class}` has {images} image(s): too few for {train} in train and at least one in val"
    )]
    TooFewImages {
        /// The class.
        class: String,
        /// How many it has.
        images: usize,
        /// How many would train.
        train: usize,
    },
    /// Counts that are not the expected ones.
    #[error("{part} images per class differ from `expect`:\n{rows}")]
    Expect {
        /// `train` or `val`.
        part: &'static str,
        /// Both rows, one line per class.
        rows: String,
    },
    /// Equal pictures where none are allowed.
    #[error("`duplicates: fail`, and there are {groups} groups of equal pictures:\n{list}")]
    Duplicates {
        /// How many groups.
        groups: usize,
        /// The first of them, one a line.
        list: String,
    },
}

/// The line and a caret.
#[derive(Debug)]
struct Excerpt {
    line: u64,
    column: u64,
    text: String,
    width: usize,
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(self.column.saturating_sub(1) as usize);
        write!(
            f,
            " {gutter} |\n {number} | {}\n {gutter} | {indent}{}",
            self.text,
            "^".repeat(self.width)
        )
    }
}

/// The text of a manifest, to point into.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// A line and a column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    line: u64,
    column: u64,
}

impl From<Location> for Spot {
    fn from(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

impl Spot {
    /// The first line, for what is missing.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl Page {
    /// `problem` at `spot`.
    pub(crate) fn error(&self, spot: Spot, problem: Problem) -> ManifestError {
        let text = self.text.lines().nth(spot.line as usize - 1).unwrap_or_default().to_owned();
        let rest: String = text.chars().skip(spot.column as usize - 1).collect();
        let quoted = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let width = match quoted {
            Some(quote) => rest.chars().skip(1).position(|c| c == quote).map_or(1, |end| end + 2),
            None => rest
                .chars()
                .take_while(|c| !c.is_whitespace() && !matches!(c, ':' | ',' | '}' | ']' | '#'))
                .count(),
        };
        // A tab would shift the caret: what stands before it must be as wide as it looks.
        let text = text.replace('\t', " ");
        let excerpt = Excerpt { line: spot.line, column: spot.column, text, width: width.max(1) };
        ManifestError {
            file: self.file.clone(),
            line: spot.line,
            column: spot.column,
            problem: Box::new(problem),
            excerpt: Box::new(excerpt),
        }
    }

    /// The parser's error in our words.
    pub(crate) fn yaml(&self, error: &Yaml) -> ManifestError {
        let spot = error.location().map_or(Spot::START, Spot::from);
        let problem = match error.without_snippet() {
            Yaml::SerdeUnknownField { field, expected, .. } => Problem::UnknownKey {
                key: field.clone(),
                known: expected.join(", "),
                hint: hint(field, expected.iter().copied()),
            },
            Yaml::SerdeUnknownVariant { variant, expected, .. } => Problem::UnknownValue {
                value: variant.clone(),
                known: expected.join(", "),
                hint: hint(variant, expected.iter().copied()),
            },
            Yaml::SerdeMissingField { field, .. } => Problem::MissingKey((*field).to_owned()),
            other => Problem::Yaml(plain(&other.to_string())),
        };
        self.error(spot, problem)
    }
}

/// The parser's message without the position that we print ourselves.
fn plain(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let cut = first
        .find(" at line ")
        .or_else(|| first.find(", set DuplicateKeyPolicy"))
        .unwrap_or(first.len());
    let text = first[..cut].trim_end_matches([',', ':', ' ']);
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

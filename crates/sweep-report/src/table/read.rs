//! The text of a published table, YAML or CSV → [`PublishedTable`]. Accuracies stay as printed: their decimals are data.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::counts::{Print, counts};

const MAX_BYTES: usize = 1 << 20;
const MAX_IMAGES: u64 = 1_000_000;
const MAX_DATASETS: usize = 100;
const MAX_LOSSES: usize = 50;

/// A table of accuracies, one run per cell, as somebody published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTable {
    /// Where it comes from; may be empty.
    pub title: String,
    /// What the accuracies are printed in.
    pub unit: Unit,
    /// Losses in the order they first stand in the text.
    pub losses: Vec<String>,
    /// Data sets in the order of the text; at least one.
    pub datasets: Vec<PublishedDataSet>,
}

/// One data set of a [`PublishedTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedDataSet {
    /// Its name.
    pub name: String,
    /// Validation images.
    pub n_val: u64,
    /// Index into [`PublishedTable::losses`], the print, and the counts that round to it, lowest and highest.
    pub cells: Vec<(usize, String, (u64, u64))>,
}

/// What an accuracy is printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// `91.7` of 100.
    Percent,
    /// `0.917` of 1.
    Share,
}

/// A table that cannot be read. Retrying cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct TableError {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a published table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than any table.
    #[error("the table has {0} bytes, but at most {MAX_BYTES} are read")]
    TooLong(usize),
    /// Not YAML of the right shape; the parser's words.
    #[error(
        "{0} (a table is `datasets:`, a list of {{ name, n_val, accuracy: {{ LOSS: PRINTED }} }}, with `title` and `unit: percent | share` if wanted)"
    )]
    Yaml(String),
    /// Not CSV; the parser's words.
    #[error("{0}")]
    Csv(String),
    /// A CSV header without a column.
    #[error(
        "the header lacks `{0}` (a table has the columns dataset, n_val, loss, and accuracy in percent or share of 1)"
    )]
    Column(&'static str),
    /// A CSV column nobody reads.
    #[error(
        "unknown column `{0}` (known: dataset, n_val, loss, and accuracy in percent or share of 1)"
    )]
    UnknownColumn(String),
    /// No or too many rows.
    #[error("the table holds {found} {what}, but 1 to {most} are read")]
    HowMany {
        /// Data sets or losses.
        what: &'static str,
        /// As read.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// A name that is empty, long, or holds control characters.
    #[error("the {0} must have 1 to 60 characters and no control character")]
    Name(&'static str),
    /// Not a number of images.
    #[error("`n_val` is `{0}`, but must be a whole number in 1..={MAX_IMAGES}")]
    Images(String),
    /// Two numbers of images for one data set.
    #[error("data set `{dataset}` has {first} images above, but {second} here")]
    TwoNumbers {
        /// The data set.
        dataset: String,
        /// First `n_val`.
        first: u64,
        /// Second `n_val`.
        second: u64,
    },
    /// Not a printed accuracy.
    #[error(
        "accuracy `{printed}` of {loss} is no plain number in 0..={most} with at most 6 decimals"
    )]
    Accuracy {
        /// As printed.
        printed: String,
        /// Its loss.
        loss: String,
        /// 100 or 1.
        most: u32,
    },
    /// A print no count rounds to.
    #[error(
        "no count of right images out of {n_val} prints as `{printed}` ({loss}), by rounding half up or half to even; the nearest print {nearest}"
    )]
    Impossible {
        /// As printed.
        printed: String,
        /// Its loss.
        loss: String,
        /// Images.
        n_val: u64,
        /// Prints of the counts around it.
        nearest: String,
    },
    /// A cell that stands twice.
    #[error("{loss} stands twice for data set `{dataset}`: a table holds one run per cell")]
    Twice {
        /// The loss.
        loss: String,
        /// The data set.
        dataset: String,
    },
}

/// Reads a published table: CSV when `file` ends in `.csv`, else YAML. `file` also names it in errors.
///
/// # Errors
/// The first thing that is wrong, with its line and what is allowed.
pub fn parse(text: &str, file: &str) -> Result<PublishedTable, TableError> {
    let read = if text.len() > MAX_BYTES {
        Err((1, Problem::TooLong(text.len())))
    } else if file.to_ascii_lowercase().ends_with(".csv") {
        csv(text)
    } else {
        yaml(text)
    };
    read.map_err(|(line, problem)| TableError { file: file.to_owned(), line, problem })
}

type Placed<T> = Result<T, (u64, Problem)>;

/// A cell before it is checked.
struct Row {
    line: u64,
    dataset: String,
    n_val: String,
    loss: String,
    printed: String,
}

/// The shape of the YAML form.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    #[serde(default)]
    title: String,
    unit: Option<Unit>,
    datasets: Vec<DataSetShape>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DataSetShape {
    name: Spanned<String>,
    n_val: Spanned<String>,
    accuracy: InOrder<Spanned<String>>,
}

/// A map in the order of the text.
struct InOrder<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = InOrder<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of losses to printed accuracies")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder<T>, A::Error> {
                let mut out = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    out.push(entry);
                }
                Ok(InOrder(out))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

fn yaml(text: &str) -> Placed<PublishedTable> {
    let options = serde_saphyr::options! { with_snippet: false };
    let file: TableFile = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |l| l.line().max(1));
        let bare = error.without_snippet();
        if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = bare {
            return (line, Problem::Yaml(format!("duplicate key `{}`", short(key))));
        }
        let what = bare.to_string();
        let first = what.lines().next().unwrap_or_default();
        let first = first.rsplit_once(" at line ").map_or(first, |(what, _)| what);
        (line, Problem::Yaml(first.chars().filter(|c| !c.is_control()).take(200).collect()))
    })?;
    let mut rows = Vec::new();
    let mut empty = None;
    for d in file.datasets {
        if d.accuracy.0.is_empty() {
            empty = empty.or(Some(d.name.referenced.line().max(1)));
        }
        for (loss, printed) in d.accuracy.0 {
            rows.push(Row {
                line: printed.referenced.line().max(1),
                dataset: d.name.value.clone(),
                n_val: d.n_val.value.clone(),
                loss,
                printed: printed.value,
            });
        }
    }
    if let Some(line) = empty {
        return Err((line, Problem::HowMany { what: "losses", found: 0, most: MAX_LOSSES }));
    }
    table(file.title, file.unit.unwrap_or(Unit::Percent), rows)
}

fn csv(text: &str) -> Placed<PublishedTable> {
    let mut reader =
        ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(text.as_bytes());
    let wrong = |error: ::csv::Error| {
        let line = error.position().map_or(1, ::csv::Position::line);
        let what = match error.kind() {
            ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("this row has {len} fields, but the header has {expected_len}")
            }
            _ => error.to_string(),
        };
        (line, Problem::Csv(what))
    };
    let header = reader.headers().map_err(wrong)?.clone();
    let known = ["dataset", "n_val", "loss", "accuracy", "share"];
    if let Some(other) = header.iter().find(|name| !known.contains(name)) {
        return Err((1, Problem::UnknownColumn(other.to_owned())));
    }
    let column = |name: &'static str| header.iter().position(|h| h == name);
    let need = |name| column(name).ok_or((1, Problem::Column(name)));
    let (dataset, n_val, loss) = (need("dataset")?, need("n_val")?, need("loss")?);
    let (printed, unit) = match column("share") {
        Some(at) => (at, Unit::Share),
        None => (need("accuracy")?, Unit::Percent),
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let field = |at: usize| record.get(at).unwrap_or_default().to_owned();
        rows.push(Row {
            line: record.position().map_or(1, ::csv::Position::line),
            dataset: field(dataset),
            n_val: field(n_val),
            loss: field(loss),
            printed: field(printed),
        });
    }
    table(String::new(), unit, rows)
}

fn table(title: String, unit: Unit, rows: Vec<Row>) -> Placed<PublishedTable> {
    let mut out = PublishedTable { title, unit, losses: Vec::new(), datasets: Vec::new() };
    let mut last = 1;
    for row in rows {
        last = row.line;
        out.add(row)?;
    }
    for (what, found, most) in
        [("data sets", out.datasets.len(), MAX_DATASETS), ("losses", out.losses.len(), MAX_LOSSES)]
    {
        if found == 0 || found > most {
            return Err((last, Problem::HowMany { what, found, most }));
        }
    }
    Ok(out)
}

impl PublishedTable {
    fn add(&mut self, row: Row) -> Placed<()> {
        let at = |problem| (row.line, problem);
        for (what, name) in
            [("name of the data set", &row.dataset), ("name of the loss", &row.loss)]
        {
            let length = name.chars().count();
            if length == 0 || length > 60 || name.chars().any(char::is_control) {
                return Err(at(Problem::Name(what)));
            }
        }
        let n_val = (row.n_val.parse().ok())
            .filter(|n| (1..=MAX_IMAGES).contains(n))
            .ok_or_else(|| at(Problem::Images(short(&row.n_val))))?;
        let print = Print::parse(&row.printed, self.unit).ok_or_else(|| {
            at(Problem::Accuracy {
                printed: short(&row.printed),
                loss: row.loss.clone(),
                most: if self.unit == Unit::Share { 1 } else { 100 },
            })
        })?;
        let range = counts(print, n_val).map_err(|nearest| {
            at(Problem::Impossible {
                printed: row.printed.clone(),
                loss: row.loss.clone(),
                n_val,
                nearest,
            })
        })?;
        let loss = position(&mut self.losses, row.loss.clone());
        let dataset = match self.datasets.iter_mut().find(|d| d.name == row.dataset) {
            Some(known) if known.n_val != n_val => {
                return Err(at(Problem::TwoNumbers {
                    dataset: row.dataset.clone(),
                    first: known.n_val,
                    second: n_val,
                }));
            }
            Some(known) => known,
            None => {
                self.datasets.push(PublishedDataSet {
                    name: row.dataset.clone(),
                    n_val,
                    cells: Vec::new(),
                });
                self.datasets.last_mut().expect("one was just pushed")
            }
        };
        if dataset.cells.iter().any(|(known, ..)| *known == loss) {
            return Err(at(Problem::Twice { loss: row.loss, dataset: row.dataset }));
        }
        dataset.cells.push((loss, print.text(), range));
        Ok(())
    }
}

fn position(names: &mut Vec<String>, name: String) -> usize {
    names.iter().position(|n| *n == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str, file: &str) -> String {
        parse(text, file).unwrap_err().to_string()
    }

    const YAML: &str = "datasets:\n  - name: fruits\n    n_val: 60\n    accuracy: { softmax: 92, cosine: \"88\" }\n";

    #[test]
    fn both_forms_give_the_same_table() {
        let csv = "dataset,n_val,loss,accuracy\nfruits,60,softmax,92\nfruits,60,cosine,88\n";
        let table = parse(YAML, "t.yaml").unwrap();
        assert_eq!(table, parse(csv, "t.CSV").unwrap());
        assert_eq!(table.losses, ["softmax", "cosine"]);
        assert_eq!(table.datasets[0].cells[0], (0, "92".to_owned(), (55, 55)));
    }

    #[test]
    fn decimals_of_an_unquoted_number_are_kept() {
        let text = YAML.replace("92", "91.70").replace("\"88\"", "88.3 %");
        let table = parse(&text, "t.yaml").unwrap_err();
        // 55 of 60 is 91.67 to two decimals: 91.70 has none.
        assert!(table.to_string().contains("`91.70`"), "{table}");
        let text = YAML.replace("92", "91.67").replace("\"88\"", "88.3 %");
        assert_eq!(parse(&text, "t.yaml").unwrap().datasets[0].cells[1].2, (53, 53));
    }

    #[test]
    fn errors_name_the_file_the_line_and_what_is_allowed() {
        insta::assert_snapshot!(
            [
                wrong(&YAML.replace("88", "89"), "t.yaml"),
                wrong(&YAML.replace("\"88\"", "high"), "t.yaml"),
                wrong(&YAML.replace("60", "0"), "t.yaml"),
                wrong(&YAML.replace("n_val", "images"), "t.yaml"),
                wrong(&YAML.replace("cosine", "softmax"), "t.yaml"),
                wrong("datasets: []\n", "t.yaml"),
                wrong("datasets:\n  - { name: a, n_val: 9, accuracy: {} }\n", "t.yaml"),
                wrong("dataset,loss,accuracy\n", "t.csv"),
                wrong("dataset,n_val,loss,accuracy,seed\n", "t.csv"),
                wrong("dataset,n_val,loss,accuracy\na,60,x,90\na,66,y,91\n", "t.csv"),
                wrong("dataset,n_val,loss,accuracy\na,60,x,90\na,60,x,90\n", "t.csv"),
                wrong("dataset,n_val,loss,accuracy\na,60,x\n", "t.csv"),
                wrong("dataset,n_val,loss,share\na,60,x,92\n", "t.csv"),
            ]
            .join("\n"),
            @r#"
t.yaml:4: no count of right images out of 60 prints as `89` (cosine), by rounding half up or half to even; the nearest print 88 (53) and 90 (54)
t.yaml:4: accuracy `high` of cosine is no plain number in 0..=100 with at most 6 decimals
t.yaml:4: `n_val` is `0`, but must be a whole number in 1..=1000000
t.yaml:3: unknown field `images`, expected one of name, n_val, accuracy (a table is `datasets:`, a list of { name, n_val, accuracy: { LOSS: PRINTED } }, with `title` and `unit: percent | share` if wanted)
t.yaml:4: duplicate key `softmax` (a table is `datasets:`, a list of { name, n_val, accuracy: { LOSS: PRINTED } }, with `title` and `unit: percent | share` if wanted)
t.yaml:1: the table holds 0 data sets, but 1 to 100 are read
t.yaml:2: the table holds 0 losses, but 1 to 50 are read
t.csv:1: the header lacks `n_val` (a table has the columns dataset, n_val, loss, and accuracy in percent or share of 1)
t.csv:1: unknown column `seed` (known: dataset, n_val, loss, and accuracy in percent or share of 1)
t.csv:3: data set `a` has 60 images above, but 66 here
t.csv:3: x stands twice for data set `a`: a table holds one run per cell
t.csv:2: this row has 3 fields, but the header has 4
t.csv:2: accuracy `92` of x is no plain number in 0..=1 with at most 6 decimals
"#
        );
    }
}

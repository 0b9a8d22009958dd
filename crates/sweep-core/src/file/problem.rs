//! What is wrong with a sweep file, shown where it stands in the text.

use std::fmt;

/// Problems shown at most: whoever has more will look again after mending these.
const MAX_SHOWN: usize = 20;
/// Characters of a source line shown on either side of the caret.
const CROP: usize = 110;

/// A stretch of one line of the text, in characters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) width: usize,
}

impl Span {
    /// The first character.
    pub(crate) const START: Self = Self { line: 1, column: 1, width: 1 };
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters under the caret, ≥ 1.
    pub width: usize,
    /// What is wrong and what is allowed, as a lowercase fragment.
    pub message: String,
}

/// A sweep file that cannot be run. Retrying cannot help.
///
/// Its `Display` is the text for people: for each problem `FILE:LINE:COLUMN: what is wrong and what is allowed`, then the line of
/// the file with a caret under the wrong key or value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepFileError {
    file: String,
    problems: Vec<(Problem, String)>,
    left_out: usize,
}

impl SweepFileError {
    /// What is wrong, in the order of the file.
    pub fn problems(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter().map(|(problem, _)| problem)
    }

    /// Name of the file as given.
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl std::error::Error for SweepFileError {}

impl fmt::Display for SweepFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (problem, source)) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{}:{}:{}: {}", self.file, problem.line, problem.column, problem.message)?;
            snippet(f, problem, source)?;
        }
        if self.left_out > 0 {
            write!(f, "\n\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

fn snippet(f: &mut fmt::Formatter<'_>, problem: &Problem, source: &str) -> fmt::Result {
    let number = problem.line.to_string();
    let blank = " ".repeat(number.len());
    let total = source.chars().count();
    let column = problem.column.min(total + 1);
    let from = if column > CROP { column - CROP } else { 1 };
    let shown: String = source
        .chars()
        .skip(from - 1)
        .take(2 * CROP)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let (left, right) =
        (if from > 1 { "…" } else { "" }, if total + 1 > from + 2 * CROP { "…" } else { "" });
    let before = column - from + left.chars().count();
    let room = (total + 1).saturating_sub(column).clamp(1, CROP);
    let carets = "^".repeat(problem.width.clamp(1, room));
    write!(
        f,
        "\n {blank} |\n {number} | {left}{shown}{right}\n {blank} | {}{carets}",
        " ".repeat(before)
    )
}

/// Collects problems while a file is read, so that a person sees more than the first.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<(Span, String)>);

impl Problems {
    /// Notes a problem once.
    pub(crate) fn add(&mut self, at: Span, message: impl Into<String>) {
        let problem = (at, message.into());
        // A wrong value on an axis is met once per point that holds it.
        if !self.0.contains(&problem) && self.0.len() < 10 * MAX_SHOWN {
            self.0.push(problem);
        }
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// The error, if anything is wrong.
    pub(crate) fn into_result(mut self, file: &str, text: &str) -> Result<(), SweepFileError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|(at, _)| (at.line, at.column));
        let left_out = self.0.len().saturating_sub(MAX_SHOWN);
        self.0.truncate(MAX_SHOWN);
        let lines: Vec<&str> = text.lines().collect();
        let problems = self.0.into_iter().map(|(at, message)| {
            let source = lines.get(at.line - 1).copied().unwrap_or_default();
            // A line may be as long as the file: keep what a snippet can show and keep the column true.
            let source: String = source.chars().take(at.column.saturating_add(3 * CROP)).collect();
            (Problem { line: at.line, column: at.column, width: at.width, message }, source)
        });
        Err(SweepFileError { file: plain(file, 300), problems: problems.collect(), left_out })
    }
}

/// Text of a user in backticks, short and without control characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", plain(text, 60))
}

fn plain(text: &str, most: usize) -> String {
    let mut out: String =
        text.chars().take(most).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// "known: a, b" with a "did you mean" where one known word is close to `word`.
pub(crate) fn known(word: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`? known: {list}"),
        None => format!("known: {list}"),
    }
}

/// The known word that `word` was probably meant to be: a third of its letters may differ, three at most.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.replace('-', "_");
    crate::suggest::nearest(&word, known.iter().copied(), |letters| (letters / 3).clamp(1, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hyphen_is_an_underscore() {
        assert_eq!(nearest("learning-rate", &["margin", "learning_rate"]), Some("learning_rate"));
        assert_eq!(nearest("zzz", &["margin", "scale"]), None);
    }

    #[test]
    fn a_snippet_of_a_very_long_line_is_short_and_its_caret_stands_under_the_word() {
        let mut problems = Problems::default();
        let text = format!("{}WRONG{}", "a".repeat(100_000), "b".repeat(100_000));
        problems.add(Span { line: 1, column: 100_001, width: 5 }, "no");
        let shown = problems.into_result("f", &text).unwrap_err().to_string();
        assert!(shown.len() < 800, "{}", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().skip(caret).take(5).collect::<String>(), "WRONG");
    }
}

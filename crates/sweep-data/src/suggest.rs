//! "did you mean" with the limit of manifests. Not for accepting the word.

/// The known word nearest to `word`, if near enough to be a slip: about a third of its letters may differ.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    sweep_core::suggest::nearest(word, known, |letters| ((letters + 1) / 3).max(1))
}

/// The end of a message: "; did you mean `x`?", or nothing.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_one_letter_finds_its_word() {
        assert_eq!(nearest("weathr", ["fruits", "weather"]), Some("weather"));
        assert_eq!(nearest("splti", ["source", "split"]), Some("split"));
    }

    #[test]
    fn a_word_unlike_all_others_finds_nothing() {
        assert_eq!(nearest("zebra", ["fruits", "weather", "covid"]), None);
    }
}

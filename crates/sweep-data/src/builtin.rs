//! The data set inside the binary: digits, so that a first sweep needs no download.

/// Names of the built-in data sets.
pub const BUILT_IN: &[&str] = &["digits"];

/// The words that go with the digits wherever they go.
pub const DIGITS_ATTRIBUTION: &str = include_str!("../data/ATTRIBUTION.txt");

/// sha256 of the embedded file, as published beside the numbers measured on it.
pub const DIGITS_SHA256: &str = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22";

pub(crate) const DIGITS_MANIFEST: &str = include_str!("../data/digits.yaml");

pub(crate) const DIGITS_TABLE: &[u8] = include_bytes!("../data/digits.csv.gz");

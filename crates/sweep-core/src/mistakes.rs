//! What a model took the validation images for that it got wrong: enough to show each with truth and prediction.
//!
//! Beside [`Bits`](crate::bits::Bits), which say which images these are: together about one byte per wrong image, so that it can
//! stand in every result.

use serde::{Deserialize, Serialize};

/// Wrong images that are kept at most: more than a person looks at, and bounded, for a result is stored whole.
pub const MISTAKES_MAX: usize = 4096;

/// Bytes of a packed class at most.
const CLASS_BYTES: usize = 5;

/// The class each wrong image was taken for, in the order of the wrong images in the split: the first [`MISTAKES_MAX`] of them.
///
/// Packed as class + 1 in base-128 digits, least significant first; 0 where a logit was not finite and there is no class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mistakes {
    bytes: Vec<u8>,
    len: usize,
}

/// Stored mistakes that cannot be read. Retrying cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MistakesError {
    /// Not base64.
    #[error("mistakes are not base64")]
    Base64,
    /// A class that ends nowhere or is beyond 32 bits.
    #[error("mistakes hold what is no class")]
    Class,
    /// More than [`MISTAKES_MAX`].
    #[error("more than {MISTAKES_MAX} mistakes")]
    Many,
}

impl FromIterator<Option<u32>> for Mistakes {
    /// Keeps the first [`MISTAKES_MAX`].
    fn from_iter<I: IntoIterator<Item = Option<u32>>>(classes: I) -> Self {
        let mut out = Self::default();
        for class in classes.into_iter().take(MISTAKES_MAX) {
            let mut rest = class.map_or(0, |class| u64::from(class) + 1);
            while rest > 0x7f {
                out.bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            out.bytes.push(rest as u8);
            out.len += 1;
        }
        out
    }
}

impl Mistakes {
    /// How many are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The classes in order; `None` where a logit was not finite.
    pub fn iter(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        let mut rest = self.bytes.as_slice();
        // What is in here was checked when it was made.
        std::iter::from_fn(move || next(&mut rest)).map(|packed| packed.and_then(plain))
    }
}

/// The class behind a packed number; the outer `None` of [`next`] is the end.
fn plain(packed: u64) -> Option<u32> {
    u32::try_from(packed.checked_sub(1)?).ok()
}

/// The next packed number: `None` at the end, `Some(None)` where there is none but bytes.
fn next(bytes: &mut &[u8]) -> Option<Option<u64>> {
    if bytes.is_empty() {
        return None;
    }
    let Some(end) = bytes.iter().take(CLASS_BYTES).position(|byte| byte & 0x80 == 0) else {
        *bytes = &[];
        return Some(None);
    };
    let (digits, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    Some(Some(digits.iter().rev().fold(0, |sum, digit| (sum << 7) | u64::from(digit & 0x7f))))
}

impl TryFrom<String> for Mistakes {
    type Error = MistakesError;

    fn try_from(text: String) -> Result<Self, MistakesError> {
        let bytes =
            data_encoding::BASE64.decode(text.as_bytes()).map_err(|_| MistakesError::Base64)?;
        if bytes.len() > MISTAKES_MAX * CLASS_BYTES {
            return Err(MistakesError::Many);
        }
        let (mut rest, mut len) = (bytes.as_slice(), 0);
        while let Some(packed) = next(&mut rest) {
            let packed = packed.ok_or(MistakesError::Class)?;
            if packed > u64::from(u32::MAX) + 1 {
                return Err(MistakesError::Class);
            }
            len += 1;
        }
        if len > MISTAKES_MAX { Err(MistakesError::Many) } else { Ok(Self { bytes, len }) }
    }
}

impl From<Mistakes> for String {
    fn from(mistakes: Mistakes) -> Self {
        data_encoding::BASE64.encode(&mistakes.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn mistakes_read_back_as_they_were_written(
            classes in prop::collection::vec(prop::option::of(any::<u32>()), 0..300),
        ) {
            let packed: Mistakes = classes.iter().copied().collect();
            let text = serde_json::to_string(&packed).unwrap();
            let back: Mistakes = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.iter().collect::<Vec<_>>(), classes);
            prop_assert_eq!(back, packed);
        }

        #[test]
        fn whatever_is_stored_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(read) = Mistakes::try_from(data_encoding::BASE64.encode(&bytes)) {
                prop_assert_eq!(read.iter().count(), read.len());
            }
        }
    }

    #[test]
    fn a_class_below_127_takes_a_byte() {
        let packed: Mistakes = [Some(0), Some(126), None].into_iter().collect();
        assert_eq!(serde_json::to_string(&packed).unwrap(), r#""AX8A""#);
    }

    #[test]
    fn no_more_are_kept_than_fit_into_a_result() {
        let many: Mistakes = (0..5000).map(Some).collect();
        assert_eq!(many.len(), MISTAKES_MAX);
        assert_eq!(many.iter().last(), Some(Some(4095)));
        let too_many = data_encoding::BASE64.encode(&vec![1; MISTAKES_MAX + 1]);
        assert_eq!(Mistakes::try_from(too_many), Err(MistakesError::Many));
        assert_eq!(Mistakes::try_from("gA==".to_owned()), Err(MistakesError::Class));
    }
}

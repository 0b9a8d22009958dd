//! The sha256 that names a source file, as its own type: sources publish sha256, everything else here is blake3.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A sha256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The sha256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The sha256 of all that `reader` gives, and how many bytes that was.
    pub(crate) fn of_reader(mut reader: impl Read) -> std::io::Result<(Self, u64)> {
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok((Self(hasher.finalize().into()), bytes)),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            serde::de::Error::custom("64 lower-case hexadecimal digits are a sha256")
        })
    }
}

/// What is known of a file's sha256 beforehand: all of it, or its first digits, as in torch's names of weights
/// (`resnet50-0676ba61.pth`).
///
/// A prefix of 8 digits tells damage and mix-ups, with one chance in 4 billion to miss them; it does not tell malice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sha256OrPrefix(String);

/// A text that is no sha256 and no beginning of one. Retrying cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sha256: 64 hexadecimal digits are, or at least the first 8 of them")]
pub struct NoSha256(String);

impl Sha256OrPrefix {
    /// Whether a file of this sha256 is the one meant.
    pub fn matches(&self, found: &Sha256) -> bool {
        found.to_string().starts_with(&self.0)
    }

    /// Whether all 64 digits are known.
    pub fn is_complete(&self) -> bool {
        self.0.len() == 64
    }
}

impl FromStr for Sha256OrPrefix {
    type Err = NoSha256;

    fn from_str(text: &str) -> Result<Self, NoSha256> {
        let ok = (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if ok {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NoSha256(text.chars().take(80).filter(|c| !c.is_control()).collect()))
        }
    }
}

impl From<Sha256> for Sha256OrPrefix {
    fn from(sha256: Sha256) -> Self {
        Self(sha256.to_string())
    }
}

impl fmt::Display for Sha256OrPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)?;
        if self.is_complete() { Ok(()) } else { f.write_str("…") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_what_begins_with_it() {
        let found = Sha256::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(found.to_string(), text);
        for wanted in [text, "BA7816BF", "ba7816bf8f"] {
            assert!(wanted.parse::<Sha256OrPrefix>().unwrap().matches(&found), "{wanted}");
        }
        assert!(!"ba7816be".parse::<Sha256OrPrefix>().unwrap().matches(&found));
        for wrong in ["", "ba7816b", "ba7816bx", &format!("{text}0")] {
            assert!(wrong.parse::<Sha256OrPrefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stream_has_the_sha256_of_its_bytes() {
        let bytes = vec![7; (1 << 20) + 3];
        assert_eq!(Sha256::of_reader(bytes.as_slice()).unwrap(), (Sha256::of(&bytes), 1_048_579));
    }
}

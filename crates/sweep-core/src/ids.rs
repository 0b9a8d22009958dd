//! Identifiers and counters as types, so that a fence cannot be passed for an attempt nor a run id for a sweep id.
//!
//! Ids of runs and sweeps are content hashes (see [`crate::run::RunSpec::id`], [`crate::sweep::Sweep::id`]); nothing here is random.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Number of base32 characters of a run or sweep id: 20 × 5 = 100 bits.
pub const ID_CHARS: usize = 20;

/// A text that is not an identifier of the expected kind. Retrying cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 20 characters of `a-z2-7`.
    #[error("`{0}` is not an id (20 characters of a-z and 2-7)")]
    Id(String),
    /// Not 64 lower-case hexadecimal digits.
    #[error("`{0}` is not a digest (64 lower-case hexadecimal digits)")]
    Digest(String),
    /// Neither 8 nor 64 lower-case hexadecimal digits.
    #[error("`{0}` is not the start of a sha256 (8 or 64 lower-case hexadecimal digits)")]
    Sha256(String),
}

macro_rules! content_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The first 100 bits of the digest in lower-case base32.
            pub fn of(digest: &Digest) -> Self {
                let text = data_encoding::BASE32_NOPAD.encode(&digest.0).to_ascii_lowercase();
                Self(text[..ID_CHARS].to_owned())
            }

            /// The 20 characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let ok = text.len() == ID_CHARS && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
                if ok { Ok(Self(text.to_owned())) } else { Err(IdError::Id(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

content_id! {
    /// Content hash of everything that changes a run's result.
    RunId
}
content_id! {
    /// Content hash of a checked sweep file on its data sets.
    SweepId
}
content_id! {
    /// Content hash of a configuration: a run without its seed.
    ConfigurationId
}

/// A blake3 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes =
            data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or_else(|| IdError::Digest(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The sha256 of a published file: all 64 lower-case hexadecimal digits, or the first 8 where its name carries only those.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);

impl Sha256 {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a file with this sha256 (all 64 digits) is the one meant.
    pub fn is_of(&self, whole: &str) -> bool {
        whole.len() == 64 && whole.starts_with(&self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Sha256 {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let ok = (text.len() == 8 || text.len() == 64)
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if ok { Ok(Self(text.to_owned())) } else { Err(IdError::Sha256(text.to_owned())) }
    }
}

impl TryFrom<String> for Sha256 {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(sha256: Sha256) -> Self {
        sha256.0
    }
}

/// The number that grows with every lease, so that a late word from a lost attempt is refused. Compared for equality only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which try at a run this is, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

/// Milliseconds since the Unix epoch on the store's clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time moved by `ms` milliseconds.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

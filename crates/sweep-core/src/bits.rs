//! Which validation images a run got right, one bit each, in the order of the split.

use serde::{Deserialize, Serialize};

/// A packed row of bits; bit `i` is bit `i % 8` (least significant first) of byte `i / 8`. Unused bits are zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Bits {
    len: usize,
    bytes: Vec<u8>,
}

/// How bits travel: their number and their bytes in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    len: usize,
    base64: String,
}

/// Stored bits that cannot be read. Retrying cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitsError {
    /// Not base64.
    #[error("correctness bits are not base64")]
    Base64,
    /// Bytes and length disagree, or a bit beyond the length is set.
    #[error("correctness bits do not match their length {len}")]
    Length {
        /// The length that was stated.
        len: usize,
    },
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut out = Self { len: 0, bytes: Vec::new() };
        for bit in bits {
            if out.len.is_multiple_of(8) {
                out.bytes.push(0);
            }
            if bit {
                out.bytes[out.len / 8] |= 1 << (out.len % 8);
            }
            out.len += 1;
        }
        out
    }
}

impl Bits {
    /// Number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The packed bytes, ⌈len/8⌉ of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bit `i`, or `None` beyond the end.
    pub fn get(&self, i: usize) -> Option<bool> {
        (i < self.len).then(|| self.bytes[i / 8] >> (i % 8) & 1 == 1)
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> usize {
        self.bytes.iter().map(|b| b.count_ones() as usize).sum()
    }

    /// The bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|i| self.bytes[i / 8] >> (i % 8) & 1 == 1)
    }
}

impl TryFrom<Wire> for Bits {
    type Error = BitsError;

    fn try_from(wire: Wire) -> Result<Self, BitsError> {
        let bytes =
            data_encoding::BASE64.decode(wire.base64.as_bytes()).map_err(|_| BitsError::Base64)?;
        let tail_clear = wire.len.is_multiple_of(8)
            || bytes.last().is_none_or(|last| last >> (wire.len % 8) == 0);
        if bytes.len() == wire.len.div_ceil(8) && tail_clear {
            Ok(Self { len: wire.len, bytes })
        } else {
            Err(BitsError::Length { len: wire.len })
        }
    }
}

impl From<Bits> for Wire {
    fn from(bits: Bits) -> Self {
        Self { len: bits.len, base64: data_encoding::BASE64.encode(&bits.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_read_back_as_they_were_written(bits in prop::collection::vec(any::<bool>(), 0..300)) {
            let packed: Bits = bits.iter().copied().collect();
            prop_assert_eq!(packed.count_ones(), bits.iter().filter(|b| **b).count());
            let text = serde_json::to_string(&packed).unwrap();
            let back: Bits = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.iter().collect::<Vec<_>>(), bits);
        }
    }

    #[test]
    fn a_set_bit_beyond_the_length_is_refused() {
        assert!(serde_json::from_str::<Bits>(r#"{"len":3,"base64":"CA=="}"#).is_err());
    }
}

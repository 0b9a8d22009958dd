//! What a script or command answers, taken apart: lists of texts, bytes and lists.

use redis::Value;

use crate::error::StoreError;

/// A list that a script answered with.
pub(super) struct Reply(Vec<Value>);

impl Reply {
    pub(super) fn of(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) => Ok(Self(values)),
            _ => Err(StoreError::Reply { what: "no list" }),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self, place: usize) -> Result<&[u8], StoreError> {
        match self.0.get(place) {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            _ => Err(StoreError::Reply { what: "no text where one belongs" }),
        }
    }

    pub(super) fn text(&self, place: usize) -> Result<&str, StoreError> {
        std::str::from_utf8(self.bytes(place)?)
            .map_err(|_| StoreError::Reply { what: "a text that is not UTF-8" })
    }

    /// A number written as text.
    pub(super) fn number<T: std::str::FromStr>(&self, place: usize) -> Result<T, StoreError> {
        let wrong = |_| StoreError::Reply { what: "no number where one belongs" };
        self.text(place)?.parse().map_err(wrong)
    }

    /// A score, or nothing where the text is empty.
    pub(super) fn time(
        &self,
        place: usize,
    ) -> Result<Option<sweep_core::ids::Timestamp>, StoreError> {
        if self.bytes(place)?.is_empty() {
            return Ok(None);
        }
        let ms: f64 = self.number(place)?;
        Ok(Some(sweep_core::ids::Timestamp(ms as i64)))
    }

    /// A list inside the list.
    pub(super) fn list(&mut self, place: usize) -> Result<Self, StoreError> {
        let value = self.0.get_mut(place).map(|value| std::mem::replace(value, Value::Nil));
        Self::of(value.unwrap_or(Value::Nil))
    }

    pub(super) fn is_nothing(&self, place: usize) -> bool {
        matches!(self.0.get(place), None | Some(Value::Nil))
    }
}

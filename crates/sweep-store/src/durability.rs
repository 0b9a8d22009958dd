//! What stands between a store and its promises: settings of a server that may lose what it acknowledged, or drop it on purpose.

use std::fmt;

/// Something a person should know about a store before trusting it with work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Whether the store must not be used: it would drop runs by itself. Everything else costs at most work done twice.
    pub refuse: bool,
    /// Which setting, e.g. `appendonly`.
    pub setting: &'static str,
    /// What it is, what that costs, and what to set instead.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.text)
    }
}

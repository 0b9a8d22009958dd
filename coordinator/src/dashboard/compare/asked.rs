//! The address of a comparison: sweeps, picked configurations, the reference.

use std::fmt;

use sweep_core::ids::{ConfigurationId, SweepId};

use crate::service::problem::{Kind, Problem, cut};

/// Sweeps at most: each is planned anew.
pub(super) const SWEEPS_MAX: usize = 8;
/// Configurations at most: each run is read.
pub(super) const PICKS_MAX: usize = 20;

/// A configuration of a sweep, `SWEEP.CONFIGURATION` in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) sweep: SweepId,
    pub(super) configuration: ConfigurationId,
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sweep, self.configuration)
    }
}

impl Pick {
    fn parse(text: &str) -> Option<Self> {
        let (sweep, configuration) = text.split_once('.')?;
        Some(Self { sweep: sweep.parse().ok()?, configuration: configuration.parse().ok()? })
    }
}

/// What an address asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Without doubles, those of picks included.
    pub(super) sweeps: Vec<SweepId>,
    /// Without doubles, the reference included.
    pub(super) picks: Vec<Pick>,
    pub(super) reference: Option<Pick>,
}

impl Wanted {
    /// Reads a query.
    ///
    /// # Errors
    /// For other keys, what is no id, and too many of them.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let wrong = |text: String| Problem::new(Kind::Query, text);
        let mut wanted = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let no_pick = || wrong(format!("`{}` is no SWEEP.CONFIGURATION", cut(&value)));
            match &*key {
                "sweep" => {
                    let id = value
                        .parse()
                        .map_err(|_| wrong(format!("`{}` is no id of a sweep", cut(&value))))?;
                    wanted.sweep(id);
                }
                "pick" => {
                    let pick = Pick::parse(&value).ok_or_else(no_pick)?;
                    wanted.pick(pick);
                }
                "reference" => wanted.reference = Some(Pick::parse(&value).ok_or_else(no_pick)?),
                other => {
                    return Err(wrong(format!(
                        "unknown key `{}` (known: sweep, pick, reference)",
                        cut(other)
                    )));
                }
            }
        }
        // A reference alone is a form sent too early, not a comparison.
        if let Some(reference) = wanted.reference.clone().filter(|_| !wanted.picks.is_empty()) {
            wanted.pick(reference);
        }
        if wanted.sweeps.len() > SWEEPS_MAX || wanted.picks.len() > PICKS_MAX {
            return Err(wrong(format!(
                "at most {SWEEPS_MAX} sweeps and {PICKS_MAX} configurations can be compared"
            )));
        }
        Ok(wanted)
    }

    fn sweep(&mut self, id: SweepId) {
        if !self.sweeps.contains(&id) {
            self.sweeps.push(id);
        }
    }

    fn pick(&mut self, pick: Pick) {
        self.sweep(pick.sweep.clone());
        if !self.picks.contains(&pick) {
            self.picks.push(pick);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_sweeps_picks_and_the_reference_once_each() {
        let (a, b) = ("a".repeat(20), "b".repeat(20));
        let query = format!("sweep={a}&pick={a}.{b}&pick={b}.{a}&pick={a}.{b}&reference={b}.{b}");
        let wanted = Wanted::parse(&query).unwrap();
        assert_eq!(wanted.sweeps.len(), 2);
        let picks: Vec<String> = wanted.picks.iter().map(Pick::to_string).collect();
        assert_eq!(picks, [format!("{a}.{b}"), format!("{b}.{a}"), format!("{b}.{b}")]);
        assert_eq!(wanted.reference.as_ref(), wanted.picks.last());
        assert_eq!(Wanted::parse("").unwrap(), Wanted::default());
        assert!(Wanted::parse(&format!("reference={a}.{b}")).unwrap().picks.is_empty());
        for wrong in
            ["sweep=x", "pick=aaaa", "other=1", &format!("pick={a}"), &format!("pick={a}.{b}.c")]
        {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
        let many: Vec<String> =
            ('a'..='i').map(|c| format!("sweep={}", c.to_string().repeat(20))).collect();
        assert!(Wanted::parse(&many.join("&")).is_err());
    }
}

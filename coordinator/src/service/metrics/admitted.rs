//! The sweeps that have series of their own: the newest unfinished ones, and until an hour after their end. Pure.

use std::collections::HashMap;

use sweep_core::ids::SweepId;
use sweep_store::{SweepState, SweepStatus};

use super::configurations::Configurations;

/// Unfinished sweeps with series of their own.
const UNFINISHED: usize = 50;
/// With those that ended a short while ago.
const ALL: usize = 64;
/// Series of an ended sweep stay so long, seconds: longer than any scrape or rate needs.
const KEPT: u64 = 3600;
/// Characters of a sweep's name in its label.
const NAME: usize = 40;

/// Which sweeps are shown.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    sweeps: HashMap<SweepId, Place>,
}

/// One sweep that is shown.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) label: String,
    /// When it was first seen ended, seconds.
    ended: Option<u64>,
    /// Last epoch or result, or when it was first seen; ms since 1970.
    pub(crate) progress: i64,
    /// Once its runs have been read.
    pub(super) configurations: Option<Configurations>,
}

/// Labels that came and went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turnover {
    pub(crate) came: Vec<String>,
    pub(crate) went: Vec<String>,
}

impl Admitted {
    /// Takes in new sweeps and drops old ones; `sweeps` newest first, `now` in seconds of any clock that only grows, `at` in ms since
    /// 1970.
    pub(crate) fn update(&mut self, sweeps: &[SweepStatus], now: u64, at: i64) -> Turnover {
        let mut turnover = Turnover::default();
        for sweep in sweeps {
            if let Some(place) = self.sweeps.get_mut(&sweep.id) {
                place.ended = if is_over(sweep) { place.ended.or(Some(now)) } else { None };
            }
        }
        let known: std::collections::HashSet<_> = sweeps.iter().map(|sweep| &sweep.id).collect();
        let gone = |id: &SweepId, place: &Place| {
            !known.contains(id) || place.ended.is_some_and(|ended| now.saturating_sub(ended) > KEPT)
        };
        let drop: Vec<SweepId> = self
            .sweeps
            .iter()
            .filter(|(id, place)| gone(id, place))
            .map(|(id, _)| id.clone())
            .collect();
        for id in drop {
            turnover.went.extend(self.sweeps.remove(&id).map(|place| place.label));
        }
        let mut unfinished = self.sweeps.values().filter(|place| place.ended.is_none()).count();
        for sweep in sweeps {
            if unfinished == UNFINISHED {
                break;
            }
            if is_over(sweep) || self.sweeps.contains_key(&sweep.id) {
                continue;
            }
            if self.sweeps.len() == ALL {
                let oldest = self.sweeps.iter().filter(|(_, place)| place.ended.is_some());
                let oldest = oldest.min_by_key(|(_, place)| place.ended).map(|(id, _)| id.clone());
                let Some(oldest) = oldest else { break };
                turnover.went.extend(self.sweeps.remove(&oldest).map(|place| place.label));
            }
            let label = label(sweep);
            turnover.came.push(label.clone());
            let place = Place { label, ended: None, progress: at, configurations: None };
            self.sweeps.insert(sweep.id.clone(), place);
            unfinished += 1;
        }
        turnover
    }

    /// The label of a sweep that is shown.
    pub(crate) fn get(&self, sweep: &SweepId) -> Option<&Place> {
        self.sweeps.get(sweep)
    }

    /// Notes that one of its runs got on.
    pub(crate) fn progressed(&mut self, sweep: &SweepId, at: i64) {
        if let Some(place) = self.sweeps.get_mut(sweep) {
            place.progress = place.progress.max(at);
        }
    }

    /// Notes what its runs said.
    pub(super) fn counted(&mut self, sweep: &SweepId, configurations: Configurations) {
        if let Some(place) = self.sweeps.get_mut(sweep) {
            place.configurations = Some(configurations);
        }
    }

    /// Whether a further unfinished sweep would be shown.
    pub(super) fn has_room(&self) -> bool {
        self.sweeps.values().filter(|place| place.ended.is_none()).count() < UNFINISHED
    }
}

/// Whether nothing more will happen by itself.
pub(crate) fn is_over(sweep: &SweepStatus) -> bool {
    sweep.is_done() || (sweep.state == SweepState::Cancelled && sweep.counts.unfinished() == 0)
}

/// Names are user text and not unique; with the beginning of the id they are.
fn label(sweep: &SweepStatus) -> String {
    format!("{}-{}", &sweep.name[..sweep.name.floor_char_boundary(NAME)], &sweep.id.as_str()[..6])
}

#[cfg(test)]
pub(crate) mod tests {
    use sweep_core::ids::{Digest, Timestamp};
    use sweep_store::Counts;

    use super::*;

    pub(crate) fn sweep(number: u32, queued: u32) -> SweepStatus {
        SweepStatus {
            id: SweepId::of(&Digest::of(&number.to_le_bytes())),
            name: "n".repeat(60),
            weight: 1.0,
            band: 4,
            cap: None,
            state: SweepState::Active,
            round: 0,
            sealed: true,
            counts: Counts { queued, succeeded: 1, ..Counts::default() },
            submissions: Vec::new(),
            reports: 0,
            created: Timestamp(i64::from(number)),
            seconds: 0.0,
            ended_attempts: 0,
            walking: false,
        }
    }

    #[test]
    fn the_newest_unfinished_sweeps_are_shown_and_stay_until_an_hour_after_their_end() {
        let mut admitted = Admitted::default();
        let all: Vec<_> = (0..200).rev().map(|number| sweep(number, 1)).collect();
        let turnover = admitted.update(&all, 0, 0);
        assert_eq!((turnover.came.len(), turnover.went.len()), (50, 0));
        assert!(admitted.get(&all[0].id).is_some() && admitted.get(&all[50].id).is_none());
        assert_eq!(turnover.came[0].len(), 40 + 1 + 6);
        // A newer one finds no place while none of them has ended.
        let mut more = all.clone();
        more.insert(0, sweep(200, 1));
        assert_eq!(admitted.update(&more, 5, 0), Turnover::default());
        // All end: their series stay, later ones come.
        for sweep in &mut more[1..51] {
            sweep.counts.queued = 0;
        }
        let turnover = admitted.update(&more, 10, 0);
        assert_eq!(
            (turnover.came.len(), turnover.went.len()),
            (50, 36),
            "never more than 64 at a time"
        );
        let turnover = admitted.update(&more, 10 + KEPT + 1, 0);
        assert_eq!((turnover.came.len(), turnover.went.len()), (0, 14));
        assert_eq!(admitted.update(&[], 20 + KEPT, 0).went.len(), 50);
    }

    #[test]
    fn a_sweep_that_is_retried_is_unfinished_again() {
        let mut admitted = Admitted::default();
        admitted.update(&[sweep(1, 1)], 0, 0);
        admitted.update(&[sweep(1, 0)], 10, 0);
        admitted.update(&[sweep(1, 1)], 20, 0);
        assert_eq!(admitted.update(&[sweep(1, 0)], 15 + KEPT, 0), Turnover::default());
    }
}

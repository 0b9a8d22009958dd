//! Numbers and states in words, for all pages; what a report says in the same words is in `sweep_report::format`.

use maud::{Markup, html};
use sweep_core::ids::Timestamp;
use sweep_core::lifecycle::StateName;
use sweep_store::{SweepState, SweepStatus};

/// Now, as the stores count: milliseconds since 1970.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// How long ago: `just now`, `5 min`, `3 h`, `2 days`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = (now.0 - then.0).max(0) / 1000;
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time as people and machines read it: `2026-11-23 21:20 UTC`.
pub(crate) fn time(at: Timestamp) -> Markup {
    let text = utc(at);
    html! { time datetime=(text.replace(' ', "T") + "Z") { (text) " UTC" } }
}

/// `2026-11-23 21:20`; the civil calendar by Howard Hinnant's `civil_from_days`.
pub(crate) fn utc(at: Timestamp) -> String {
    let minutes = at.0.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

/// How far a sweep is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Some of its runs are trained.
    Running,
    /// Nothing of it is trained yet, or just now.
    Waiting,
    /// A person stopped it for a while.
    Paused,
    /// A person gave it up.
    Cancelled,
    /// Every run has a result.
    Done,
    /// Every run has ended, some without a result.
    Failed,
}

impl Standing {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Running, Self::Waiting, Self::Paused, Self::Cancelled, Self::Done, Self::Failed];

    /// Of this sweep.
    pub(crate) fn of(status: &SweepStatus) -> Self {
        match status.state {
            SweepState::Cancelled => Self::Cancelled,
            _ if status.is_done() && status.counts.failed > 0 => Self::Failed,
            _ if status.is_done() => Self::Done,
            SweepState::Paused | SweepState::PausedNow => Self::Paused,
            SweepState::Active if status.counts.leased > 0 => Self::Running,
            SweepState::Active => Self::Waiting,
        }
    }

    /// In addresses and for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Failed => "done, with failures",
        }
    }

    /// One word for addresses and classes.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            other => other.word(),
        }
    }

    /// With a sign, so that nothing hangs on colour alone.
    pub(crate) fn badge(self) -> Markup {
        let sign = match self {
            Self::Running => "▶",
            Self::Waiting => "…",
            Self::Paused => "‖",
            Self::Cancelled => "×",
            Self::Done => "✓",
            Self::Failed => "!",
        };
        html! { span class={ "state s-" (self.key()) } { span aria-hidden="true" { (sign) } " " (self.word()) } }
    }
}

/// The letter of a run's state in small marks.
pub(crate) fn letter(state: StateName) -> &'static str {
    match state {
        StateName::Queued => "·",
        StateName::Leased => "▸",
        StateName::Delayed => "~",
        StateName::Succeeded => "✓",
        StateName::Failed => "!",
        StateName::Cancelled => "×",
    }
}

/// Runs per minute and seconds left, from what ended attempts took and how many slots train now; `None` while nothing is trained or
/// nothing ended yet. Needs no memory, so that it is the same after a restart and for a sweep nobody watched.
pub(crate) fn pace(status: &SweepStatus) -> Option<(f64, f64)> {
    let (leased, ended) = (f64::from(status.counts.leased), status.ended_attempts as f64);
    let per_minute = leased * ended / status.seconds * 60.0;
    let known = status.counts.leased > 0 && status.ended_attempts > 0 && status.seconds > 0.0;
    known.then(|| (per_minute, f64::from(status.counts.unfinished()) / per_minute * 60.0))
}

/// `12.3 runs/min`, `0.2 runs/min`.
pub(crate) fn rate(per_minute: f64) -> String {
    let decimals = if per_minute >= 100.0 {
        0
    } else if per_minute >= 1.0 {
        1
    } else {
        2
    };
    format!("{per_minute:.decimals$} runs/min")
}

/// A bar of how far something is, with its words.
pub(crate) fn bar(done: u64, total: u64, words: &str) -> Markup {
    html! { progress value=(done) max=(total.max(1)) aria-label=(words) { (words) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(Timestamp(0)), "1970-01-01 00:00");
        assert_eq!(utc(Timestamp(951_782_400_000)), "2000-02-29 00:00");
        assert_eq!(utc(Timestamp(1_795_469_999_000)), "2026-11-23 21:39");
        assert_eq!(utc(Timestamp(-1)), "1969-12-31 23:59");
    }

    #[test]
    fn ages_read_naturally() {
        let ago = |seconds: i64| age(Timestamp(0), Timestamp(seconds * 1000));
        assert_eq!(
            [ago(-5), ago(59), ago(60), ago(7200), ago(200_000)],
            ["just now", "just now", "1 min", "2 h", "2 days"]
        );
    }
}

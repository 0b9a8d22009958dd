//! What a fake trainer is told to do.

use std::str::FromStr;

macro_rules! behaviour {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $keep:expr;)*) => {
        /// What the fake trainer does, written `fake` or `fake:epoch_ms=5,fail=3,panic=4,diverge=5`. Seeds name the runs that a fault
        /// is for.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct FakeBehaviour {
            $($(#[$doc])* pub $name: $type,)*
        }

        const KEYS: &[&str] = &[$(stringify!($name)),*];

        impl FakeBehaviour {
            fn set(&mut self, key: &str, value: u64) -> bool {
                match key {
                    $(stringify!($name) => self.$name = $keep(value),)*
                    _ => return false,
                }
                true
            }
        }
    };
}

behaviour! {
    /// Milliseconds slept per epoch, over its batches.
    epoch_ms: u64, |ms| ms;
    /// Milliseconds slept per batch.
    step_ms: u64, |ms| ms;
    /// Milliseconds computed per batch: a core is busy.
    spin_ms: u64, |ms| ms;
    /// MiB that a run holds, times its seed.
    grow_mb: u64, |mb| mb;
    /// Lines written to the attempt's log per epoch.
    log: u64, |lines| lines;
    /// The seed whose runs always fail with a retryable error.
    fail: Option<u64>, Some;
    /// The seed whose runs fail once per trainer, then succeed.
    flaky: Option<u64>, Some;
    /// The seed whose runs panic.
    panic: Option<u64>, Some;
    /// The seed whose runs diverge in epoch 1.
    diverge: Option<u64>, Some;
    /// The seed whose runs lose the device.
    device: Option<u64>, Some;
    /// The seed whose runs kill the process (kill -9) in the middle of epoch 1.
    die: Option<u64>, Some;
    /// The seed whose runs stop saying anything in the middle of epoch 1.
    hang: Option<u64>, Some;
}

/// A text that describes no fake trainer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no trainer (allowed: burn, fake, fake:KEY=NUMBER,… with keys {keys})",
    keys = KEYS.join(", ")
)]
pub struct UnknownTrainer(String);

impl FromStr for FakeBehaviour {
    type Err = UnknownTrainer;

    fn from_str(text: &str) -> Result<Self, UnknownTrainer> {
        let wrong = || UnknownTrainer(text.to_owned());
        let rest = text.strip_prefix("fake").ok_or_else(wrong)?;
        let mut behaviour = Self::default();
        if rest.is_empty() {
            return Ok(behaviour);
        }
        for part in rest.strip_prefix(':').ok_or_else(wrong)?.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            if !behaviour.set(key, value.parse().map_err(|_| wrong())?) {
                return Err(wrong());
            }
        }
        Ok(behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_behaviour_is_refused_with_what_is_allowed() {
        let error = "fake:speed=3".parse::<FakeBehaviour>().unwrap_err();
        assert!(error.to_string().contains("epoch_ms, step_ms"), "{error}");
        let expected = FakeBehaviour { epoch_ms: 5, panic: Some(4), ..FakeBehaviour::default() };
        assert_eq!("fake:epoch_ms=5,panic=4".parse(), Ok(expected));
        assert!("fake:panic=-1".parse::<FakeBehaviour>().is_err());
        assert!("fakes".parse::<FakeBehaviour>().is_err());
    }
}

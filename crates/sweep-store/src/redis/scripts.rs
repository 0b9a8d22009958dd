//! The scripts, one Lua file per transition, and the arguments they take. Policy numbers always come from here.

use std::sync::LazyLock;

use redis::{Cmd, Script};
use serde::Serialize;
use sweep_core::lifecycle::CheckpointPointer;
use sweep_core::run::DataKey;

use crate::policy::{Policy, ms};
use crate::words::Now;

/// A script with the text that every one begins with.
pub(super) struct Lua {
    text: &'static str,
    hash: String,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: $file:literal;)*) => {
        $(
            $(#[$doc])*
            pub(super) static $name: LazyLock<Lua> =
                LazyLock::new(|| Lua::new(concat!(include_str!("lua/prelude.lua"), "\n", include_str!($file))));
        )*
    };
}

scripts! {
    SUBMIT: "lua/submit.lua";
    LEASE: "lua/lease.lua";
    BEAT: "lua/beat.lua";
    FINISH: "lua/finish.lua";
    CONTROL: "lua/control.lua";
    TICK: "lua/tick.lua";
    SWEEP: "lua/sweep.lua";
    RUNS: "lua/runs.lua";
    RUN: "lua/run.lua";
    DEMAND: "lua/demand.lua";
}

impl Lua {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }

    /// The call by hash, and the one with the whole text, for a server that does not know it yet.
    pub(super) fn calls(&self, keys: &[String], now: Now, args: &impl Serialize) -> [Cmd; 2] {
        let args = rmp_serde::to_vec_named(args).expect("arguments have string keys only");
        let now = match now {
            Now::Server => String::new(),
            Now::At(time) => time.0.to_string(),
        };
        let call = |word: &str, script: &str| {
            let mut cmd = redis::cmd(word);
            cmd.arg(script).arg(keys.len()).arg(keys).arg(&now).arg(&args);
            cmd
        };
        [call("EVALSHA", &self.hash), call("EVAL", self.text)]
    }
}

/// [`Policy`] as the scripts take it: times in ms, but the estimate in seconds.
#[derive(Serialize)]
pub(super) struct PolicyArgs {
    ttl: i64,
    longest_delay: i64,
    loss_limit: u32,
    loss_step: i64,
    first_estimate: f64,
    lease_expired: u32,
    lease_due: u32,
    tick_expired: u32,
    tick_due: u32,
    walk: u32,
    affinity_window: u32,
    affinity_skips: u32,
    events_kept: u32,
    worker_kept: i64,
}

impl From<&Policy> for PolicyArgs {
    fn from(policy: &Policy) -> Self {
        Self {
            ttl: ms(policy.ttl),
            longest_delay: ms(policy.longest_delay()),
            loss_limit: policy.losses.limit,
            loss_step: ms(policy.losses.step),
            first_estimate: policy.first_estimate.as_secs_f64(),
            lease_expired: policy.lease_expired,
            lease_due: policy.lease_due,
            tick_expired: policy.tick_expired,
            tick_due: policy.tick_due,
            walk: policy.walk,
            affinity_window: policy.window(),
            affinity_skips: policy.affinity_skips,
            events_kept: policy.events_kept,
            worker_kept: ms(policy.worker_kept),
        }
    }
}

/// Arguments of `submit.lua`.
#[derive(Serialize)]
pub(super) struct SubmitArgs<'a> {
    pub(super) sweep: &'a str,
    pub(super) name: &'a str,
    pub(super) weight: f64,
    pub(super) band: u8,
    pub(super) cap: Option<u32>,
    pub(super) round: u32,
    pub(super) seeds: u32,
    pub(super) document: String,
    /// Key, JSON and the key of the pictures.
    pub(super) configurations: Vec<(String, String, DataKey)>,
    /// Run id, place in the sweep, spec as kept.
    pub(super) runs: Vec<(&'a str, u32, String)>,
    pub(super) last: bool,
}

/// Arguments of `lease.lua`.
#[derive(Serialize)]
pub(super) struct LeaseArgs<'a> {
    pub(super) worker: &'a str,
    pub(super) slot: u32,
    pub(super) request: String,
    pub(super) device: String,
    pub(super) only: Option<&'a str>,
    pub(super) holds: &'a [DataKey],
    pub(super) policy: PolicyArgs,
}

/// Arguments of `beat.lua`.
#[derive(Serialize)]
pub(super) struct BeatArgs<'a> {
    pub(super) run: &'a str,
    pub(super) fence: String,
    pub(super) step: String,
    /// Number and metrics as JSON.
    pub(super) epochs: Vec<(u32, String)>,
    pub(super) checkpoint: Option<PointerArgs>,
    pub(super) policy: PolicyArgs,
}

/// Arguments of `finish.lua`.
#[derive(Serialize)]
pub(super) struct FinishArgs<'a> {
    pub(super) run: &'a str,
    pub(super) fence: String,
    pub(super) ending: &'static str,
    pub(super) due_in: i64,
    pub(super) checkpoint: Option<PointerArgs>,
    pub(super) result: Option<String>,
    pub(super) error: Option<&'a str>,
    pub(super) log: &'a str,
    pub(super) policy: PolicyArgs,
}

/// Arguments of `control.lua`.
#[derive(Serialize)]
pub(super) struct ControlArgs<'a> {
    pub(super) command: &'static str,
    pub(super) target: &'a str,
    pub(super) value: Option<f64>,
}

/// Arguments of `tick.lua`.
#[derive(Serialize)]
pub(super) struct TickArgs {
    pub(super) policy: PolicyArgs,
}

/// Arguments of `sweep.lua`.
#[derive(Serialize)]
pub(super) struct SweepArgs<'a> {
    pub(super) sweep: &'a str,
}

/// Arguments of `runs.lua`.
#[derive(Serialize)]
pub(super) struct RunsArgs<'a> {
    pub(super) sweep: &'a str,
    pub(super) after: &'a str,
    pub(super) states: &'a str,
    pub(super) results: bool,
    pub(super) limit: u32,
    pub(super) visit: u32,
}

/// Arguments of `run.lua`.
#[derive(Serialize)]
pub(super) struct RunArgs<'a> {
    pub(super) run: &'a str,
}

/// No arguments: an empty map.
#[derive(Serialize)]
pub(super) struct NoArgs {}

/// Digest, epoch, batch, and bytes as text, for 64 bits do not fit a number of the scripts.
#[derive(Serialize)]
pub(super) struct PointerArgs(String, u32, u32, String);

impl From<CheckpointPointer> for PointerArgs {
    fn from(pointer: CheckpointPointer) -> Self {
        let CheckpointPointer { digest, epoch, batch, bytes } = pointer;
        Self(digest.to_string(), epoch, batch, bytes.to_string())
    }
}

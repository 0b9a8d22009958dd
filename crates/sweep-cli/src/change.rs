//! `sweep pause`, `resume`, `cancel`, `retry`, `priority`: commands to a sweep.

use anyhow::{Context, Result};
use sweep_core::ids::SweepId;
use sweep_store::{Command, Reads, SweepStatus};

use crate::args::{Global, PauseArgs, PriorityArgs, SweepArgs};
use crate::exit::Ended;
use crate::out;
use crate::source::{Source, find};

pub(crate) fn retry(args: &SweepArgs, global: &Global) -> Result<Ended> {
    change(
        &args.sweep,
        args.json,
        global,
        |sweep| vec![Command::Retry(sweep)],
        |before, _| format!("{} failed runs are queued again", before.counts.failed),
    )
}

pub(crate) fn cancel(args: &SweepArgs, global: &Global) -> Result<Ended> {
    change(
        &args.sweep,
        args.json,
        global,
        |sweep| vec![Command::Cancel(sweep)],
        |before, _| {
            format!("{} unfinished runs are cancelled; results stay", before.counts.unfinished())
        },
    )
}

pub(crate) fn pause(args: &PauseArgs, global: &Global) -> Result<Ended> {
    let command =
        |sweep| vec![if args.now { Command::PauseNow(sweep) } else { Command::Pause(sweep) }];
    change(&args.sweep, args.json, global, command, |before, _| {
        let leased = before.counts.leased;
        let those = if args.now { "are saved and handed back" } else { "run to their end" };
        format!("paused; {leased} runs in training {those} (`sweep resume` goes on)")
    })
}

pub(crate) fn resume(args: &SweepArgs, global: &Global) -> Result<Ended> {
    change(
        &args.sweep,
        args.json,
        global,
        |sweep| vec![Command::Resume(sweep)],
        |_, after| format!("goes on; {} runs to go", after.counts.unfinished()),
    )
}

pub(crate) fn priority(args: &PriorityArgs, global: &Global) -> Result<Ended> {
    let share = &args.share;
    let commands = |sweep: SweepId| {
        let weight = share.weight.map(|weight| Command::Weight(sweep.clone(), weight));
        let band = share.band.map(|band| Command::Band(sweep.clone(), band));
        let cap = share.cap.map(|cap| Command::Cap(sweep.clone(), (cap > 0).then_some(cap)));
        weight.into_iter().chain(band).chain(cap).collect()
    };
    change(&args.sweep, args.json, global, commands, |_, after| {
        let cap = after
            .cap
            .map_or_else(|| "no cap".to_owned(), |cap| format!("at most {cap} runs at once"));
        format!("weight {}, band {}, {cap}", after.weight, after.band)
    })
}

fn change(
    sweep: &str,
    as_json: bool,
    global: &Global,
    commands: impl FnOnce(SweepId) -> Vec<Command>,
    say: impl FnOnce(&SweepStatus, &SweepStatus) -> String,
) -> Result<Ended> {
    crate::stored::block_on(async {
        let source = Source::to_change(global)?;
        let before = find(&source, Some(sweep)).await?;
        for command in commands(before.id.clone()) {
            source.control(&command).await?;
        }
        let (after, _) = source.sweep(&before.id).await?.context("the sweep has vanished")?;
        if as_json {
            out::json(&after)
        } else {
            out::text(&format!("{}: {}\n", after.name, say(&before, &after)))
        }
    })?;
    Ok(Ended::Done)
}

//! `sweep submit`: a sweep and the files its workers need, to where workers find them.

use anyhow::{Context, Result};
use serde::Serialize;
use sweep_core::ids::{Digest, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::sweep::Document;
use sweep_store::Reads;
use sweep_store::blobs::Blobs;

use crate::args::{Global, SubmitArgs};
use crate::client::{Client, NotSubmitted, SubmittedRuns};
use crate::exit::Ended;
use crate::home::Home;
use crate::inputs::{self, Prepared};
use crate::load::{self, Loaded};
use crate::source::Source;
use crate::{out, stored, watch};

/// What was submitted, or would be.
#[derive(Serialize)]
struct Submitted {
    id: SweepId,
    name: String,
    runs: SubmittedRuns,
    /// Bytes of data sets and weights that were sent, or would be.
    sent_bytes: u64,
    dry_run: bool,
}

pub(crate) fn submit(args: &SubmitArgs, global: &Global) -> Result<Ended> {
    let loaded = load::load(&args.file)?;
    for warning in &loaded.plan.warnings {
        eprintln!("warning: {warning}");
    }
    let home = Home::new(global);
    stored::block_on(async {
        let source = Source::to_submit(global)?;
        let prepared = inputs::prepare(&loaded, &home)?;
        let submitted = if args.dry_run {
            dry_run(&source, &loaded, &prepared).await?
        } else {
            send(&source, &loaded, prepared, args, &home).await?
        };
        if !args.wait || args.dry_run {
            say(&submitted, &source, args.json)?;
            return Ok(Ended::Done);
        }
        if !args.json {
            eprintln!("{}", line(&submitted));
        }
        watch::to_the_end(&source, &submitted.id, args.quiet, args.json, global).await
    })
}

async fn send(
    source: &Source,
    loaded: &Loaded,
    prepared: Vec<Prepared>,
    args: &SubmitArgs,
    home: &Home,
) -> Result<Submitted> {
    let mut document = loaded.sweep.document(loaded.plan.datasets.clone());
    document.inputs = prepared.iter().map(|input| input.file.clone()).collect();
    let total = loaded.plan.runs.len() as u32;
    let (id, runs, sent_bytes) = match source {
        Source::Coordinator(client) => {
            to_coordinator(client, &document, &args.share.query(), &prepared).await?
        }
        Source::Store(store) => {
            let blobs = match &args.blobs {
                Some(url) => Blobs::open(url, None),
                None => Blobs::directory(&home.blobs()),
            };
            let blobs = blobs.map_err(crate::exit::WrongInput::error)?;
            let sent = inputs::upload(&blobs, &prepared, None).await?;
            let terms = coordinator::Terms {
                weight: args.share.weight.unwrap_or(1.0),
                band: args.share.band.unwrap_or(4),
                cap: args.share.cap(),
                inputs: document.inputs,
            };
            let (id, runs) =
                coordinator::submit_on(store, &loaded.sweep, &loaded.plan, &terms).await?;
            let runs = SubmittedRuns {
                total,
                new: runs.new,
                known: runs.known,
                joined: runs.joined,
                requeued: runs.requeued,
            };
            (id, runs, sent)
        }
    };
    Ok(Submitted { id, name: loaded.sweep.name().to_owned(), runs, sent_bytes, dry_run: false })
}

/// Asks the coordinator which files it lacks by submitting, sends these, and submits again.
async fn to_coordinator(
    client: &Client,
    document: &Document,
    share: &[(&str, String)],
    prepared: &[Prepared],
) -> Result<(SweepId, SubmittedRuns, u64)> {
    let mut sent = 0;
    let mut before: Option<Vec<Digest>> = None;
    loop {
        match client.submit(document, share).await {
            Ok(submission) => return Ok((submission.id, submission.runs, sent)),
            Err(NotSubmitted::Error(error)) => return Err(error.into()),
            Err(NotSubmitted::Lacks(missing)) => {
                anyhow::ensure!(
                    before.as_ref() != Some(&missing),
                    "the coordinator at {} does not keep what is sent to it",
                    client.address()
                );
                let blobs = Blobs::open(client.address(), client.token())
                    .context("cannot send data sets")?;
                sent += inputs::upload(&blobs, prepared, Some(&missing)).await?;
                before = Some(missing);
            }
        }
    }
}

async fn dry_run(source: &Source, loaded: &Loaded, prepared: &[Prepared]) -> Result<Submitted> {
    let ids: Vec<_> = loaded.plan.runs.iter().map(|run| run.id.clone()).collect();
    let mut runs = SubmittedRuns { total: 0, new: 0, known: 0, joined: 0, requeued: 0 };
    for state in source.states(&ids).await? {
        runs.total += 1;
        *match state {
            None => &mut runs.new,
            Some(StateName::Succeeded | StateName::Failed) => &mut runs.known,
            Some(StateName::Cancelled) => &mut runs.requeued,
            Some(StateName::Queued | StateName::Leased | StateName::Delayed) => &mut runs.joined,
        } += 1;
    }
    Ok(Submitted {
        id: loaded.sweep.id(&loaded.plan),
        name: loaded.sweep.name().to_owned(),
        runs,
        sent_bytes: prepared.iter().map(|input| input.file.bytes).sum(),
        dry_run: true,
    })
}

fn line(submitted: &Submitted) -> String {
    let runs = &submitted.runs;
    let again = match runs.requeued {
        0 => String::new(),
        count => format!(", {count} queued again"),
    };
    format!(
        "{} ({}): {} runs: {} new, {} known, {} wait or train already{again}",
        submitted.name, submitted.id, runs.total, runs.new, runs.known, runs.joined
    )
}

fn say(submitted: &Submitted, source: &Source, as_json: bool) -> Result<()> {
    if as_json {
        return out::json(submitted);
    }
    let mut text = line(submitted);
    text.push('\n');
    if submitted.dry_run {
        text.push_str(&format!(
            "nothing was sent to {source}; workers need {:.1} MB of data sets and weights\n",
            submitted.sent_bytes as f64 / 1e6
        ));
    } else {
        text.push_str(&format!("watch it: sweep watch {}{}\n", submitted.name, source.flag()));
        if let Source::Coordinator(client) = source {
            text.push_str(&format!("look at it: {}/sweeps/{}\n", client.address(), submitted.id));
        }
    }
    out::text(&text)
}

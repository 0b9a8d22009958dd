//! What the store itself costs: submit, then lease + beat + finish with many slots at once, on a file with full durability.
//!
//! `cargo run --release -p sweep-store --example throughput [RUNS] [SLOTS] [FOLDER]`; CPU time is read from Linux' `/proc`.

use std::path::PathBuf;
use std::time::Instant;

use sweep_core::analysis::Analysis;
use sweep_core::dataset::DataSetRef;
use sweep_core::ids::{Digest, SweepId};
use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd};
use sweep_core::run::{Configuration, Run, RunSpec};
use sweep_core::sweep::Document;
use sweep_core::training::{Augment, Mode, Optimizer, Schedule, Training};
use sweep_store::{
    AnyStore, Holder, Leased, NewSweep, Now, Outcome, Policy, Progress, RequestId, Store,
    StoreError, Wish,
};

fn run(seed: u32) -> Run {
    let dataset =
        DataSetRef { name: "toy".to_owned(), content: Digest([1; 32]), split: Digest([2; 32]) };
    let optimizer =
        Optimizer::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let training = Training {
        mode: Mode::Full,
        epochs: 30,
        batch_size: 32,
        image_size: 224,
        optimizer,
        schedule: Schedule::Cosine,
        warmup_epochs: 0,
        clip_norm: Some(10.0),
        augment: Augment::Mild,
    };
    let model = Model { backbone: Backbone::Resnet50, weights: Weights::Random, neck: None };
    let spec = RunSpec {
        configuration: Configuration { dataset, loss: Loss::Bce {}, model, training },
        seed: u64::from(seed),
    };
    Run { id: spec.id(), ord: seed, spec }
}

fn epoch(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: Some(0.123_456_789),
        train_accuracy: 0.987_654,
        val_loss: Some(0.234_567),
        val_accuracy: 0.912_345,
        learning_rate: 0.001_234,
        lambda: None,
        seconds: 12.345,
    }
}

/// User and system time of this process in seconds; the kernel counts in hundredths.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |n| {
        after
            .split_whitespace()
            .nth(n)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(f64::NAN)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn report(what: &str, count: u32, since: (Instant, f64)) {
    let (wall, cpu) = (since.0.elapsed().as_secs_f64(), cpu() - since.1);
    let each = |seconds: f64| seconds * 1e6 / f64::from(count);
    println!(
        "{what:<28} {:>8.1} µs wall  {:>8.1} µs CPU each  ({count} in {wall:.2} s)",
        each(wall),
        each(cpu)
    );
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |n: usize, default| arguments.get(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, slots): (u32, u32) = (number(0, 20_000), number(1, 64));
    let folder = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("sweep-throughput-{}.db", std::process::id()));
    let policy = Policy::default();
    let store = AnyStore::open(&format!("sqlite:{}", path.display()))?;
    let document = Document {
        file: "-".to_owned(),
        text: String::new(),
        datasets: Vec::new(),
        analysis: Analysis::default().digest(),
        rounds: Vec::new(),
    };
    let id = SweepId::of(&Digest([3; 32]));
    let sweep = NewSweep {
        id,
        name: "toy".to_owned(),
        weight: 1.0,
        band: 4,
        cap: None,
        round: 0,
        seeds: count,
        document,
    };
    let runs: Vec<Run> = (0..count).map(run).collect();

    let start = (Instant::now(), cpu());
    for chunk in runs.chunks(500) {
        store.submit(Now::Server, &sweep, chunk, false).await?;
    }
    report("submit", count, start);

    let start = (Instant::now(), cpu());
    let mut working = tokio::task::JoinSet::new();
    for slot in 0..slots {
        working.spawn(work(store.clone(), slot, policy.clone()));
    }
    for done in working.join_all().await {
        done?;
    }
    report("lease + beat + finish", count, start);

    let start = (Instant::now(), cpu());
    let results = store.results(&sweep.id).await?;
    report("results", results.len() as u32, start);
    drop(store);
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!("{:<28} {:>8} bytes per run with its result", "file", bytes / u64::from(count));
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        // What is not there need not go.
        let _ = std::fs::remove_file(name);
    }
    Ok(())
}

async fn work(store: AnyStore, slot: u32, policy: Policy) -> Result<(), StoreError> {
    let result = RunResult {
        end: TrainingEnd::Completed,
        epochs: (1..=10).map(epoch).collect(),
        validation: None,
        device: DeviceKind::Fake,
        seconds: 1.0,
    };
    let outcome = Outcome::Succeeded(Box::new(result));
    let progress = Progress { epochs: vec![epoch(1)], step: 100, checkpoint: None };
    for request in 0.. {
        let holder = Holder { worker: "w".to_owned(), slot };
        let wish =
            Wish { holder, request: RequestId(request), device: DeviceKind::Fake, only: None };
        let Leased::Lease(lease) = store.lease(Now::Server, &wish, &policy).await? else { break };
        store.beat(Now::Server, &lease.run, lease.fence, &progress, &policy).await?;
        store
            .finish(Now::Server, &lease.run, lease.fence, &outcome, "a line of log\n", &policy)
            .await?;
    }
    Ok(())
}

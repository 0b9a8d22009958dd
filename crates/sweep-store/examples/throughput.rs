//! What the store itself costs: submit, then lease + beat + finish with many slots at once, on a file with full durability.
//!
//! `cargo run --release -p sweep-store --example throughput [RUNS] [SLOTS] [FOLDER]`; CPU time is read from Linux' `/proc`.

#[path = "load/mod.rs"]
mod load;

use std::path::PathBuf;
use std::time::Instant;

use sweep_store::{AnyStore, Now, Reads, Store, StoreError};

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
    let store = AnyStore::open(&format!("sqlite:{}", path.display()))?;
    let sweep = load::sweep(count);
    let runs: Vec<_> = (0..count).map(load::run).collect();

    let start = (Instant::now(), cpu());
    for chunk in runs.chunks(500) {
        store.submit(Now::Server, &sweep, chunk, false).await?;
    }
    report("submit", count, start);

    let start = (Instant::now(), cpu());
    load::work(&store, slots).await?;
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

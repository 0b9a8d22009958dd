//! What the store costs a Redis server: its CPU time per submit, lease, beat and finish, and its memory per run.
//!
//! `cargo run --release -p sweep-store --example redis_throughput URL [RUNS] [SLOTS]`, on a server that does nothing else. Uses
//! the namespace of the URL and leaves its runs there.

#[path = "load/mod.rs"]
mod load;

use std::time::Instant;

use sweep_store::{AnyStore, NewSweep, Now, PageCursor, Reads, Store};

/// What the server says of itself: CPU seconds used, bytes held.
async fn used(url: &str) -> Result<(f64, f64), redis::RedisError> {
    // The store's own options mean nothing to the plain client.
    let client = redis::Client::open(url.split('?').next().unwrap_or(url))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("everything").query_async(&mut connection).await?;
    let number = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    Ok((number("used_cpu_user") + number("used_cpu_sys"), number("used_memory")))
}

struct Meter<'a> {
    url: &'a str,
    wall: Instant,
    cpu: f64,
    memory: f64,
}

impl<'a> Meter<'a> {
    async fn start(url: &'a str) -> Result<Self, redis::RedisError> {
        let (cpu, memory) = used(url).await?;
        Ok(Self { url, wall: Instant::now(), cpu, memory })
    }

    async fn report(self, what: &str, count: u32) -> Result<(), redis::RedisError> {
        let wall = self.wall.elapsed().as_secs_f64();
        let (cpu, memory) = used(self.url).await?;
        let each = |sum: f64| sum / f64::from(count);
        println!(
            "{what:<24} {:>7.1} µs wall  {:>7.1} µs server CPU  {:>7.0} bytes of server memory each  ({count} in {wall:.2} s)",
            each(wall * 1e6),
            each((cpu - self.cpu) * 1e6),
            each(memory - self.memory)
        );
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(url) = arguments.first() else { return Err("which server? name its URL".into()) };
    let number =
        |n: usize, default| arguments.get(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, slots): (u32, u32) = (number(1, 20_000), number(2, 64));
    let store = AnyStore::open(url)?;
    for warning in store.durability().await? {
        println!("{warning}");
    }
    let sweep: NewSweep = load::sweep(count);
    let runs: Vec<_> = (0..count).map(load::run).collect();

    let meter = Meter::start(url).await?;
    for chunk in runs.chunks(500) {
        store.submit(Now::Server, &sweep, chunk, false).await?;
    }
    meter.report("submit", count).await?;

    let meter = Meter::start(url).await?;
    load::work(&store, slots).await?;
    meter.report("lease + beat + finish", count).await?;

    let meter = Meter::start(url).await?;
    let (mut listed, mut after): (_, Option<PageCursor>) = (0, None);
    loop {
        let page = store.runs(&sweep.id, &[], false, after.as_ref(), 1000).await?;
        listed += page.runs.len() as u32;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    meter.report("list without results", listed).await?;

    let meter = Meter::start(url).await?;
    let results = store.results(&sweep.id).await?;
    meter.report("results", results.len() as u32).await?;
    Ok(())
}

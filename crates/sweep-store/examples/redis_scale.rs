//! A fleet of fake workers on a Redis server: each leases, beats, finishes and polls as a real slot does, beside what two coordinators
//! ask. Says what the server and the answers took, and whether the fleet kept its pace.
//!
//! `bench/scale/run` starts a server and this. Time may be compressed: with `--faster 4` every duration is a quarter (runs, beats, epochs,
//! polls, leases), which asks of the server what four times as many workers would, apart from the memory for their rows.

#[path = "load/mod.rs"]
#[allow(dead_code, reason = "the builders only; its slots do not wait")]
mod load;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sweep_core::ids::{Digest, SweepId};
use sweep_core::lifecycle::Holder;
use sweep_core::result::DeviceKind;
use sweep_store::{
    AnyStore, Applied, Leased, NewSweep, Now, Order, Outcome, Policy, Progress, Reads, RequestId,
    Store, StoreError, Wish,
};

/// Sweeps that share the fleet.
const SWEEPS: u32 = 20;
/// Coordinators that tick, read events and look at the store for their metrics.
const COORDINATORS: u32 = 2;
/// Of a run, in real time; each takes 0.8 to 1.2 of it.
const RUN: Duration = Duration::from_secs(60);
/// Of an epoch: its end travels with a beat of its own.
const EPOCH: Duration = Duration::from_secs(10);

/// What is measured.
struct Shared {
    store: Vec<AnyStore>,
    policy: Policy,
    faster: f64,
    /// Microseconds of each answer, by word, since the measuring began.
    answers: Mutex<BTreeMap<&'static str, Vec<u32>>>,
    measuring: AtomicBool,
    stop: AtomicBool,
    failed: AtomicU64,
    stale: AtomicU64,
    finished: AtomicU64,
}

impl Shared {
    fn scaled(&self, time: Duration) -> Duration {
        time.div_f64(self.faster)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn time<T>(
        &self,
        word: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let answer = call.await;
        if self.measuring.load(Ordering::Relaxed) {
            let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
            let mut answers = self.answers.lock().unwrap_or_else(|error| error.into_inner());
            answers.entry(word).or_default().push(took);
            if answer.is_err() {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        answer.ok()
    }
}

/// Enough chance for jitter.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between these two.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One slot: as `worker::slot` and `worker::hold`, without the training.
async fn slot(of: Arc<Shared>, number: u32, start: Duration) {
    let mut dice = Dice(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    tokio::time::sleep(start).await;
    let store = &of.store[number as usize % of.store.len()];
    let mut step = of.policy.poll_min;
    while !of.stopped() {
        let wish = Wish {
            holder: Holder { worker: format!("scale-{number:05}"), slot: 0 },
            request: RequestId(dice.roll()),
            device: DeviceKind::Fake,
            only: None,
            holds: Vec::new(),
        };
        let policy = Policy { poll: step, ..of.policy.clone() };
        let wait = match of.time("lease", store.lease(Now::Server, &wish, &policy)).await {
            Some(Leased::Lease(lease)) => {
                step = of.policy.poll_min;
                train(&of, store, &lease, &mut dice).await;
                continue;
            }
            Some(Leased::Nothing { wait, .. }) => wait,
            None => step,
        };
        step = (step * 2).min(of.policy.poll_max);
        tokio::time::sleep(wait.mul_f64(dice.between(0.5, 1.0))).await;
    }
}

async fn train(of: &Shared, store: &AnyStore, lease: &sweep_store::Lease, dice: &mut Dice) {
    let end = Instant::now() + of.scaled(RUN).mul_f64(dice.between(0.8, 1.2));
    let epoch = of.scaled(EPOCH).mul_f64(dice.between(0.9, 1.1));
    let (mut next_epoch, mut epochs) = (Instant::now() + epoch, 0);
    let mut next_beat = Instant::now() + of.policy.beat.mul_f64(dice.between(0.5, 1.0));
    loop {
        let next = next_epoch.min(next_beat).min(end);
        tokio::time::sleep_until(next.into()).await;
        if of.stopped() {
            return;
        }
        if next == end {
            break;
        }
        let mut progress = Progress { step: u64::from(epochs) * 100, ..Progress::default() };
        if next == next_epoch {
            epochs += 1;
            next_epoch += epoch;
            progress.epochs = vec![load::epoch(epochs)];
        }
        // As a real one: an epoch's end is a beat, and the next comes a beat later.
        next_beat = Instant::now() + of.policy.beat.mul_f64(dice.between(0.5, 1.0));
        let beat = store.beat(Now::Server, &lease.run, lease.fence, &progress, &of.policy);
        if of.time("beat", beat).await == Some(Order::Lost) {
            of.stale.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    let outcome = Outcome::Succeeded(Box::new(load::result()));
    let log = "epoch 1: train loss 0.5\n".repeat(20);
    while !of.stopped() {
        let end = store.finish(Now::Server, &lease.run, lease.fence, &outcome, &log, &of.policy);
        let counter = match of.time("finish", end).await {
            None => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Some(Applied::Stale) => &of.stale,
            Some(_) => &of.finished,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        return;
    }
}

/// What a coordinator asks unasked: a tick each second, the metrics' look each five, the events always.
async fn coordinator(of: Arc<Shared>, number: usize) {
    let store = of.store[number % of.store.len()].clone();
    let ticks = async {
        while !of.stopped() {
            while of.time("tick", store.tick(Now::Server, &of.policy)).await.is_some_and(|t| t.more)
            {
            }
            tokio::time::sleep(of.scaled(Duration::from_secs(1))).await;
        }
    };
    let looks = async {
        while !of.stopped() {
            of.time("sweeps", store.sweeps()).await;
            of.time("demand", store.demand()).await;
            of.time("workers", store.workers()).await;
            tokio::time::sleep(of.scaled(Duration::from_secs(5))).await;
        }
    };
    let events = async {
        let Ok(mut cursor) = store.event_cursor().await else { return };
        while !of.stopped() {
            match store.events(&cursor, Duration::from_secs(1)).await {
                Ok(sweep_store::Events::Some { cursor: next, .. }) => cursor = next,
                _ => match store.event_cursor().await {
                    Ok(next) => cursor = next,
                    Err(_) => return,
                },
            }
        }
    };
    tokio::join!(ticks, looks, events);
}

/// What the server says of itself.
struct Used {
    /// CPU seconds of its main thread, and of all.
    main: f64,
    all: f64,
    /// Bytes held; bytes in and out so far.
    memory: f64,
    traffic: f64,
    /// Calls and seconds of each command that clients sent.
    commands: BTreeMap<String, (f64, f64)>,
}

async fn used(url: &str) -> Result<Used, redis::RedisError> {
    let client = redis::Client::open(url.split('?').next().unwrap_or(url))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("everything").query_async(&mut connection).await?;
    let number = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let command = |line: &str| {
        let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let mut numbers = numbers.split([',', '=']);
        let calls = numbers.next()?.parse().ok()?;
        Some((name.to_owned(), (calls, numbers.nth(1)?.parse::<f64>().ok()? / 1e6)))
    };
    let cpu = |part: &str| number(&format!("used_cpu_{part}"));
    Ok(Used {
        main: cpu("user_main_thread") + cpu("sys_main_thread"),
        all: cpu("user") + cpu("sys"),
        memory: number("used_memory"),
        traffic: number("total_net_input_bytes") + number("total_net_output_bytes"),
        commands: info.lines().filter_map(command).collect(),
    })
}

/// Sweeps with room for all runs that the fleet can end in this time, submitted in pieces.
async fn submit(store: &AnyStore, runs: u32) -> Result<(), StoreError> {
    let each = runs.div_ceil(SWEEPS);
    for number in 0..SWEEPS {
        let id = SweepId::of(&Digest::of(format!("scale {number}").as_bytes()));
        let sweep = NewSweep { id, name: format!("scale-{number}"), ..load::sweep(each) };
        let all: Vec<_> = (number * each..(number + 1) * each).map(load::run).collect();
        let pieces = all.chunks(500).count();
        for (i, piece) in all.chunks(500).enumerate() {
            store.submit(Now::Server, &sweep, piece, i + 1 == pieces).await?;
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(url) = arguments.first().filter(|first| first.contains("://")) else {
        return Err("which server? redis_scale URL [--workers N] [--seconds S] [--faster F] [--connections C] [--idle]".into());
    };
    let number = |name: &str, usual: f64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse::<f64>().ok()).unwrap_or(usual)
    };
    let (workers, seconds) = (number("--workers", 10_000.0) as u32, number("--seconds", 60.0));
    let (faster, connections) = (number("--faster", 1.0), number("--connections", 8.0) as usize);
    let idle = arguments.iter().any(|argument| argument == "--idle");
    let usual = Policy::default();
    let policy = Policy {
        ttl: usual.ttl.div_f64(faster),
        beat: usual.beat.div_f64(faster),
        poll_min: usual.poll_min.div_f64(faster),
        poll_max: usual.poll_max.div_f64(faster),
        ..usual
    };
    let store = (0..connections).map(|_| AnyStore::open(url)).collect::<Result<Vec<_>, _>>()?;
    let ramp = RUN.div_f64(faster).as_secs_f64();
    let runs = if idle {
        0
    } else {
        (f64::from(workers) * ((seconds + 1.25 * ramp) / ramp * 1.2 + 2.0)) as u32
    };
    if runs > 0 {
        submit(&store[0], runs).await?;
    }
    let empty = used(url).await?.memory;
    let of = Arc::new(Shared {
        store,
        policy,
        faster,
        answers: Mutex::default(),
        measuring: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        failed: AtomicU64::new(0),
        stale: AtomicU64::new(0),
        finished: AtomicU64::new(0),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..workers {
        // They come over the length of a run, so that leases are spread as they would be after a while.
        let start = Duration::from_secs_f64(ramp * f64::from(number) / f64::from(workers));
        tasks.spawn(slot(of.clone(), number, start));
    }
    for number in 0..COORDINATORS {
        tasks.spawn(coordinator(of.clone(), number as usize));
    }
    // Until the last ones have begun and the first ones' runs, the longest included, have ended.
    tokio::time::sleep(Duration::from_secs_f64(ramp * 1.25)).await;

    let before = used(url).await?;
    let finished = of.finished.load(Ordering::Relaxed);
    let (begun, own) = (Instant::now(), own_cpu());
    of.measuring.store(true, Ordering::Relaxed);
    let mut late = Duration::ZERO;
    while begun.elapsed().as_secs_f64() < seconds {
        let wanted = Instant::now() + Duration::from_millis(100);
        tokio::time::sleep_until(wanted.into()).await;
        late = late.max(wanted.elapsed());
    }
    of.measuring.store(false, Ordering::Relaxed);
    let (took, own) = (begun.elapsed().as_secs_f64(), own_cpu() - own);
    let after = used(url).await?;
    let ended = (of.finished.load(Ordering::Relaxed) - finished) as f64;
    of.stop.store(true, Ordering::Relaxed);

    let answers =
        std::mem::take(&mut *of.answers.lock().unwrap_or_else(|error| error.into_inner()));
    let calls: usize = answers.values().map(Vec::len).sum();
    let per_second = calls as f64 / took;
    let wanted = if idle { 0.0 } else { f64::from(workers) / (RUN.as_secs_f64() / faster) };
    let core = (after.main - before.main) / took;
    println!(
        "{workers} workers, {faster}x, {took:.0} s measured, {connections} connections, {}",
        if idle { "nothing to do" } else { "runs of 60 s" }
    );
    println!(
        "calls/s {per_second:.0}  runs ended/s {:.1} (the fleet's pace: {wanted:.1})",
        ended / took
    );
    println!(
        "server: {core:.3} cores in its main thread, {:.3} in all; {:.0} us per call; {:.0} calls/s per core",
        (after.all - before.all) / took,
        1e6 * core / per_second,
        per_second / core
    );
    println!(
        "server memory: {:.0} MiB ({:.0} before the fleet came); {:.1} MB/s in and out",
        after.memory / 1048576.0,
        empty / 1048576.0,
        (after.traffic - before.traffic) / took / 1e6
    );
    println!(
        "failed {}  lost or stale {}  this client: {:.2} cores, timers at most {:.0} ms late",
        of.failed.load(Ordering::Relaxed),
        of.stale.load(Ordering::Relaxed),
        own / took,
        late.as_secs_f64() * 1e3
    );
    for (word, mut times) in answers {
        times.sort_unstable();
        let at = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]) / 1e3;
        println!(
            "  {word:<8} {:>8.1}/s  p50 {:>7.2} ms  p99 {:>7.2} ms  most {:>7.2} ms",
            times.len() as f64 / took,
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    for name in ["evalsha", "hgetall", "zrange", "xread", "xrange"] {
        let of = |used: &Used| used.commands.get(name).copied().unwrap_or_default();
        let ((calls, spent), (calls_before, spent_before)) = (of(&after), of(&before));
        let (calls, spent) = (calls - calls_before, spent - spent_before);
        // Those that scripts call are counted, too, and inside the script's time.
        println!(
            "  {name:<8} {:>8.1}/s  {:>8.0} us each  {:.3} cores",
            calls / took,
            1e6 * spent / calls.max(1.0),
            spent / took
        );
    }
    tasks.abort_all();
    Ok(())
}

/// CPU seconds of this process, where the system tells.
fn own_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // User and system time, in hundredths of a second.
    fields.get(11).zip(fields.get(12)).map_or(f64::NAN, |(user, system)| (user + system) / 100.0)
}

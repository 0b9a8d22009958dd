//! Workers as they are, on real stores: what they do when they, their store, their files or their trainings break.

mod beats;
mod crashes;
mod inputs;
mod stops;
mod world;

use std::time::Duration;

use sweep_store::{AttemptEnding, Reads};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) use self::world::info;
use self::world::{Running, World, options};
use crate::Options;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_serves_any_sweep_of_its_store() {
    let world = World::new(2).await;
    world.finish("fake", Options { slots: 2, ..options() }).await;
    assert_eq!(world.counts().await.succeeded, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_a_trainer_are_in_the_log_of_its_attempt() {
    let world = World::new(1).await;
    world.finish("fake:log=2", options()).await;
    let log = &world.first_run().await.attempts[0].log;
    assert!(log.contains("epoch 3, line 2 of the fake trainer"), "{log}");
    assert!(log.contains("attempt 1: started"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_metrics_tells_what_happened() {
    let world = World::new(2).await;
    let worker = world.worker("fake:fail=2", Options { slots: 2, ..options() });
    let monitor = worker.monitor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = CancellationToken::new();
    let serving = tokio::spawn(monitor.clone().serve(listener, served.clone()));
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/readyz").await, (200, "ready\n".to_owned()));
    let (_, before) = get(address, "/metrics").await;
    assert!(before.contains("sweep_worker_slots{state=\"idle\"} 2"), "{before}");
    assert!(before.contains("sweep_worker_attempts_total{outcome=\"failed\"} 0"), "{before}");
    let running = Running::start(worker);
    world.until("the end", |counts| counts.unfinished() == 0).await;
    running.stop().await.unwrap();
    let (_, page) = get(address, "/metrics").await;
    // 3 epochs of 8 batches of 10 pictures, then 40 evaluated, for each of two runs; two runs fail three times each.
    for line in [
        "sweep_worker_attempts_total{outcome=\"succeeded\"} 2",
        "sweep_worker_attempts_total{outcome=\"retry\"} 4",
        "sweep_worker_attempts_total{outcome=\"failed\"} 2",
        "sweep_worker_epochs_total 6",
        "sweep_worker_images_total{phase=\"train\"} 480",
        "sweep_worker_images_total{phase=\"evaluate\"} 240",
        "sweep_worker_epoch_duration_seconds_count 6",
        "sweep_run_duration_seconds_count{loss=\"softmax\",mode=\"full\"} 1",
        "sweep_worker_slots{state=\"idle\"} 0",
        "sweep_worker_slots{state=\"stopped\"} 2",
        "sweep_store_request_duration_seconds_count{op=\"finish\"} 8",
        "sweep_build_info{component=\"worker\"",
        "process_resident_memory_bytes ",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 600, "{series} series");
    assert!(!page.contains(world.id.as_str()) && !page.contains(world.plan.runs[0].id.as_str()));
    let (status, why) = get(address, "/readyz").await;
    assert_eq!((status, why.as_str()), (503, "not ready: it is draining\n"));
    served.cancel();
    serving.await.unwrap().unwrap();
}

/// Status and body of a page.
async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_device_faults_every_slot_and_ends_the_process() {
    let world = World::new(2).await;
    // Seed 1 hangs in both its runs, so that two slots are busy when seed 2 loses the device.
    let behaviour = "fake:hang=1,device=2";
    let running = Running::start(world.worker(behaviour, Options { slots: 3, ..options() }));
    let error = running.ended().await.unwrap_err();
    assert!(error.to_string().contains("device lost"), "{error}");
    let mut faulted = 0;
    for run in &world.plan.runs {
        let detail = world.store.run(&run.id).await.unwrap().unwrap();
        assert!(detail.attempts.len() <= 1, "the worker took no run again");
        faulted += detail
            .attempts
            .iter()
            .filter(|attempt| attempt.ending == Some(AttemptEnding::Faulted))
            .count();
    }
    assert_eq!(faulted, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_training_that_says_nothing_is_failed_and_ends_the_process() {
    let world = World::new(1).await;
    let options = Options { slots: 2, stall: Duration::from_millis(300), ..options() };
    let error = Running::start(world.worker("fake:hang=1", options)).ended().await.unwrap_err();
    assert!(error.to_string().contains("stalled"), "{error}");
    let mut endings = Vec::new();
    for run in &world.plan.runs {
        let detail = world.store.run(&run.id).await.unwrap().unwrap();
        endings.extend(detail.attempts.iter().filter_map(|attempt| attempt.ending));
    }
    assert!(endings.contains(&AttemptEnding::Retry), "{endings:?}");
}

//! Leases stand whatever trainings do to the machine.

use std::time::Duration;

use sweep_store::{AttemptEnding, Reads};

use super::world::{World, options, policy};
use crate::Options;

async fn no_lease_is_lost(world: &World, behaviour: &str, slots: u32) {
    let ttl = Duration::from_millis(1200);
    world.finish(behaviour, Options { slots, policy: policy(ttl), ..options() }).await;
    for run in &world.plan.runs {
        let detail = world.store.run(&run.id).await.unwrap().unwrap();
        let endings: Vec<_> = detail.attempts.iter().map(|attempt| attempt.ending).collect();
        assert_eq!(endings, [Some(AttemptEnding::Succeeded)], "{:?}", detail.attempts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn trainings_that_take_every_core_lose_no_lease() {
    // More trainings than cores, each longer than two leases: without a beat all of them would be lost.
    let cores = std::thread::available_parallelism().map_or(2, usize::from) as u32;
    let slots = (2 * cores).min(8);
    let world = World::new(slots.div_ceil(2)).await;
    no_lease_is_lost(&world, "fake:spin_ms=150", slots).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn trainings_that_block_lose_no_lease_in_redis() {
    let Some(world) = World::on_redis(1).await else { return };
    no_lease_is_lost(&world, "fake:step_ms=130", 2).await;
}

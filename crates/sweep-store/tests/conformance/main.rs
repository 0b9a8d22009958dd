//! One suite for every store. A further backend is one more `backend!` line below.
//!
//! `fixtures` (store with a virtual clock), the cases by theme, `model` and `random` (any calls in any order against a model),
//! `planted` (that the suite fails where it must).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod affinity;
mod commands;
mod fixtures;
mod leases;
mod losses;
mod model;
mod order;
mod planted;
mod random;
mod reads;
#[path = "../server/mod.rs"]
mod server;
mod shared;
mod words;

use std::any::Any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use fixtures::{Backend, Harness};
use server::Server;
use sweep_store::Now;
use sweep_store::redis::Redis;
use sweep_store::sqlite::Sqlite;

macro_rules! backend {
    ($name:ident, $backend:ty, $cases:expr; $($module:ident::{$($case:ident),* $(,)?})*) => {
        mod $name {
            use super::*;
            $($(
                #[tokio::test]
                async fn $case() {
                    if <$backend>::is_there() {
                        $module::$case(Harness::new::<$backend>()).await;
                    }
                }
            )*)*

            #[test]
            fn any_calls_in_any_order_leave_the_store_as_the_model_says() {
                if <$backend>::is_there() {
                    random::differential::<$backend>($cases);
                }
            }
        }
    };
}

macro_rules! backends {
    ($($name:ident: $backend:ty, $cases:expr;)*) => {
        $(backend! {
            $name, $backend, $cases;
            leases::{
                a_run_is_leased_once_and_its_result_kept,
                the_same_wish_gets_the_same_lease,
                a_first_lease_says_how_long_its_run_waited,
                a_wish_sent_again_after_the_end_is_a_new_one,
                fences_grow_even_when_the_clock_goes_back,
                an_idle_slot_waits_until_the_next_run_is_due,
                a_drained_worker_gets_nothing_and_hands_back,
                a_wish_for_one_sweep_gets_its_runs_only,
            }
            words::{
                a_finish_sent_twice_counts_once,
                a_late_result_of_a_lost_attempt_is_refused,
                a_word_before_the_reaper_comes_counts,
                beats_carry_epochs_and_checkpoints,
                checkpoints_and_live_metrics_are_freed_at_the_end,
                a_result_above_the_bound_is_refused,
                a_log_keeps_its_end_and_an_error_its_beginning,
                an_error_delays_the_run_then_puts_it_in_front,
                a_yield_charges_nothing_and_goes_in_front,
                a_failed_run_is_tried_again_only_by_command,
                a_beat_sent_twice_changes_only_the_expiry,
            }
            losses::{
                losses_without_progress_end_a_run,
                a_run_that_progresses_may_be_lost_without_limit,
                an_equal_epoch_is_no_progress,
                a_fault_is_charged_like_a_loss_at_once,
                an_outage_expires_no_lease,
                beats_keep_a_store_without_ticks_from_opening_a_grace_each_time,
                a_clock_set_back_delays_nobody_for_long,
                one_lease_call_reaps_no_more_than_its_bound,
            }
            shared::{
                a_shared_run_is_trained_once_for_all,
                a_run_is_cancelled_only_when_no_sweep_wants_it,
                pausing_the_home_moves_a_shared_run_to_the_other_line,
                a_shared_run_joined_while_its_home_is_paused_moves_at_once,
                the_same_id_with_other_content_is_refused,
                a_data_set_under_another_name_is_the_same_run,
                a_result_of_a_cancelled_run_is_an_answer,
            }
            commands::{
                a_paused_sweep_leases_nothing_and_its_runs_run_on,
                pause_now_calls_runs_back,
                cancel_ends_waiting_runs_and_tells_the_others,
                a_cancelled_sweep_is_reopened_by_submitting_it,
                a_cancelled_run_that_is_lost_is_not_queued_again,
                a_delayed_run_is_cancelled_too,
                a_walk_goes_on_where_it_stopped,
                commands_to_unknown_or_cancelled_sweeps_are_refused,
                a_complete_round_takes_no_new_runs,
                an_open_round_takes_only_runs_of_the_decision_that_opened_it,
                a_cancelled_sweep_takes_no_new_round,
                reopening_leaves_a_half_submitted_round_open,
                submitting_again_changes_nothing,
                submissions_and_reports_are_remembered,
            }
            order::{
                a_line_is_in_the_order_of_the_sweep_and_interrupted_runs_go_first,
                a_lower_band_goes_first,
                a_cap_bounds_leased_runs,
                shares_follow_weights_with_one_slot,
                shares_follow_weights_with_seven_slots,
                shares_follow_weights_with_a_hundred_slots,
                a_newcomer_gets_no_monopoly,
                a_sweep_that_was_idle_hoards_no_credit,
                a_lease_lost_brings_its_sweep_back_to_the_schedule,
            }
            affinity::{
                a_run_on_pictures_that_the_slot_holds_goes_first,
                the_window_bounds_how_far_is_looked,
                a_head_is_passed_over_a_bounded_number_of_times,
                a_run_that_came_back_is_never_passed_over,
                runs_of_one_data_set_leave_in_order_and_none_starves,
                without_pictures_held_a_line_keeps_its_order,
                a_wish_for_one_sweep_looks_at_no_pictures,
                whose_turn_it_is_does_not_depend_on_pictures_held,
                a_wish_sent_again_counts_no_pass,
            }
            reads::{
                pages_go_through_a_sweep_in_order,
                an_unknown_name_is_none,
                events_tell_each_change_once_and_in_order,
                a_trimmed_cursor_is_reset,
                a_waiting_reader_is_woken,
                events_replayed_over_a_snapshot_leave_no_gap,
                demand_counts_what_could_run,
                workers_are_shown_and_forgotten,
            }
        })*
    };
}

backends! {
    memory: Memory, 64;
    file: TempFile, 6;
    redis: OnServer, 64;
}

struct Memory;

impl Backend for Memory {
    type Store = Sqlite;

    fn fresh() -> (Sqlite, Box<dyn Any>) {
        (Sqlite::in_memory().unwrap(), Box::new(()))
    }
}

struct TempFile;

impl Backend for TempFile {
    type Store = Sqlite;

    fn fresh() -> (Sqlite, Box<dyn Any>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("sweep.db"), Now::Server).unwrap();
        (store, Box::new(dir))
    }
}

/// A namespace of its own on one server for all tests.
struct OnServer;

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

impl OnServer {
    fn server() -> Option<&'static Server> {
        SERVER.get_or_init(|| Server::start(&[])).as_ref()
    }
}

impl Backend for OnServer {
    type Store = Redis;

    fn is_there() -> bool {
        Self::server().is_some()
    }

    fn fresh() -> (Redis, Box<dyn Any>) {
        let server = Self::server().unwrap();
        let namespace = format!("test-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
        (Redis::open(&server.url(&namespace)).unwrap(), Box::new(()))
    }
}

//! That the suite sees what it is for: with each of these faults in the scripts, the case named beside it must fail.
//!
//! The faults are planted on the way to the server, by a proxy that changes the text of scripts; the store under test is whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sweep_store::redis::Redis;
use tokio::runtime::Runtime;

use crate::fixtures::Harness;
use crate::server::Server;
use crate::{affinity, leases, losses, order, words};

/// In a script, this text becomes that one.
struct Fault {
    was: &'static str,
    is: &'static str,
}

/// Passes commands on with the fault in their scripts, and answers as they are; says whether it found the place.
fn faulty_proxy(to: u16, fault: &'static Fault) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, planted) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
    let was_planted = Arc::clone(&planted);
    // Both threads of a connection end with it, the first one with the process.
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut answers, mut back) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                // Ends with an error where the client closes first.
                let _ = std::io::copy(&mut answers, &mut back);
            });
            let planted = Arc::clone(&planted);
            std::thread::spawn(move || forward(client, server, fault, &planted));
        }
    });
    (port, was_planted)
}

/// Commands are arrays of texts, each with its length before it.
fn forward(
    client: TcpStream,
    mut server: TcpStream,
    fault: &Fault,
    planted: &AtomicBool,
) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut head = String::new();
        client.read_line(&mut head).ok().filter(|bytes| *bytes > 0)?;
        let count: usize = head.trim().strip_prefix('*').unwrap().parse().unwrap();
        let mut command = head.into_bytes();
        for _ in 0..count {
            let mut length = String::new();
            client.read_line(&mut length).ok()?;
            let length: usize = length.trim().strip_prefix('$').unwrap().parse().unwrap();
            let mut text = vec![0; length + 2];
            client.read_exact(&mut text).ok()?;
            text.truncate(length);
            if let Ok(script) = std::str::from_utf8(&text)
                && script.contains(fault.was)
            {
                planted.store(true, Ordering::Relaxed);
                text = script.replace(fault.was, fault.is).into_bytes();
            }
            command.extend(format!("${}\r\n", text.len()).into_bytes());
            command.extend(text);
            command.extend(b"\r\n");
        }
        server.write_all(&command).ok()?;
    }
}

/// Whether the case passes with the fault; nothing where there is no server.
fn passes(fault: &'static Fault, case: impl FnOnce(Harness<Redis>, &Runtime)) -> Option<bool> {
    // Of its own: one that has heard of the whole scripts would run them by their hashes.
    let server = Server::start(&[])?;
    let (port, planted) = faulty_proxy(server.port, fault);
    let store = Redis::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let harness = Harness::of((store, Box::new(server)));
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| case(harness, &runtime)));
    assert!(planted.load(Ordering::Relaxed), "no script has this text any more");
    Some(outcome.is_ok())
}

#[test]
fn without_a_fault_the_proxy_changes_nothing() {
    static NONE: Fault = Fault { was: "run.fence ~= a.fence", is: "run.fence ~= a.fence" };
    let passes = passes(&NONE, |h, runtime| {
        runtime.block_on(words::a_late_result_of_a_lost_attempt_is_refused(h))
    });
    assert_ne!(passes, Some(false));
}

macro_rules! planted {
    ($($name:ident: $module:ident::$case:ident, $was:expr => $is:expr;)*) => {
        $(#[test]
        fn $name() {
            static FAULT: Fault = Fault { was: $was, is: $is };
            let passes = passes(&FAULT, |h, runtime| runtime.block_on($module::$case(h)));
            assert_ne!(passes, Some(true), "the case passes with the fault");
        })*
    };
}

planted! {
    a_head_passed_over_without_end:
        affinity::a_head_is_passed_over_a_bounded_number_of_times,
        "(head(sweep).skipped or 0) >= a.policy.affinity_skips" => "false";
    a_run_that_came_back_waiting_for_pictures:
        affinity::a_run_that_came_back_is_never_passed_over,
        "if not a.only and not run.front then" => "if not a.only then";
    a_run_put_in_line_without_its_sweep_entering_the_schedule:
        order::a_lease_lost_brings_its_sweep_back_to_the_schedule,
        "  for _, member in ipairs(run.sweeps) do\n    refresh(member[1])\n  end\n" => "";
    a_sweep_that_enters_at_time_zero:
        order::a_newcomer_gets_no_monopoly,
        "h.vtime = math.max(h.vtime, tonumber(redis.call('HGET', K.meta, 'gv:' .. h.band) or 0))" => "h.vtime = 0";
    a_due_run_put_in_line_without_a_change_of_state:
        words::an_error_delays_the_run_then_puts_it_in_front,
        "    if wanted(run) then\n      move(id, run, 'q', true)\n" =>
        "    if wanted(run) then\n      redis.call('ZREM', K.delay, id)\n      redis.call('ZADD', K.ready, 0, place(run.home, run.ord, id, true))\n";
    a_word_taken_without_a_look_at_its_fence:
        words::a_late_result_of_a_lost_attempt_is_refused,
        "run.fence ~= a.fence" => "false";
    a_wish_that_forgets_its_request:
        leases::the_same_wish_gets_the_same_lease,
        "before.request == a.request" => "false";
    an_outage_without_grace:
        losses::an_outage_expires_no_lease,
        "if now - last > math.floor(policy.ttl / 2) then" => "if false then";
    beats_that_are_no_sign_of_life_of_the_store:
        losses::beats_keep_a_store_without_ticks_from_opening_a_grace_each_time,
        "\ntouch(a.policy)\n" => "\n";
    an_equal_epoch_taken_for_progress:
        losses::an_equal_epoch_is_no_progress,
        "if checkpoint[2] > (" => "if checkpoint[2] >= (";
}

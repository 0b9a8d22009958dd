//! Promise: killed at any moment and started again, a sweep ends with the same report as an unbroken one.

mod common;

use std::time::{Duration, Instant};

use common::{Place, SMALL};

#[test]
fn five_kills_leave_the_report_of_an_unbroken_run() {
    let unbroken = Place::new();
    unbroken.write("small.yaml", SMALL);
    let began = Instant::now();
    unbroken.expect(0, &["run", "small.yaml"]);
    let whole = began.elapsed();

    let killed = Place::new();
    killed.write("small.yaml", SMALL);
    let mut kills = 0;
    for moment in [0.02, 0.15, 0.3, 0.45, 0.6] {
        let mut child = killed.command(&["run", "small.yaml", "--quiet"]).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(moment).max(Duration::from_millis(20)));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills >= 3, "only {kills} of 5 kills met a running sweep");
    killed.expect(0, &["run", "small.yaml"]);
    assert_eq!(killed.report("small"), unbroken.report("small"));
}

//! Timings to read, and a report to look at; not run with the others. Build in release.

use std::time::{Duration, Instant};

use crate::testing::study;

const GRID: &str = "  - softmax\n  - cosine\n  - am_softmax: { margin: [0.0, 0.1, 0.2, 0.35, 0.5], scale: [10, 20, 30] }\n";

#[test]
#[ignore = "prints a timing"]
fn full_report_of_200_configurations_and_30_seeds() {
    let margins: Vec<String> = (0..20).map(|i| format!("{:.3}", f64::from(i) * 0.04)).collect();
    let scales: Vec<String> = (1..=10).map(|i| format!("{}", i * 5)).collect();
    for (compare, n_val) in
        [("baseline", 60), ("baseline", 226), ("all_pairs", 60), ("all_pairs", 226)]
    {
        let losses = format!(
            "  - am_softmax: {{ margin: [{}], scale: [{}] }}\n",
            margins.join(", "),
            scales.join(", ")
        );
        let extra = format!(
            "{}analysis: {{ compare: {compare} }}\n",
            if compare == "baseline" { "baseline: am_softmax\n" } else { "" }
        );
        let study = study(&losses, "30", &extra, n_val)
            .all(|c, s| n_val - 8 + ((c * 7 + s * 13) % 8) as u32);
        let mut parts: Vec<(&str, Duration)> = Vec::new();
        let report = {
            let clock = Clock::start();
            let report = study.report();
            parts.push(("numbers", clock.spent()));
            report
        };
        let mut bytes = 0;
        let mut text = |name: &'static str, write: &dyn Fn() -> String| {
            let clock = Clock::start();
            bytes += write().len();
            parts.push((name, clock.spent()));
        };
        text("report.json", &|| report.json());
        text("CSV", &|| crate::csv::runs(&report) + &crate::csv::comparisons(&report));
        text("LaTeX", &|| crate::latex::tables(&report));
        text("Markdown", &|| crate::markdown::page(&report));
        text("terminal", &|| {
            crate::terminal::comparison(&report, crate::terminal::Style::default())
        });
        let without: Duration = parts.iter().map(|p| p.1).sum();
        let clock = Clock::start();
        bytes += crate::html::page(&report).len();
        let page = clock.spent();
        println!(
            "{compare}, {n_val} images: {without:.2?} without figures, {:.2?} with the page ({page:.2?}); {bytes} bytes; {parts:.2?}",
            without + page
        );
        assert_eq!(report.datasets[0].summaries.len(), 200);
    }
}

#[test]
#[ignore = "writes a report folder to SWEEP_REPORT_DEMO"]
fn a_report_to_look_at() {
    let Some(folder) = std::env::var_os("SWEEP_REPORT_DEMO") else {
        panic!("set SWEEP_REPORT_DEMO to a folder")
    };
    let base = [
        1450, 1517, 1440, 1480, 1490, 1500, 1505, 1510, 1515, 1470, 1480, 1520, 1490, 1530, 1500,
        1460, 1450,
    ];
    let study = study(GRID, "10", "baseline: softmax\n", 1747)
        .all(|c, s| base[c] + ((s * 37 + c * 11) % 41) as u32 * if c % 3 == 0 { 2 } else { 1 })
        .failed(1, 7)
        .change(16, 2, |r| {
            r.result.as_mut().unwrap().end =
                sweep_core::result::TrainingEnd::Diverged { epoch: 2, step: 40 }
        });
    let looks = super::adaptive::two_left();
    let sets = super::across::on(8, 6);
    for (name, study) in [("planned", &study), ("looks", &looks), ("sets", &sets)] {
        for file in crate::bundle(&study.input()) {
            let path = std::path::Path::new(&folder).join(name).join(file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.bytes).unwrap();
        }
    }
    println!(
        "{}",
        crate::terminal::comparison(
            &study.report(),
            crate::terminal::Style { width: 150, colour: true }
        )
    );
    println!(
        "{}",
        crate::terminal::comparison(
            &study.report(),
            crate::terminal::Style { width: 80, colour: false }
        )
    );
    println!("{}", crate::terminal::summary(&study.report(), crate::terminal::Style::default()));
    println!("{}", crate::terminal::status(&study.report(), crate::terminal::Style::default()));
}

/// CPU time of this thread where Linux tells it, so that other processes do not count; wall time elsewhere.
struct Clock {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    fn spent(&self) -> Duration {
        match (self.cpu, cpu()) {
            (Some(before), Some(now)) => now - before,
            _ => self.wall.elapsed(),
        }
    }
}

fn cpu() -> Option<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(line.split_whitespace().next()?.parse().ok()?))
}

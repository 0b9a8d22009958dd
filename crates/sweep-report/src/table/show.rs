//! [`TableReport`] as text for a terminal.

use super::compute::{Outcome, TableDataSet, TablePair, TableReport};
use crate::format::{NONE, p_value, percent_interval, short};
use crate::report::Interval;
use crate::terminal::{Style, push_wrapped, push_wrapped_with};

/// The report for people.
pub fn text(report: &TableReport, style: Style) -> String {
    let mut out = Out { text: String::new(), style };
    if !report.title.is_empty() {
        out.bold(&report.title);
    }
    out.line("one run each: the variance over seeds is not identified at all, so nothing here speaks about another seed; every bound holds over all counts that round to the print (half up or half to even) and over all ways in which the runs can share their errors");
    for d in &report.datasets {
        out.gap();
        dataset(&mut out, report, d);
    }
    if !report.pooled.is_empty() {
        out.gap();
        pooled(&mut out, report);
    }
    if let Some(ranks) = &report.ranks {
        out.gap();
        let n = report.datasets.len();
        out.bold(&format!("ranks over {n} data sets"));
        let means: Vec<String> = (report.losses.iter().zip(&ranks.mean_ranks))
            .map(|(loss, rank)| format!("{loss} {}", short(*rank, 2)))
            .collect();
        out.line(&format!("mean ranks: {}", means.join(", ")));
        let exact = match ranks.arrangements {
            Some((hit, all)) => format!(" ({hit} of {all} arrangements)"),
            None => String::new(),
        };
        out.line(&format!(
            "Friedman χ² {}, p {}; Iman–Davenport p {}; exact p {}{exact}",
            three(ranks.chi2),
            three(ranks.p_chi2),
            three(ranks.p_iman_davenport),
            three(ranks.p_exact)
        ));
        if n < 6 {
            out.line(&format!("{n} data sets carry no claim about others: that needs 6 or more"));
        }
    }
    out.gap();
    out.line(&format!(
        "{} images, all in one direction, are needed for an exact p of {} or less ({} for mid-p)",
        report.images_one_sided_exact,
        short(report.alpha, 3),
        report.images_one_sided_mid
    ));
    if report.datasets.iter().flat_map(|d| &d.pairs).any(|p| !p.images_needed.is_empty()) {
        out.line(&format!(
            "images needed: for {} % power of McNemar's test on one pair of runs at a gap as large as the largest that fits, rounded to a hundredth of a point as printed here, if the two runs disagree on that share of images",
            short(report.power * 100.0, 1)
        ));
    }
    let least = |f: fn(&TablePair) -> f64| {
        report.datasets.iter().flat_map(|d| &d.pairs).map(f).min_by(f64::total_cmp)
    };
    if let Some((mid, fisher)) = least(|p| p.mid_p_smallest).zip(least(|p| p.fisher_p_smallest)) {
        out.line(&format!(
            "by other tests, on one data set: mid-p {}, Fisher's exact p {} (it takes the images of the two runs for different ones)",
            bound(mid),
            bound(fisher)
        ));
    }
    out.line("exact p: of McNemar's test, the smallest over every joint outcome that fits the print; p values are before any correction for the number of pairs, which would only raise them; that two cannot be distinguished does not show that they are equal");
    out.text
}

struct Out {
    text: String,
    style: Style,
}

impl Out {
    fn line(&mut self, text: &str) {
        push_wrapped(&mut self.text, text, " ", "   ", self.style.width());
    }

    fn bold(&mut self, text: &str) {
        let style = self.style;
        push_wrapped_with(&mut self.text, text, " ", "   ", style.width(), |l| style.bold(l));
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Columns as wide as they need; lines that do not fit are cut by the terminal, not wrapped.
    fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = "  ".to_owned();
            for (text, width) in row.iter().zip(&widths) {
                line.push_str(&format!(" {text:<width$} "));
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }
}

fn dataset(out: &mut Out, report: &TableReport, d: &TableDataSet) {
    out.bold(&format!("{}, {} validation images", d.name, d.n_val));
    let name = |loss: usize| report.losses[loss].clone();
    let mut rows: Vec<Vec<String>> = vec![
        ["", "printed", "images right", "Wilson, %", "Clopper–Pearson, %"]
            .map(str::to_owned)
            .into(),
    ];
    rows.extend(d.cells.iter().map(|c| {
        let right =
            if c.low == c.high { c.low.to_string() } else { format!("{}–{}", c.low, c.high) };
        let exact = c.clopper_pearson.map_or_else(|| NONE.to_owned(), between);
        vec![name(c.loss), c.printed.clone(), right, between(c.wilson), exact]
    }));
    out.table(&rows);
    let (range, chance) = match d.range {
        (low, high) if low == high => (high.to_string(), two(d.chance_of_range.0)),
        (low, high) => (
            format!("{low} to {high}"),
            format!(
                "{} to {} ({} at the lowest counts)",
                two(d.chance_of_range.1),
                two(d.chance_of_range.0),
                two(d.chance_of_range_at_lowest)
            ),
        ),
    };
    out.line(&format!(
        "binomial sd of one accuracy {:.2} pp; chance that equally good, independent ones range over {range} images or more: {chance}",
        d.binomial_sd * 100.0,
    ));
    let disagreements: Vec<String> = (d.pairs.iter().map(|p| &p.images_needed))
        .max_by_key(|needed| needed.len())
        .into_iter()
        .flatten()
        .map(|n| format!("{} %", short(n.disagreement * 100.0, 1)))
        .collect();
    let mut header: Vec<String> =
        ["", "", "exact p", "largest gap, images"].map(str::to_owned).into();
    if !disagreements.is_empty() {
        header.push(format!("images needed, {}", disagreements.join(" / ")));
    }
    let mut rows = vec![header];
    for p in &d.pairs {
        let gap = p.largest_gap as f64 / d.n_val as f64 * 100.0;
        let mut row = vec![
            format!("{} – {}", name(p.a), name(p.b)),
            words(p.outcome).to_owned(),
            bound(p.p_smallest),
            format!("{} ({} pp)", p.largest_gap, format_args!("{gap:.2}")),
        ];
        if !disagreements.is_empty() {
            row.push(needed(p));
        }
        rows.push(row);
    }
    out.table(&rows);
}

fn pooled(out: &mut Out, report: &TableReport) {
    out.bold("all data sets pooled");
    let rows: Vec<Vec<String>> = (report.pooled.iter())
        .map(|p| {
            vec![
                format!("{} – {}", report.losses[p.a], report.losses[p.b]),
                words(p.outcome).to_owned(),
                bound(p.p_smallest),
            ]
        })
        .collect();
    out.table(&rows);
    out.line("pooled lines use the exact test: mid-p is too small where few images disagree");
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::CannotBeDistinguished => "not distinguishable (cannot be, with these counts)",
        Outcome::NotDecidable => {
            "not decidable from the table: it depends on which images each run had right"
        }
        Outcome::RunsDiffer => {
            "these two runs differ, whichever images they had right; one run each says nothing of other seeds"
        }
    }
}

fn needed(p: &TablePair) -> String {
    let images: Vec<String> = p.images_needed.iter().map(|n| n.images.to_string()).collect();
    if images.is_empty() { NONE.to_owned() } else { images.join(" / ") }
}

/// Intervals of the lowest and the highest count, once where they are one.
fn between((low, high): (Interval, Interval)) -> String {
    if low == high {
        percent_interval(Some(low))
    } else {
        format!("{} – {}", percent_interval(Some(low)), percent_interval(Some(high)))
    }
}

/// A bound must not be rounded up: powers of two print in full.
fn bound(p: f64) -> String {
    if p >= 1.0 {
        "1".to_owned()
    } else if p < 0.001 {
        p_value(p)
    } else {
        format!("≥ {}", short((p * 1e4).floor() / 1e4, 4))
    }
}

fn two(p: f64) -> String {
    if p < 0.005 { p_value(p) } else { format!("{p:.2}") }
}

fn three(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |v| format!("{v:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{analyse, parse};

    /// The table the project started from; also a file people can start from.
    const STUDY: &str = include_str!("../../../../sweeps/study_published.yaml");

    #[test]
    fn the_study_that_started_this_project() {
        let report = analyse(&parse(STUDY, "study_published.yaml").unwrap());
        insta::assert_snapshot!(text(&report, Style { width: 150, colour: false }), @r#"
Softmax, cosine and AM-Softmax on three small data sets, one run each
one run each: the variance over seeds is not identified at all, so nothing here speaks about another seed; every bound holds over all counts that
  round to the print (half up or half to even) and over all ways in which the runs can share their errors

weather, 226 validation images
              printed  images right  Wilson, %                    Clopper–Pearson, %
  cosine      98       221–222       [94.9, 99.1] – [95.5, 99.3]  [94.9, 99.3] – [95.5, 99.5]
  softmax     97       219–220       [93.7, 98.5] – [94.3, 98.8]  [93.7, 98.7] – [94.3, 99.0]
  am_softmax  97       219–220       [93.7, 98.5] – [94.3, 98.8]  [93.7, 98.7] – [94.3, 99.0]
binomial sd of one accuracy 1.05 pp; chance that equally good, independent ones range over 1 to 3 images or more: 0.98 to 0.73 (0.90 at the lowest
  counts)
                                                                            exact p  largest gap, images  images needed, 10 % / 6 %
  cosine – softmax      not distinguishable (cannot be, with these counts)  ≥ 0.25   3 (1.33 pp)          4435 / 2660
  cosine – am_softmax   not distinguishable (cannot be, with these counts)  ≥ 0.25   3 (1.33 pp)          4435 / 2660
  softmax – am_softmax  not distinguishable (cannot be, with these counts)  1        1 (0.44 pp)          40540 / 24323

fruits, 60 validation images
              printed  images right  Wilson, %     Clopper–Pearson, %
  cosine      88       53            [77.8, 94.2]  [77.4, 95.2]
  softmax     92       55            [81.9, 96.4]  [81.6, 97.2]
  am_softmax  90       54            [79.9, 95.3]  [79.5, 96.2]
binomial sd of one accuracy 3.87 pp; chance that equally good, independent ones range over 2 images or more: 0.89
                                                                            exact p  largest gap, images  images needed, 10 % / 6 %
  cosine – softmax      not distinguishable (cannot be, with these counts)  ≥ 0.5    2 (3.33 pp)          706 / 423
  cosine – am_softmax   not distinguishable (cannot be, with these counts)  1        1 (1.67 pp)          2812 / 1687
  softmax – am_softmax  not distinguishable (cannot be, with these counts)  1        1 (1.67 pp)          2812 / 1687

covid, 66 validation images
              printed  images right  Wilson, %     Clopper–Pearson, %
  cosine      91       60            [81.6, 95.8]  [81.3, 96.6]
  softmax     94       62            [85.4, 97.6]  [85.2, 98.3]
  am_softmax  89       59            [79.7, 94.8]  [79.4, 95.6]
binomial sd of one accuracy 3.45 pp; chance that equally good, independent ones range over 3 images or more: 0.71
                                                                            exact p  largest gap, images  images needed, 10 % / 6 %
  cosine – softmax      not distinguishable (cannot be, with these counts)  ≥ 0.5    2 (3.03 pp)          853 / 511
  cosine – am_softmax   not distinguishable (cannot be, with these counts)  1        1 (1.52 pp)          3395 / 2036
  softmax – am_softmax  not distinguishable (cannot be, with these counts)  ≥ 0.25   3 (4.55 pp)          377 / 226

all data sets pooled
  cosine – softmax      not distinguishable (cannot be, with these counts)  ≥ 0.375
  cosine – am_softmax   not distinguishable (cannot be, with these counts)  ≥ 0.375
  softmax – am_softmax  not distinguishable (cannot be, with these counts)  ≥ 0.0625
pooled lines use the exact test: mid-p is too small where few images disagree

ranks over 3 data sets
mean ranks: cosine 2, softmax 1.5, am_softmax 2.5
Friedman χ² 1.636, p 0.441; Iman–Davenport p 0.529; exact p 0.500 (54 of 108 arrangements)
3 data sets carry no claim about others: that needs 6 or more

6 images, all in one direction, are needed for an exact p of 0.05 or less (5 for mid-p)
images needed: for 80 % power of McNemar's test on one pair of runs at a gap as large as the largest that fits, rounded to a hundredth of a point as
  printed here, if the two runs disagree on that share of images
by other tests, on one data set: mid-p ≥ 0.125, Fisher's exact p ≥ 0.5307 (it takes the images of the two runs for different ones)
exact p: of McNemar's test, the smallest over every joint outcome that fits the print; p values are before any correction for the number of pairs,
  which would only raise them; that two cannot be distinguished does not show that they are equal
"#);
    }

    #[test]
    fn every_pair_of_the_study_is_out_of_reach() {
        let report = analyse(&parse(STUDY, "study_published.yaml").unwrap());
        for d in &report.datasets {
            assert!(d.pairs.iter().all(|p| p.outcome == Outcome::CannotBeDistinguished));
        }
        assert!(report.pooled.iter().all(|p| p.outcome == Outcome::CannotBeDistinguished));
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains("\"cannot_be_distinguished\"") && !json.contains("null"), "{json}");
    }

    #[test]
    fn large_gaps_are_told_apart_from_those_that_depend_on_the_images() {
        let csv = "dataset,n_val,loss,accuracy\nd,100,a,50\nd,100,b,95\nd,100,c,58\n";
        let report = analyse(&parse(csv, "t.csv").unwrap());
        let outcomes: Vec<Outcome> = report.datasets[0].pairs.iter().map(|p| p.outcome).collect();
        assert_eq!(outcomes, [Outcome::RunsDiffer, Outcome::NotDecidable, Outcome::RunsDiffer]);
        assert!(report.pooled.is_empty() && report.ranks.is_none());
    }

    #[test]
    fn small_and_perfect_tables_are_answered() {
        for csv in [
            "dataset,n_val,loss,accuracy\nd,1,a,100\n",
            "dataset,n_val,loss,accuracy\nd,1,a,100\nd,1,b,0\n",
            "dataset,n_val,loss,accuracy\nd,60,a,100\nd,60,b,100\ne,60,a,0\ne,60,b,0\n",
            "dataset,n_val,loss,accuracy\nd,1000000,a,97\nd,1000000,b,96\n",
            "dataset,n_val,loss,accuracy\nd,60,a,90\ne,60,b,90\n",
        ] {
            let report = analyse(&parse(csv, "t.csv").unwrap());
            let text = text(&report, Style { width: 40, colour: true });
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}

//! The tables that stand beside the verdicts: other tests, the parts of the uncertainty, the looks of an adaptive rule, and
//! what may be said over data sets. Text in cells; nothing is computed here.

use crate::format::{self, NONE};
use crate::grid::{Grid, MOST_ROWS, left_out, number, words};
use crate::phrases;
use crate::report::{
    Across, AdaptiveTrace, Comparison, Components, DataSetReport, Family, Ranks, Report,
};

/// All tables beside the verdicts of one data set, in reading order.
pub(crate) fn of_dataset(report: &Report, dataset: &DataSetReport) -> Vec<Grid> {
    let trace = report.adaptive.iter().find(|t| t.dataset == dataset.name);
    let confirmed = dataset.confirmation.as_ref().and_then(|c| c.family.as_ref());
    let families =
        dataset.family.iter().map(|f| (f, "")).chain(confirmed.map(|f| (f, "-confirmation")));
    let mut out: Vec<Grid> = trace.map(|trace| looks(report, trace)).into_iter().collect();
    for (family, suffix) in families {
        out.extend(sensitivity(dataset, family, suffix));
        out.extend(variance(dataset, family, suffix));
    }
    out
}

/// All tables over data sets.
pub(crate) fn over_datasets(report: &Report) -> Vec<Grid> {
    let mut out: Vec<Grid> = report.across.iter().map(across).collect();
    if let Some(ranks) = &report.ranks {
        out.push(mean_ranks(ranks));
        if ranks.claim {
            out.push(rank_pairs(report, ranks));
        }
    }
    out
}

/// "cosine", or "cosine − softmax" where each is compared with each.
pub(crate) fn comparison_label(c: &Comparison, family: &Family) -> String {
    if family.baseline.is_some() {
        c.b_label.clone()
    } else {
        format!("{} − {}", c.b_label, c.a_label)
    }
}

fn p(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), format::p_value)
}

fn two(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |v| format!("{v:.2}"))
}

/// "digits", or "digits, confirmation seeds".
fn subject(dataset: &DataSetReport, suffix: &str) -> String {
    let seeds = if suffix.is_empty() { "" } else { ", confirmation seeds" };
    format!("{}{seeds}", dataset.name)
}

/// Other tests and effect sizes; `None` before all runs have ended.
pub(crate) fn sensitivity(dataset: &DataSetReport, family: &Family, suffix: &str) -> Option<Grid> {
    let all = family.comparisons.iter().filter_map(|c| Some((c, c.sensitivity.as_ref()?)));
    let rows: Vec<Vec<String>> = all
        .take(MOST_ROWS)
        .map(|(c, s)| {
            vec![
                comparison_label(c, family),
                p(s.sign_flip),
                p(c.on_these.p_min),
                p(s.wilcoxon),
                p(s.paired_t),
                p(c.on_these.tost_p_adjusted),
                p(c.beyond.tost_p_adjusted),
                p(s.fdr),
                s.hodges_lehmann.map_or_else(|| NONE.to_owned(), format::points),
                two(s.a12),
                two(s.outperforms),
                s.g_z.map_or_else(|| NONE.to_owned(), |g| format::signed(g, 2)),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Grid {
        name: format!("{}-sensitivity{suffix}", dataset.name),
        title: format!("{}: other tests and effect sizes", subject(dataset, suffix)),
        caption: "Not adjusted but where it says so, and never used for a verdict. TOST: equivalence, on these images and on images like these. FDR: Benjamini–Hochberg, for screening. A12: chance that a run of this configuration beats an unpaired run of the other. Pairs won: share of seeds, ties half. g: mean difference in standard deviations of the pairs.".to_owned(),
        columns: vec![
            words("configuration"),
            number("sign-flip p"),
            number("smallest possible"),
            number("Wilcoxon p"),
            number("paired t p"),
            number("TOST p, adjusted"),
            number("TOST p beyond, adjusted"),
            number("FDR"),
            number("Hodges–Lehmann, pp"),
            number("A12"),
            number("pairs won"),
            number("g"),
        ],
        rows,
        left_out: left_out(family.comparisons.len(), "comparisons.csv"),
    })
}

/// Shares of the variance of one image's difference on one seed.
pub(crate) fn variance(dataset: &DataSetReport, family: &Family, suffix: &str) -> Option<Grid> {
    let share = |part: f64, c: Components| {
        let all = c.seed.max(0.0) + c.image.max(0.0) + c.residual.max(0.0);
        if all > 0.0 { format!("{:.0} %", part.max(0.0) / all * 100.0) } else { NONE.to_owned() }
    };
    let all = family.comparisons.iter().filter_map(|c| Some((c, c.beyond.components?)));
    let rows: Vec<Vec<String>> = all
        .take(MOST_ROWS)
        .map(|(c, parts)| {
            let detectable = c.beyond.more_seeds.first().map(|m| m.detectable);
            vec![
                comparison_label(c, family),
                share(parts.seed, parts),
                share(parts.image, parts),
                share(parts.residual, parts),
                format::percent_or_dash(c.beyond.se),
                format::percent_or_dash(detectable),
                format::percent_or_dash(c.beyond.floor),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Grid {
        name: format!("{}-variance{suffix}", dataset.name),
        title: format!("{}: where the uncertainty comes from", subject(dataset, suffix)),
        caption: "Shares of the variance of one image's difference on one seed, on images like these. More seeds shrink the parts of seeds and the rest, never the part of images. Resolvable: the smallest difference with 80 % power on these seeds; floor: the same with any number of seeds.".to_owned(),
        columns: vec![
            words("configuration"),
            number("seeds"),
            number("images"),
            number("rest"),
            number("standard error, pp"),
            number("resolvable, pp"),
            number("floor, pp"),
        ],
        rows,
        left_out: left_out(family.comparisons.len(), "comparisons.csv"),
    })
}

/// What the looks of an adaptive rule did.
pub(crate) fn looks(report: &Report, trace: &AdaptiveTrace) -> Grid {
    let label = |candidate: usize| {
        report.candidates.get(candidate).map_or("", |c| c.label.as_str()).to_owned()
    };
    let rows = trace.rows.iter().map(|row| {
        let [look, by, evidence, level] = match row.dropped {
            Some(d) => [
                d.look.to_string(),
                label(d.beaten_by),
                phrases::evidence(d.test, d.p),
                d.level.map_or_else(|| NONE.to_owned(), format::p_value),
            ],
            None => [NONE; 4].map(str::to_owned),
        };
        vec![row.label.clone(), row.seeds.to_string(), look, by, evidence, level]
    });
    Grid {
        name: format!("{}-adaptive", trace.dataset),
        title: format!("{}: how the seeds were given out", trace.dataset),
        caption: format!(
            "By the declared rule: {}; {}. {}.",
            trace.rule,
            phrases::looks_ended(report, trace),
            phrases::runs_saved(trace)
        ),
        columns: vec![
            words("configuration"),
            number("seeds"),
            number("dropped at look"),
            words("because of"),
            words("evidence, one-sided"),
            number("level of that look"),
        ],
        rows: rows.take(MOST_ROWS).collect(),
        left_out: left_out(trace.rows.len(), "adaptive.csv"),
    }
}

/// Differences from the baseline averaged over data sets.
pub(crate) fn across(across: &Across) -> Grid {
    let rows = across.rows.iter().map(|row| {
        vec![
            row.label.clone(),
            format!("{} pp", format::points(row.estimate)),
            format::percent_or_dash(row.se),
        ]
    });
    Grid {
        name: "across".to_owned(),
        title: "Averages over data sets".to_owned(),
        caption: format!("{}.", phrases::capital(&across.wording)),
        columns: vec![
            words("configuration"),
            number("mean difference"),
            number("standard error, pp"),
        ],
        rows: rows.take(MOST_ROWS).collect(),
        left_out: left_out(across.rows.len(), "across.csv"),
    }
}

/// Mean ranks over data sets.
pub(crate) fn mean_ranks(ranks: &Ranks) -> Grid {
    let mut caption = format!(
        "{}. Friedman p {}, Iman–Davenport p {}, exact p {}.",
        phrases::capital(&ranks.wording),
        p(ranks.p_chi2),
        p(ranks.p_iman_davenport),
        p(ranks.p_exact)
    );
    if let Some(cd) = ranks.critical_difference {
        caption.push_str(&format!(
            " Nemenyi's critical difference of mean ranks is {cd:.2} of a largest possible gap of {}.",
            ranks.rows.len().saturating_sub(1)
        ));
    }
    if !ranks.left_out.is_empty() {
        caption.push_str(&format!(
            " Not ranked, because they have no accuracy on some data set: {}.",
            ranks.left_out.join(", ")
        ));
    }
    let rows = ranks.rows.iter().map(|r| vec![r.label.clone(), format!("{:.2}", r.mean_rank)]);
    Grid {
        name: "ranks".to_owned(),
        title: format!("Mean ranks over {} data sets", ranks.n),
        caption,
        columns: vec![words("configuration"), number("mean rank")],
        rows: rows.take(MOST_ROWS).collect(),
        left_out: left_out(ranks.rows.len(), "ranks.csv"),
    }
}

/// Tests of pairs over data sets.
pub(crate) fn rank_pairs(report: &Report, ranks: &Ranks) -> Grid {
    let label = |candidate: usize| {
        report.candidates.get(candidate).map_or("", |c| c.label.as_str()).to_owned()
    };
    let rows = ranks.pairs.iter().map(|pair| {
        let verdict = if pair.differs { "better over data sets" } else { "unresolved" };
        vec![
            label(pair.better),
            label(pair.worse),
            format::p_value(pair.p),
            format::p_value(pair.p_adjusted),
            verdict.to_owned(),
        ]
    });
    Grid {
        name: "rank-pairs".to_owned(),
        title: "Pairs over data sets".to_owned(),
        caption: format!(
            "Exact Wilcoxon tests over {} data sets on the differences of mean accuracies, Holm over {}.",
            ranks.n,
            ranks.pairs.len()
        ),
        columns: vec![
            words("better mean rank"),
            words("worse"),
            number("p"),
            number("p, adjusted"),
            words("verdict"),
        ],
        rows: rows.take(MOST_ROWS).collect(),
        left_out: left_out(ranks.pairs.len(), "rank_pairs.csv"),
    }
}

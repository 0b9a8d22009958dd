//! Texts people and programs read, as they stand.

use crate::terminal::{self, Style};
use crate::testing::{Study, study};

fn quick() -> Study {
    let base = [49, 52, 50, 44];
    study(
        "  - softmax\n  - cosine\n  - am_softmax: { margin: [0.2, 0.4], scale: 10 }\n",
        "8",
        "baseline: softmax\n",
        60,
    )
    .all(|c, s| base[c] + ((s * 5 + c * 3) % 4) as u32)
    .failed(3, 2)
}

#[test]
fn the_comparison_table_on_a_wide_terminal() {
    insta::assert_snapshot!(terminal::comparison(&quick().report(), Style { width: 160, colour: false }), @r#"
! losses have unequal numbers of configurations, and the larger grid has the larger winner's bonus: softmax 1, cosine 1, am_softmax 2

digits, 60 validation images, against softmax (7–8 paired seeds; exact sign-flip on these images, crossed seeds × images beyond them; Holm over 3)
                                   on these images                  on images like these
  cosine                           +5.0 pp [+2.4, +7.6]   p 0.023   [+1.4, +8.6]   p 0.016    better
  am_softmax(margin=0.2,scale=10)  +1.7 pp [−1.3, +4.6]   p 0.28    [−1.4, +4.7]   p 0.24
        → unresolved — about 91 seeds (51 by the sd seen) for a difference this large, about 91 seeds (51 by the sd seen) for 1.67 pp
  am_softmax(margin=0.4,scale=10)  −8.6 pp [−11.6, −5.6]  p 0.031   [−14.1, −3.1]  p 0.0090   worse, with reservation: censored [1 pair dropped]
not distinguishable from the best on these images: cosine (3 of 4 excluded by one-sided exact sign-flip at 0.0167)
! 1 run ended without an accuracy; the pairs they belong to are left out
! choosing the best of 4: were all equally good, the best would still lead by about +1.5 pp
"#);
}

#[test]
fn the_comparison_table_on_a_narrow_terminal() {
    insta::assert_snapshot!(terminal::comparison(&quick().report(), Style { width: 72, colour: false }), @r#"
! losses have unequal numbers of configurations, and the larger grid
  has the larger winner's bonus: softmax 1, cosine 1, am_softmax 2

digits, 60 validation images, against softmax (7–8 paired seeds; exact
  sign-flip on these images, crossed seeds × images beyond them; Holm
  over 3)
    on these images                  on images like these
  cosine
    +5.0 pp [+2.4, +7.6]   p 0.023   [+1.4, +8.6]   p 0.016    better
  am_softmax(margin=0.2,scale=10)
    +1.7 pp [−1.3, +4.6]   p 0.28    [−1.4, +4.7]   p 0.24
    → unresolved — about 91 seeds (51 by the sd seen) for a difference
      this large, about 91 seeds (51 by the sd seen) for 1.67 pp
  am_softmax(margin=0.4,scale=10)
    −8.6 pp [−11.6, −5.6]  p 0.031   [−14.1, −3.1]  p 0.0090
    → worse, with reservation: censored [1 pair dropped]
not distinguishable from the best on these images: cosine (3 of 4
  excluded by one-sided exact sign-flip at 0.0167)
! 1 run ended without an accuracy; the pairs they belong to are left
  out
! choosing the best of 4: were all equally good, the best would still
  lead by about +1.5 pp
"#);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 72, 80, 100, 120, 160] {
        let text = terminal::comparison(&quick().report(), Style { width, colour: false });
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn colour_changes_no_character() {
    let report = quick().report();
    let plain = terminal::comparison(&report, Style { width: 100, colour: false });
    let mut stripped = String::new();
    let mut rest = terminal::comparison(&report, Style { width: 100, colour: true });
    while let Some(at) = rest.find('\u{1b}') {
        stripped.push_str(&rest[..at]);
        rest = rest[at..].split_once('m').unwrap().1.to_owned();
    }
    stripped.push_str(&rest);
    assert_eq!(stripped, plain);
}

#[test]
fn the_summary_and_the_status() {
    let report = quick().report();
    let text =
        terminal::summary(&report, Style::default()) + &terminal::status(&report, Style::default());
    insta::assert_snapshot!(text, @r#"
softmax                            8/8     84.2 ±1.7 %  ▅▆▇
cosine                             8/8     89.2 ±1.7 %  ▆▇█
am_softmax(margin=0.2,scale=10)    8/8     85.8 ±1.7 %  ▆▆▇
am_softmax(margin=0.4,scale=10)    7/8     75.5 ±1.7 %  ▅▆▇  1 failed, CENSORED
32 runs, 47 s of training, 1 failed
✗ digits am_softmax(margin=0.4,scale=10) seed 3: device lost: out of memory
"#);
}

#[test]
fn runs_as_csv() {
    let text: Vec<String> =
        crate::csv::runs(&quick().report()).lines().take(4).map(str::to_owned).collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
run,dataset,configuration,seed,state,end,correct,n_val,accuracy,epochs,device,error,loss,label_smoothing,model.backbone,model.neck,model.weights,training.augment,training.batch_size,training.clip_norm,training.epochs,training.image_size,training.mode,training.optimizer.sgd.learning_rate,training.optimizer.sgd.momentum,training.optimizer.sgd.nesterov,training.optimizer.sgd.weight_decay,training.schedule,training.warmup_epochs,margin,scale
vjlah2ubyscmgipojfv2,digits,softmax,1,succeeded,completed,49,60,0.8166666666666667,3,cpu,,softmax,0,small_cnn,null,random,none,32,10,3,8,full,0.01,0.9,false,0.0005,cosine,0,,
r57ocx3hb52w2zrujcvu,digits,cosine,1,succeeded,completed,55,60,0.9166666666666666,3,cpu,,cosine,,small_cnn,null,random,none,32,10,3,8,full,0.01,0.9,false,0.0005,cosine,0,,
ijf26r6mxnqkapskcz43,digits,"am_softmax(margin=0.2,scale=10)",1,succeeded,completed,52,60,0.8666666666666667,3,cpu,,am_softmax,,small_cnn,null,random,none,32,10,3,8,full,0.01,0.9,false,0.0005,cosine,0,0.2,10
"#);
}

#[test]
fn summaries_as_csv() {
    insta::assert_snapshot!(crate::csv::summaries(&quick().report()), @r#"
dataset,configuration,planned,n,failed,cancelled,pending,diverged,without_accuracy,n_val,mean,sd,on_these_low,on_these_high,beyond_low,beyond_high,bootstrap_low,bootstrap_high,bootstrap_under_covers,min,median,max,iqm,balanced_accuracy,part,look,look_confidence
digits,softmax,8,8,0,0,0,0,0,60,0.8416666666666667,0.019920476822239894,0.8250127312744343,0.858320602058899,0.7793214956432152,0.9040118376901182,0.8291666666666667,0.8541666666666666,true,0.8166666666666667,0.8416666666666667,0.8666666666666667,0.8416666666666667,0.8416666666666666,planned,,
digits,cosine,8,8,0,0,0,0,0,60,0.8916666666666667,0.019920476822239894,0.8750127312744344,0.908320602058899,0.8332390683635684,0.950094264969765,0.8791666666666667,0.9041666666666667,true,0.8666666666666667,0.8916666666666667,0.9166666666666666,0.8916666666666667,0.8916666666666666,planned,,
digits,"am_softmax(margin=0.2,scale=10)",8,8,0,0,0,0,0,60,0.8583333333333333,0.019920476822239894,0.841679397941101,0.8749872687255656,0.8002086293915733,0.9164580372750932,0.8458333333333333,0.8708333333333333,true,0.8333333333333334,0.8583333333333333,0.8833333333333333,0.8583333333333333,0.8583333333333333,planned,,
digits,"am_softmax(margin=0.4,scale=10)",8,7,1,0,0,0,0,60,0.7547619047619047,0.018544954675472892,0.7376106822775429,0.7719131272462666,0.6802835014095538,0.8292403081142556,0.7428571428571429,0.7690476190476191,true,0.7333333333333333,0.75,0.7833333333333333,0.7533333333333334,0.7547619047619047,planned,,
"#);
}

#[test]
fn comparisons_as_csv() {
    insta::assert_snapshot!(crate::csv::comparisons(&quick().report()), @r#"
dataset,reference,configuration,pairs,dropped,difference,on_these_low,on_these_high,on_these_p,on_these_p_adjusted,on_these_p_min,on_these_verdict,beyond_low,beyond_high,beyond_p,beyond_p_adjusted,beyond_verdict,m,tost_p_adjusted,headline,marks,part,look,look_confidence,sign_flip_p,wilcoxon_p,paired_t_p,fdr,hodges_lehmann,a12,pairs_won,g,beyond_tost_p_adjusted,on_these_se,beyond_se,var_seed,var_image,var_residual,floor
digits,softmax,cosine,8,0,0.05,0.024199834230828002,0.07580016576917199,0.0078125,0.0234375,0.0078125,better,0.014252551376489071,0.08574744862351094,0.007986945502568397,0.015973891005136794,better,3,1,better,,planned,,,0.0078125,0.0078125,0.002535996080258097,0.0234375,0.03333333333333333,0.96875,1,1.4390531830497497,1,0.010910894511799617,0.017375464876112436,-0.0016242937853107346,-0.0012106537530266331,0.15460048426150122,0
digits,softmax,"am_softmax(margin=0.2,scale=10)",8,0,0.016666666666666666,-0.013124798637270174,0.0464581319706035,0.28125,0.28125,0.0078125,"unresolved — about 91 seeds (51 by the sd seen) for a difference this large, about 91 seeds (51 by the sd seen) for 1.67 pp",-0.013937749070327392,0.04727108240366072,0.23567013596967268,0.23567013596967268,"unresolved — about 105 seeds for a difference this large, about 105 seeds for 1.67 pp",3,1,"unresolved — about 91 seeds (51 by the sd seen) for a difference this large, about 91 seeds (51 by the sd seen) for 1.67 pp",,planned,,,0.28125,0.28125,0.22745281805976436,0.28125,0.016666666666666666,0.71875,0.5,0.4154188713059804,1,0.012598815766974239,0.012767845972290238,-0.0015032284100080712,-0.011016949152542374,0.16638418079096046,0
digits,softmax,"am_softmax(margin=0.4,scale=10)",7,1,-0.08571428571428572,-0.11579952015594293,-0.055629051272628516,0.015625,0.03125,0.015625,worse,-0.14062671455800654,-0.030801856870564893,0.003008315817096158,0.009024947451288474,worse,3,1,"worse, with reservation: censored",censored,planned,,,0.015625,0.015625,0.00043300163243869524,0.0234375,-0.06666666666666667,0,0,-2.2887706896427007,1,0.012295185226055293,0.027207136834068255,-0.0029997309658326607,0.009631423190745225,0.24347592144202312,0.040994403646832156
"#);
}

#[test]
fn epochs_as_csv_have_one_row_per_epoch_of_every_result() {
    let study = quick();
    let text = crate::csv::epochs(&study.input());
    assert_eq!(text.lines().count(), 1 + 3 * 31);
}

#[test]
fn the_tables_for_a_paper() {
    let text = crate::latex::tables(&quick().report());
    // accuracies, comparisons, other tests, parts of the uncertainty
    assert_eq!(text.matches("\\toprule").count(), 4);
    for label in ["digits-accuracy", "digits-comparisons", "digits-sensitivity", "digits-variance"]
    {
        assert!(text.contains(&format!("\\label{{tab:{label}}}")), "{label}");
    }
    assert!(
        text.contains("am\\_softmax(margin=0.2,scale=10)")
            && text.contains("$+$") | text.contains("+5.0")
    );
}

/// Every format says the same of what stands beside the verdicts.
#[test]
fn tables_beside_the_verdicts_are_in_every_format() {
    let report = quick().report();
    let formats = [
        terminal::details(&report, Style { width: 200, colour: false }),
        crate::markdown::page(&report),
        crate::latex::tables(&report),
        crate::html::page(&report),
    ];
    for text in formats {
        let plain = text.to_lowercase();
        for cell in ["hodges", "0.0078", "+1.44", "floor, pp"] {
            assert!(plain.contains(cell), "{cell} is not in\n{plain}");
        }
    }
    for width in [40, 80, 200] {
        let text = terminal::details(&report, Style { width, colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
    }
}

/// Nobody reads 19,900 rows; the CSV file has them.
#[test]
fn long_tables_end_with_the_name_of_the_file_that_has_the_rest() {
    let margins: Vec<String> = (0..30).map(|i| format!("{:.2}", f64::from(i) * 0.02)).collect();
    let losses = format!("  - am_softmax: {{ margin: [{}], scale: 10 }}\n", margins.join(", "));
    let study = study(&losses, "3", "analysis: { compare: all_pairs }\n", 60);
    let report = study.all(|c, s| 40 + ((c * 7 + s * 13) % 11) as u32).report();
    assert_eq!(report.datasets[0].family.as_ref().unwrap().m, 435);
    let rest = "35 more rows are in comparisons.csv";
    for text in [
        terminal::comparison(&report, Style::default()),
        crate::markdown::page(&report),
        crate::latex::tables(&report),
        crate::html::page(&report),
    ] {
        assert!(text.contains(rest));
    }
    assert_eq!(crate::csv::comparisons(&report).lines().count(), 436);
}

#[test]
fn the_page_is_one_file_that_fetches_nothing() {
    let report = quick().report();
    let page = crate::html::page(&report);
    for forbidden in ["<script", "<link", "<img", "@import", "url(http", "src="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(
        page.contains("default-src 'none'")
            && page.contains("sweep run study.yaml")
            && page.contains("device lost: out of memory")
    );
    for figure in crate::plot::figures(&report) {
        let svg = figure.svg();
        assert!(
            svg.contains("role=\"img\"") && svg.contains("<title id=") && svg.contains("<desc id="),
            "{}",
            figure.name
        );
        assert!(page.contains(&format!("id=\"{}-t\"", figure.name)));
    }
}

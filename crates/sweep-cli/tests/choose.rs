//! A learning rate per loss, chosen on inner splits by one command and judged by the next.

mod common;

use common::Place;

const CHOICE: &str = "\
name: rates_choice
datasets: [digits_inner]
seeds: [101, 102]
baseline: softmax
losses:
  - softmax: { training: { learning_rate: [0.0001, 0.05] } }
  - cosine: { training: { learning_rate: [0.0001, 0.05] } }
model: { backbone: small_cnn }
training: { epochs: 15, batch_size: 10 }
";

#[test]
fn rates_are_chosen_on_inner_splits_and_judged_on_the_images_that_took_no_part() {
    let place = Place::new();
    place.write("choice.yaml", CHOICE);
    let choose = ["choose", "choice.yaml", "--seeds", "2", "-o", "chosen.yaml"];
    place.expect(2, &choose);
    place.expect(0, &["run", "choice.yaml", "--quiet"]);
    let said = place.expect(0, &choose);
    assert!(said.contains("softmax: 0.05 of [0.0001"), "{said}");
    let text = place.read("chosen.yaml");
    assert!(text.contains("datasets: [digits]"), "{text}");
    // The same results write the same file; another one is not overwritten.
    place.expect(0, &choose);
    assert_eq!(place.read("chosen.yaml"), text);
    place.expect(2, &["choose", "choice.yaml", "--seeds", "3", "-o", "chosen.yaml"]);
    // Seeds that chose do not judge, and a file elsewhere would not find its data sets.
    place.expect(2, &["choose", "choice.yaml", "--seeds", "101"]);
    std::fs::create_dir(place.path().join("elsewhere")).unwrap();
    place.expect(2, &["choose", "choice.yaml", "-o", "elsewhere/chosen.yaml"]);

    place.expect(0, &["run", "chosen.yaml", "--quiet"]);
    let report = place.report("rates_chosen");
    assert_eq!(report["runs"].as_array().unwrap().len(), 4);
}

#[test]
fn a_choice_on_images_that_judge_is_refused() {
    let place = Place::new();
    place.write("choice.yaml", CHOICE.replace("digits_inner", "digits"));
    place.expect(0, &["run", "choice.yaml", "--trainer", "fake", "--quiet"]);
    let output = place.sweep(&["choose", "choice.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("`digits` is no inner split"), "{stderr}");
}

//! The curves of one run: accuracy and objective by epoch, training and validation, each epoch with its numbers.

use sweep_core::result::EpochMetrics;

use super::svg::{Anchor, Canvas, Scale};
use super::{Figure, FigureKind};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 36.0;
/// Epochs beyond this are a line without marks.
const MARKED: usize = 100;

/// Accuracy and objective of one run by epoch; empty before its first epoch has ended.
pub fn of_run(epochs: &[EpochMetrics]) -> Vec<Figure> {
    let accuracy =
        |e: &EpochMetrics| (Some(e.train_accuracy * 100.0), Some(e.val_accuracy * 100.0));
    let objective = |e: &EpochMetrics| (e.train_loss, e.val_loss);
    let figures = [
        figure(
            epochs,
            FigureKind::Accuracy,
            "Accuracy by epoch, in percent",
            "Share right by plain logits; training accuracy is taken while training, with augmentation.",
            accuracy,
        ),
        figure(
            epochs,
            FigureKind::Objective,
            "Objective by epoch",
            "Mean objective per image, margins and annealing included; not comparable between losses.",
            objective,
        ),
    ];
    figures.into_iter().flatten().collect()
}

fn figure(
    epochs: &[EpochMetrics],
    kind: FigureKind,
    title: &str,
    caption: &str,
    of: impl Fn(&EpochMetrics) -> (Option<f64>, Option<f64>),
) -> Option<Figure> {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let points: Vec<(u32, Option<f64>, Option<f64>)> = epochs
        .iter()
        .map(|e| {
            let (train, val) = of(e);
            (e.epoch, finite(train), finite(val))
        })
        .collect();
    let values = || points.iter().flat_map(|(_, train, val)| [*train, *val]).flatten();
    let range = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let last = points.last()?.0;
    let (right, bottom) = (WIDTH - 14.0, HEIGHT - BOTTOM);
    let x = Scale::new((1.0, f64::from(last)), (LEFT, right));
    let y = Scale::new(range, (bottom, TOP));
    let mut c = Canvas::default();
    c.line("train", (LEFT, 11.0), (LEFT + 28.0, 11.0));
    c.text("small", (LEFT + 34.0, 15.0), Anchor::Start, "training");
    c.line("val", (LEFT + 100.0, 11.0), (LEFT + 128.0, 11.0));
    c.text("small", (LEFT + 134.0, 15.0), Anchor::Start, "validation");
    let (ticks, decimals) = y.ticks(5);
    for tick in ticks {
        c.line("grid", (LEFT, y.at(tick)), (right, y.at(tick)));
        c.text("small", (LEFT - 6.0, y.at(tick) + 4.0), Anchor::End, &format!("{tick:.decimals$}"));
    }
    for tick in x.ticks(8).0.into_iter().filter(|tick| tick.fract() == 0.0) {
        c.text("small", (x.at(tick), bottom + 15.0), Anchor::Middle, &format!("{tick:.0}"));
    }
    c.text("small", (right, bottom + 30.0), Anchor::End, "epoch");
    c.line("axis", (LEFT, bottom), (right, bottom));
    let is_accuracy = kind == FigureKind::Accuracy;
    for (name, words, pick) in [
        ("train", "training", (|p| p.1) as fn(&(u32, Option<f64>, Option<f64>)) -> Option<f64>),
        ("val", "validation", |p| p.2),
    ] {
        let line: Vec<(u32, f64)> =
            points.iter().filter_map(|point| Some((point.0, pick(point)?))).collect();
        let place = |(epoch, value): (u32, f64)| (x.at(f64::from(epoch)), y.at(value));
        c.path(name, &line.iter().copied().map(place).collect::<Vec<_>>(), false);
        if line.len() <= MARKED {
            for (epoch, value) in line {
                let number =
                    if is_accuracy { format!("{value:.1} %") } else { format!("{value:.4}") };
                let tip = format!("epoch {epoch}: {words} {number}");
                c.circle(&format!("{name}-dot"), place((epoch, value)), 2.5, &tip);
            }
        }
    }
    Some(Figure {
        name: if is_accuracy { "run-accuracy".to_owned() } else { "run-objective".to_owned() },
        dataset: None,
        kind,
        title: title.to_owned(),
        caption: caption.to_owned(),
        width: WIDTH as u32,
        height: HEIGHT as u32,
        body: c.finish(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u32, val_loss: Option<f64>) -> EpochMetrics {
        EpochMetrics {
            epoch,
            train_loss: Some(1.0 / f64::from(epoch)),
            train_accuracy: 0.5,
            val_loss,
            val_accuracy: 0.25,
            learning_rate: 0.1,
            lambda: None,
            seconds: 1.0,
        }
    }

    #[test]
    fn each_epoch_can_be_read_and_a_gap_is_left_out() {
        let figures = of_run(&[epoch(1, Some(2.0)), epoch(2, None), epoch(3, Some(f64::NAN))]);
        assert_eq!(figures.len(), 2);
        let (accuracy, objective) = (figures[0].inline(), figures[1].inline());
        assert!(accuracy.contains("<title>epoch 2: validation 25.0 %</title>"), "{accuracy}");
        assert!(objective.contains("<title>epoch 1: validation 2.0000</title>"), "{objective}");
        assert!(!objective.contains("epoch 2: validation") && !objective.contains("NaN"));
        assert!(!objective.contains("style="));
    }

    #[test]
    fn a_run_without_an_epoch_or_with_one_is_drawn_as_far_as_it_goes() {
        assert!(of_run(&[]).is_empty());
        assert_eq!(of_run(&[epoch(1, None)]).len(), 2);
    }
}

//! Predictions from plain logits, on the host: the tie rule of a backend's argmax is not specified.

/// The class with the largest plain logit of each row, the first on ties; `None` where a logit of the row is not finite.
///
/// # Shapes
/// `logits` [N, C], row-major → N predictions
pub fn predict(logits: &[f32], classes: usize) -> Vec<Option<usize>> {
    logits.chunks_exact(classes).map(first_largest).collect()
}

fn first_largest(row: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (class, logit) in row.iter().enumerate() {
        if !logit.is_finite() {
            return None;
        }
        if *logit > row[best] {
            best = class;
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::predict;

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(predict(&[1.0, 3.0, 3.0, -2.0, -2.0, -7.0], 3), [Some(1), Some(0)]);
    }

    #[test]
    fn a_row_that_is_not_finite_predicts_nothing() {
        assert_eq!(
            predict(&[f32::NAN, 1.0, 1.0, f32::INFINITY, 0.0, 1.0], 2),
            [None, None, Some(1)]
        );
    }
}

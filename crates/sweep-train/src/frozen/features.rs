//! Features of every image of a data set, as a frozen backbone sees its evaluation view.

use std::ops::Range;

/// A zero feature vector has this norm's square, as in [`crate::head`].
const NORM_EPSILON: f64 = 1e-12;

/// Features and labels of a data set's training and validation images.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    dim: usize,
    classes: usize,
    /// [N, dim], training images first.
    rows: Vec<f32>,
    /// √(‖x‖² + 1e-12) of each row.
    norms: Vec<f64>,
    labels: Vec<u32>,
    train: usize,
}

impl Features {
    /// From `rows` [N, dim], row-major, and their labels, of which the first `train` belong to the training part.
    ///
    /// # Panics
    /// When the lengths disagree or a label is not below `classes`.
    pub fn new(rows: Vec<f32>, dim: usize, labels: Vec<u32>, train: usize, classes: usize) -> Self {
        assert!(dim > 0 && rows.len() == dim * labels.len() && train <= labels.len());
        assert!(labels.iter().all(|label| (*label as usize) < classes));
        let norm = |row: &[f32]| {
            (row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() + NORM_EPSILON).sqrt()
        };
        let norms = rows.chunks_exact(dim).map(norm).collect();
        Self { dim, classes, rows, norms, labels, train }
    }

    /// Numbers per image.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All features, [N, dim].
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Labels of all images.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of training images; they come first.
    pub fn train(&self) -> usize {
        self.train
    }

    /// The validation images.
    pub fn val(&self) -> Range<usize> {
        self.train..self.labels.len()
    }

    /// Training images per class.
    pub fn class_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.classes];
        for label in &self.labels[..self.train] {
            counts[*label as usize] += 1;
        }
        counts
    }

    pub(super) fn row(&self, image: usize) -> &[f32] {
        &self.rows[image * self.dim..(image + 1) * self.dim]
    }

    pub(super) fn norm(&self, image: usize) -> f64 {
        self.norms[image]
    }
}

//! Pure core of `sweep`: from the text of a sweep file to runs, and from runs to results, without I/O, clock or randomness.
//!
//! Reading order: [`loss`], [`training`] and [`model`] (what a configuration is made of), [`dataset`] (what the core must
//! know of a data set), [`catalogue`] (ranges and defaults of every setting), [`mod@file`] (how a sweep file is read), [`run`] (configuration + seed = run, and its id), [`analysis`], [`sweep`] (sweep file → [`sweep::Sweep`]
//! → runs), [`adaptive`] (looks that add runs), [`choice`] (learning rates from inner splits), [`lifecycle`] (how a run's state changes), [`result`] (what a run leaves), [`trainer`] (the seam to training);
//! [`suggest`] ("did you mean") serves every reader of what people write.

pub mod adaptive;
pub mod analysis;
pub mod bits;
pub mod canonical;
pub mod catalogue;
pub mod choice;
pub mod dataset;
pub mod file;
pub mod ids;
pub mod lifecycle;
pub mod loss;
pub mod mistakes;
pub mod model;
mod plan;
pub mod record;
pub mod result;
pub mod run;
pub mod suggest;
pub mod sweep;
pub mod trainer;
pub mod training;

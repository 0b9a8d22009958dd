//! What every store refuses or cuts before it changes anything.

use sweep_core::result::RunResult;

use crate::error::StoreError;
use crate::words::{ERROR_MAX, LOG_MAX, NewSweep, RESULT_MAX, SUBMIT_MAX};

pub(crate) fn check_submission(sweep: &NewSweep, runs: usize) -> Result<(), StoreError> {
    if runs > SUBMIT_MAX {
        return Err(StoreError::TooManyRuns { count: runs, max: SUBMIT_MAX });
    }
    check_weight(sweep.weight)?;
    check_band(sweep.band)?;
    check_cap(sweep.cap)
}

pub(crate) fn check_weight(weight: f64) -> Result<(), StoreError> {
    if weight.is_finite() && weight > 0.0 { Ok(()) } else { Err(StoreError::Weight { weight }) }
}

pub(crate) fn check_band(band: u8) -> Result<(), StoreError> {
    if band <= 7 { Ok(()) } else { Err(StoreError::Band { band }) }
}

pub(crate) fn check_cap(cap: Option<u32>) -> Result<(), StoreError> {
    if cap == Some(0) { Err(StoreError::Cap) } else { Ok(()) }
}

/// A result as JSON.
pub(crate) fn result_text(result: &RunResult) -> Result<String, StoreError> {
    let text = json_text(result);
    let bytes = text.len();
    if bytes > RESULT_MAX {
        return Err(StoreError::ResultTooLarge { bytes, max: RESULT_MAX });
    }
    Ok(text)
}

/// The beginning of an error, which says what went wrong.
pub(crate) fn cut_error(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_MAX)]
}

/// The end of a log, which says how it ended.
pub(crate) fn cut_log(log: &str) -> &str {
    &log[log.ceil_char_boundary(log.len().saturating_sub(LOG_MAX))..]
}

/// The JSON of a value of ours.
pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("stored types have string keys only")
}

//! A run with its state and result, as a store hands it to a reader (report, tables, exports).

use serde::{Deserialize, Serialize};

use crate::ids::Fence;
use crate::lifecycle::StateName;
use crate::result::RunResult;
use crate::run::Run;

/// What a reader sees of a run of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run in its place in the sweep asked about.
    pub run: Run,
    /// Its state.
    pub state: StateName,
    /// Attempts started so far.
    pub attempts: u32,
    /// Fence of the last lease, if there was one; of the accepted result where there is one.
    pub fence: Option<Fence>,
    /// Holder of the lease, `worker/slot`, while leased.
    pub holder: Option<String>,
    /// First line of the last error.
    pub error: Option<String>,
    /// The accepted result, when succeeded.
    pub result: Option<RunResult>,
}

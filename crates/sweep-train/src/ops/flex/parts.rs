//! How work is cut into parts, by shape alone, and run with the widest vector instructions of the machine.

use rayon::prelude::*;

/// Values per part: large enough that a part outweighs waking a thread (some 10 µs), small enough that several threads share a layer.
const PART: usize = 32 * 1024;

/// The rows per part, for rows of `width` values; rows are never cut. A multiple of 16 keeps blocked sums aligned.
pub(super) fn rows_per_part(width: usize) -> usize {
    (PART / width.max(1)).max(1).next_multiple_of(16)
}

/// The results of `task` for every index below `count`, in order.
pub(super) fn map<T: Send>(count: usize, task: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    match count {
        1 => vec![task(0)],
        _ => (0..count).into_par_iter().map(task).collect(),
    }
}

/// How many samples of `size` values make a part.
pub(super) fn samples_per_part(size: usize) -> usize {
    (PART / size.max(1)).max(1)
}

/// Runs `task` with each chunk of `size` values of `out` and its index.
pub(super) fn for_each_chunk(
    out: &mut [f32],
    size: usize,
    task: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    if out.len() <= PART.max(size) {
        out.chunks_mut(size).enumerate().for_each(|(index, chunk)| task(index, chunk));
    } else {
        out.par_chunks_mut(size).enumerate().for_each(|(index, chunk)| task(index, chunk));
    }
}

/// Runs `work`, compiled once per instruction set, with the widest one the machine has. Elementwise results do not depend on the
/// choice: no operation is contracted or reordered.
#[inline(always)]
pub(super) fn wide<T>(work: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(work)
}

//! Which slots of one device train at once: as many as its memory has room for, judged by what such trainings were seen to take.
//!
//! The first training of its kind goes in alone and is measured; another goes in when what that one took is free. A slot keeps
//! what it once took from the device, so its next training of the same kind needs nothing. One that runs out of memory beside
//! others hands its run back and waits until it is alone; its neighbours never hear of it. Pure rules over a closure that tells the
//! free memory; where nobody tells, as on the CPU, everybody may train.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sweep_core::model::Backbone;
use sweep_core::run::RunSpec;
use sweep_core::training::{Mode, Precision};

use crate::device::Resolved;

/// Of the memory a training was seen to take, wanted free before another begins, in hundredths: pools grow in large pages.
const MARGIN: u64 = 110;

/// What decides how much memory a training takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    backbone: Backbone,
    mode: Mode,
    image_size: u32,
    batch_size: u32,
    precision: Precision,
}

impl Shape {
    pub(super) fn of(run: &RunSpec) -> Self {
        let configuration = &run.configuration;
        let training = &configuration.training;
        Self {
            backbone: configuration.model.backbone,
            mode: training.mode,
            image_size: training.image_size,
            batch_size: training.batch_size,
            precision: training.precision,
        }
    }
}

/// The memory of one device, shared by its slots. A clone is the same room.
#[derive(Clone)]
pub struct Room {
    free: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Trainings in the room, with what was free when they came.
    inside: HashMap<u64, Guest>,
    /// The most that a training of this shape was seen to take, in bytes.
    taken: Vec<(Shape, u64)>,
    /// Shapes that ran out of memory beside others.
    alone: Vec<Shape>,
    /// Slots that wait to be alone: nobody else goes in before them.
    waiting: HashSet<u64>,
    slots: u64,
}

impl State {
    fn taken(&self, shape: Shape) -> Option<u64> {
        self.taken.iter().find(|(of, _)| *of == shape).map(|(_, bytes)| *bytes)
    }

    fn saw(&mut self, shape: Shape, bytes: u64) {
        match self.taken.iter_mut().find(|(of, _)| *of == shape) {
            Some((_, most)) => *most = bytes.max(*most),
            None => self.taken.push((shape, bytes)),
        }
    }
}

#[derive(Clone, Copy)]
struct Guest {
    shape: Shape,
    free_before: u64,
    measured: bool,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("inside", &self.state().inside.len()).finish_non_exhaustive()
    }
}

impl Room {
    /// The memory of `device`.
    pub fn of(device: Resolved) -> Self {
        Self::with(move || device.memory().map(|memory| memory.free))
    }

    /// A room whose free bytes `free` tells.
    pub(super) fn with(free: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { free: Arc::new(free), state: Arc::default() }
    }

    /// A place for one slot.
    pub(super) fn slot(&self) -> Place {
        let mut state = self.state();
        state.slots += 1;
        Place { room: self.clone(), slot: state.slots, holds: 0, ran_out: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panics with the lock has changed one entry of a table at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One slot's place in a [`Room`].
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    slot: u64,
    /// Bytes that this slot took from the device and keeps.
    holds: u64,
    /// Memory ran out since this was last looked at.
    ran_out: bool,
}

/// How a training that ran out of memory is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// Others were there: hand it back, uncharged.
    Beside,
    /// Nobody else was there: the run is too large for the device.
    Alone,
}

impl Place {
    /// Goes in, if there is room; else `false`, to be asked again.
    pub(super) fn enter(&self, shape: Shape) -> bool {
        let free = (self.room.free)();
        let mut state = self.room.state();
        let others_wait = state.waiting.iter().any(|slot| *slot != self.slot);
        let empty = state.inside.is_empty();
        let allowed = match free {
            None => true,
            Some(_) if empty => !others_wait || state.waiting.contains(&self.slot),
            // Else neighbours whose shape is known would follow each other for ever.
            Some(_) if state.alone.contains(&shape) || state.taken(shape).is_none() => {
                state.waiting.insert(self.slot);
                false
            }
            Some(_) if others_wait || state.inside.values().any(|guest| !guest.measured) => false,
            Some(free) => state.taken(shape).is_some_and(|taken| {
                taken.saturating_sub(self.holds).saturating_mul(MARGIN) / 100 <= free
            }),
        };
        if allowed {
            state.waiting.remove(&self.slot);
            let guest = Guest { shape, free_before: free.unwrap_or(0), measured: free.is_none() };
            state.inside.insert(self.slot, guest);
        }
        allowed
    }

    /// No longer wants to go in.
    pub(super) fn give_up(&self) {
        self.room.state().waiting.remove(&self.slot);
    }

    /// The training has taken what it needs: after its first steps, and again after its first evaluation.
    pub(super) fn measured(&mut self) {
        let Some(free) = (self.room.free)() else { return };
        let mut state = self.room.state();
        let Some(guest) = state.inside.get_mut(&self.slot) else { return };
        guest.measured = true;
        let Guest { shape, free_before, .. } = *guest;
        // Others grow too, but only within what they were seen to take; the most ever seen errs on the safe side.
        let taken = self.holds.max(free_before.saturating_sub(free));
        self.holds = taken;
        state.saw(shape, taken);
    }

    /// Leaves the room.
    pub(super) fn leave(&self) {
        self.room.state().inside.remove(&self.slot);
    }

    /// Whether memory ran out since the last call: what the slot keeps is to be dropped.
    pub(super) fn has_run_out(&mut self) -> bool {
        std::mem::take(&mut self.ran_out)
    }

    /// Leaves the room because memory ran out, and gives back what the slot held.
    pub(super) fn ran_out(&mut self) -> Short {
        let mut state = self.room.state();
        let guest = state.inside.remove(&self.slot);
        (self.holds, self.ran_out) = (0, true);
        match guest {
            Some(guest) if !state.inside.is_empty() => {
                state.alone.push(guest.shape);
                Short::Beside
            }
            _ => Short::Alone,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
        self.give_up();
    }
}

/// Whether a panic's text says that the device had no memory left: cubecl 0.10 tells it when a result is read.
pub(super) fn says_out_of_memory(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["can't allocate buffer", "out-of-memory", "out of memory", "outofmemory", "buffertoobig"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const GB: u64 = 1 << 30;

    fn room(free: u64) -> (Room, Arc<AtomicU64>) {
        let left = Arc::new(AtomicU64::new(free));
        let told = left.clone();
        (Room::with(move || Some(told.load(Ordering::SeqCst))), left)
    }

    fn shape(batch_size: u32) -> Shape {
        let (backbone, mode, precision) = (Backbone::Resnet50, Mode::Full, Precision::F32);
        Shape { backbone, mode, image_size: 224, batch_size, precision }
    }

    /// Goes in, takes `bytes` and is measured.
    fn trains(place: &mut Place, left: &AtomicU64, shape: Shape, bytes: u64) {
        assert!(place.enter(shape));
        left.fetch_sub(bytes, Ordering::SeqCst);
        place.measured();
    }

    #[test]
    fn the_second_slot_waits_until_the_first_is_measured() {
        let (room, left) = room(20 * GB);
        let (mut a, b) = (room.slot(), room.slot());
        assert!(a.enter(shape(32)));
        assert!(!b.enter(shape(32)));
        left.fetch_sub(5 * GB, Ordering::SeqCst);
        a.measured();
        assert!(b.enter(shape(32)));
    }

    #[test]
    fn a_slot_goes_in_only_where_the_memory_seen_is_free() {
        let (room, left) = room(14 * GB);
        let (mut a, mut b, c) = (room.slot(), room.slot(), room.slot());
        trains(&mut a, &left, shape(32), 5 * GB);
        trains(&mut b, &left, shape(32), 5 * GB);
        assert!(!c.enter(shape(32)), "4 GB are left");
        a.leave();
        assert!(!c.enter(shape(32)), "the slot that left keeps its memory");
        assert!(a.enter(shape(32)), "and may use it again");
    }

    #[test]
    fn an_unknown_shape_waits_until_it_is_alone() {
        let (room, left) = room(40 * GB);
        let (mut a, b) = (room.slot(), room.slot());
        trains(&mut a, &left, shape(32), 5 * GB);
        assert!(!b.enter(shape(64)));
        a.leave();
        assert!(b.enter(shape(64)));
    }

    #[test]
    fn out_of_memory_beside_others_is_handed_back_and_then_trained_alone() {
        let (room, left) = room(20 * GB);
        let (mut a, mut b) = (room.slot(), room.slot());
        trains(&mut a, &left, shape(32), 5 * GB);
        assert!(b.enter(shape(32)));
        assert_eq!(b.ran_out(), Short::Beside);
        assert!(!b.enter(shape(32)));
        a.leave();
        assert!(!a.enter(shape(32)), "whoever waits to be alone comes first");
        assert!(b.enter(shape(32)));
        assert!(!a.enter(shape(32)));
        assert_eq!(b.ran_out(), Short::Alone);
    }

    #[test]
    fn a_slot_that_no_longer_waits_blocks_nobody() {
        let (room, left) = room(20 * GB);
        let (mut a, mut b) = (room.slot(), room.slot());
        trains(&mut a, &left, shape(32), GB);
        assert!(b.enter(shape(32)));
        b.ran_out();
        assert!(!b.enter(shape(32)));
        drop(b);
        a.leave();
        assert!(a.enter(shape(32)));
    }

    #[test]
    fn where_nobody_tells_the_memory_everybody_trains() {
        let room = Room::with(|| None);
        let places: Vec<_> = (0..4).map(|_| room.slot()).collect();
        assert!(places.iter().all(|place| place.enter(shape(32))));
    }

    #[test]
    fn the_device_s_words_for_no_memory_are_known() {
        for text in [
            "Error while reading data: ... can't allocate buffer of size: 1024",
            "An out-of-memory error happened during launch",
            "CUDA_ERROR_OUT_OF_MEMORY: OutOfMemory",
        ] {
            assert!(says_out_of_memory(text), "{text}");
        }
        assert!(!says_out_of_memory("index 3 is out of range"));
    }
}

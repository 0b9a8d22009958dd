//! What the slots of one process hold together: made by the first that asks, dropped with the last that holds it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

type Held = Option<Weak<dyn Any + Send + Sync>>;

static PLACES: LazyLock<Mutex<HashMap<String, Arc<Mutex<Held>>>>> = LazyLock::new(Mutex::default);

/// What `key` names, made by `make` unless another slot holds it. Whoever asks meanwhile waits, so that nothing is made twice at once. A
/// key stands for one type and one content.
///
/// # Errors
/// Those of `make`; the next to ask tries again.
pub(crate) fn held<T: Any + Send + Sync, E>(
    key: String,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<Arc<T>, E> {
    let place = locked(&PLACES).entry(key).or_default().clone();
    let mut place = locked(&place);
    let found = place.as_ref().and_then(Weak::upgrade);
    if let Some(found) = found.and_then(|found| found.downcast().ok()) {
        return Ok(found);
    }
    let made = Arc::new(make()?);
    let any: Arc<dyn Any + Send + Sync> = made.clone();
    *place = Some(Arc::downgrade(&any));
    Ok(made)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while making something has left nothing behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn slots_hold_one_and_the_last_lets_it_go() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let ask = || {
            held("one".to_owned(), || {
                MADE.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(vec![7u8])
            })
            .unwrap()
        };
        let both: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(Arc::ptr_eq(&both[0], &both[1]));
        assert_eq!(MADE.load(Ordering::SeqCst), 1);
        drop(both);
        assert_eq!(*ask(), [7]);
        assert_eq!(MADE.load(Ordering::SeqCst), 2, "nobody held it");
    }

    #[test]
    fn a_failure_is_the_asker_s_own() {
        assert_eq!(held("two".to_owned(), || Err::<u8, _>("no")), Err("no"));
        assert_eq!(*held("two".to_owned(), || Ok::<_, Infallible>(3u8)).unwrap(), 3);
    }
}

//! Work that runs beside the logins of a row.

use std::hint;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Threads that repeat some work until this is dropped.
#[derive(Debug)]
pub struct Beside {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Beside {
    /// Starts one thread per work.
    pub fn start<Work: FnMut() + Send + 'static>(works: impl IntoIterator<Item = Work>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = |mut work: Work| {
            let seen = Arc::clone(&is_over);
            thread::spawn(move || {
                while !seen.load(Ordering::Relaxed) {
                    work();
                }
            })
        };
        let threads = works.into_iter().map(thread).collect();
        Self { is_over, threads }
    }

    /// Keeps all processors busy, as jobs do.
    pub fn busy() -> Self {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        Self::start((0..count).map(|_| hint::spin_loop))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_goes_on_until_it_is_dropped() {
        let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let beside = Beside::start(counts.clone().map(|count| {
            move || {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let begun = Instant::now();
        while counts.iter().any(|it| it.load(Ordering::Relaxed) < 2) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{counts:?}");
            thread::yield_now();
        }
        drop(beside);
        // No thread holds it any more.
        assert_eq!(counts.map(|it| Arc::strong_count(&it)), [1, 1]);
    }
}

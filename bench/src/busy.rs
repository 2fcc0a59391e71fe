//! Keeps all processors busy, as jobs do.

use std::hint;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A thread for each processor that computes until it is dropped.
#[derive(Debug)]
pub struct Busy {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Begins.
    pub fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let compute = |_| {
            let seen = Arc::clone(&is_over);
            thread::spawn(move || {
                while !seen.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            })
        };
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..count).map(compute).collect();
        Self { is_over, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

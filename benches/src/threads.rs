//! Timing on several threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How long `threads` threads take for `each` calls of `call` each, from when all have started until the
/// last has ended. `call` is told which call of how many this is; each thread begins elsewhere.
pub fn time_on_threads(threads: usize, each: u64, call: impl Fn(usize) + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    let run = |thread: usize| {
        barrier.wait();
        let (start, first) = (Instant::now(), thread * 7_919);
        for i in 0..each as usize {
            call(first + i);
        }
        start.elapsed()
    };
    if threads == 1 {
        return run(0);
    }
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        running.into_iter().map(|thread| thread.join().expect("no call panics")).max().unwrap_or_default()
    })
}

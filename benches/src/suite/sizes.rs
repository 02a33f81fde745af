//! How much there is before anything is measured, and how long it is measured.

use std::time::Duration;

/// The sizes of a run. `LINKLY_BENCH_SIZE` chooses between `short`, the default, and `full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// Links in the store, each in the cache where there is one.
    pub links: usize,
    /// Clicks of the one link whose statistics are read.
    pub clicks: usize,
    /// How long criterion takes for an entry; half of that before it, to warm up.
    pub measured: Duration,
    /// How long a slice of one side takes at least, before the other has its turn.
    pub slice: Duration,
}

impl Sizes {
    /// What a user compares: in two minutes or three for all backends.
    pub const SHORT: Self =
        Self { links: 100_000, clicks: 100_000, measured: Duration::from_millis(400), slice: Duration::from_millis(2) };
    /// What the report is made of.
    pub const FULL: Self =
        Self { links: 1_000_000, clicks: 1_000_000, measured: Duration::from_secs(2), slice: Duration::from_millis(5) };
    /// Whether everything runs, and no more: `cargo bench -- --test`.
    pub const TEST: Self = Self { links: 2_000, clicks: 2_000, measured: Duration::ZERO, slice: Duration::ZERO };

    /// What this process was asked for.
    ///
    /// # Panics
    ///
    /// When `LINKLY_BENCH_SIZE` is neither.
    pub fn asked() -> Self {
        if std::env::args().any(|arg| arg == "--test") {
            return Self::TEST;
        }
        match std::env::var("LINKLY_BENCH_SIZE").as_deref() {
            Err(_) | Ok("short") => Self::SHORT,
            Ok("full") => Self::FULL,
            Ok(other) => panic!("LINKLY_BENCH_SIZE is short or full, not {other:?}"),
        }
    }
}

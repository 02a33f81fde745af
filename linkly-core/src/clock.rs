//! Time: what o'clock it is, and how much of it has passed.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};

/// A moment on the monotonic clock of this process, in milliseconds since a start that only this
/// process knows. Never compared across processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The latest tick there is: for what never ends.
    pub const MAX: Self = Self(u64::MAX);

    /// The tick that many milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This much later, or [`Tick::MAX`].
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where the engine reads the time: the system's clocks, or a clock of a test.
///
/// # Contract
///
/// `tick` never goes backwards. `now` may (somebody sets the clock), and nothing that must be exact
/// leans on it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// The wall clock, in milliseconds since 1970. Read for every click.
    fn now_millis(&self) -> i64 {
        self.now().timestamp_millis()
    }

    /// The monotonic clock. Read once for every redirect.
    fn tick(&self) -> Tick;
}

/// The system's clocks.
///
/// [`tick`](Clock::tick) reads the kernel's coarse monotonic clock (3.5 ns against 21 ns for
/// [`std::time::Instant::now`]); it lags by up to one timer interrupt, 4 ms on most kernels, which is
/// therefore part of every bound on staleness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// Without taking the date apart, which costs as much again as reading the clock.
    fn now_millis(&self) -> i64 {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        }
    }

    #[inline]
    fn tick(&self) -> Tick {
        // `Instant::now` would also write to a cell that all threads share.
        let now = coarsetime::Instant::now_without_cache_update();
        Tick(coarsetime::Duration::from_ticks(now.as_ticks()).as_millis())
    }
}

/// A clock that stands still until a test moves it.
///
/// ```
/// use std::time::Duration;
/// use linkly_core::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.tick();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.tick().since(before), Duration::from_secs(60));
/// ```
#[derive(Debug)]
pub struct ManualClock {
    tick: AtomicU64,
    now: Mutex<DateTime<Utc>>,
}

impl ManualClock {
    /// A clock at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at(DateTime::from_timestamp_millis(1_767_225_600_000).unwrap_or_default())
    }

    /// A clock at `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { tick: AtomicU64::new(1_000_000), now: Mutex::new(now) }
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.tick.fetch_add(millis, Ordering::SeqCst);
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    }

    /// Sets the wall clock, as an administrator or NTP would; the monotonic clock does not move.
    pub fn set_now(&self, to: DateTime<Utc>) {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = to;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn tick(&self) -> Tick {
        Tick(self.tick.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        (**self).now()
    }

    fn now_millis(&self) -> i64 {
        (**self).now_millis()
    }

    fn tick(&self) -> Tick {
        (**self).tick()
    }
}

/// `at` without what is finer than a millisecond: the stores keep milliseconds.
pub fn whole_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}

/// The first whole millisecond that is not before `at`: of times in milliseconds the same ones are before both,
/// so this is the bound to look with.
pub fn next_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    // A leap second, which has more than a thousand million nanoseconds, ends where the next one begins.
    let millis = i64::from(at.timestamp_subsec_nanos().div_ceil(1_000_000).min(1_000));
    DateTime::from_timestamp_millis(at.timestamp() * 1_000 + millis).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_passes_in_milliseconds() {
        let clock = SystemClock;
        let (tick, start) = (clock.tick(), std::time::Instant::now());
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let passed = clock.tick().since(tick);
        assert!(passed >= Duration::from_millis(30) && passed < Duration::from_secs(30), "{passed:?}");
    }

    #[test]
    fn the_system_clock_tells_one_time() {
        let (before, millis, after) = (SystemClock.now(), SystemClock.now_millis(), SystemClock.now());
        assert!((before.timestamp_millis()..=after.timestamp_millis()).contains(&millis));
    }

    #[test]
    fn the_next_millisecond_is_that_of_a_whole_one_itself() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        for (given, next) in [
            ("2026-01-05T10:00:00.001Z", "2026-01-05T10:00:00.001Z"),
            ("2026-01-05T10:00:00.001000001Z", "2026-01-05T10:00:00.002Z"),
            ("2026-01-05T10:00:00.999999999Z", "2026-01-05T10:00:01Z"),
            ("1969-12-31T23:59:59.9985Z", "1969-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60.500Z", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(next_millis(at(given)), at(next), "{given}");
        }
        assert_eq!(next_millis(DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC);
        assert_eq!(next_millis(DateTime::<Utc>::MIN_UTC), DateTime::<Utc>::MIN_UTC);
    }

    #[test]
    fn ticks_saturate() {
        assert_eq!(Tick::MAX.after(Duration::MAX), Tick::MAX);
        assert_eq!(Tick::from_millis(1).since(Tick::from_millis(5)), Duration::ZERO);
    }
}

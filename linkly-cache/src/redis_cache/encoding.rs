//! What stands under a code's key.
//!
//! A lease alone, or a lease and the entry that was stored under it, in one value, so that both are read
//! and removed as one. Numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format |
//! | 16 | the lease's nonce; a lease alone ends here |
//! | 4, 4 | when the entry was stored, by the server's clock: seconds, microseconds |
//! | 4, 4 | for how many milliseconds from then on it is fresh, and may be served |
//! | 1 | flags; an absence ends here |
//! | 2, 16 | status of the redirect, id of the link |
//! | 8, 8 | from when on the link leads anywhere and no longer does, in milliseconds since 1970 (by flags) |
//! | 4, n | the URL |
//! | 2 | how many tags |
//! | 2, n | each tag |

use std::time::Duration;

use linkly_core::chrono::DateTime;
use linkly_core::{Entry, RedirectStatus, Target, TargetParts, Tick, Uuid};

/// Raised when what follows the nonce is laid out in another way.
const FORMAT: u8 = 1;
/// The format and the nonce, which a fill is compared by.
pub(super) const HEAD_BYTES: usize = 17;

const PRESENT: u8 = 1;
const FORWARDS_QUERY: u8 = 2;
const LIMITED: u8 = 4;
const HAS_ACTIVE_FROM: u8 = 8;
const HAS_EXPIRES_AT: u8 = 16;

/// A moment of the server's clock, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerTime(pub(super) u64);

/// How long an entry lives from when it is stored, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) fresh: u32,
    pub(super) serve: u32,
}

/// A value that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) nonce: u128,
    stored: Option<Stored>,
}

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    at: ServerTime,
    life: Life,
    target: Option<Target>,
}

impl Held {
    /// The entry as of `now`, of which the server says that it is `time`. None past its end, and none that
    /// was stored later than it is now: somebody set the clock back, and what is left of it is not known.
    pub(super) fn entry(self, time: ServerTime, now: Tick) -> Option<Entry> {
        let stored = self.stored?;
        let age = time.0.checked_sub(stored.at.0)?;
        let left = |life: u32| Duration::from_millis(u64::from(life).saturating_sub(age));
        let serve = left(stored.life.serve);
        (!serve.is_zero()).then(|| Entry::new(stored.target, now.after(left(stored.life.fresh)), now.after(serve)))
    }
}

/// A lease alone, which is also how every entry under it begins.
pub(super) fn lease(nonce: u128) -> [u8; HEAD_BYTES] {
    let mut head = [FORMAT; HEAD_BYTES];
    head[1..].copy_from_slice(&nonce.to_be_bytes());
    head
}

/// What follows the moment at which the entry is stored, which the server adds.
pub(super) fn entry(target: Option<&Target>, life: Life) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + target.map_or(0, |target| target.url().len()));
    bytes.extend(life.fresh.to_be_bytes());
    bytes.extend(life.serve.to_be_bytes());
    let Some(target) = target else {
        bytes.push(0);
        return bytes;
    };
    let (active_from, expires_at) = (target.active_from(), target.expires_at());
    let flags = [
        (FORWARDS_QUERY, target.forward_query()),
        (LIMITED, target.is_limited()),
        (HAS_ACTIVE_FROM, active_from.is_some()),
        (HAS_EXPIRES_AT, expires_at.is_some()),
    ];
    bytes.push(flags.iter().filter(|(_, is_set)| *is_set).fold(PRESENT, |all, (flag, _)| all | flag));
    bytes.extend(target.redirect().as_u16().to_be_bytes());
    bytes.extend(target.id().as_bytes());
    for at in [active_from, expires_at].into_iter().flatten() {
        bytes.extend(at.timestamp_millis().to_be_bytes());
    }
    bytes.extend(u32::try_from(target.url().len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(target.url().as_bytes());
    bytes.extend(u16::try_from(target.tags().count()).unwrap_or(u16::MAX).to_be_bytes());
    for tag in target.tags() {
        bytes.extend(u16::try_from(tag.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(tag.as_bytes());
    }
    bytes
}

/// Reads a value. `None` for one that this release does not know: another's format, or not one of ours.
pub(super) fn decode(bytes: &[u8]) -> Option<Held> {
    let mut rest = Reader(bytes);
    if rest.u8()? != FORMAT {
        return None;
    }
    let nonce = u128::from_be_bytes(rest.array()?);
    if rest.0.is_empty() {
        return Some(Held { nonce, stored: None });
    }
    let (seconds, micros) = (rest.u32()?, rest.u32()?);
    let at = ServerTime(u64::from(seconds) * 1_000 + u64::from(micros) / 1_000);
    let life = Life { fresh: rest.u32()?, serve: rest.u32()? };
    let flags = rest.u8()?;
    let target = if flags & PRESENT == 0 { None } else { Some(rest.target(flags)?) };
    rest.0.is_empty().then_some(Held { nonce, stored: Some(Stored { at, life, target }) })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn target(&mut self, flags: u8) -> Option<Target> {
        let redirect = RedirectStatus::try_from(self.u16()?).ok()?;
        let id = Uuid::from_bytes(self.array()?);
        let mut time = |flag| match flags & flag {
            0 => Some(None),
            _ => DateTime::from_timestamp_millis(self.array().map(i64::from_be_bytes)?).map(Some),
        };
        let (active_from, expires_at) = (time(HAS_ACTIVE_FROM)?, time(HAS_EXPIRES_AT)?);
        let url = self.u32()?;
        let mut parts = TargetParts::new(id, self.text(url as usize)?);
        (parts.redirect, parts.active_from, parts.expires_at) = (redirect, active_from, expires_at);
        (parts.forward_query, parts.limited) = (flags & FORWARDS_QUERY != 0, flags & LIMITED != 0);
        for _ in 0..self.u16()? {
            let length = self.u16()?;
            parts.tags.push(self.text(usize::from(length))?);
        }
        Some(Target::new(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::from_millis(50_000);
    const NONCE: u128 = 0x0102_0304;
    const LIFE: Life = Life { fresh: 1_000, serve: 3_000 };

    /// As the server stores it at 7.5 seconds of its clock.
    fn stored(target: Option<&Target>) -> Vec<u8> {
        [&lease(NONCE)[..], &[0, 0, 0, 7], &500_000_u32.to_be_bytes(), &entry(target, LIFE)].concat()
    }

    fn target() -> Target {
        let mut parts = TargetParts::new(Uuid::from_u128(9), "https://iii.dev/?q=%C3%A9");
        parts.redirect = RedirectStatus::PermanentRedirect;
        (parts.forward_query, parts.limited) = (true, true);
        parts.active_from = DateTime::from_timestamp_millis(-5);
        parts.expires_at = DateTime::from_timestamp_millis(4_000_000_000_000);
        parts.tags = vec!["a".into(), "été".into()];
        Target::new(parts)
    }

    #[test]
    fn what_was_written_is_read() {
        for target in [None, Some(target())] {
            let held = decode(&stored(target.as_ref())).unwrap();
            assert_eq!(held.nonce, NONCE);
            let entry = held.entry(ServerTime(7_500), NOW).unwrap();
            assert_eq!(entry, Entry::new(target, Tick::from_millis(51_000), Tick::from_millis(53_000)));
        }
        let held = decode(&lease(NONCE)).unwrap();
        assert_eq!((held.nonce, held.entry(ServerTime(0), NOW)), (NONCE, None));
    }

    #[test]
    fn an_entry_carries_what_is_left_of_its_life() {
        let held = decode(&stored(None)).unwrap();
        let at = |time| held.clone().entry(ServerTime(time), NOW).map(|entry| (entry.fresh_until, entry.serve_until));
        assert_eq!(at(8_000), Some((Tick::from_millis(50_500), Tick::from_millis(52_500))));
        assert_eq!(at(10_499), Some((NOW, Tick::from_millis(50_001))));
        assert_eq!(at(10_500), None);
        assert_eq!(at(7_499), None, "it was stored later than it is now");
    }

    #[test]
    fn another_format_and_what_is_cut_short_or_too_long_are_not_known() {
        let whole = stored(Some(&target()));
        for length in (0..whole.len()).filter(|length| *length != HEAD_BYTES) {
            assert_eq!(decode(&whole[..length]), None, "the first {length} bytes");
        }
        assert_eq!(decode(&[&whole[..], &[0]].concat()), None);
        assert_eq!(decode(&[&stored(None)[..], &[0]].concat()), None);
        let mut other = whole;
        other[0] = FORMAT + 1;
        assert_eq!(decode(&other), None);
    }
}

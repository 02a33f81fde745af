//! Frames: what stands in the file, each told from its surroundings by itself.
//!
//! A frame is one value of the database. It begins with a mark, says which clicks it has, how long it is
//! and what its checksum is, so that it can also be found in a file of which nothing else is whole
//! ([`salvage`](super::salvage)). The layout of the head is the same for every version; the version is that
//! of the body.

use std::hash::Hasher;

use linkly_core::Click;
use siphasher::sip::SipHasher13;

use crate::encoding::{self, Reader};

/// No text and no number that this crate writes.
pub(super) const MARK: [u8; 8] = *b"\xFFlnkspl\x00";

/// Mark, version, kind, clicks (u32), bytes of the body (u32), number of the first click (u64), number of
/// the first click that was not settled when it was written (u64), when it was written (u64, milliseconds
/// since 1970), checksum of the body (u64), checksum of the head up to here (u32).
pub(super) const HEAD_BYTES: usize = 8 + 1 + 1 + 4 + 4 + 8 + 8 + 8 + 8 + 4;

/// The most bytes of a frame: with what redb puts around a lone value it fills 16 of its pages, where one
/// more byte would take 32.
pub(super) const MAX_FRAME_BYTES: usize = 65_536 - 64;

/// What a frame has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Clicks,
    DeadLetter,
    /// Nothing but its head, for the numbers of the next click and of the first that is not settled.
    Progress,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u8,
    pub(super) kind: Kind,
    pub(super) clicks: u32,
    body: u32,
    /// Number of its first click. Clicks are numbered in the order in which they were taken in.
    pub(super) first: u64,
    /// All clicks before this one were settled when the frame was written.
    pub(super) settled: u64,
    /// Milliseconds since 1970.
    pub(super) at: u64,
    /// Checksum of the body.
    pub(super) sum: u64,
}

impl Head {
    /// The head at the beginning of the bytes, if it is whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(&MARK)?);
        let [version, kind] = reader.array()?;
        let kind = match kind {
            0 => Kind::Clicks,
            1 => Kind::DeadLetter,
            2 => Kind::Progress,
            _ => return None,
        };
        let (clicks, body) = (reader.u32()?, reader.u32()?);
        let (first, settled, at, sum) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let is_whole = reader.u32()? == head_checksum(&bytes[..HEAD_BYTES - 4]);
        let head = Self { version, kind, clicks, body, first, settled, at, sum };
        (is_whole && head.len() <= MAX_FRAME_BYTES).then_some(head)
    }

    /// The bytes of the whole frame.
    pub(super) fn len(&self) -> usize {
        HEAD_BYTES + self.body as usize
    }

    /// Number of the click behind its last.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.clicks))
    }
}

/// A frame whose checksums are right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) head: Head,
    pub(super) body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of the bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::read(bytes)?;
        let body = bytes.get(HEAD_BYTES..head.len())?;
        (checksum(body) == head.sum).then_some(Self { head, body })
    }

    /// The clicks; `None` when they are of a version that is not known here.
    pub(super) fn clicks(&self) -> Option<Vec<Click>> {
        let mut reader = Reader(self.body);
        let clicks = (0..self.head.clicks).map(|_| reader.click(self.head.version)).collect::<Option<Vec<_>>>()?;
        reader.0.is_empty().then_some(clicks)
    }
}

/// A frame that is being filled.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    pub(super) clicks: u32,
}

impl Draft {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEAD_BYTES], clicks: 0 }
    }

    /// Drafts that hold all these clicks, in order.
    pub(super) fn of(clicks: &[Click]) -> Vec<Self> {
        let mut drafts = Vec::new();
        let mut draft = Self::new();
        for click in clicks {
            if draft.len() + encoding::MAX_CLICK_BYTES > MAX_FRAME_BYTES {
                drafts.push(std::mem::replace(&mut draft, Self::new()));
            }
            encoding::push(&mut draft.bytes, click);
            draft.clicks += 1;
        }
        drafts.push(draft);
        drafts
    }

    /// A draft with a body that is more than clicks.
    pub(super) fn with_body(body: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut draft = Self::new();
        body(&mut draft.bytes);
        draft
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the clicks of the other in, if there is room; gives it back otherwise.
    pub(super) fn append(&mut self, other: Self) -> Option<Self> {
        if self.len() + other.len() - HEAD_BYTES > MAX_FRAME_BYTES {
            return Some(other);
        }
        self.bytes.extend_from_slice(&other.bytes[HEAD_BYTES..]);
        self.clicks += other.clicks;
        None
    }

    /// The head, once it is sealed.
    pub(super) fn head(&self) -> Option<Head> {
        Head::read(&self.bytes)
    }

    /// The frame that it was sealed as; its body is not checked again.
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        Some(Frame { head: self.head()?, body: &self.bytes[HEAD_BYTES..] })
    }

    /// Makes it a frame.
    pub(super) fn seal(&mut self, kind: Kind, first: u64, settled: u64, at: u64) -> &[u8] {
        let (head, body) = self.bytes.split_at_mut(HEAD_BYTES);
        let kind = match kind {
            Kind::Clicks => 0,
            Kind::DeadLetter => 1,
            Kind::Progress => 2,
        };
        let mut writer = &mut *head;
        let mut put = |bytes: &[u8]| {
            let (to, rest) = std::mem::take(&mut writer).split_at_mut(bytes.len());
            to.copy_from_slice(bytes);
            writer = rest;
        };
        put(&MARK);
        put(&[encoding::VERSION, kind]);
        put(&self.clicks.to_le_bytes());
        put(&(body.len() as u32).to_le_bytes());
        for number in [first, settled, at, checksum(body)] {
            put(&number.to_le_bytes());
        }
        let sum = head_checksum(&head[..HEAD_BYTES - 4]);
        head[HEAD_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
        &self.bytes
    }
}

/// Never of a secret key: it is to find damage, not forgery.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

fn head_checksum(bytes: &[u8]) -> u32 {
    checksum(bytes) as u32
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::encoding::tests::random_click;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    /// The frame as a release to come would write it.
    pub(in crate::spool) fn of_another_version(frame: &[u8]) -> Vec<u8> {
        with_version(frame, encoding::VERSION + 1)
    }

    /// The frame as this release writes it.
    pub(in crate::spool) fn of_this_version(frame: &[u8]) -> Vec<u8> {
        with_version(frame, encoding::VERSION)
    }

    fn with_version(frame: &[u8], version: u8) -> Vec<u8> {
        let mut bytes = frame.to_vec();
        bytes[MARK.len()] = version;
        let sum = head_checksum(&bytes[..HEAD_BYTES - 4]);
        bytes[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn clicks_come_out_of_their_frames() {
        let mut random = StdRng::seed_from_u64(3);
        let clicks: Vec<_> = (0..2_000).map(|_| random_click(&mut random)).collect();
        let mut drafts = Draft::of(&clicks);
        assert!(drafts.len() > 1, "one frame would not be a test");
        let (mut read, mut first) = (Vec::new(), 7);
        for draft in &mut drafts {
            let bytes = draft.seal(Kind::Clicks, first, 5, 9).to_vec();
            let frame = Frame::read(&bytes).unwrap();
            assert!(bytes.len() <= MAX_FRAME_BYTES);
            assert_eq!((frame.head.first, frame.head.settled, frame.head.at), (first, 5, 9));
            first = frame.head.end();
            read.extend(frame.clicks().unwrap());
        }
        assert_eq!(read, clicks);
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut random = StdRng::seed_from_u64(4);
        let clicks: Vec<_> = (0..3).map(|_| random_click(&mut random)).collect();
        let bytes = Draft::of(&clicks)[0].seal(Kind::Clicks, 1, 1, 1).to_vec();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= random.random_range(1..=255u8);
            assert!(Frame::read(&changed).is_none(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(Frame::read(&bytes[..len]).is_none(), "cut at {len}");
        }
    }

    #[test]
    fn a_frame_of_another_version_is_a_frame_without_clicks() {
        let mut random = StdRng::seed_from_u64(5);
        let frame = Draft::of(&[random_click(&mut random)])[0].seal(Kind::Clicks, 1, 1, 1).to_vec();
        let other = of_another_version(&frame);
        let frame = Frame::read(&other).unwrap();
        assert_eq!((frame.head.clicks, frame.clicks()), (1, None));
    }
}

//! Finding frames in a file of which redb can read nothing, or not all.
//!
//! A database is lost to redb when one page of its inner tree is; its leaves are still there. Frames stand
//! whole in their pages, so they are looked for by their mark from the first byte to the last. What redb
//! has freed and not written over is found as well, which does no harm: clicks that were settled are told
//! by the numbers that every frame carries, and one that is delivered again counts once.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use super::frame::{Frame, Head, Kind, MARK, MAX_FRAME_BYTES};

/// How much of the file is looked at in one piece.
const WINDOW: usize = 1 << 20;

/// The first bytes of every redb file.
const REDB: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// What came of a file that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Where the damaged file is now. Nothing deletes it.
    pub set_aside: PathBuf,
    /// Clicks that were read from it, and are delivered. Some may have been delivered before, and count
    /// once all the same.
    pub recovered: u64,
    /// Clicks that what can be read tells of, and that are not there. Some may have been delivered before.
    /// Every commit writes down in two places how many clicks there are: where both are damaged, nothing is
    /// known of those behind the last that is.
    pub missing: u64,
    /// Dead letters that were read from it. Some may have been replayed or purged before.
    pub dead_letters: u64,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Each whole frame once, by its kind, number and checksum: where it stands and how long it is.
    pub(super) frames: BTreeMap<(Kind, u64, u64), (u64, usize)>,
    /// The clicks before this number are settled.
    pub(super) settled: u64,
    /// From which number and until which clicks were read, and those of which only the head was.
    read: Vec<(u64, u64)>,
    torn: Vec<(u64, u64)>,
    begins_as_redb: bool,
}

impl Scan {
    pub(super) fn of(mut file: impl Read) -> io::Result<Self> {
        let mut scan = Self::default();
        let mut window = Vec::new();
        // Where the window begins in the file.
        let mut offset = 0;
        loop {
            let read = file.by_ref().take(WINDOW as u64).read_to_end(&mut window)?;
            if offset == 0 {
                let mark = &window[..window.len().min(REDB.len())];
                scan.begins_as_redb = REDB.starts_with(mark) || mark.iter().all(|byte| *byte == 0);
            }
            let is_last = read < WINDOW;
            let looked_at = scan.look(&window, offset, is_last);
            if is_last {
                return Ok(scan);
            }
            window.drain(..looked_at);
            offset += looked_at as u64;
        }
    }

    /// Takes down the frames in the window; returns how much of it needs no second look.
    fn look(&mut self, window: &[u8], offset: u64, is_last: bool) -> usize {
        let enough = if is_last { window.len() } else { window.len().saturating_sub(MAX_FRAME_BYTES) };
        let mut at = 0;
        while at < enough {
            let Some(found) = window[at..enough].iter().position(|byte| *byte == MARK[0]) else { return enough };
            at += found;
            at += self.take(&window[at..], offset + at as u64).unwrap_or(1);
        }
        at
    }

    /// Takes down the frame at the beginning of the bytes; returns how long it is.
    fn take(&mut self, bytes: &[u8], offset: u64) -> Option<usize> {
        let head = Head::read(bytes)?;
        self.settled = self.settled.max(head.settled);
        let range = (head.first, head.end());
        if Frame::read(bytes).is_none() {
            self.torn.push(range);
            return None;
        }
        self.read.push(range);
        if head.kind != Kind::Progress {
            self.frames.insert((head.kind, head.first, head.sum), (offset, head.len()));
        }
        Some(head.len())
    }

    /// Whether this can be a spool, or what a crash left of one. A file that has neither frames nor redb's
    /// first bytes, nor the zeros that stand there until redb has made it, belongs to somebody else.
    pub(super) fn is_ours(&self) -> bool {
        self.begins_as_redb || !self.read.is_empty() || !self.torn.is_empty()
    }

    /// Number behind the last click that anything tells of.
    pub(super) fn end(&self) -> u64 {
        self.read.iter().chain(&self.torn).fold(self.settled, |end, (_, behind)| end.max(*behind))
    }

    /// How many clicks that are not settled were there and cannot be read.
    pub(super) fn missing(&self) -> u64 {
        let mut ranges = self.read.clone();
        ranges.sort_unstable();
        let (_, read) = ranges.into_iter().fold((self.settled, 0), |(end, read), (first, behind)| {
            let more = behind.saturating_sub(first.max(end));
            (end.max(behind), read + more)
        });
        self.end() - self.settled - read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::tests::random_click;
    use crate::spool::frame::Draft;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn frame(random: &mut StdRng, first: u64, clicks: usize, settled: u64) -> Vec<u8> {
        let clicks: Vec<_> = (0..clicks).map(|_| random_click(random)).collect();
        Draft::of(&clicks)[0].seal(Kind::Clicks, first, settled, 0).to_vec()
    }

    fn firsts(scan: &Scan) -> Vec<u64> {
        scan.frames.keys().map(|(_, first, _)| *first).collect()
    }

    #[test]
    fn frames_are_found_wherever_they_stand() {
        let mut random = StdRng::seed_from_u64(6);
        let (mut file, mut first, mut stand) = (REDB.to_vec(), 0, Vec::new());
        while file.len() < 4 * WINDOW {
            let mut noise = vec![0; random.random_range(0..9_000)];
            random.fill(&mut noise[..]);
            file.extend(noise);
            let clicks = random.random_range(1..90);
            let frame = frame(&mut random, first, clicks, 0);
            stand.push((file.len() as u64, frame.len()));
            file.extend(frame);
            first += clicks as u64;
        }
        let scan = Scan::of(&file[..]).unwrap();
        assert_eq!(scan.frames.values().copied().collect::<Vec<_>>(), stand);
        assert_eq!((scan.missing(), scan.is_ours()), (0, true));
    }

    #[test]
    fn what_is_missing_is_counted_by_the_numbers_of_what_is_there() {
        let mut random = StdRng::seed_from_u64(7);
        let mut file = Vec::new();
        file.extend(frame(&mut random, 10, 5, 3));
        // 15 to 19 are not there.
        file.extend(frame(&mut random, 20, 5, 12));
        file.extend(frame(&mut random, 20, 5, 12));
        let mut torn = frame(&mut random, 25, 7, 12);
        *torn.last_mut().unwrap() ^= 1;
        file.extend(torn);
        let scan = Scan::of(&file[..]).unwrap();
        assert_eq!((firsts(&scan), scan.settled, scan.missing()), (vec![10, 20, 20], 12, 5 + 7));
    }

    #[test]
    fn a_file_of_somebody_else_is_told_from_a_torn_one() {
        for (file, ours) in [
            (&b"SQLite format 3\0 and so on"[..], false),
            (b"a,b,c", false),
            (b"", true),
            (&[0; 4_096], true),
            (REDB, true),
        ] {
            assert_eq!(Scan::of(file).unwrap().is_ours(), ours, "{file:?}");
        }
    }
}

//! Frames that were just written: what is delivered soon is not read back from the file.

use std::collections::VecDeque;

use super::frame::Draft;

/// The most bytes of frames that are kept. What is delivered later than that is read from the file.
const MOST_BYTES: usize = 1 << 20;

/// Frames in the order of their numbers, each of them in the file.
#[derive(Debug, Default)]
pub(super) struct Recent {
    frames: VecDeque<Draft>,
    bytes: usize,
}

impl Recent {
    /// Keeps sealed frames, as far as there is room.
    pub(super) fn keep(&mut self, frames: Vec<Draft>) {
        for frame in frames {
            if self.bytes + frame.len() > MOST_BYTES {
                return;
            }
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    /// The frame with the click of that number, if it is here. Those before it go.
    pub(super) fn take(&mut self, number: u64) -> Option<Draft> {
        loop {
            let head = self.frames.front()?.head()?;
            if head.first > number {
                return None;
            }
            let frame = self.frames.pop_front()?;
            self.bytes -= frame.len();
            if head.end() > number {
                return Some(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::frame::Kind;

    /// A frame with two clicks that take so many bytes.
    fn frame(first: u64, bytes: usize) -> Draft {
        let mut draft = Draft::with_body(|body| body.resize(bytes, 0));
        draft.clicks = 2;
        draft.seal(Kind::Clicks, first, 0, 0);
        draft
    }

    fn first(frame: Option<Draft>) -> Option<u64> {
        Some(frame?.head()?.first)
    }

    #[test]
    fn a_click_is_found_in_the_frame_that_has_it() {
        let mut recent = Recent::default();
        recent.keep(vec![frame(10, 100), frame(12, 100), frame(14, 100)]);
        assert_eq!(first(recent.take(9)), None, "it is before all of them");
        assert_eq!(first(recent.take(10)), Some(10));
        assert_eq!(first(recent.take(15)), Some(14), "also in the middle of one, past others");
        assert_eq!((first(recent.take(12)), recent.bytes), (None, 0), "what was passed is gone");
    }

    #[test]
    fn what_finds_no_room_is_not_here() {
        let mut recent = Recent::default();
        let (kept, size) = (MOST_BYTES / 50_000, 50_000);
        recent.keep((0..kept as u64 + 5).map(|n| frame(2 * n, size)).collect());
        assert_eq!(recent.frames.len(), kept);
        let last = 2 * (kept as u64 - 1);
        assert_eq!(first(recent.take(last)), Some(last));
        recent.keep(vec![frame(1_000, size)]);
        assert_eq!(first(recent.take(last + 2)), None, "the file has it");
        assert_eq!(first(recent.take(1_000)), Some(1_000));
    }
}

//! What is said on a channel. Numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format |
//! | 1 | what kind of message it is |
//! | 8 | the sender, drawn at random when it starts |
//! | 8 | the number of the message; of a heartbeat and a farewell that of the last one before |
//! | 4 | how many milliseconds there are between the sender's heartbeats |
//! | 2, n | each code, of a message about codes |

use std::time::Duration;

use linkly_core::Code;

/// Raised when messages are laid out in another way.
const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 22;
/// The most bytes of codes in one message, so that none holds up those behind it for long.
const MOST_BYTES: usize = 16 << 10;

const CODES: u8 = 1;
const EVERYTHING: u8 = 2;
const HEARTBEAT: u8 = 3;
const FAREWELL: u8 = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The links of these codes were written.
    Codes(Vec<Code>),
    /// Any link may have been.
    Everything,
    /// The sender is there.
    Heartbeat,
    /// The sender leaves, and will not be heard of again.
    Farewell,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) sender: u64,
    pub(super) number: u64,
    pub(super) heartbeat: Duration,
    pub(super) kind: Kind,
}

/// A message that cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Another release's, or no message at all. It says nothing to this one: else a newer release would have an older
    /// one clear its memory with every heartbeat.
    Foreign,
    /// One of this format that is damaged: it may have been about any link.
    Damaged,
}

/// Writes the messages of one sender.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) sender: u64,
    heartbeat: Duration,
}

impl Writer {
    pub(super) fn new(sender: u64, heartbeat: Duration) -> Self {
        Self { sender, heartbeat }
    }

    pub(super) fn write(&self, kind: &Kind, number: u64) -> Vec<u8> {
        let (tag, codes) = match kind {
            Kind::Codes(codes) => (CODES, &codes[..]),
            Kind::Everything => (EVERYTHING, &[][..]),
            Kind::Heartbeat => (HEARTBEAT, &[][..]),
            Kind::Farewell => (FAREWELL, &[][..]),
        };
        let mut bytes = Vec::with_capacity(HEAD_BYTES + codes.iter().map(bytes_of).sum::<usize>());
        bytes.extend([FORMAT, tag]);
        bytes.extend(self.sender.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.extend(u32::try_from(self.heartbeat.as_millis()).unwrap_or(u32::MAX).to_be_bytes());
        for code in codes {
            bytes.extend(u16::try_from(code.as_str().len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(code.as_str().as_bytes());
        }
        bytes
    }
}

/// The messages about these codes.
pub(super) fn split(codes: &[Code]) -> Vec<Kind> {
    let mut messages: Vec<Vec<Code>> = Vec::new();
    let mut room = 0;
    for code in codes {
        match messages.last_mut().filter(|_| bytes_of(code) <= room) {
            Some(message) => {
                room -= bytes_of(code);
                message.push(code.clone());
            }
            None => {
                room = MOST_BYTES - bytes_of(code);
                messages.push(vec![code.clone()]);
            }
        }
    }
    messages.into_iter().map(Kind::Codes).collect()
}

/// A key has at most some hundred bytes.
fn bytes_of(code: &Code) -> usize {
    2 + code.as_str().len()
}

pub(super) fn read(bytes: &[u8]) -> Result<Message, Unreadable> {
    match bytes.first() {
        Some(&FORMAT) => read_own(&bytes[1..]).ok_or(Unreadable::Damaged),
        _ => Err(Unreadable::Foreign),
    }
}

fn read_own(bytes: &[u8]) -> Option<Message> {
    let (&tag, bytes) = bytes.split_first()?;
    let (sender, bytes) = bytes.split_first_chunk()?;
    let (number, bytes) = bytes.split_first_chunk()?;
    let (heartbeat, bytes) = bytes.split_first_chunk()?;
    let kind = match tag {
        CODES => Kind::Codes(codes(bytes)?),
        EVERYTHING if bytes.is_empty() => Kind::Everything,
        HEARTBEAT if bytes.is_empty() => Kind::Heartbeat,
        FAREWELL if bytes.is_empty() => Kind::Farewell,
        _ => return None,
    };
    Some(Message {
        sender: u64::from_be_bytes(*sender),
        number: u64::from_be_bytes(*number),
        heartbeat: Duration::from_millis(u32::from_be_bytes(*heartbeat).into()),
        kind,
    })
}

fn codes(mut bytes: &[u8]) -> Option<Vec<Code>> {
    let mut codes = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        codes.push(Code::from_key(std::str::from_utf8(key).ok()?).ok()?);
        bytes = rest;
    }
    Some(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(number: usize) -> Code {
        Code::from_key(&format!("//iii.dev/c{number}")).unwrap()
    }

    fn writer() -> Writer {
        Writer::new(7, Duration::from_secs(2))
    }

    #[test]
    fn what_was_written_is_read() {
        let codes = Kind::Codes(vec![code(1), Code::new("a").unwrap(), code(3)]);
        for kind in [codes, Kind::Codes(Vec::new()), Kind::Everything, Kind::Heartbeat, Kind::Farewell] {
            let message = Message { sender: 7, number: 9, heartbeat: Duration::from_secs(2), kind: kind.clone() };
            assert_eq!(read(&writer().write(&kind, 9)), Ok(message));
        }
    }

    #[test]
    fn another_format_is_foreign_and_one_of_ours_that_is_damaged_is_not() {
        for foreign in [&b""[..], b"hello", &[FORMAT + 1, CODES]] {
            assert_eq!(read(foreign), Err(Unreadable::Foreign), "{foreign:?}");
        }
        let whole = writer().write(&Kind::Codes(vec![code(1), code(22)]), 1);
        // Where a code ends, a message may.
        let ends = [HEAD_BYTES, HEAD_BYTES + bytes_of(&code(1)), whole.len()];
        for length in 1..=whole.len() {
            let outcome = read(&whole[..length]);
            assert_eq!(outcome.is_ok(), ends.contains(&length), "the first {length} bytes");
            assert_ne!(outcome, Err(Unreadable::Foreign));
        }
        let mut unknown = writer().write(&Kind::Heartbeat, 1);
        unknown[1] = FAREWELL + 1;
        assert_eq!(read(&unknown), Err(Unreadable::Damaged));
        let longer = [&writer().write(&Kind::Everything, 1)[..], &[0]].concat();
        assert_eq!(read(&longer), Err(Unreadable::Damaged));
        let mut not_a_code = whole;
        *not_a_code.last_mut().unwrap() = b'/';
        assert_eq!(read(&not_a_code), Err(Unreadable::Damaged));
    }

    #[test]
    fn many_codes_are_several_messages_of_a_bounded_size() {
        let codes: Vec<Code> = (0..5_000).map(code).collect();
        let messages = split(&codes);
        assert!(messages.len() > 1);
        let mut found = Vec::new();
        for kind in messages {
            let bytes = writer().write(&kind, 1);
            assert!(bytes.len() <= HEAD_BYTES + MOST_BYTES, "{} bytes", bytes.len());
            let Kind::Codes(codes) = kind else { panic!("about codes") };
            found.extend(codes);
        }
        assert_eq!(found, codes);
        assert_eq!(split(&[]), []);
    }
}

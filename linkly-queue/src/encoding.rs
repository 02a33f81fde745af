//! Clicks as bytes.
//!
//! Version 1 of a click: its id (16 bytes, which carry the time), a set of flags (u16), the key (u16 and
//! its bytes), then what the flags say is there, in their order: the link's id (16 bytes), the visitor
//! (u64), and each text as a length (u8) and its bytes. Numbers are little-endian. An ordinary click takes
//! 70 to 90 bytes, a third of its JSON.

use linkly_core::chrono::DateTime;
use linkly_core::{Click, Code, MAX_CLICK_TEXT_BYTES, MAX_KEY_BYTES, Uuid, time_of};

use crate::DeadLetter;

/// The version that is written. What is read is told by the frame the clicks stand in.
pub(crate) const VERSION: u8 = 1;

const BOT: u16 = 1 << 0;
const LINK_ID: u16 = 1 << 1;
const VISITOR: u16 = 1 << 2;
const REFERRER: u16 = 1 << 3;
const BROWSER: u16 = 1 << 4;
const OS: u16 = 1 << 5;
const DEVICE: u16 = 1 << 6;
const COUNTRY: u16 = 1 << 7;

// The lengths of texts are one byte, that of a key two.
const _: () = assert!(MAX_CLICK_TEXT_BYTES <= u8::MAX as usize && MAX_KEY_BYTES <= u16::MAX as usize);

/// The most bytes of a dead letter's reason.
const MAX_REASON_BYTES: usize = 255;

/// The most bytes of one click.
#[cfg(any(feature = "spool", test))]
pub(crate) const MAX_CLICK_BYTES: usize = 16 + 2 + 2 + MAX_KEY_BYTES + 16 + 8 + 5 * (1 + MAX_CLICK_TEXT_BYTES);

/// Appends a click that passed [`Click::check`].
pub(crate) fn push(bytes: &mut Vec<u8>, click: &Click) {
    let texts = [
        (REFERRER, click.referrer.as_deref()),
        (BROWSER, click.browser.as_deref()),
        (OS, click.os.as_deref()),
        (DEVICE, click.device.as_deref()),
        (COUNTRY, click.country.as_deref()),
    ];
    let flag = |is: bool, flag: u16| if is { flag } else { 0 };
    let flags = flag(click.bot, BOT) | flag(click.link_id.is_some(), LINK_ID) | flag(click.visitor.is_some(), VISITOR);
    let flags = texts.iter().fold(flags, |flags, (bit, text)| flags | flag(text.is_some(), *bit));
    let key = click.code.as_str();
    bytes.extend_from_slice(click.id.as_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
    if let Some(id) = click.link_id {
        bytes.extend_from_slice(id.as_bytes());
    }
    if let Some(visitor) = click.visitor {
        bytes.extend_from_slice(&visitor.to_le_bytes());
    }
    for text in texts.into_iter().filter_map(|(_, text)| text) {
        bytes.push(text.len() as u8);
        bytes.extend_from_slice(text.as_bytes());
    }
}

/// Appends a dead letter: its click, the tries (u32), when it was refused (u64, milliseconds since 1970), and the
/// reason as a length (u8) and its bytes.
pub(crate) fn push_letter(bytes: &mut Vec<u8>, letter: &DeadLetter) {
    let reason = &letter.reason[..letter.reason.floor_char_boundary(MAX_REASON_BYTES)];
    let at = u64::try_from(letter.refused_at.timestamp_millis()).unwrap_or_default();
    push(bytes, &letter.click);
    bytes.extend_from_slice(&letter.tries.to_le_bytes());
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.push(reason.len() as u8);
    bytes.extend_from_slice(reason.as_bytes());
}

/// Reads what was written, piece by piece; `None` where it ends too soon or breaks a rule.
pub(crate) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn text(&mut self, len: usize) -> Option<&'a str> {
        str::from_utf8(self.bytes(len)?).ok()
    }

    fn optional<T>(&mut self, is: bool, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if is { read(self).map(Some) } else { Some(None) }
    }

    /// A click of that version.
    pub(crate) fn click(&mut self, version: u8) -> Option<Click> {
        if version != VERSION {
            return None;
        }
        let id = Uuid::from_bytes(self.array()?);
        let flags = self.u16()?;
        let is = |flag: u16| flags & flag != 0;
        let len = self.u16()?;
        let code = Code::from_key(self.text(usize::from(len))?).ok()?;
        let mut click = Click::with_id(id, code, time_of(id)?);
        click.bot = is(BOT);
        click.link_id = self.optional(is(LINK_ID), |reader| reader.array().map(Uuid::from_bytes))?;
        click.visitor = self.optional(is(VISITOR), Self::u64)?;
        let mut text = |flag: u16| {
            self.optional(is(flag), |reader| {
                let [len] = reader.array()?;
                reader.text(usize::from(len)).map(str::to_owned)
            })
        };
        click.referrer = text(REFERRER)?;
        click.browser = text(BROWSER)?.map(Into::into);
        click.os = text(OS)?.map(Into::into);
        click.device = text(DEVICE)?.map(Into::into);
        click.country = text(COUNTRY)?;
        Some(click)
    }

    /// A dead letter whose click is of that version.
    pub(crate) fn letter(&mut self, version: u8) -> Option<DeadLetter> {
        let click = self.click(version)?;
        let (tries, at) = (self.u32()?, self.u64()?);
        let [len] = self.array()?;
        let reason = self.text(usize::from(len))?.to_owned();
        let refused_at = DateTime::from_timestamp_millis(i64::try_from(at).ok()?)?;
        Some(DeadLetter::new(click, reason, tries, refused_at))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use linkly_core::{Domain, new_id};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    /// A click of which anything may be known.
    pub(crate) fn random_click(random: &mut StdRng) -> Click {
        let at = DateTime::from_timestamp_millis(random.random_range(0..4_000_000_000_000)).unwrap();
        let path = format!("c{}", random.random_range(0..1_000));
        let code = if random.random_bool(0.2) {
            Code::in_domain(&Domain::new("go.acme.com").unwrap(), &path).unwrap()
        } else {
            Code::new(&path).unwrap()
        };
        let mut click = Click::with_id(new_id(at), code, at);
        let mut text = |most: usize| {
            let len = random.random_range(0..=most);
            random.random_bool(0.5).then(|| "é".repeat(len / 2))
        };
        click.referrer = text(255);
        click.browser = text(20).map(Into::into);
        click.os = text(20).map(Into::into);
        click.device = text(10).map(Into::into);
        click.country = text(2);
        click.link_id = random.random_bool(0.5).then(|| Uuid::from_u128(random.random()));
        click.visitor = random.random_bool(0.5).then(|| random.random());
        click.bot = random.random_bool(0.5);
        click.check().unwrap();
        click
    }

    #[test]
    fn clicks_come_out_as_they_went_in_and_never_out_of_fewer_bytes() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..500 {
            let click = random_click(&mut random);
            let mut bytes = Vec::new();
            push(&mut bytes, &click);
            assert!(bytes.len() <= MAX_CLICK_BYTES);
            let mut reader = Reader(&bytes);
            assert_eq!(reader.click(VERSION), Some(click));
            assert!(reader.0.is_empty());
            for len in 0..bytes.len() {
                assert_eq!(Reader(&bytes[..len]).click(VERSION), None, "{len} of {}", bytes.len());
            }
            assert_eq!(Reader(&bytes).click(VERSION + 1), None, "another version is not guessed at");
        }
    }

    #[test]
    fn bytes_that_are_no_click_are_none_and_no_panic() {
        let mut random = StdRng::seed_from_u64(2);
        for _ in 0..20_000 {
            let mut bytes = vec![0; random.random_range(0..200)];
            random.fill(&mut bytes[..]);
            _ = Reader(&bytes).click(VERSION);
        }
    }

    #[test]
    fn an_ordinary_click_is_small() {
        let at = DateTime::from_timestamp_millis(1_767_225_600_000).unwrap();
        let mut click = Click::with_id(new_id(at), Code::new("aB3dE5f").unwrap(), at);
        click.link_id = Some(new_id(at));
        click.referrer = Some("news.example.com".into());
        click.browser = Some("Chrome".into());
        click.os = Some("Windows 10".into());
        click.device = Some("pc".into());
        click.country = Some("CH".into());
        let mut bytes = Vec::new();
        push(&mut bytes, &click);
        assert!(bytes.len() <= 90, "{}", bytes.len());
    }
}

//! Entries of a stream, and the commands on them.

use linkly_core::{Click, Error, Result};
use redis::Cmd;

use super::error;
use crate::DeadLetter;
use crate::encoding::{self, Reader};

/// An entry as Redis answers it: its id, and its fields and values; nothing where it was deleted.
pub(super) type Entry = (String, Option<Vec<Vec<u8>>>);

/// The field that a click stands in, behind the version of its encoding.
const CLICK: &str = "click";
/// The field that a dead letter stands in, in the same way.
const LETTER: &str = "letter";

/// The value of a click that passed [`Click::check`].
pub(super) fn value(click: &Click) -> Vec<u8> {
    let mut bytes = vec![encoding::VERSION];
    encoding::push(&mut bytes, click);
    bytes
}

/// The click of an entry; `None` when it cannot be read here.
pub(super) fn click(fields: &[Vec<u8>]) -> Option<Click> {
    let (version, mut reader) = of(fields, CLICK)?;
    reader.click(version).filter(|_| reader.0.is_empty())
}

/// The dead letter of an entry; `None` when it cannot be read here.
pub(super) fn letter(fields: &[Vec<u8>]) -> Option<DeadLetter> {
    let (version, mut reader) = of(fields, LETTER)?;
    reader.letter(version)
}

fn of<'a>(fields: &'a [Vec<u8>], field: &str) -> Option<(u8, Reader<'a>)> {
    let [name, value] = fields else { return None };
    let (version, bytes) = value.split_first()?;
    (name == field.as_bytes()).then_some((*version, Reader(bytes)))
}

/// The field and the value of a dead letter's entry.
pub(super) fn letter_fields(letter: &DeadLetter) -> [Vec<u8>; 2] {
    let mut bytes = vec![encoding::VERSION];
    encoding::push_letter(&mut bytes, letter);
    [LETTER.into(), bytes]
}

/// Up to so many entries behind that one, in order.
pub(super) fn range(stream: &str, after: Option<&str>, limit: usize) -> Cmd {
    let start = after.map_or("-".to_owned(), |id| format!("({id}"));
    let mut range = redis::cmd("XRANGE");
    range.arg(stream).arg(start).arg("+").arg("COUNT").arg(limit);
    range
}

/// The last entry.
pub(super) fn newest(stream: &str) -> Cmd {
    let mut newest = redis::cmd("XREVRANGE");
    newest.arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
    newest
}

/// An entry's id in numbers, by which entries are ordered: milliseconds, and which one of them.
pub(super) fn place(id: &str) -> Result<(u64, u64)> {
    let numbers = id.split_once('-').and_then(|(millis, number)| Some((millis.parse().ok()?, number.parse().ok()?)));
    numbers.ok_or_else(|| Error::Backend {
        backend: error::BACKEND,
        reason: format!("{id:?} is no entry of a stream: is this a Redis of 7.0 or newer?"),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::encoding::tests::random_click;

    #[test]
    fn a_click_comes_out_of_its_entry_and_of_no_other() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..100 {
            let made = random_click(&mut random);
            let fields = |name: &str, value: Vec<u8>| vec![name.as_bytes().to_vec(), value];
            assert_eq!(click(&fields("click", value(&made))).as_ref(), Some(&made));
            assert_eq!(click(&fields("clack", value(&made))), None);
            assert_eq!(click(&fields("click", [value(&made), vec![0]].concat())), None, "there is more");
            let mut later = value(&made);
            later[0] += 1;
            assert_eq!(click(&fields("click", later)), None, "a later version");
            assert_eq!(click(&[fields("click", value(&made)), vec![vec![]]].concat()), None);
        }
    }

    #[test]
    fn entries_are_ordered_by_their_numbers() {
        assert!(place("9-10").unwrap() > place("9-9").unwrap());
        assert!(place("10-0").unwrap() > place("9-9").unwrap());
        assert!(place("10").is_err() && place("a-b").is_err());
    }
}

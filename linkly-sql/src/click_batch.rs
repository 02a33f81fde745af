//! A batch of clicks as the columns that `linkly_record` takes.
//!
//! Column stores do it so: values that differ from row to row stand packed one behind the other, and what
//! repeats stands once in a dictionary, which each row points into.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write;

use foldhash::fast::RandomState;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, Step};
use serde::Serialize;

use crate::rows::{Hex, time_text, to_json};

/// The characters of a time up to its milliseconds.
const SECOND_CHARS: usize = "2026-01-01T10:20:30.".len();

const SECONDS_OF_HOUR: i64 = 3_600;

/// The parameters of one statement; `migrations/0001_record.sql` says what each is.
#[derive(Debug)]
pub(crate) struct ClickBatch {
    pub(crate) ids: Vec<u8>,
    pub(crate) times: Vec<u8>,
    pub(crate) visitors: Option<Vec<u8>>,
    pub(crate) entries: String,
    pub(crate) dictionary: String,
    pub(crate) hours: Option<String>,
    pub(crate) oldest: String,
}

/// What clicks have in common.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Entry<'a>(
    &'a str,
    Option<Hex>,
    u8,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
);

#[derive(Serialize)]
struct HourCount<'a>(&'a str, String, u64, u64, String);

#[derive(Clone)]
struct Count {
    clicks: u64,
    bots: u64,
    last: DateTime<Utc>,
}

impl ClickBatch {
    /// The columns of clicks that passed their check; `None` when there are none.
    pub(crate) fn new(clicks: &[Click]) -> Option<Self> {
        let mut clicks: Vec<&Click> = clicks.iter().collect();
        // In the order of the index of ids, which then grows at its end.
        clicks.sort_unstable_by_key(|click| click.id);
        let oldest = clicks.first()?.clicked_at;
        let has_visitors = clicks.iter().any(|click| click.visitor.is_some());
        let mut ids = Vec::with_capacity(clicks.len() * 16);
        let mut times = Times::with_capacity(clicks.len());
        let mut visitors = Vec::new();
        let mut entries = Vec::with_capacity(clicks.len());
        let mut dictionary = Grouped::default();
        let mut hours = Grouped::default();
        for click in &clicks {
            ids.extend_from_slice(click.id.as_bytes());
            times.push(click.clicked_at);
            if has_visitors {
                push_visitor(&mut visitors, click.visitor);
            }
            entries.push(dictionary.group(Entry::of(click), || ()).0);
            let hour = click.clicked_at.timestamp().div_euclid(SECONDS_OF_HOUR);
            let (_, count) =
                hours.group((click.code.as_str(), hour), || Count { clicks: 0, bots: 0, last: click.clicked_at });
            count.clicks += 1;
            count.bots += u64::from(click.bot);
            // They come in the order of time.
            count.last = click.clicked_at;
        }
        // Where many codes have a click each, reading them off the rows is cheaper than parsing them: a
        // third of the rows is where both cost the same.
        let hours = (hours.groups.len() <= clicks.len().div_ceil(3)).then(|| {
            let counts = hours.groups.into_iter().map(|((code, _), count)| {
                HourCount(
                    code,
                    time_text(Step::Hour.floor(count.last)),
                    count.clicks,
                    count.bots,
                    time_text(count.last),
                )
            });
            to_json(&counts.collect::<Vec<_>>())
        });
        Some(Self {
            ids,
            times: times.packed,
            visitors: has_visitors.then_some(visitors),
            entries: to_json(&entries),
            dictionary: to_json(&dictionary.groups.into_iter().map(|(entry, ())| entry).collect::<Vec<_>>()),
            hours,
            oldest: time_text(oldest),
        })
    }
}

impl<'a> Entry<'a> {
    fn of(click: &'a Click) -> Self {
        Self(
            click.code.as_str(),
            click.link_id.map(Hex),
            u8::from(click.bot),
            click.referrer.as_deref(),
            click.browser.as_deref(),
            click.os.as_deref(),
            click.device.as_deref(),
            click.country.as_deref(),
        )
    }
}

/// Groups in the order of their first members.
struct Grouped<K, V> {
    groups: Vec<(K, V)>,
    places: HashMap<K, usize, RandomState>,
    last: usize,
}

impl<K, V> Default for Grouped<K, V> {
    fn default() -> Self {
        Self { groups: Vec::new(), places: HashMap::default(), last: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> Grouped<K, V> {
    /// The place and value of a key's group. A key that comes again at once, as those of a hot link do, is
    /// not hashed.
    fn group(&mut self, key: K, first: impl FnOnce() -> V) -> (usize, &mut V) {
        if self.groups.get(self.last).is_none_or(|(last, _)| *last != key) {
            self.last = *self.places.entry(key).or_insert_with_key(|key| {
                self.groups.push((key.clone(), first()));
                self.groups.len() - 1
            });
        }
        (self.last, &mut self.groups[self.last].1)
    }
}

/// Times as text, 24 characters each: the clicks of one second share its text.
struct Times {
    packed: Vec<u8>,
    second: i64,
    text: String,
}

impl Times {
    fn with_capacity(rows: usize) -> Self {
        Self { packed: Vec::with_capacity(rows * 24), second: i64::MIN, text: String::new() }
    }

    fn push(&mut self, at: DateTime<Utc>) {
        if at.timestamp() != self.second {
            self.second = at.timestamp();
            self.text = time_text(at);
            self.text.truncate(SECOND_CHARS);
        }
        self.packed.extend_from_slice(self.text.as_bytes());
        let millis = at.timestamp_subsec_millis();
        let digit = |of: u32| b'0' + u8::try_from(of % 10).unwrap_or_default();
        self.packed.extend_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }
}

/// A number in 20 characters, as many as the longest has; blank for none.
fn push_visitor(packed: &mut Vec<u8>, visitor: Option<u64>) {
    // Writing to memory cannot fail.
    let _ = match visitor {
        Some(visitor) => write!(packed, "{:20}", visitor.cast_signed()),
        None => write!(packed, "{:20}", ""),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkly_core::{Code, Uuid};
    use serde_json::{Value, json};

    fn click(code: &str, at: &str) -> Click {
        Click::new(Code::new(code).unwrap(), at.parse().unwrap())
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn rows_come_in_the_order_of_their_ids_and_point_into_the_dictionary() {
        let late = click("a", "2026-01-11T10:00:00.007Z");
        let mut early = click("b", "2026-01-11T09:59:59.123Z");
        early.bot = true;
        early.country = Some("CH".to_owned());
        early.link_id = Some(Uuid::from_u128(7));
        let middle = click("a", "2026-01-11T09:59:59.980Z");
        let batch = ClickBatch::new(&[late.clone(), early.clone(), middle.clone()]).unwrap();
        assert_eq!(batch.ids, [early.id, middle.id, late.id].map(|id| *id.as_bytes()).concat());
        assert_eq!(batch.times, b"2026-01-11T09:59:59.123Z2026-01-11T09:59:59.980Z2026-01-11T10:00:00.007Z");
        assert_eq!((batch.oldest.as_str(), batch.visitors), ("2026-01-11T09:59:59.123Z", None));
        assert_eq!(parsed(&batch.entries), json!([0, 1, 1]));
        let b = json!(["b", "00000000000000000000000000000007", 1, null, null, null, null, "CH"]);
        assert_eq!(parsed(&batch.dictionary), json!([b, ["a", null, 0, null, null, null, null, null]]));
    }

    #[test]
    fn hours_are_counted_where_codes_are_few() {
        let mut clicks = vec![click("a", "2026-01-11T10:20:00.000Z"); 6];
        clicks.iter_mut().for_each(|click| click.id = linkly_core::new_id(click.clicked_at));
        clicks.push(click("a", "2026-01-11T11:00:00.000Z"));
        clicks[0].bot = true;
        let batch = ClickBatch::new(&clicks).unwrap();
        let hours = json!([
            ["a", "2026-01-11T10:00:00.000Z", 6, 1, "2026-01-11T10:20:00.000Z"],
            ["a", "2026-01-11T11:00:00.000Z", 1, 0, "2026-01-11T11:00:00.000Z"],
        ]);
        assert_eq!(parsed(&batch.hours.unwrap()), hours);
        let many: Vec<_> = (0..9).map(|number| click(&format!("c{number}"), "2026-01-11T10:20:00.000Z")).collect();
        assert_eq!(ClickBatch::new(&many).unwrap().hours, None);
        assert!(ClickBatch::new(&[]).is_none());
    }

    #[test]
    fn visitors_are_packed_with_blanks_for_those_that_are_not_known() {
        let mut clicks = [click("a", "2026-01-11T10:20:00.000Z"), click("a", "2026-01-11T10:20:00.001Z")];
        clicks[1].visitor = Some(u64::MAX);
        assert_eq!(ClickBatch::new(&clicks).unwrap().visitors.unwrap(), format!("{:20}{:20}", "", -1).into_bytes());
        clicks[0].visitor = Some(1 << 63);
        let packed = ClickBatch::new(&clicks).unwrap().visitors.unwrap();
        assert_eq!(packed, format!("{}{:20}", i64::MIN, -1).into_bytes());
    }
}

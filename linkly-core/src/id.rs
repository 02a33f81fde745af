//! Ids: UUIDs of version 7 (RFC 9562, section 5.7), which order by the time they carry.

use chrono::{DateTime, Utc};
use rand::Rng;
use uuid::{Builder, Uuid};

/// A new id that carries `at`, with 74 random bits.
pub fn new_id(at: DateTime<Utc>) -> Uuid {
    let mut random = [0; 10];
    rand::rng().fill_bytes(&mut random);
    Builder::from_unix_timestamp_millis(millis(at), &random).into_uuid()
}

/// The id of a row that was written without one: the same row always gets the same id.
///
/// It carries `at` and `row`, the number of the row in its table.
pub fn derived_id(at: DateTime<Utc>, row: i64) -> Uuid {
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&row.to_be_bytes());
    Builder::from_unix_timestamp_millis(millis(at), &tail).into_uuid()
}

/// The smallest id that carries `at`: where a range of time begins among ids.
pub fn first_id(at: DateTime<Utc>) -> Uuid {
    Builder::from_unix_timestamp_millis(millis(at), &[0; 10]).into_uuid()
}

/// The time that an id carries; `None` when it is not of version 7.
pub fn time_of(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

/// Whether an id is of version 7 and carries exactly this time: [`time_of`] without a calendar.
pub(crate) fn carries(id: Uuid, at: DateTime<Utc>) -> bool {
    let [a, b, c, d, e, f, ..] = id.into_bytes();
    let carried = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    // A leap second has more than a thousand million of them.
    let nanos = at.timestamp_subsec_nanos();
    let whole = nanos < 1_000_000_000 && nanos.is_multiple_of(1_000_000);
    id.get_version_num() == 7 && carried == at.timestamp_millis() && whole
}

/// The most milliseconds that an id carries: 48 bits of them, until the year 10889.
const MOST_MILLIS: u64 = (1 << 48) - 1;

/// Milliseconds since 1970; what came before counts as 1970, what an id cannot carry as its end.
fn millis(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0).min(MOST_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn an_id_carries_its_time_and_orders_by_it() {
        let at = DateTime::from_timestamp_millis(1_767_225_600_123).unwrap();
        let later = DateTime::from_timestamp_millis(1_767_225_600_124).unwrap();
        for id in [new_id(at), derived_id(at, 1), derived_id(at, i64::MAX), first_id(at)] {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(time_of(id), Some(at));
            assert!(carries(id, at) && !carries(id, later) && !carries(id, at + TimeDelta::nanoseconds(1)), "{id}");
            assert!(first_id(at) <= id && id < first_id(later), "{id}");
        }
    }

    #[test]
    fn an_id_of_another_version_carries_no_time() {
        let at = DateTime::from_timestamp_millis(1_767_225_600_123).unwrap();
        let mut bytes = new_id(at).into_bytes();
        bytes[6] = 0x40;
        assert!(!carries(Uuid::from_bytes(bytes), at));
    }

    #[test]
    fn no_id_carries_a_leap_second() {
        let second: DateTime<Utc> = "2016-12-31T23:59:60.500Z".parse().unwrap();
        assert!(!carries(new_id(second), second));
    }

    #[test]
    fn times_that_no_id_can_carry_stay_at_the_ends() {
        assert_eq!(first_id(DateTime::<Utc>::MIN_UTC), first_id(DateTime::UNIX_EPOCH));
        let last = DateTime::from_timestamp_millis(MOST_MILLIS as i64).unwrap();
        assert_eq!(first_id(DateTime::<Utc>::MAX_UTC), first_id(last));
        assert!(new_id(Utc::now()) < first_id(DateTime::<Utc>::MAX_UTC));
    }

    #[test]
    fn a_row_always_derives_the_same_id_and_no_other_row_does() {
        let at = DateTime::from_timestamp_millis(1_767_225_600_123).unwrap();
        assert_eq!(derived_id(at, 7), derived_id(at, 7));
        let ids: std::collections::BTreeSet<_> = (0..2_000).map(|row| derived_id(at, row)).collect();
        assert_eq!(ids.len(), 2_000);
    }
}

//! The change log.
//!
//! Each change carries the number of its transaction. Neither its own number nor that one says when it became
//! visible: a transaction that began earlier may end later, in an hour if the app forgets it. So a cursor is a
//! snapshot: which transactions were visible when the log was read last. What is visible now and was not then
//! is new, each change once, as soon as it is committed, however long others stay open. (The scheme of
//! PgQ, the queue in Skype's SkyTools.)
//!
//! An open transaction that has written anything, in any database of the server, costs a reader this much: all
//! changes since it began are looked at again with each look at the log, and the new ones picked out.
//!
//! Numbers of transactions are those of one server. A replica that was promoted may give one again that the old
//! primary had given already, so a cursor names the timeline, and a copy of the database is another table.

use std::collections::HashSet;

use linkly_core::{ChangeCursor, Changes, Code, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::call::Param;
use crate::error;
use crate::rows::read_code;
use crate::store::PostgresStore;

/// How many changes are read in one call.
const PAGE: usize = 1_000;

/// Where the log stands, and a page of it: what was not visible in the snapshot `$1` and is in `$2`, or now,
/// behind the transaction `$3` and the number `$4`; `$5` rows.
pub(crate) const CHANGES: &str = "
    SELECT log.place, log.snapshot, log.last, log.trimmed, log.has_ended, c.xid::text, c.seq, c.code
    FROM (
        SELECT concat_ws('-', m.value, d.oid, m.tableoid, left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS place,
            pg_current_snapshot()::text AS snapshot,
            greatest((SELECT max(seq) FROM /*schema.*/link_changes), t.last_value) AS last,
            t.last_value AS trimmed,
            EXISTS (SELECT FROM pg_snapshot_xip($1::text::pg_snapshot) AS x WHERE coalesce(
                CASE WHEN x < pg_snapshot_xmax(pg_current_snapshot()) THEN pg_xact_status(x) END, 'unknown')
                NOT IN ('in progress', 'aborted')) AS has_ended
        FROM /*schema.*/linkly_meta AS m, /*schema.*/linkly_trimmed AS t, pg_database AS d
        WHERE m.key = 'database' AND d.datname = current_database()
    ) AS log
    LEFT JOIN LATERAL (
        SELECT xid, seq, code FROM /*schema.*/link_changes
        WHERE (xid, seq) > ($3::text::xid8, $4)
            AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
            AND pg_visible_in_snapshot(xid, coalesce($2::text::pg_snapshot, pg_current_snapshot()))
        ORDER BY xid, seq LIMIT $5
    ) AS c ON true
    ORDER BY c.xid, c.seq";

/// One look at the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    /// As Postgres writes it: `xmin:xmax:xip,xip`.
    snapshot: String,
    /// The highest number that was visible, or trimmed.
    last: i64,
    /// Up to which number the log was trimmed.
    trimmed: i64,
}

impl Look {
    /// The first transaction that was not visible for sure.
    fn first(&self) -> &str {
        self.snapshot.split(':').next().unwrap_or_default()
    }

    /// Whether changes were trimmed that were not visible: later ones, or those of a transaction that was open
    /// and has ended since. (Of one that is still open none can be.)
    fn lost(&self, now: &Self, has_ended: bool) -> bool {
        now.trimmed > self.last || (now.trimmed > self.trimmed && has_ended)
    }
}

/// A cursor, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Of which log.
    log: String,
    seen: Look,
    /// In the middle of what was new at a later look: behind this transaction and number.
    within: Option<(Look, String, i64)>,
}

impl Place {
    fn text(&self) -> String {
        let look = |look: &Look| format!("{}/{}/{}", look.snapshot, look.last, look.trimmed);
        let mut text = format!("{}/{}", self.log, look(&self.seen));
        if let Some((next, xid, seq)) = &self.within {
            text.push_str(&format!("/{}/{xid}/{seq}", look(next)));
        }
        text
    }

    /// `None` for a text that this store did not write.
    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let look = |parts: &[&str]| {
            let [snapshot, last, trimmed] = parts else { return None };
            is_snapshot(snapshot).then_some(())?;
            Some(Look { snapshot: (*snapshot).to_owned(), last: last.parse().ok()?, trimmed: trimmed.parse().ok()? })
        };
        let within = match parts.get(4..)? {
            [] => None,
            [next @ .., xid, seq] => {
                xid.parse::<u64>().ok()?;
                Some((look(next)?, (*xid).to_owned(), seq.parse().ok()?))
            }
            [_] => return None,
        };
        Some(Self { log: (*parts.first()?).to_owned(), seen: look(parts.get(1..4)?)?, within })
    }
}

/// Whether Postgres takes the text for a snapshot: increasing numbers.
fn is_snapshot(text: &str) -> bool {
    let [first, behind, open] = text.split(':').collect::<Vec<_>>()[..] else {
        return false;
    };
    let open: Option<Vec<u64>> = open.split(',').filter(|xid| !xid.is_empty()).map(|xid| xid.parse().ok()).collect();
    let (Ok(first), Ok(behind), Some(open)) = (first.parse::<u64>(), behind.parse::<u64>(), open) else {
        return false;
    };
    let in_order = open.is_sorted_by(|a, b| a < b) && open.iter().all(|xid| (first..behind).contains(xid));
    (1..=behind).contains(&first) && in_order
}

impl PostgresStore {
    pub(crate) async fn read_changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        let asked = after.and_then(|cursor| Place::read(cursor.as_str()));
        let (seen, next, xid, seq) = match &asked {
            None => (None, None, None, 0),
            Some(Place { seen, within: None, .. }) => (Some(&seen.snapshot), None, Some(seen.first()), 0),
            Some(Place { seen, within: Some((next, xid, seq)), .. }) => {
                (Some(&seen.snapshot), Some(&next.snapshot), Some(xid.as_str()), *seq)
            }
        };
        let params: [Param<'_>; 5] = [
            (&seen, Type::TEXT),
            (&next, Type::TEXT),
            (&xid, Type::TEXT),
            (&seq, Type::INT8),
            (&(PAGE as i64 + 1), Type::INT8),
        ];
        let mut rows = self.query(CHANGES, &params).await?;
        let Some((log, now, has_ended)) = rows.first().map(log_of).transpose()? else {
            return Err(error::schema("linkly_meta has no row \"database\": call migrate() before anything else"));
        };
        let cursor = |place: Place| ChangeCursor::new(place.text());
        let begin = Place { log: log.clone(), seen: now.clone(), within: None };
        let Some(after) = after else {
            return Ok(Changes::new(Vec::new(), cursor(begin)));
        };
        // A cursor of another database, or from before a failover, or from before what was trimmed: any link
        // may have changed.
        let Some(place) = asked.filter(|place| place.log == log && !place.seen.lost(&now, has_ended)) else {
            tracing::info!(cursor = after.as_str(), "the change log does not reach back to a cursor");
            let mut changes = Changes::new(Vec::new(), cursor(begin));
            changes.lost = true;
            return Ok(changes);
        };
        let has_more = rows.len() > PAGE;
        rows.truncate(PAGE);
        let mut seen = HashSet::new();
        let mut codes: Vec<Code> = Vec::new();
        let mut last = None;
        for row in &rows {
            let Some((xid, seq, code)) = change_of(row)? else { break };
            if seen.insert(code) {
                codes.extend(read_code(code));
            }
            last = Some((xid, seq));
        }
        let reached = place.within.map_or(now, |(next, ..)| next);
        let next = match last.filter(|_| has_more) {
            Some((xid, seq)) => Place { log, seen: place.seen, within: Some((reached, xid, seq)) },
            None => Place { log, seen: reached, within: None },
        };
        let mut changes = Changes::new(codes, cursor(next));
        changes.more = has_more;
        Ok(changes)
    }
}

fn log_of(row: &Row) -> Result<(String, Look, bool)> {
    let read = || {
        let look = Look { snapshot: row.try_get(1)?, last: row.try_get(2)?, trimmed: row.try_get(3)? };
        Ok((row.try_get(0)?, look, row.try_get(4)?))
    };
    read().map_err(error::map)
}

/// `None` when the page is empty.
fn change_of(row: &Row) -> Result<Option<(String, i64, &str)>> {
    let read = || {
        let (xid, seq, code) = (row.try_get::<_, Option<String>>(5)?, row.try_get(6)?, row.try_get(7)?);
        Ok(xid.zip(seq).zip(code).map(|((xid, seq), code)| (xid, seq, code)))
    };
    read().map_err(error::map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(snapshot: &str, last: i64, trimmed: i64) -> Look {
        Look { snapshot: snapshot.to_owned(), last, trimmed }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let whole = Place { log: "a-1-2-00000001".into(), seen: look("10:20:11,15", 7, 0), within: None };
        let within = Some((look("12:30:", 9, 1), "18".to_owned(), 8));
        for place in [whole.clone(), Place { within, ..whole }] {
            assert_eq!(Place::read(&place.text()), Some(place));
        }
    }

    #[test]
    fn what_is_no_cursor_never_reaches_the_server() {
        for text in [
            "",
            "x",
            "-1",
            "🦀",
            "a/b/c/d",
            "a/10:20:/7",
            "a/10:5:/7/0",
            "a/10:20:30/7/0",
            "a/10:20:15,11/7/0",
            "a/10:20:x/7/0",
            "a/0:1:/7/0",
            "a/10:20:/7/0/1",
            "a/10:20:/7/0/10:20:/7/0/x/1",
            "a/10:20:/7/0/1/2",
        ] {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_trimmed_unseen_is_lost() {
        let seen = look("10:20:11", 500, 100);
        assert!(!seen.lost(&look("30:30:", 2_000, 100), true), "nothing was trimmed since");
        assert!(!seen.lost(&look("30:30:", 2_000, 500), false), "only what was seen was trimmed");
        assert!(seen.lost(&look("30:30:", 2_000, 400), true), "a change of the open transaction may be among it");
        assert!(seen.lost(&look("30:30:", 2_000, 501), false), "later changes were trimmed");
    }
}

//! Links.
//!
//! Statements that write several links lock them in the order of their codes, so that two of them never wait
//! for each other in a ring.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{
    Code, Delete, Deleted, Folding, Insert, Link, LinkStore, ListLinks, Page, Result, Target, Update, Use, Uuid,
    whole_millis,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::call::{Call, Param};
use crate::error;
use crate::rows::{LinkColumns, LinkValues, key, link, link_columns, target, target_columns};
use crate::store::PostgresStore;

macro_rules! insert {
    ($rows:literal) => {
        concat!(
            "
    WITH inserted AS (
        INSERT INTO /*schema.*/links (code, url, created_at, id, updated_at, version, active_from, expires_at,
            max_clicks, consumed, redirect, forward_query, title, tags, metadata, url_hash)
        SELECT n.code, n.url, n.created_at, n.id, n.updated_at, n.version, n.active_from, n.expires_at, n.max_clicks,
            n.consumed, n.redirect, n.forward_query, n.title, coalesce(n.tags::text[], '{}'), n.metadata::json,
            n.url_hash
        FROM ",
            $rows,
            " AS n (code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks, consumed,
                redirect, forward_query, title, tags, metadata, url_hash, place)
        WHERE NOT EXISTS (SELECT FROM /*schema.*/released_links AS r WHERE r.id = n.id AND r.code = n.code)
        ORDER BY n.code COLLATE \"C\", n.place
        ON CONFLICT (code) DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM inserted"
        )
    };
}

/// Inserts [`LinkColumns`], and returns how many. A link that was inserted before and then let go is left out:
/// that is a call which is sent again.
pub(crate) const INSERT: &str =
    insert!("unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) WITH ORDINALITY");

/// The same of [`LinkValues`]. A plan for arrays is made with each call, since it depends on how long they are; this
/// one is made once (0.2 ms).
pub(crate) const INSERT_ONE: &str =
    insert!("(VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1))");

/// For codes and ids, in order: who has the code now, and whether the id was let go with it.
pub(crate) const HOLDERS: &str = "
    SELECT l.id, l.version, l.retired_at IS NOT NULL, l.max_clicks IS NULL,
        EXISTS (SELECT FROM /*schema.*/released_links AS r WHERE r.id = n.id AND r.code = n.code)
    FROM unnest($1, $2) WITH ORDINALITY AS n (code, id, place)
    LEFT JOIN /*schema.*/links AS l ON l.code = n.code
    ORDER BY n.place";

pub(crate) const TARGETS: &str = concat!(
    "SELECT ",
    target_columns!(),
    " FROM /*schema.*/links AS l WHERE l.code = ANY ($1) AND l.retired_at IS NULL"
);

pub(crate) const LINKS: &str =
    concat!("SELECT ", link_columns!(), " FROM /*schema.*/links AS l WHERE l.code = ANY ($1) AND l.retired_at IS NULL");

macro_rules! update {
    ($rows:literal) => {
        concat!(
            "
    WITH asked AS (
        SELECT n.* FROM ",
            $rows,
            " AS n (code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks, consumed,
                redirect, forward_query, title, tags, metadata, url_hash)
        JOIN /*schema.*/links AS l ON l.code = n.code AND l.id = n.id AND l.version = n.version
        WHERE l.retired_at IS NULL ORDER BY l.code FOR UPDATE OF l
    )
    UPDATE /*schema.*/links AS l SET url = n.url, updated_at = n.updated_at, version = n.version + 1,
        active_from = n.active_from, expires_at = n.expires_at, max_clicks = n.max_clicks, redirect = n.redirect,
        forward_query = n.forward_query, title = n.title, tags = coalesce(n.tags::text[], '{}'),
        metadata = n.metadata::json, url_hash = n.url_hash
    FROM asked AS n WHERE l.code = n.code
    RETURNING l.id"
        )
    };
}

/// Replaces by [`LinkColumns`], and returns the ids of those that it replaced.
pub(crate) const UPDATE: &str =
    update!("unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)");

/// The same by [`LinkValues`], planned once.
pub(crate) const UPDATE_ONE: &str =
    update!("(VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16))");

pub(crate) const DELETE: &str = "SELECT /*schema.*/linkly_delete($1, $2, $3, $4, $5)";

/// Grants by code, id and how many are asked for, and returns codes and ids with what each got. What nobody
/// is granted writes nothing.
pub(crate) const CONSUME: &str = "
    WITH granted AS (
        SELECT l.code, l.consumed, least(n.asked, l.max_clicks - l.consumed) AS count
        FROM unnest($1, $2, $3) AS n (code, id, asked)
        JOIN /*schema.*/links AS l ON l.code = n.code AND l.id = n.id
        WHERE l.retired_at IS NULL AND l.max_clicks > l.consumed AND n.asked > 0
        ORDER BY l.code FOR UPDATE OF l
    )
    UPDATE /*schema.*/links AS l SET consumed = g.consumed + g.count FROM granted AS g WHERE l.code = g.code
    RETURNING l.code, l.id, g.count";

/// Who has a code.
pub(crate) struct Holder {
    id: Option<Uuid>,
    version: Option<i64>,
    is_retired: bool,
    is_unlimited: bool,
    was_released: bool,
}

impl Holder {
    pub(crate) fn of(row: &Row) -> Result<Self> {
        let read = || -> std::result::Result<Self, tokio_postgres::Error> {
            Ok(Self {
                id: row.try_get(0)?,
                version: row.try_get(1)?,
                is_retired: row.try_get(2)?,
                is_unlimited: row.try_get(3)?,
                was_released: row.try_get(4)?,
            })
        };
        read().map_err(error::map)
    }

    fn is(&self, id: Uuid) -> bool {
        self.id == Some(id)
    }

    fn is_live(&self) -> bool {
        self.id.is_some() && !self.is_retired
    }

    /// What became of inserting a link with this id.
    pub(crate) fn inserted(&self, id: Uuid) -> Insert {
        if self.is(id) || self.was_released { Insert::Inserted } else { Insert::CodeTaken }
    }

    fn deleted(&self, deletion: &Deletion<'_>) -> Deleted {
        if self.was_released {
            return Deleted::Deleted;
        }
        if !self.is(deletion.id) {
            return Deleted::NotFound;
        }
        if !self.is_live() {
            return Deleted::Deleted;
        }
        match (deletion.version, self.version) {
            (Some(asked), Some(found)) if i64::from(asked) != found => Deleted::Conflict,
            // Made, by somebody's own SQL, since the statement ran.
            _ => Deleted::NotFound,
        }
    }
}

/// One link to delete: the key as it is stored, the id, the version, and whether the code is let go.
pub(crate) struct Deletion<'a> {
    pub(crate) code: &'a str,
    pub(crate) id: Uuid,
    pub(crate) version: Option<u32>,
    pub(crate) release: bool,
}

impl PostgresStore {
    async fn holders<'a>(&self, of: impl Iterator<Item = (&'a str, Uuid)>) -> Result<Vec<Holder>> {
        let (codes, ids): (Vec<&str>, Vec<Uuid>) = of.unzip();
        let rows = self.query(HOLDERS, &[(&codes, Type::TEXT_ARRAY), (&ids, Type::UUID_ARRAY)]).await?;
        if rows.len() != codes.len() {
            return Err(error::failed("an answer has not as many rows as were asked for"));
        }
        rows.iter().map(Holder::of).collect()
    }

    async fn links(&self, codes: &[&str]) -> Result<HashMap<Code, Link>> {
        let rows = self.query(LINKS, &[(&codes, Type::TEXT_ARRAY)]).await?;
        Ok(rows.iter().filter_map(link).map(|link| (link.code.clone(), link)).collect())
    }

    /// How many were inserted.
    async fn insert_links(&self, links: &[Link]) -> Result<usize> {
        match links {
            [link] => self.insert_by(INSERT_ONE, &LinkValues::of(link).params()).await,
            links => self.insert_by(INSERT, &LinkColumns::of(links).params()).await,
        }
    }

    async fn insert_by(&self, text: &'static str, params: &[Param<'_>]) -> Result<usize> {
        let mut inserted = self.query(text, params).await;
        // Two sendings of one call at once: the second did not see the first when it began.
        if inserted.as_ref().is_err_and(error::is_own_earlier_try) {
            inserted = self.query(text, params).await;
        }
        let count: i64 = inserted?.first().map_or(Ok(0), |row| row.try_get(0)).map_err(error::map)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// One statement over links that each stand in it once.
    async fn update_once(&self, links: &[&Link]) -> Result<Vec<Update>> {
        let rows = match links {
            [link] => self.query(UPDATE_ONE, &LinkValues::of(link).params()).await?,
            links => self.query(UPDATE, &LinkColumns::of(links.iter().copied()).params()).await?,
        };
        let written: HashSet<Uuid> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
        let others: Vec<&str> =
            links.iter().filter(|link| !written.contains(&link.id)).map(|link| link.code.as_str()).collect();
        let stored = if others.is_empty() { HashMap::new() } else { self.links(&others).await? };
        let became = |link: &&Link| {
            let version = link.version.saturating_add(1);
            if written.contains(&link.id) {
                return Update::Updated { version };
            }
            match stored.get(&link.code).filter(|stored| stored.id == link.id) {
                None => Update::NotFound,
                Some(stored) if stored.version == version && *stored == as_stored(link, stored) => {
                    Update::Updated { version }
                }
                Some(_) => Update::Conflict,
            }
        };
        Ok(links.iter().map(became).collect())
    }

    /// Deletes in one statement; what became of each is read after it, from what stays.
    pub(crate) async fn delete_links(&self, links: &[Deletion<'_>]) -> Result<Vec<Deleted>> {
        let codes: Vec<&str> = links.iter().map(|link| link.code).collect();
        let ids: Vec<Uuid> = links.iter().map(|link| link.id).collect();
        let versions: Vec<Option<i64>> = links.iter().map(|link| link.version.map(i64::from)).collect();
        let releases: Vec<bool> = links.iter().map(|link| link.release).collect();
        let params: [Param<'_>; 5] = [
            (&codes, Type::TEXT_ARRAY),
            (&ids, Type::UUID_ARRAY),
            (&versions, Type::INT8_ARRAY),
            (&releases, Type::BOOL_ARRAY),
            (&Utc::now(), Type::TIMESTAMPTZ),
        ];
        self.query(DELETE, &params).await?;
        let holders = self.holders(links.iter().map(|link| (link.code, link.id))).await?;
        Ok(links.iter().zip(&holders).map(|(link, holder)| holder.deleted(link)).collect())
    }
}

/// `stored` with what an update to `asked` writes.
fn as_stored(asked: &Link, stored: &Link) -> Link {
    let mut link = asked.clone();
    link.created_at = stored.created_at;
    link.consumed = stored.consumed;
    link.version = stored.version;
    link.updated_at = whole_millis(link.updated_at);
    link.active_from = link.active_from.map(whole_millis);
    link.expires_at = link.expires_at.map(whole_millis);
    link
}

#[async_trait]
impl LinkStore for PostgresStore {
    fn folding(&self) -> Folding {
        self.folding_of_database()
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        links.iter().try_for_each(Link::check_new)?;
        if self.insert_links(links).await? == links.len() {
            return Ok(vec![Insert::Inserted; links.len()]);
        }
        let holders = self.holders(links.iter().map(|link| (link.code.as_str(), link.id))).await?;
        Ok(links.iter().zip(&holders).map(|(link, holder)| holder.inserted(link.id)).collect())
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<&str> = codes.iter().map(Code::as_str).collect();
        let rows = self.query(TARGETS, &[(&asked, Type::TEXT_ARRAY)]).await?;
        let found: HashMap<&str, Target> = rows.iter().map(|row| (key(row), target(row))).collect();
        Ok(asked.iter().map(|code| found.get(code).cloned()).collect())
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.links(&codes.iter().map(Code::as_str).collect::<Vec<_>>()).await?;
        Ok(codes.iter().map(|code| found.get(code).cloned()).collect())
    }

    async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
        links.iter().try_for_each(Link::check)?;
        let mut updates = vec![Update::NotFound; links.len()];
        let mut left: Vec<usize> = (0..links.len()).collect();
        // A link that stands in the call again is written after, by a statement of its own.
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|place| seen.insert(links[*place].id));
            let asked: Vec<_> = now.iter().map(|place| &links[*place]).collect();
            for (place, update) in now.into_iter().zip(self.update_once(&asked).await?) {
                updates[place] = update;
            }
            left = later;
        }
        Ok(updates)
    }

    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let deletions: Vec<_> = links
            .iter()
            .map(|link| Deletion {
                code: link.code.as_str(),
                id: link.id,
                version: link.version,
                release: link.release,
            })
            .collect();
        self.delete_links(&deletions).await
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        // The same link twice is asked for once, and shares what it got.
        let mut asked: HashMap<(&str, Uuid), i64> = HashMap::new();
        for one in uses {
            *asked.entry((one.code.as_str(), one.id)).or_default() += i64::from(one.count);
        }
        let (codes, ids): (Vec<&str>, Vec<Uuid>) = asked.keys().copied().unzip();
        let counts: Vec<i64> = asked.values().copied().collect();
        let params: [Param<'_>; 3] =
            [(&codes, Type::TEXT_ARRAY), (&ids, Type::UUID_ARRAY), (&counts, Type::INT8_ARRAY)];
        let rows = self.run(self.pool(), Call::kept(&self.sql(CONSUME), &params).once()).await?;
        // By both: the id of one link may be asked for under another's code, and grants nothing there.
        let mut granted: HashMap<(&str, Uuid), u64> = HashMap::new();
        for row in &rows {
            let count: i64 = row.try_get(2).map_err(error::map)?;
            granted.insert((key(row), row.try_get(1).map_err(error::map)?), count.cast_unsigned());
        }
        let mut unlimited = HashSet::new();
        if uses.iter().any(|one| !granted.contains_key(&(one.code.as_str(), one.id))) {
            let holders = self.holders(uses.iter().map(|one| (one.code.as_str(), one.id))).await?;
            for (one, holder) in uses.iter().zip(&holders) {
                if holder.is(one.id) && holder.is_live() && holder.is_unlimited {
                    unlimited.insert((&one.code, one.id));
                }
            }
        }
        let shares = uses.iter().map(|one| {
            let Some(left) = granted.get_mut(&(one.code.as_str(), one.id)) else {
                return if unlimited.contains(&(&one.code, one.id)) { one.count } else { 0 };
            };
            let got = u32::try_from(*left).unwrap_or(u32::MAX).min(one.count);
            *left -= u64::from(got);
            got
        });
        Ok(shares.collect())
    }

    async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        self.list_links(query).await
    }
}

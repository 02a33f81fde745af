//! Links.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{
    Code, Delete, Deleted, Folding, Insert, Link, LinkStore, ListLinks, Page, Result, Target, Update, Use, Uuid,
    whole_millis,
};
use serde::{Deserialize, Serialize};

use crate::driver::{Driver, Row, Statement};
use crate::rows::{
    Hex, LinkOut, LinkRow, TargetRow, element, elements, link_columns, read_id, target_columns, time_text, to_json,
};
use crate::store::SqlStore;

/// Inserts an array of [`LinkOut`]s. A link that was inserted before and then let go is left out: that
/// is a call which is sent again.
pub(crate) const INSERT: &str = "
    INSERT INTO /*prefix*/links (code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks,
        consumed, redirect, forward_query, title, tags, metadata, url_hash)
    SELECT link ->> 0, link ->> 1, link ->> 2, unhex(link ->> 3), link ->> 4, link ->> 5, link ->> 6, link ->> 7,
        link ->> 8, link ->> 9, link ->> 10, link ->> 11, link ->> 12, link ->> 13, link ->> 14, link ->> 15
    FROM (SELECT value AS link FROM json_each(?1) LIMIT -1)
    WHERE NOT EXISTS (SELECT 1 FROM /*prefix*/released_links AS r WHERE r.id = unhex(link ->> 3) AND r.code = link ->> 0)
    ON CONFLICT (code) DO NOTHING";

/// Which of an array of [code, id] are there, or were let go: by key, with the id that has the code now.
pub(crate) const HOLDERS: &str = "
    SELECT CAST(json_group_array(json_array(j.key, hex(l.id), l.version, l.retired_at IS NOT NULL,
        l.max_clicks IS NULL, EXISTS (SELECT 1 FROM /*prefix*/released_links AS r
            WHERE r.id = unhex(j.value ->> 1) AND r.code = j.value ->> 0))) AS BLOB)
    FROM json_each(?1) AS j LEFT JOIN /*prefix*/links AS l ON l.code = j.value ->> 0";

pub(crate) const TARGETS: &str = concat!(
    "SELECT CAST(json_group_array(json_array(j.key, ",
    target_columns!(),
    ")) AS BLOB) FROM json_each(?1) AS j CROSS JOIN /*prefix*/links AS l WHERE l.code = j.value AND l.retired_at IS NULL"
);

pub(crate) const TARGET: &str = concat!(
    "SELECT CAST(json_array(0, ",
    target_columns!(),
    ") AS BLOB) FROM /*prefix*/links AS l WHERE l.code = ?1 AND l.retired_at IS NULL"
);

pub(crate) const LINKS: &str = concat!(
    "SELECT CAST(json_group_array(json_array(j.key, ",
    link_columns!(),
    ")) AS BLOB) FROM json_each(?1) AS j CROSS JOIN /*prefix*/links AS l WHERE l.code = j.value AND l.retired_at IS NULL"
);

/// Replaces by an array of [`LinkOut`]s, and returns the ids of those that it replaced.
pub(crate) const UPDATE: &str = "
    UPDATE /*prefix*/links AS l SET url = n.link ->> 1, updated_at = n.link ->> 4, version = l.version + 1,
        active_from = n.link ->> 6, expires_at = n.link ->> 7, max_clicks = n.link ->> 8, redirect = n.link ->> 10,
        forward_query = n.link ->> 11, title = n.link ->> 12, tags = n.link ->> 13, metadata = n.link ->> 14,
        url_hash = n.link ->> 15
    FROM (SELECT value AS link FROM json_each(?1) LIMIT -1) AS n
    WHERE l.code = n.link ->> 0 AND l.id = unhex(n.link ->> 3) AND l.version = n.link ->> 5 AND l.retired_at IS NULL
    RETURNING hex(id)";

const DELETE: &str = "INSERT INTO /*prefix*/linkly_delete (batch, at) VALUES (?1, ?2)";

/// Grants by an array of [code, id, asked], and returns ids and codes with what each got. What
/// nobody is granted writes nothing.
pub(crate) const CONSUME: &str = "
    UPDATE /*prefix*/links AS l SET consumed = l.consumed + min(n.asked, l.max_clicks - l.consumed),
        granted = min(n.asked, l.max_clicks - l.consumed)
    FROM (SELECT value ->> 0 AS code, unhex(value ->> 1) AS id, value ->> 2 AS asked FROM json_each(?1) LIMIT -1) AS n
    WHERE l.code = n.code AND l.id = n.id AND l.retired_at IS NULL AND l.max_clicks > l.consumed AND n.asked > 0
    RETURNING hex(id), granted, CAST(code AS BLOB)";

/// Who has a code.
#[derive(Deserialize)]
struct Holder {
    key: usize,
    id: String,
    version: Option<u32>,
    retired: Option<u8>,
    unlimited: u8,
    released: u8,
}

impl Holder {
    fn is(&self, id: Uuid) -> bool {
        read_id(&self.id) == Some(id)
    }

    fn is_live(&self) -> bool {
        self.version.is_some() && self.retired == Some(0)
    }

    /// What became of inserting a link with this id.
    fn inserted(&self, id: Uuid) -> Insert {
        if self.is(id) || self.released != 0 { Insert::Inserted } else { Insert::CodeTaken }
    }

    fn deleted(&self, delete: &Deletion<'_>) -> Deleted {
        if self.released != 0 {
            return Deleted::Deleted;
        }
        if !self.is(delete.1.0) {
            return Deleted::NotFound;
        }
        if !self.is_live() {
            return Deleted::Deleted;
        }
        match (delete.2, self.version) {
            (Some(asked), Some(found)) if asked != found => Deleted::Conflict,
            // Made, by somebody's own SQL, since the statement ran.
            _ => Deleted::NotFound,
        }
    }
}

/// One link to delete, as the trigger of `linkly_delete` reads it: the key as it is stored, the id, the
/// version, and whether the code is let go.
#[derive(Serialize)]
pub(crate) struct Deletion<'a>(pub(crate) &'a str, pub(crate) Hex, pub(crate) Option<u32>, pub(crate) bool);

impl<D: Driver> SqlStore<D> {
    /// The statement that inserts links, for a transaction of the app's own. It changes one row for each link
    /// that is new; when there are fewer, [`ask_inserted`](Self::ask_inserted) has the rest of the answer.
    ///
    /// # Errors
    ///
    /// Of [`Link::check_new`].
    pub fn insert_links(&self, links: &[Link]) -> Result<Statement> {
        links.iter().try_for_each(Link::check_new)?;
        Ok(self.statement(INSERT).bind(to_json(&links.iter().map(LinkOut::new).collect::<Vec<_>>())))
    }

    /// The statement that asks, after [`insert_links`](Self::insert_links), who has the codes.
    pub fn ask_inserted(&self, links: &[Link]) -> Statement {
        self.ask_holders(links.iter().map(|link| (link.code.as_str(), link.id)))
    }

    /// What became of links, out of the rows of [`ask_inserted`](Self::ask_inserted).
    ///
    /// # Errors
    ///
    /// When they are not the rows of that statement for these links.
    pub fn read_inserted(&self, links: &[Link], rows: Vec<Row>) -> Result<Vec<Insert>> {
        let holders = self.read_holders(rows, links.len())?;
        Ok(links.iter().zip(&holders).map(|(link, holder)| holder.inserted(link.id)).collect())
    }

    fn ask_holders<'a>(&self, of: impl Iterator<Item = (&'a str, Uuid)>) -> Statement {
        self.statement(HOLDERS).bind(to_json(&of.map(|(code, id)| (code, Hex(id))).collect::<Vec<_>>()))
    }

    /// The answers of [`HOLDERS`], in the order of what was asked.
    fn read_holders(&self, rows: Vec<Row>, asked: usize) -> Result<Vec<Holder>> {
        let json = rows.into_iter().next().map(Row::into_text).unwrap_or_default();
        let mut holders: Vec<Holder> = elements(self.driver().backend(), &json)?;
        if holders.len() != asked {
            return Err(self.failed("an answer has not as many rows as were asked for"));
        }
        holders.sort_unstable_by_key(|holder| holder.key);
        Ok(holders)
    }

    async fn holders<'a>(&self, of: impl ExactSizeIterator<Item = (&'a str, Uuid)>) -> Result<Vec<Holder>> {
        let asked = of.len();
        let rows = self.driver().read(self.ask_holders(of)).await?;
        self.read_holders(rows, asked)
    }

    async fn links(&self, codes: &[&str]) -> Result<Vec<Option<Link>>> {
        let mut links: Vec<Option<Link>> = codes.iter().map(|_| None).collect();
        let json = self.read_json(self.statement(LINKS).bind(to_json(codes))).await?;
        for row in elements::<LinkRow>(self.driver().backend(), &json)? {
            if let Some(place) = links.get_mut(row.key) {
                *place = row.into_link();
            }
        }
        Ok(links)
    }

    /// One statement over links that each stand in it once.
    async fn update_once(&self, links: &[&Link]) -> Result<Vec<Update>> {
        let json = to_json(&links.iter().map(|link| LinkOut::new(link)).collect::<Vec<_>>());
        let ids = self.driver().write_returning(self.statement(UPDATE).bind(json)).await?;
        let written: HashSet<Uuid> = ids.iter().filter_map(|row| read_id(&row.text(0)?)).collect();
        let others: Vec<&Link> = links.iter().copied().filter(|link| !written.contains(&link.id)).collect();
        let mut stored = HashMap::new();
        if !others.is_empty() {
            let codes: Vec<_> = others.iter().map(|link| link.code.as_str()).collect();
            for link in self.links(&codes).await?.into_iter().flatten() {
                stored.insert(link.id, link);
            }
        }
        let became = |link: &&Link| {
            let version = link.version.saturating_add(1);
            if written.contains(&link.id) {
                return Update::Updated { version };
            }
            match stored.get(&link.id).filter(|stored| stored.code == link.code) {
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
        self.write(DELETE, vec![to_json(links).into(), time_text(Utc::now()).into()]).await?;
        let holders = self.holders(links.iter().map(|link| (link.0, link.1.0))).await?;
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
impl<D: Driver> LinkStore for SqlStore<D> {
    fn folding(&self) -> Folding {
        self.folding_of_database()
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let inserted = self.driver().write(self.insert_links(links)?).await?;
        if inserted == links.len() as u64 {
            return Ok(vec![Insert::Inserted; links.len()]);
        }
        let rows = self.driver().read(self.ask_inserted(links)).await?;
        self.read_inserted(links, rows)
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        if let [code] = codes {
            let rows = self.driver().read(self.statement(TARGET).bind(code.as_str())).await?;
            let row = rows.first().and_then(|row| element::<TargetRow>(&row.text(0)?));
            return Ok(vec![row.map(TargetRow::into_target)]);
        }
        let mut targets = vec![None; codes.len()];
        if codes.is_empty() {
            return Ok(targets);
        }
        let json = self.read_json(self.statement(TARGETS).bind(to_json(codes))).await?;
        for row in elements::<TargetRow>(self.driver().backend(), &json)? {
            if let Some(place) = targets.get_mut(row.key) {
                *place = Some(row.into_target());
            }
        }
        Ok(targets)
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        self.links(&codes.iter().map(Code::as_str).collect::<Vec<_>>()).await
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
        let links = links.iter().map(|link| Deletion(link.code.as_str(), Hex(link.id), link.version, link.release));
        self.delete_links(&links.collect::<Vec<_>>()).await
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        // The same link twice is asked for once, and shares what it got.
        let mut asked: HashMap<(&Code, Uuid), u64> = HashMap::new();
        for one in uses {
            *asked.entry((&one.code, one.id)).or_default() += u64::from(one.count);
        }
        let batch: Vec<_> = asked.iter().map(|((code, id), count)| (code.as_str(), Hex(*id), count)).collect();
        let rows = self.driver().write_returning(self.statement(CONSUME).bind(to_json(&batch))).await?;
        fn grant_of(row: &Row) -> Option<((Cow<'_, str>, Uuid), u64)> {
            let (id, got, code) = (row.text(0)?, row.integer(1)?, row.text(2)?);
            // By both: the id of one link may be asked for under another's code, and grants nothing there.
            Some(((code, read_id(&id)?), got.cast_unsigned()))
        }
        let mut granted: HashMap<(Cow<'_, str>, Uuid), u64> = rows.iter().filter_map(grant_of).collect();
        let mut unlimited = HashSet::new();
        if uses.iter().any(|one| !granted.contains_key(&(Cow::Borrowed(one.code.as_str()), one.id))) {
            let holders = self.holders(uses.iter().map(|one| (one.code.as_str(), one.id))).await?;
            for (one, holder) in uses.iter().zip(&holders) {
                if holder.is(one.id) && holder.is_live() && holder.unlimited != 0 {
                    unlimited.insert((&one.code, one.id));
                }
            }
        }
        let shares = uses.iter().map(|one| {
            let Some(left) = granted.get_mut(&(Cow::Borrowed(one.code.as_str()), one.id)) else {
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

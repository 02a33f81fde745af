//! Pages of links.
//!
//! Each scope and order has an index that holds the links in that order, so a page costs the same
//! wherever it lies. Links of no domain stand on both sides of the domains' in the order of codes
//! (`-` and `.` come before `//`, letters after), and links to one URL stand under its hash or, written
//! by other programs, under none: those are two walks, each of which ends after a page.

use linkly_core::{Cursor, Error, Link, ListLinks, MAX_PAGE, Order, Page, Result, Scope, Uuid, next_millis, url_hash};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::call::Param;
use crate::error;
use crate::rows::{bound, key, link, link_columns};
use crate::store::PostgresStore;

pub(crate) const NEWEST: &str = "postgres/links/newest/";
pub(crate) const CODE: &str = "postgres/links/code/";

/// The first key of a domain, and the first behind the last.
const DOMAINS: (&str, &str) = ("//", "/0");

/// The first key of a scope's domain, and the first behind the last: `0` is the byte after `/`.
pub(crate) fn keys_of(scope: &Scope) -> (&str, String) {
    match scope {
        Scope::Domain(domain) => (domain.prefix(), format!("{}0", domain.prefix().trim_end_matches('/'))),
        Scope::Plain | Scope::All => ("", String::new()),
    }
}

impl PostgresStore {
    pub(crate) async fn list_links(&self, query: &ListLinks) -> Result<Page<Link>> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let after = after(query)?;
        let (prefix, end) = keys_of(&query.scope);
        let host = if let Scope::Domain(domain) = &query.scope { domain.host() } else { "" };
        let (id, code) = match &after {
            None => (None, None),
            Some(After::Id(id)) => (Some(*id), None),
            Some(After::Code(code)) => (None, Some(code.as_str())),
        };
        let (first, _) = query.created_ids();
        let params: [Param<'_>; 13] = [
            (&(i64::from(limit) + 1), Type::INT8),
            (&id, Type::UUID),
            (&code, Type::TEXT),
            (&host, Type::TEXT),
            (&query.tag, Type::TEXT),
            (&query.url.as_deref().map(url_hash), Type::INT8),
            (&query.url, Type::TEXT),
            (&query.created_from.map(next_millis).map(bound), Type::TIMESTAMPTZ),
            (&query.created_until.map(next_millis).map(bound), Type::TIMESTAMPTZ),
            (&query.search.as_deref().map(str::to_ascii_lowercase), Type::TEXT),
            (&prefix, Type::TEXT),
            (&end, Type::TEXT),
            (&first, Type::UUID),
        ];
        let mut rows = self.read(&list_sql(query, after.as_ref()), &params).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        // The cursor is the last row's, also when that row is left out.
        let next = rows.last().filter(|_| has_more).map(|row| cursor(query.order, row)).transpose()?;
        Ok(Page::new(rows.iter().filter_map(link).collect(), next))
    }
}

fn cursor(order: Order, row: &Row) -> Result<Cursor> {
    Ok(Cursor::new(match order {
        Order::Newest => format!("{NEWEST}{}", row.try_get::<_, Uuid>(3).map_err(error::map)?),
        Order::Code => format!("{CODE}{}", key(row)),
    }))
}

/// Behind what a page begins.
#[derive(Clone, Debug)]
pub(crate) enum After {
    /// Below it: of the cursor and the end of the time that is asked for, the lower.
    Id(Uuid),
    Code(String),
}

fn after(query: &ListLinks) -> Result<Option<After>> {
    let kind = if query.order == Order::Newest { NEWEST } else { CODE };
    let unknown = || Error::invalid("cursor", "it is not one that this store wrote");
    let key = query.after.as_ref().map(|cursor| {
        let key = cursor.as_str().strip_prefix(kind);
        key.ok_or_else(|| Error::invalid("cursor", "it is not one of this list in this order"))
    });
    let key = key.transpose()?;
    if query.order == Order::Code {
        // Postgres takes no NUL in a text.
        return match key {
            Some(key) if key.contains('\0') => Err(unknown()),
            key => Ok(key.map(|key| After::Code(key.to_owned()))),
        };
    }
    let id = key.map(|key| key.parse().map_err(|_| unknown())).transpose()?;
    let (_, end) = query.created_ids();
    Ok([id, end].into_iter().flatten().min().map(After::Id))
}

/// The parameters are `$1` the rows, `$2` and `$3` the id and the code behind which they stand, `$4` the host, `$5` the
/// tag, `$6` and `$7` the URL's hash and the URL, `$8` and `$9` the times, `$10` the text, `$11` and `$12` the domain's
/// keys, `$13` the first id of the time.
pub(crate) fn list_sql(query: &ListLinks, after: Option<&After>) -> String {
    let by_tag = query.tag.is_some() && query.url.is_none();
    // Each on its own: code and id go together, of which the planner knows nothing, and for the one row that it
    // expects of both it would read all links.
    let from = if by_tag {
        "/*schema.*/link_tags AS t CROSS JOIN LATERAL (\
         SELECT * FROM /*schema.*/links AS l WHERE l.code = t.code AND l.id = t.id LIMIT 1) AS l"
    } else {
        "/*schema.*/links AS l"
    };
    let order = match (query.order, by_tag) {
        (Order::Newest, true) => "t.id DESC",
        (Order::Newest, false) => "l.id DESC",
        (Order::Code, true) => "t.code",
        (Order::Code, false) => "l.code",
    };
    let key = order.trim_end_matches(" DESC");
    let filters = filters(query, by_tag);
    let mut walks = Vec::new();
    for range in ranges(query, key, after) {
        for hash in url_walks(query) {
            let conditions = filters.iter().copied().chain([range.as_str(), hash]).filter(|c| !c.is_empty());
            walks.push(format!(
                "(SELECT {} FROM {from} WHERE {} ORDER BY {order} LIMIT $1)",
                link_columns!(),
                conditions.collect::<Vec<_>>().join(" AND ")
            ));
        }
    }
    if let [walk] = &walks[..] {
        return walk.clone();
    }
    let order = if query.order == Order::Newest { "id DESC" } else { "code" };
    format!("SELECT * FROM ({}) AS walks ORDER BY {order} LIMIT $1", walks.join(" UNION ALL "))
}

/// What holds for every walk.
fn filters(query: &ListLinks, by_tag: bool) -> Vec<&'static str> {
    let mut filters = vec!["l.retired_at IS NULL"];
    if by_tag {
        filters.push("t.tag = $5");
    } else if query.tag.is_some() {
        filters.push(
            "EXISTS (SELECT FROM /*schema.*/link_tags AS t WHERE t.tag = $5 AND t.code = l.code AND t.id = l.id)",
        );
    }
    match (&query.scope, query.order, by_tag, query.url.is_some()) {
        (Scope::All, ..) => {}
        // By the range of keys.
        (_, Order::Code, _, false) => {}
        (_, _, true, _) => filters.push("t.domain = $4"),
        (_, _, false, _) => filters.push("l.domain = $4"),
    }
    if query.url.is_some() {
        filters.push("l.url = $7");
    }
    if query.created_from.is_some() {
        filters.push("l.created_at >= $8");
    }
    if query.created_until.is_some() {
        filters.push("l.created_at < $9");
    }
    if query.search.is_some() {
        // Under "C" only the letters of ASCII have a lower case.
        filters.push(
            "(strpos(lower(l.code), $10) > 0 OR strpos(lower(l.url COLLATE \"C\"), $10) > 0 \
             OR strpos(lower(l.title COLLATE \"C\"), $10) > 0)",
        );
    }
    filters
}

/// The ranges of keys to walk.
fn ranges(query: &ListLinks, key: &str, after: Option<&After>) -> Vec<String> {
    let behind = match (after, query.order) {
        (None, _) => None,
        (Some(_), Order::Newest) => Some(format!("{key} < $2")),
        (Some(_), Order::Code) => Some(format!("{key} > $3")),
    };
    let from = query.created_ids().0.map(|_| format!("{key} >= $13"));
    let behind = behind.into_iter().chain(from).collect::<Vec<_>>().join(" AND ");
    let and = |range: String| if behind.is_empty() { range } else { format!("{range} AND {behind}") };
    match (&query.scope, query.order, &query.url) {
        // By URL all rows are found by its hash, and put in the order of codes by a sort.
        (_, Order::Newest, _) | (_, _, Some(_)) | (Scope::All, ..) => vec![behind],
        (Scope::Domain(_), ..) => vec![and(format!("{key} >= $11 AND {key} < $12"))],
        (Scope::Plain, ..) => {
            vec![and(format!("{key} < '{}'", DOMAINS.0)), and(format!("{key} >= '{}'", DOMAINS.1))]
        }
    }
}

fn url_walks(query: &ListLinks) -> &'static [&'static str] {
    if query.url.is_some() { &["l.url_hash = $6", "l.url_hash IS NULL"] } else { &[""] }
}

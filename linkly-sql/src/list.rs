//! Pages of links.
//!
//! Each scope and order has an index that holds the links in that order, so a page costs the same
//! wherever it lies. Links of no domain stand on both sides of the domains' in the order of codes
//! (`-` and `.` come before `//`, letters after), and links to one URL stand under its hash or, written
//! by other programs, under none: those are two walks, which SQLite merges without sorting.

use linkly_core::{Cursor, Error, Link, ListLinks, MAX_PAGE, Order, Page, Result, Scope, Uuid, next_millis, url_hash};

use crate::driver::{Driver, Row, Statement, Value};
use crate::list_clicks::id_of;
use crate::rows::{LinkRow, element, link_columns, time_text};
use crate::store::SqlStore;

/// The first key of a domain, and the first behind the last.
const DOMAINS: (&str, &str) = ("//", "/0");

/// The first key of a scope's domain, and the first behind the last: `0` is the byte after `/`.
pub(crate) fn keys_of(scope: &Scope) -> (&str, String) {
    match scope {
        Scope::Domain(domain) => (domain.prefix(), format!("{}0", domain.prefix().trim_end_matches('/'))),
        Scope::Plain | Scope::All => ("", String::new()),
    }
}

impl<D: Driver> SqlStore<D> {
    pub(crate) async fn list_links(&self, query: &ListLinks) -> Result<Page<Link>> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let order = if query.order == Order::Newest { "newest" } else { "code" };
        let kind = format!("{}/links/{order}/", self.driver().backend());
        let after = after(query, &kind)?;
        let (first, _) = query.created_ids();
        let (prefix, end) = keys_of(&query.scope);
        let host = if let Scope::Domain(domain) = &query.scope { domain.host() } else { "" };
        let statement = Statement::new(self.with_prefix(&list_sql(query, after.as_ref())))
            .bind(i64::from(limit) + 1)
            .bind(after.map_or(Value::Null, After::into_value))
            .bind(host)
            .bind(query.tag.as_deref())
            .bind(query.url.as_deref().map(url_hash))
            .bind(query.url.as_deref())
            .bind(query.created_from.map(next_millis).map(time_text))
            .bind(query.created_until.map(next_millis).map(time_text))
            .bind(query.search.as_deref().map(str::to_ascii_lowercase))
            .bind(prefix)
            .bind(end)
            .bind(first.map(|id| id.as_bytes().to_vec()));
        let mut rows = self.driver().read_replica(statement.trimmed()).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        // The cursor is the last row's, also when that row is left out.
        let next =
            rows.last().filter(|_| has_more).map(|row| Cursor::new(format!("{kind}{}", key_of(query.order, row))));
        let links = rows.iter().filter_map(|row| element::<LinkRow>(&row.text(1)?)).filter_map(LinkRow::into_link);
        Ok(Page::new(links.collect(), next))
    }
}

fn key_of(order: Order, row: &Row) -> String {
    match order {
        Order::Newest => id_of(row).to_string(),
        Order::Code => row.text(0).unwrap_or_default().into_owned(),
    }
}

/// Behind what a page begins.
#[derive(Clone, Debug)]
pub(crate) enum After {
    /// Below it: of the cursor and the end of the time that is asked for, the lower.
    Id(Uuid),
    Code(String),
}

impl After {
    fn into_value(self) -> Value {
        match self {
            Self::Id(id) => id.as_bytes().to_vec().into(),
            Self::Code(code) => code.into(),
        }
    }
}

fn after(query: &ListLinks, kind: &str) -> Result<Option<After>> {
    let key = query.after.as_ref().map(|cursor| {
        let key = cursor.as_str().strip_prefix(kind);
        key.ok_or_else(|| Error::invalid("cursor", "it is not one of this list in this order"))
    });
    let key = key.transpose()?;
    if query.order == Order::Code {
        return Ok(key.map(|key| After::Code(key.to_owned())));
    }
    let unknown = |_| Error::invalid("cursor", "it is not one that this store wrote");
    let id = key.map(|key| key.parse().map_err(unknown)).transpose()?;
    let (_, end) = query.created_ids();
    Ok([id, end].into_iter().flatten().min().map(After::Id))
}

/// The parameters are `?1` the rows, `?2` behind what, `?3` the host, `?4` the tag, `?5` and `?6` the URL's hash and
/// the URL, `?7` and `?8` the times, `?9` the text, `?10` and `?11` the domain's keys, `?12` the first id of the time.
pub(crate) fn list_sql(query: &ListLinks, after: Option<&After>) -> String {
    let by_tag = query.tag.is_some() && query.url.is_none();
    let from = if by_tag { "/*prefix*/link_tags AS t CROSS JOIN /*prefix*/links AS l" } else { "/*prefix*/links AS l" };
    let key = match (query.order, by_tag) {
        (Order::Newest, true) => "t.id",
        (Order::Newest, false) => "l.id",
        (Order::Code, true) => "t.code",
        (Order::Code, false) => "l.code",
    };
    let filters = filters(query, by_tag);
    let mut arms = Vec::new();
    for range in ranges(query, key, after) {
        for hash in url_walks(query) {
            let conditions: Vec<_> =
                [filters.as_str(), range.as_str(), hash].into_iter().filter(|c| !c.is_empty()).collect();
            arms.push(format!(
                "SELECT {key} AS k, CAST(json_array(0, {}) AS BLOB) AS link FROM {from} WHERE {}",
                link_columns!(),
                conditions.join(" AND ")
            ));
        }
    }
    let direction = if query.order == Order::Newest { "DESC" } else { "ASC" };
    // The key is ordered as it is stored, and leaves as bytes.
    let page = format!("{} ORDER BY k {direction} LIMIT ?1", arms.join(" UNION ALL "));
    format!("SELECT CAST(k AS BLOB), link FROM ({page})")
}

/// What holds for every walk.
fn filters(query: &ListLinks, by_tag: bool) -> String {
    let mut filters = vec!["l.retired_at IS NULL"];
    if by_tag {
        // The id too: a replaced row leaves its tags behind.
        filters.push("t.tag = ?4 AND l.code = t.code AND l.id = t.id");
    } else if query.tag.is_some() {
        filters.push(
            "EXISTS (SELECT 1 FROM /*prefix*/link_tags AS t WHERE t.tag = ?4 AND t.code = l.code AND t.id = l.id)",
        );
    }
    // Where another index finds the rows, the scope is only checked: `+` keeps its index out.
    filters.extend(match (&query.scope, query.order, by_tag, query.url.is_some()) {
        (Scope::All, ..) => None,
        (_, _, false, true) => Some("+l.domain = ?3"),
        (_, Order::Newest, true, _) => Some("t.domain = ?3"),
        (_, Order::Newest, false, _) => Some("l.domain = ?3"),
        (_, Order::Code, ..) => None,
    });
    if query.url.is_some() {
        filters.push("l.url = ?6");
    }
    if query.created_from.is_some() {
        filters.push("l.created_at >= ?7");
    }
    if query.created_until.is_some() {
        filters.push("l.created_at < ?8");
    }
    if query.search.is_some() {
        filters
            .push("(instr(lower(l.code), ?9) OR instr(lower(l.url), ?9) OR instr(lower(coalesce(l.title, '')), ?9))");
    }
    filters.join(" AND ")
}

/// The ranges of keys to walk. Each has one bound at each end, where it begins the range's own or the cursor: SQLite
/// walks from one and looks at a second row by row, so that each page would walk through all before it.
fn ranges(query: &ListLinks, key: &str, after: Option<&After>) -> Vec<String> {
    let behind = format!("{key} > ?2");
    let Some(After::Code(cursor)) = after else {
        let below = after.is_some().then(|| format!("{key} < ?2"));
        let from = query.created_ids().0.map(|_| format!("{key} >= ?12"));
        let by_id = below.into_iter().chain(from).collect::<Vec<_>>().join(" AND ");
        return match (&query.scope, query.order, &query.url) {
            // By URL all rows are found by its hash, and put in the order of codes by a sort.
            (_, Order::Newest, _) | (_, _, Some(_)) | (Scope::All, ..) => vec![by_id],
            (Scope::Domain(_), ..) => vec![format!("{key} >= ?10 AND {key} < ?11")],
            (Scope::Plain, ..) => {
                vec![format!("{key} < '{}'", DOMAINS.0), format!("{key} >= '{}'", DOMAINS.1)]
            }
        };
    };
    match (&query.scope, &query.url) {
        (_, Some(_)) | (Scope::All, _) => vec![behind],
        (Scope::Domain(domain), _) if cursor.as_str() < domain.prefix() => {
            vec![format!("{key} >= ?10 AND {key} < ?11")]
        }
        (Scope::Domain(_), _) => vec![format!("{behind} AND {key} < ?11")],
        (Scope::Plain, _) if cursor.as_str() >= DOMAINS.1 => vec![behind],
        (Scope::Plain, _) => {
            vec![format!("{behind} AND {key} < '{}'", DOMAINS.0), format!("{key} >= '{}'", DOMAINS.1)]
        }
    }
}

fn url_walks(query: &ListLinks) -> &'static [&'static str] {
    if query.url.is_some() { &["l.url_hash = ?5", "l.url_hash IS NULL"] } else { &[""] }
}

#[cfg(test)]
mod tests {
    use linkly_core::Domain;

    use super::*;

    /// SQLite walks from one bound alone and looks at the others row by row: with two of them, a later page
    /// would walk through all pages before it.
    #[test]
    fn a_later_page_begins_at_its_cursor() {
        let domain = Domain::new("d1.com").unwrap();
        for (scope, cursor) in [(Scope::Plain, "c1"), (Scope::Domain(domain), "//d1.com/c1"), (Scope::All, "c1")] {
            for tag in [None, Some("t1".to_owned())] {
                let mut query = ListLinks::new(scope.clone()).with_order(Order::Code);
                query.tag = tag;
                let sql = list_sql(&query, Some(&After::Code(cursor.to_owned())));
                assert!(sql.contains("> ?2") && !sql.contains(">= "), "{sql}");
            }
        }
    }
}

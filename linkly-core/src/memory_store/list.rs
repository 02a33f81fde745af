//! Lists of links, out of ordered sets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use uuid::Uuid;

use super::{cursor_id, cursor_text};
use crate::{Code, Error, Link, ListLinks, MAX_PAGE, Order, Page, Result, Scope};

const NEWEST: &str = "memory/links/newest/";
const CODE: &str = "memory/links/code/";

/// Every live link, once for each set of links it is listed in, in both orders.
#[derive(Default)]
pub(super) struct Index {
    newest: BTreeMap<(Facet, Reverse<Uuid>), Code>,
    codes: BTreeSet<(Facet, Code)>,
}

/// A set of links that is listed without reading others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Facet {
    All,
    Plain,
    Domain(String),
    Tag(String),
    Url(String),
}

impl Facet {
    fn all_of(link: &Link) -> impl Iterator<Item = Self> {
        let scope = link.code.domain().map_or(Self::Plain, |host| Self::Domain(host.to_owned()));
        let tags = link.tags.iter().cloned().map(Self::Tag);
        [Self::All, scope, Self::Url(link.url.clone())].into_iter().chain(tags)
    }

    /// The narrowest set that holds all of what is asked for.
    fn narrowest(query: &ListLinks) -> Self {
        match (&query.url, &query.tag, &query.scope) {
            (Some(url), ..) => Self::Url(url.clone()),
            (None, Some(tag), _) => Self::Tag(tag.clone()),
            (None, None, Scope::All) => Self::All,
            (None, None, Scope::Plain) => Self::Plain,
            (None, None, Scope::Domain(domain)) => Self::Domain(domain.host().to_owned()),
        }
    }
}

impl Index {
    pub(super) fn add(&mut self, link: &Link) {
        for facet in Facet::all_of(link) {
            self.newest.insert((facet.clone(), Reverse(link.id)), link.code.clone());
            self.codes.insert((facet, link.code.clone()));
        }
    }

    pub(super) fn remove(&mut self, link: &Link) {
        for facet in Facet::all_of(link) {
            self.newest.remove(&(facet.clone(), Reverse(link.id)));
            self.codes.remove(&(facet, link.code.clone()));
        }
    }

    pub(super) fn list<'a>(
        &'a self,
        query: &ListLinks,
        link_of: impl Fn(&Code) -> Option<&'a Link>,
    ) -> Result<Page<Link>> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let facet = Facet::narrowest(query);
        let codes: Box<dyn Iterator<Item = &Code>> = match query.order {
            Order::Newest => Box::new(self.newest_behind(facet, query)?),
            Order::Code => Box::new(self.codes_behind(facet, query)?),
        };
        let links = codes.filter_map(link_of).filter(|link| matches(query, link));
        let links: Vec<_> = links.take(limit as usize + 1).cloned().collect();
        Ok(Page::from_one_more(links, limit, |last| match query.order {
            Order::Newest => format!("{NEWEST}{}", last.id),
            Order::Code => format!("{CODE}{}", last.code),
        }))
    }

    fn newest_behind(&self, facet: Facet, query: &ListLinks) -> Result<impl Iterator<Item = &Code>> {
        let cursor = query.after.as_ref().map(|cursor| cursor_id(cursor, NEWEST)).transpose()?;
        let (first, end) = query.created_ids();
        let start = match cursor.into_iter().chain(end).min() {
            None => Bound::Included((facet.clone(), Reverse(Uuid::max()))),
            Some(id) => Bound::Excluded((facet.clone(), Reverse(id))),
        };
        let rows = self.newest.range((start, Bound::Unbounded)).map(|((of, Reverse(id)), code)| (of, id, code));
        let is_asked = move |of: &Facet, id: &Uuid| *of == facet && first.is_none_or(|first| first <= *id);
        Ok(rows.take_while(move |(of, id, _)| is_asked(of, id)).map(|(.., code)| code))
    }

    fn codes_behind(&self, facet: Facet, query: &ListLinks) -> Result<impl Iterator<Item = &Code>> {
        let start = match &query.after {
            None => Bound::Included((facet.clone(), lowest_code())),
            Some(cursor) => {
                let code = Code::from_key(cursor_text(cursor, CODE)?)
                    .map_err(|_| Error::invalid("cursor", "it is not one that this store wrote"))?;
                Bound::Excluded((facet.clone(), code))
            }
        };
        let rows = self.codes.range((start, Bound::Unbounded));
        Ok(rows.take_while(move |(of, _)| *of == facet).map(|(_, code)| code))
    }
}

/// The code before all others: `-` is the smallest byte that a key can begin with.
pub(super) fn lowest_code() -> Code {
    Code::from_checked("-")
}

fn matches(query: &ListLinks, link: &Link) -> bool {
    query.scope.contains(&link.code)
        && query.tag.as_ref().is_none_or(|tag| link.tags.contains(tag))
        && query.url.as_ref().is_none_or(|url| *url == link.url)
        && query.created_from.is_none_or(|from| from <= link.created_at)
        && query.created_until.is_none_or(|until| link.created_at < until)
        && query.search.as_ref().is_none_or(|text| {
            let title = link.title.as_deref().unwrap_or_default();
            [link.code.as_str(), &link.url, title].into_iter().any(|field| contains(field, text))
        })
}

/// Whether `text` stands in `field`, ASCII letters in any case.
fn contains(field: &str, text: &str) -> bool {
    field.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
}

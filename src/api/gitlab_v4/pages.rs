//! Lists in pages: by number, or by the last id of the page before (keyset).
//!
//! What must stay true: `Link` is what clients follow; it is absolute, repeats every parameter of the request, and no
//! token. `X-Next-Page` and `X-Prev-Page` are there and empty at the ends: the Go client stops only there.

use super::call::Call;
use super::denial::Denial;
use super::received::SECRET_NAMES;
use crate::http::Response;
use crate::http::params::{Field, Params, text};
use crate::limits::ENTRIES_SKIPPED_MAX;
use serde_json::Value;

/// Entries of a page, unless it is said otherwise.
const ENTRIES: u32 = 20;
/// Most entries of a page; whoever asks for more gets so many.
const ENTRIES_MAX: u32 = 100;

/// Which page.
pub const PAGE: Field = text("page");
/// How many entries a page has.
pub const PER_PAGE: Field = text("per_page");
/// `keyset`, or by number.
pub const PAGINATION: Field = text("pagination");
/// The last id of the page before.
pub const CURSOR: Field = text("cursor");
/// By what the list is ordered.
pub const ORDER_BY: Field = text("order_by");
/// `asc` or `desc`.
pub const SORT: Field = text("sort");
/// Only those with a greater id.
pub const ID_AFTER: Field = text("id_after");
/// Only those with a smaller id.
pub const ID_BEFORE: Field = text("id_before");

/// The page that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// From 1.
    page: u64,
    /// Entries of a page.
    pub entries: u32,
    /// Whether it is asked for by the last id of the one before.
    pub is_keyset: bool,
    /// That id.
    pub cursor: Option<i64>,
}

impl Asked {
    /// By number only.
    ///
    /// # Errors
    /// As [`Asked::of`]; 405 for keyset.
    pub fn numbered(params: &Params) -> Result<Asked, Denial> {
        let asked = Asked::of(params)?;
        if asked.is_keyset {
            let said = "Keyset pagination is not yet available for this type of request";
            return Err(Denial::Status(405, said.to_owned()));
        }
        Ok(asked)
    }

    /// Either way.
    ///
    /// # Errors
    /// [`Denial::Parameter`]; 405 for a page that is too far behind the first.
    pub fn of(params: &Params) -> Result<Asked, Denial> {
        let is_keyset = params.text(PAGINATION.name) == Some("keyset");
        let (page, entries) = (count(params, PAGE.name, 1)?, count(params, PER_PAGE.name, u64::from(ENTRIES))?);
        let entries = u32::try_from(entries).unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX);
        let cursor = if is_keyset { id(params, CURSOR.name)? } else { None };
        let asked = Asked { page: if is_keyset { 1 } else { page }, entries, is_keyset, cursor };
        if asked.skipped() > ENTRIES_SKIPPED_MAX {
            let said = format!("the offset of this page is greater than {ENTRIES_SKIPPED_MAX}: use keyset pagination");
            return Err(Denial::Status(405, said));
        }
        Ok(asked)
    }

    /// How many entries come before the page.
    pub fn skipped(&self) -> u64 {
        (self.page - 1).saturating_mul(u64::from(self.entries))
    }

    /// One page of what is there as a whole.
    pub fn cut<T>(&self, all: Vec<T>) -> Part<T> {
        let total = all.len() as u64;
        let skipped = usize::try_from(self.skipped()).unwrap_or(usize::MAX);
        let entries = usize::try_from(self.entries).unwrap_or(usize::MAX);
        let items: Vec<T> = all.into_iter().skip(skipped).take(entries).collect();
        let has_more = self.skipped().saturating_add(items.len() as u64) < total && !items.is_empty();
        Part { items, has_more, total: Some(total), next: None }
    }

    /// The answer.
    pub fn answer(&self, call: &Call<'_, '_>, part: &Part<Value>) -> Response {
        let response = Response::json(200, &part.items);
        if self.is_keyset {
            return match part.next {
                Some((name, id)) => {
                    let link = self.link(call, &[(name, id.to_string())]);
                    response.with("Link", format!("<{link}>; rel=\"next\""))
                }
                None => response,
            };
        }
        let number = |page: Option<u64>| page.map_or_else(String::new, |page| page.to_string());
        let prev = (self.page > 1).then(|| self.page - 1);
        let next = part.has_more.then(|| self.page + 1);
        let last = part.total.map(|total| total.div_ceil(u64::from(self.entries)).max(1));
        let rels = [("prev", prev), ("next", next), ("first", Some(1)), ("last", last)];
        let links: Vec<String> = rels
            .iter()
            .filter_map(|(rel, page)| Some((rel, (*page)?)))
            .map(|(rel, page)| format!("<{}>; rel=\"{rel}\"", self.link(call, &[("page", page.to_string())])))
            .collect();
        let response = response
            .with("Link", links.join(", "))
            .with("X-Page", self.page.to_string())
            .with("X-Per-Page", self.entries.to_string())
            .with("X-Next-Page", number(next))
            .with("X-Prev-Page", number(prev));
        match part.total {
            Some(total) => response.with("X-Total", total.to_string()).with("X-Total-Pages", number(last)),
            None => response,
        }
    }

    /// The URL of the request with these parameters in place of its own, and without tokens.
    fn link(&self, call: &Call<'_, '_>, own: &[(&str, String)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(call.request.query.as_bytes()) {
            let is_own = name == PER_PAGE.name || own.iter().any(|(own, _)| *own == name);
            if !is_own && !SECRET_NAMES.contains(&name.as_ref()) {
                query.append_pair(&name, &value);
            }
        }
        query.append_pair(PER_PAGE.name, &self.entries.to_string());
        for (name, value) in own {
            query.append_pair(name, value);
        }
        // What would end the link, or is no character of a URL, has come so from the client.
        let path: String = call.request.path.chars().filter(|c| c.is_ascii_graphic() && !"<>\"".contains(*c)).collect();
        call.urls().path(&format!("{path}?{}", query.finish()))
    }
}

/// Entries of one page.
#[derive(Debug)]
pub struct Part<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
    /// How many entries all pages have; `None`: it is not counted.
    pub total: Option<u64>,
    /// Where the next page begins, for who asks so: the parameter that says it, and its value.
    pub next: Option<(&'static str, i64)>,
}

impl<T> Part<T> {
    /// The same of what `f` makes of each entry.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Part<U> {
        let Part { items, has_more, total, next } = self;
        Part { items: items.into_iter().map(f).collect(), has_more, total, next }
    }
}

/// A number from 1 on.
fn count(params: &Params, name: &'static str, default: u64) -> Result<u64, Denial> {
    match params.text(name).map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => match text.parse::<u64>() {
            Ok(0) => Err(Denial::invalid(name)),
            Ok(count) => Ok(count),
            Err(_) => Err(Denial::Parameter(format!("{name} is invalid"))),
        },
    }
}

/// The number of a thing.
///
/// # Errors
/// [`Denial::Parameter`] for what is none.
pub fn id(params: &Params, name: &'static str) -> Result<Option<i64>, Denial> {
    let text = params.text(name).map(str::trim).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| Denial::Parameter(format!("{name} is invalid")))).transpose()
}

/// Whether the smallest comes first; `None`: nobody said.
///
/// # Errors
/// [`Denial::Parameter`] for another word.
pub fn is_ascending(params: &Params) -> Result<Option<bool>, Denial> {
    match params.text(SORT.name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some("asc") => Ok(Some(true)),
        Some("desc") => Ok(Some(false)),
        Some(_) => Err(Denial::invalid(SORT.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::params::{Given, Name, Sink};

    fn asked(given: &[(&'static str, &str)]) -> Result<Asked, Denial> {
        let mut params = Params::of(&[PAGE, PER_PAGE, PAGINATION, CURSOR]);
        for (name, value) in given {
            params.take(Name::parse(name), Given::Text { data: &mut value.as_bytes(), lossy: true }).unwrap();
        }
        Asked::of(&params)
    }

    #[test]
    fn a_page_has_twenty_entries_and_at_most_a_hundred() {
        for (given, skipped, entries) in [
            (&[][..], 0, 20),
            (&[("page", "3")], 40, 20),
            (&[("page", "2"), ("per_page", "7")], 7, 7),
            (&[("per_page", "100000000000")], 0, 100),
            (&[("page", ""), ("per_page", "")], 0, 20),
            (&[("page", "501"), ("per_page", "100")], 50_000, 100),
        ] {
            let asked = asked(given).unwrap();
            assert_eq!((asked.skipped(), asked.entries), (skipped, entries), "{given:?}");
        }
        for wrong in [&[("page", "0")][..], &[("page", "-1")], &[("page", "x")], &[("per_page", "0")]] {
            assert!(matches!(asked(wrong), Err(Denial::Parameter(_))), "{wrong:?}");
        }
        for far in ["50002", "18446744073709551615"] {
            assert!(matches!(asked(&[("page", far), ("per_page", "1")]), Err(Denial::Status(405, _))), "{far}");
        }
        let keyset = asked(&[("pagination", "keyset"), ("cursor", "7"), ("page", "9")]).unwrap();
        assert_eq!((keyset.cursor, keyset.skipped(), keyset.is_keyset), (Some(7), 0, true));
    }

    #[test]
    fn the_last_page_is_the_one_behind_which_nothing_comes() {
        let page = |page: &str| asked(&[("page", page), ("per_page", "2")]).unwrap().cut(vec![1, 2, 3, 4]);
        assert_eq!((page("1").items, page("1").has_more), (vec![1, 2], true));
        assert_eq!((page("2").items, page("2").has_more), (vec![3, 4], false));
        assert_eq!((page("3").items, page("3").has_more, page("3").total), (vec![], false, Some(4)));
    }
}

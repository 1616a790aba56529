//! Going through a list page by page.

use std::collections::HashSet;

use http::HeaderMap;
use http::Method;
use http::header;
use serde::de::DeserializeOwned;

use super::http::Call;
use super::http::Http;
use crate::error::ForgeError;

/// What is asked for, one after the other when a page turns out too large to read. A server that
/// gives fewer says so in its headers.
const PAGE_SIZES: [u32; 3] = [50, 5, 1];
/// A list that is longer than this is not read.
const ITEM_LIMIT: u32 = 10_000;
/// Of what is cut short as it is read, more fits.
pub(super) const CUT_ITEM_LIMIT: u32 = 100_000;

/// Something on a page, told apart by its id.
pub(super) trait Listed: DeserializeOwned {
    fn id(&self) -> u64;
}

/// A list on the forge.
pub(super) struct List<'a> {
    pub(super) segments: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    /// A longer one is not read.
    pub(super) item_limit: u32,
}

/// What a list held.
pub(super) struct Found<T> {
    pub(super) items: Vec<T>,
    /// How many of them came with the first page.
    pub(super) on_first_page: usize,
    /// Whether something too large to be read was left out.
    pub(super) left_out: bool,
}

/// All items of a list. How many pages there are is read off the headers, never off the length of a
/// page: servers clamp it. An item that is too large even alone is left out, so that it cannot hide
/// all the others.
pub(super) async fn all_pages<T: Listed>(
    http: &Http,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Result<Vec<T>, ForgeError> {
    let list = List {
        segments,
        query,
        item_limit: ITEM_LIMIT,
    };
    let found = all_pages_as(http, &list, |item: T| item).await?;
    Ok(found.items)
}

/// The same, each item changed into what is kept of it as soon as its page is read.
pub(super) async fn all_pages_as<T: Listed, U>(
    http: &Http,
    list: &List<'_>,
    keep: impl Fn(T) -> U,
) -> Result<Found<U>, ForgeError> {
    for size in PAGE_SIZES {
        if let Some(found) = pages_of(http, list, size, &keep).await? {
            return Ok(found);
        }
    }
    Ok(Found {
        items: Vec::new(),
        on_first_page: 0,
        left_out: true,
    })
}

/// All items by pages of a size; `None` when one of several items is too large.
async fn pages_of<T: Listed, U>(
    http: &Http,
    list: &List<'_>,
    size: u32,
    keep: impl Fn(T) -> U,
) -> Result<Option<Found<U>>, ForgeError> {
    let mut found = Found {
        items: Vec::new(),
        on_first_page: 0,
        left_out: false,
    };
    let mut seen = HashSet::new();
    let mut page = 1;
    loop {
        let call = page_call(http, list, size, page);
        let next = match http.read(&call).await {
            Ok(answer) => {
                let read: Vec<T> = answer.json::<Option<Vec<T>>>()?.unwrap_or_default();
                let before = seen.len();
                // An item can move to the next page while pages are read.
                let news = read.into_iter().filter(|item| seen.insert(item.id()));
                found.items.extend(news.map(&keep));
                next_page(&answer.headers, page, seen.len(), seen.len() - before)
            }
            Err(ForgeError::TooLarge { .. }) if size > 1 => return Ok(None),
            Err(ForgeError::TooLarge { what, .. }) => {
                tracing::warn!(call = %call.name(), what, "an item is left out of a list");
                found.left_out = true;
                Some(page + 1)
            }
            Err(error) => return Err(error),
        };
        if page == 1 {
            found.on_first_page = found.items.len();
        }
        match next {
            Some(next) if next <= list.item_limit / size => page = next,
            Some(_) => return Err(too_many(&call, list.item_limit)),
            None => return Ok(Some(found)),
        }
    }
}

fn page_call(http: &Http, list: &List<'_>, size: u32, page: u32) -> Call {
    let mut call = http.call(Method::GET, list.segments);
    for (key, value) in list.query {
        call = call.query(key, value);
    }
    call.query("limit", &size.to_string())
        .query("page", &page.to_string())
}

fn too_many(call: &Call, item_limit: u32) -> ForgeError {
    ForgeError::TooLarge {
        call: call.name(),
        what: format!("the list is longer than {item_limit} items"),
    }
}

/// The page after `page`: from `Link` when there is one, else from `X-Total-Count`, and without both
/// as long as pages bring something new.
fn next_page(headers: &HeaderMap, page: u32, seen: usize, news: usize) -> Option<u32> {
    let mut links = headers.get_all(header::LINK).iter().peekable();
    if links.peek().is_some() {
        let next = links.find_map(|link| next_in_link(link.to_str().ok()?))?;
        // A page before the next one would go round in circles.
        return (next > page).then_some(next);
    }
    let total = headers
        .get("x-total-count")
        .and_then(|value| value.to_str().ok()?.trim().parse::<usize>().ok());
    let more = match total {
        Some(total) => seen < total && news > 0,
        None => news > 0,
    };
    more.then_some(page + 1)
}

/// The page number in the `rel="next"` part of a `Link` header. The rest of its URL is ignored:
/// servers put the address there that they believe to have.
fn next_in_link(link: &str) -> Option<u32> {
    let mut rest = link;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>')?;
        let target = &rest[start + 1..end];
        let parameters = &rest[end + 1..];
        let parameters_end = parameters.find('<').unwrap_or(parameters.len());
        if is_next(&parameters[..parameters_end]) {
            return page_in_query(target);
        }
        rest = &parameters[parameters_end..];
    }
    None
}

fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel")
            && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

fn page_in_query(target: &str) -> Option<u32> {
    let (_, query) = target.split_once('?')?;
    let query = query.split('#').next().unwrap_or(query);
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "page")
        .and_then(|(_, value)| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        let pairs = pairs.iter();
        pairs
            .map(|(name, text)| (header::HeaderName::from_static(name), value(text)))
            .collect()
    }

    #[test]
    fn a_link_counts_whatever_host_it_names() {
        let link = "<http://localhost:3000/x?page=1>; rel=\"first\",\
                    <http://wrong.invalid/api/v1/x?limit=50&page=7&state=open>; rel=\"next\"";
        assert_eq!(Some(7), next_in_link(link));
        assert_eq!(Some(7), next_page(&headers(&[("link", link)]), 6, 300, 50));
        assert_eq!(None, next_page(&headers(&[("link", link)]), 7, 300, 50));
        assert_eq!(None, next_in_link("<http://h/x?page=1>; rel=\"prev\""));
    }

    #[test]
    fn without_a_link_the_total_decides_and_without_both_the_news() {
        let total = headers(&[("x-total-count", "60")]);
        assert_eq!(Some(2), next_page(&total, 1, 10, 10));
        assert_eq!(None, next_page(&total, 6, 60, 10));
        assert_eq!(None, next_page(&total, 2, 10, 0));
        assert_eq!(Some(2), next_page(&HeaderMap::new(), 1, 3, 3));
        assert_eq!(None, next_page(&HeaderMap::new(), 2, 3, 0));
    }

    proptest! {
        #[test]
        fn the_next_page_is_found_among_any_other_links(
            host in "[a-z]{1,10}(:[0-9]{1,4})?",
            others in proptest::collection::vec("(first|prev|last|nextish|x-next)", 0..4),
            at in 0_usize..5,
            page in 1_u32..100_000,
            spaced in any::<bool>(),
        ) {
            let mut links: Vec<String> = others
                .iter()
                .map(|rel| format!("<http://{host}/a?page=3&page_size=9>; rel=\"{rel}\""))
                .collect();
            let separator = if spaced { ", " } else { "," };
            let next = format!("<http://{host}/a?q=%3Cpage%3D9&page={page}>;title=\"n\"; rel=\"next\"");
            links.insert(at.min(links.len()), next);
            prop_assert_eq!(Some(page), next_in_link(&links.join(separator)));
        }

        #[test]
        fn any_header_can_be_read(link in any::<String>()) {
            let _ = next_in_link(&link);
            let _ = page_in_query(&link);
        }
    }
}

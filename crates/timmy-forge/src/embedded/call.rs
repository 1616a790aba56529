//! A request, read: its query, its page, its body.

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header::HOST;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use timmy_store::forge::Page;
use url::form_urlencoded;

use super::answer;
use super::answer::Refusal;
use super::answer::Response;

/// What a list answers when the request names no limit.
const DEFAULT_PAGE: i64 = 30;
/// The most that a list answers, whatever the request says.
const LARGEST_PAGE: i64 = 50;
/// The largest body of an API request: 32 MiB. Pushes are not bound by it.
const BODY_LIMIT: usize = 32 << 20;

/// A request to the API.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// `http://HOST`, as the client wrote it.
    pub(super) base: String,
    path: String,
    query: Vec<(String, String)>,
}

impl Call {
    pub(super) fn new(head: Parts, body: Bytes) -> Self {
        let host = head.headers.get(HOST);
        let host = host
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let query = head.uri.query().unwrap_or_default().as_bytes();
        Self {
            method: head.method,
            base: format!("http://{host}"),
            path: head.uri.path().to_owned(),
            query: form_urlencoded::parse(query).into_owned().collect(),
            headers: head.headers,
            body,
        }
    }

    /// The path's segments, decoded one by one, so that `%2F` stays inside its segment.
    pub(super) fn segments(&self) -> Vec<String> {
        let segments = self.path.split('/').filter(|segment| !segment.is_empty());
        segments
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// The first value of a query parameter; empty when it is missing.
    pub(super) fn parameter(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The page that is asked for, within bounds. Nonsense counts as nothing.
    pub(super) fn page(&self) -> Page {
        let number = |name| self.parameter(name).parse::<i64>().unwrap_or(0);
        let size = match number("limit") {
            ..=0 => DEFAULT_PAGE,
            asked => asked.min(LARGEST_PAGE),
        };
        Page {
            number: number("page").max(1),
            size,
        }
    }

    /// The body as JSON of a given form.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if self.body.len() > BODY_LIMIT {
            let message = format!("TIMMY-0557: a request body is {BODY_LIMIT} bytes at most");
            return Err(Refusal::said(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        let body: &[u8] = match self.body.as_ref() {
            b"" => b"{}",
            body => body,
        };
        serde_json::from_slice(body)
            .map_err(|error| Refusal::unprocessable(format!("[]: json: {error}")))
    }

    /// A page of a list with its `X-Total-Count` and `Link`.
    pub(super) fn list(&self, items: &[impl Serialize], total: i64) -> Response {
        let response = answer::json(StatusCode::OK, &items);
        let response = answer::with_header(response, "x-total-count", &total.to_string());
        match self.links(total) {
            links if links.is_empty() => response,
            links => answer::with_header(response, "link", &links),
        }
    }

    /// The page of a list that is wholly in memory.
    pub(super) fn page_of<T: Serialize>(&self, items: &[T]) -> Response {
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let page = self.page();
        let size = usize::try_from(page.size).unwrap_or(usize::MAX);
        let before = usize::try_from(page.number - 1).unwrap_or(usize::MAX);
        let start = before.saturating_mul(size).min(items.len());
        let end = start.saturating_add(size).min(items.len());
        self.list(&items[start..end], total)
    }

    fn links(&self, total: i64) -> String {
        let page = self.page();
        let last = total / page.size + i64::from(total % page.size != 0);
        let number = page.number.min(last);
        let mut links = Vec::new();
        if number < last {
            links.push(self.link(number + 1, "next"));
            links.push(self.link(last, "last"));
        }
        if number > 1 {
            links.push(self.link(1, "first"));
            links.push(self.link(number - 1, "prev"));
        }
        links.join(",")
    }

    fn link(&self, page: i64, relation: &str) -> String {
        let page = page.to_string();
        let others = self.query.iter().filter(|(key, _)| key != "page");
        let others = others.map(|(key, value)| (key.as_str(), value.as_str()));
        let mut pairs: Vec<_> = others.chain([("page", page.as_str())]).collect();
        pairs.sort_unstable();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        let (base, path, query) = (&self.base, &self.path, query.finish());
        format!("<{base}{path}?{query}>; rel=\"{relation}\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(query: &str) -> Call {
        let uri = format!("/api/v1/repos/o/r/issues?{query}");
        let request = http::Request::builder()
            .uri(uri)
            .header(HOST, "forge:1")
            .body(());
        Call::new(request.unwrap().into_parts().0, Bytes::new())
    }

    fn header(response: &Response, name: &str) -> String {
        let value = response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    }

    #[test]
    fn a_limit_is_clamped_and_links_say_what_is_left() {
        let call = call("limit=100&state=open");
        assert_eq!(50, call.page().size);
        let response = call.list(&[0; 50], 61);
        assert_eq!("61", header(&response, "x-total-count"));
        let url = "http://forge:1/api/v1/repos/o/r/issues?limit=100&page=2&state=open";
        assert_eq!(
            format!("<{url}>; rel=\"next\",<{url}>; rel=\"last\""),
            header(&response, "link")
        );
    }

    #[test]
    fn a_page_after_the_end_is_empty_and_points_back() {
        let response = call("page=9").page_of(&[1, 2, 3]);
        assert_eq!("[]", response.body());
        assert_eq!("3", header(&response, "x-total-count"));
    }

    #[test]
    fn an_encoded_slash_stays_in_its_segment() {
        let request = http::Request::builder().uri("/api//v1/a%2Fb/c").body(());
        let call = Call::new(request.unwrap().into_parts().0, Bytes::new());
        assert_eq!(["api", "v1", "a/b", "c"], call.segments().as_slice());
    }

    proptest! {
        #[test]
        fn pages_cover_a_list_once_and_in_order(count in 0_usize..200, limit in -5_i64..80) {
            let items: Vec<usize> = (0..count).collect();
            let mut seen = Vec::new();
            let mut page = 1;
            loop {
                let response = call(&format!("limit={limit}&page={page}")).page_of(&items);
                let part: Vec<usize> = serde_json::from_slice(response.body()).unwrap();
                seen.extend(part);
                if !header(&response, "link").contains("rel=\"next\"") {
                    break;
                }
                page += 1;
            }
            prop_assert_eq!(items, seen);
        }

        #[test]
        fn any_query_has_a_page(query in "[ -~]{0,60}") {
            let uri = format!("/?{query}").parse::<http::Uri>();
            prop_assume!(uri.is_ok());
            let request = http::Request::builder().uri(uri.unwrap()).body(());
            let page = Call::new(request.unwrap().into_parts().0, Bytes::new()).page();
            prop_assert!(page.number >= 1 && (1..=50).contains(&page.size));
        }
    }
}

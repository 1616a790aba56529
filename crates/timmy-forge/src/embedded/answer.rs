//! Answers, and refusals in Gitea's forms.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::json;
use timmy_core::Coded;
use timmy_store::StoreError;

use super::error::EmbeddedError;

pub(super) type Response = http::Response<Bytes>;

pub(super) type Answer = Result<Response, Refusal>;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A status and a sentence.
    Said(StatusCode, String),
    /// 404. Also what somebody without permission hears.
    Missing,
    /// A status and nothing else, which is what Gitea does in places.
    Silent(StatusCode),
    /// 500. The client does not hear why; the log does.
    Broken(EmbeddedError),
}

impl Refusal {
    pub(super) fn said(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Said(status, message.into())
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::said(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// As an HTTP response of the API at `base`.
    pub(super) fn into_response(self, base: &str) -> Response {
        let url = format!("{base}/api/swagger");
        match self {
            Self::Said(status, message) => json(status, &json!({"message": message, "url": url})),
            Self::Missing => json(
                StatusCode::NOT_FOUND,
                &json!({"errors": null, "message": "not found", "url": url}),
            ),
            Self::Silent(status) => empty(status),
            Self::Broken(error) => {
                tracing::error!(problem = %error.problem(), "the embedded forge failed");
                let body = json!({"message": "", "url": url});
                json(StatusCode::INTERNAL_SERVER_ERROR, &body)
            }
        }
    }
}

impl From<EmbeddedError> for Refusal {
    fn from(error: EmbeddedError) -> Self {
        Self::Broken(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Broken(error.into())
    }
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    with_type(status, "application/json;charset=utf-8", body)
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    with_type(status, "text/plain;charset=utf-8", body)
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

pub(super) fn with_status(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    response
}

pub(super) fn with_header(mut response: Response, name: &'static str, value: &str) -> Response {
    // A value that cannot stand in a header came from the request's own path: it is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, value);
    }
    response
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

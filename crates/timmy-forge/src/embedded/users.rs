//! Users.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use timmy_store::forge::User;

use super::Shared;
use super::access;
use super::access::Caller;
use super::answer;
use super::answer::Answer;
use super::answer::Refusal;
use super::call::Call;

/// `GET /user`
pub(super) fn current(call: &Call, caller: &Caller) -> Answer {
    let user = caller.user()?;
    let shape = shape(&call.base, user.id, &user.name);
    Ok(answer::json(StatusCode::OK, &with_creation(shape, user)))
}

/// `GET /users/{name}`
pub(super) async fn get(shared: &Shared, call: &Call, name: &str) -> Answer {
    let user = shared.tables.user(name).await?.ok_or(Refusal::Missing)?;
    let shape = shape(&call.base, user.id, &user.name);
    Ok(answer::json(StatusCode::OK, &with_creation(shape, &user)))
}

/// A user as the API shows it.
pub(super) fn shape(base: &str, id: i64, name: &str) -> Value {
    json!({
        "id": id,
        "login": name,
        "login_name": "",
        "source_id": 0,
        "full_name": "",
        "email": access::email(name),
        "avatar_url": "",
        "html_url": format!("{base}/{name}"),
        "language": "",
        "is_admin": false,
        "restricted": false,
        "active": true,
        "prohibit_login": false,
        "visibility": "public",
        "username": name,
    })
}

fn with_creation(mut shape: Value, user: &User) -> Value {
    shape["created"] = time(user.created_at);
    shape
}

/// Milliseconds as the API writes times: RFC 3339, in seconds.
pub(super) fn time(milliseconds: i64) -> Value {
    let seconds = milliseconds.div_euclid(1000);
    match Timestamp::from_second(seconds) {
        Ok(time) => json!(time.to_string()),
        Err(_) => Value::Null,
    }
}

/// The same for a time that may be absent.
pub(super) fn optional_time(milliseconds: Option<i64>) -> Value {
    milliseconds.map_or(Value::Null, time)
}

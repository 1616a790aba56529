//! What an exchange leaves alone.

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::auth::document::Document;
use crate::auth::writing;
use crate::auth::writing::Change;

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-z_]{1,8}", anything(), 0..6)
        .prop_map(|map| map.into_iter().collect())
}

/// The names of what may change in a record, and in an entry of the pool.
const OF_TOKENS: [&str; 17] = [
    "access_token",
    "refresh_token",
    "token_type",
    "scope",
    "expires_at",
    "obtained_at",
    "expires_in",
    "inference_base_url",
    "agent_key",
    "agent_key_id",
    "agent_key_expires_at",
    "agent_key_expires_in",
    "agent_key_reused",
    "agent_key_obtained_at",
    "client_id",
    "last_status",
    "expires_at_ms",
];

/// The names and values that have nothing to do with tokens, in their order.
fn others(map: &Value) -> Vec<(String, Value)> {
    let fields = map.as_object().unwrap().iter();
    let others = fields.filter(|(name, _)| !OF_TOKENS.contains(&name.as_str()));
    others
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

proptest! {
    #[test]
    fn keys_that_are_not_of_the_login_stay_as_they_are(
        root in object(), providers in object(), record in object(), entry in object(), foreign in object()
    ) {
        let [nous] = AuthSettings::default().providers().try_into().unwrap();
        let mut record = record;
        record.insert("refresh_token".to_owned(), json!("old"));
        let mut entry = entry;
        entry.insert("source".to_owned(), json!("device_code"));
        let mut providers = providers;
        providers.insert("nous".to_owned(), Value::Object(record.clone()));
        let mut value = root;
        value.insert("providers".to_owned(), Value::Object(providers));
        value.insert("credential_pool".to_owned(), json!({"a": foreign, "nous": [entry, foreign, 5]}));
        let before = Value::Object(value);
        let document = Document {
            path: PathBuf::from("auth.json"),
            bytes: before.to_string().into_bytes(),
            value: before.clone(),
            mode: 0o600,
        };
        prop_assume!(document.can_be_kept());
        let answer = json!({"access_token": "new", "refresh_token": "newer", "expires_in": 5});
        let now = Timestamp::UNIX_EPOCH;
        writing::take_over(&nous, &mut record, answer.as_object().unwrap(), now);
        let change = Change { old: Some("old"), refused: false, now };
        let place = document.record_at(&nous).unwrap();
        let bytes = writing::file_with(&document, &nous, place, &record, &change);
        let after: Value = serde_json::from_slice(&bytes).unwrap();

        let strip = |value: &Value| {
            let mut value = value.clone();
            for place in ["/providers/nous", "/credential_pool/nous/0"] {
                *value.pointer_mut(place).unwrap() = Value::Null;
            }
            let whole = value.as_object_mut().unwrap();
            whole.shift_remove("updated_at");
            value.to_string()
        };
        prop_assert_eq!(strip(&before), strip(&after));
        for place in ["/providers/nous", "/credential_pool/nous/0"] {
            prop_assert_eq!(others(before.pointer(place).unwrap()), others(after.pointer(place).unwrap()));
            prop_assert_eq!(&json!("newer"), &after.pointer(place).unwrap()["refresh_token"]);
        }
    }
}

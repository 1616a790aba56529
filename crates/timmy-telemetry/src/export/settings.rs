//! What the configuration says.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::Serialize;
use timmy_model::SecretReference;
use url::Url;

/// `[export]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportSettings {
    /// Where `timmy loop` and `timmy telemetry serve` answer Prometheus at `/metrics`: an address of
    /// this machine, such as `127.0.0.1:9464`. Without it nothing listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<SocketAddr>,
    /// The OTLP/HTTP address of an OpenTelemetry collector, without `/v1/traces`:
    /// `http://127.0.0.1:4318`. Without it nothing is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Url>,
    /// Further headers for the collector, by name; where each value is kept.
    pub headers: BTreeMap<String, SecretReference>,
    /// Whether traces carry what tools were asked and answered, and what went wrong in words: cleaned,
    /// redacted and bounded as in the log.
    pub content: bool,
    /// Seconds between two times that a loop sends to the collector.
    pub interval_s: u64,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            prometheus: None,
            otlp: None,
            headers: BTreeMap::new(),
            content: false,
            interval_s: 30,
        }
    }
}

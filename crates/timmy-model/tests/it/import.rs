use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::json;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::hermes::import::import;
use timmy_testkit::ManualClock;

/// Name, kind, base URL, model and key of each provider; or the reason why there is none.
fn imported(home: &Path, profile: Option<&str>) -> Result<Vec<[String; 5]>, String> {
    let wanted = ProviderSettings {
        hermes_home: Some(home.to_owned()),
        hermes_profile: profile.map(str::to_owned),
        ..ProviderSettings::new("hermes", ProviderKind::HermesImport)
    };
    let found = import(&wanted, &ManualClock::default());
    let found = found.map_err(|error| error.failure().detail.clone())?;
    Ok(found
        .into_iter()
        .map(|provider| {
            let settings = provider.settings;
            [
                settings.name,
                format!("{:?}", settings.kind),
                settings.base_url.unwrap().to_string(),
                settings.model.unwrap(),
                provider
                    .key
                    .map_or_else(String::new, |key| key.expose_secret().to_owned()),
            ]
        })
        .collect())
}

fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    home
}

fn auth(expires: &str) -> String {
    json!({"version": 1, "active_provider": "nous", "providers": {"nous": {
        "agent_key": "nous-agent-key", "agent_key_expires_at": expires,
        "refresh_token": "never-used",
        "inference_base_url": "https://inference.example/v1"}}})
    .to_string()
}

#[test]
fn a_local_server_and_its_fallbacks_are_taken_over() {
    let home = home(&[
        (
            "config.yaml",
            "model: {default: qwen, provider: custom, base_url: 'http://127.0.0.1:11434/v1'}\n\
             providers: {house: {base_url: 'http://10.0.0.2/v1', key_env: HOUSE_KEY, default_model: big}}\n\
             fallback_providers:\n\
             - {provider: house, model: small}\n\
             - {provider: openrouter, model: 'x/y'}\n\
             - {provider: unheard-of, model: z}\n\
             - {provider: custom, model: w, base_url: 'http://127.0.0.1:9/v1', api_key: '${HOUSE_KEY}'}\n",
        ),
        (
            ".env",
            "# keys\nexport HOUSE_KEY='house-key'\nOPENROUTER_API_KEY=\"router-key\"\n",
        ),
    ]);
    insta::assert_debug_snapshot!(imported(home.path(), None).unwrap());
}

#[test]
fn a_key_of_the_portal_is_used_while_it_lives() {
    let config = "model: {default: Hermes-4, provider: nous}\n";
    let alive = home(&[
        ("config.yaml", config),
        ("auth.json", &auth("2026-01-01T00:02:01Z")),
    ]);
    let found = imported(alive.path(), None).unwrap();
    let expected = [
        "hermes",
        "Nous",
        "https://inference.example/v1",
        "Hermes-4",
        "nous-agent-key",
    ];
    assert_eq!(vec![expected.map(str::to_owned)], found);
    let dying = home(&[
        ("config.yaml", config),
        ("auth.json", &auth("2026-01-01T00:02:00Z")),
    ]);
    let reason = imported(dying.path(), None).unwrap_err();
    assert!(reason.contains("run `hermes` once"), "{reason}");
}

#[test]
fn a_profile_falls_back_to_the_login_of_its_root() {
    let home = home(&[
        ("config.yaml", "model: {default: a, provider: nous}\n"),
        ("auth.json", &auth("2026-01-01T01:00:00Z")),
        (
            "profiles/night/config.yaml",
            "model: {default: b, provider: nous}\n",
        ),
    ]);
    assert_eq!("b", imported(home.path(), Some("night")).unwrap()[0][3]);
    assert!(imported(home.path(), Some("../night")).is_err());
    assert!(imported(home.path(), Some("day")).is_err());
}

#[test]
fn what_cannot_be_used_is_said() {
    let cases = [
        (
            "model: {default: a, provider: anthropic}",
            "timmy does not know its provider anthropic",
        ),
        (
            "model: {default: a, base_url: 'http://x/v1', api_mode: codex_responses}",
            "its api_mode is codex_responses, timmy speaks chat_completions",
        ),
        (
            "model: {provider: custom, base_url: 'http://x/v1'}",
            "it names no model",
        ),
        (
            "model: {default: a, provider: nous}",
            "auth.json holds no login to the Nous Portal",
        ),
        (
            "model: {default: a, provider: custom}",
            "its provider custom has no base_url",
        ),
    ];
    for (config, reason) in cases {
        let home = home(&[("config.yaml", config)]);
        assert_eq!(
            Err(reason.to_owned()),
            imported(home.path(), None),
            "{config}"
        );
    }
    let broken = home(&[("config.yaml", "model: [unclosed")]);
    assert!(imported(broken.path(), None).is_err());
    let empty = home(&[]);
    assert!(imported(empty.path(), None).is_err());
}

#[test]
fn nothing_in_the_home_is_changed() {
    let config = "model: {default: Hermes-4, provider: nous}\n";
    let home = home(&[
        ("config.yaml", config),
        ("auth.json", &auth("2020-01-01T00:00:00Z")),
    ]);
    let before = std::fs::read_to_string(home.path().join("auth.json")).unwrap();
    assert!(imported(home.path(), None).is_err());
    let after = std::fs::read_to_string(home.path().join("auth.json")).unwrap();
    assert_eq!(
        (before, 2),
        (after, std::fs::read_dir(home.path()).unwrap().count())
    );
}

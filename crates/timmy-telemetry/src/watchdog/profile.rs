//! The model that a profile of Hermes is configured with.

use timmy_core::text;
use timmy_model::hermes::homes;
use timmy_model::hermes::homes::Chosen;

use super::look::Found;
use super::look::Standing;
use super::look::View;
use super::look::same_model;

/// What is configured, where it is not what is expected.
pub(super) fn found(
    view: &View<'_>,
    name: &str,
    model: &str,
    provider: Option<&str>,
) -> Result<Found, Standing> {
    let Some(homes) = view.around.homes.filter(|homes| homes.exist()) else {
        let place = view
            .around
            .homes
            .map(|homes| homes.root().display().to_string());
        let place = place.unwrap_or_else(|| "~/.hermes".to_owned());
        let reason = format!("there is no Hermes: {place} does not exist");
        return Err(Standing::NotPresent { reason });
    };
    let Some(home) = homes.profile(name) else {
        let reason = format!("{name:?} is no name of a profile");
        return Err(Standing::NotAsked { reason });
    };
    if !home.is_dir() {
        return Ok(Found {
            model: None,
            evidence: format!("{} does not exist", home.display()),
            fixable: Err(format!(
                "there is no profile {name}; `hermes profile create {name}` makes it"
            )),
        });
    }
    let config = home.join("config.yaml");
    let chosen = match homes::chosen(&home) {
        Ok(chosen) => chosen,
        Err(reason) => {
            return Ok(Found {
                model: None,
                evidence: text::clean_line(&reason),
                fixable: Err("its config.yaml has to be mended by hand first".to_owned()),
            });
        }
    };
    if agrees(&chosen, model, provider) {
        return Err(Standing::AsExpected {
            evidence: config.display().to_string(),
        });
    }
    let person = view.person_at(&home, homes);
    Ok(Found {
        model: told(&chosen, provider),
        evidence: config.display().to_string(),
        fixable: person.map_or(Ok(()), Err),
    })
}

/// Whether a configuration names what is expected.
pub(super) fn agrees(chosen: &Chosen, model: &str, provider: Option<&str>) -> bool {
    let named = chosen.model.as_deref();
    let right_model = named.is_some_and(|named| same_model(named, model));
    right_model && provider.is_none_or(|provider| chosen.provider.as_deref() == Some(provider))
}

/// The configured model, with its provider where that is expected too.
fn told(chosen: &Chosen, provider: Option<&str>) -> Option<String> {
    let model = text::clean_line(chosen.model.as_deref()?);
    Some(match (provider, &chosen.provider) {
        (None, _) => model,
        (Some(_), Some(of)) => format!("{model} of {}", text::clean_line(of)),
        (Some(_), None) => format!("{model} of no provider"),
    })
}

//! Where things are kept.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::config::ConfigError;

/// The configuration file's name.
const CONFIG_FILE: &str = "timmy.toml";

/// The private root: `$TIMMY_HOME`, or `timmy` in the data directory of the system.
pub(crate) fn private_root() -> Result<PathBuf, ConfigError> {
    if let Some(root) = timmy_home()? {
        return Ok(root);
    }
    Ok(strategy()?.data_dir().join("timmy"))
}

/// The configuration file when none was named: in `$TIMMY_HOME`, or in `timmy` in the
/// configuration directory of the system.
pub(crate) fn config_file() -> Result<PathBuf, ConfigError> {
    if let Some(root) = timmy_home()? {
        return Ok(root.join(CONFIG_FILE));
    }
    users_config_file()
}

/// The configuration file of the user, whatever `$TIMMY_HOME` says.
pub(crate) fn users_config_file() -> Result<PathBuf, ConfigError> {
    Ok(strategy()?.config_dir().join("timmy").join(CONFIG_FILE))
}

fn timmy_home() -> Result<Option<PathBuf>, ConfigError> {
    let Some(home) = std::env::var_os("TIMMY_HOME").filter(|home| !home.is_empty()) else {
        return Ok(None);
    };
    std::path::absolute(&home)
        .map(Some)
        .map_err(|error| ConfigError::NoHome(error.to_string()))
}

fn strategy() -> Result<etcetera::base_strategy::Xdg, ConfigError> {
    etcetera::base_strategy::Xdg::new().map_err(|error| ConfigError::NoHome(error.to_string()))
}

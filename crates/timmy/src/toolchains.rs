//! Toolchains that commands in the sandbox may read, found without running anything.

use std::path::Path;
use std::path::PathBuf;

/// Paths to read and directories for the PATH.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Toolchains {
    /// What may be read.
    pub(crate) read_only: Vec<PathBuf>,
    /// What is put before the ordinary PATH.
    pub(crate) path: Vec<PathBuf>,
    /// The directory that cargo takes crates from, when there is one.
    pub(crate) cargo_home: Option<PathBuf>,
}

/// What is installed for this user: the default Rust toolchain of rustup, and the crates that cargo
/// has fetched. What lies below /usr is visible in the sandbox anyway.
pub(crate) fn detect() -> Toolchains {
    let mut found = Toolchains::default();
    if let Some(toolchain) = rustup_home().as_deref().and_then(default_rust_toolchain) {
        found.path.push(toolchain.join("bin"));
        found.read_only.push(toolchain);
    }
    if let Some(cargo) = cargo_home() {
        // Never the directory itself: it may hold credentials.
        let caches: Vec<PathBuf> = ["registry", "git"]
            .map(|name| cargo.join(name))
            .into_iter()
            .filter(|p| p.is_dir())
            .collect();
        if !caches.is_empty() {
            found.cargo_home = Some(cargo);
        }
        found.read_only.extend(caches);
    }
    found
}

fn rustup_home() -> Option<PathBuf> {
    let set = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    set.or_else(|| etcetera::home_dir().ok().map(|home| home.join(".rustup")))
}

fn cargo_home() -> Option<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    set.or_else(|| etcetera::home_dir().ok().map(|home| home.join(".cargo")))
}

/// The toolchain that rustup uses when nothing else is said.
fn default_rust_toolchain(rustup: &Path) -> Option<PathBuf> {
    let chosen = std::env::var("RUSTUP_TOOLCHAIN").ok().or_else(|| {
        let settings = std::fs::read_to_string(rustup.join("settings.toml")).ok()?;
        let settings: toml::Table = toml::from_str(&settings).ok()?;
        Some(settings.get("default_toolchain")?.as_str()?.to_owned())
    })?;
    let toolchain = rustup.join("toolchains").join(chosen);
    // A toolchain may be a link to one that lies elsewhere.
    let toolchain = toolchain.canonicalize().ok()?;
    toolchain.join("bin/cargo").exists().then_some(toolchain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_is_found_by_its_settings() {
        let rustup = tempfile::TempDir::new().unwrap();
        assert_eq!(None, default_rust_toolchain(&rustup.path().join("missing")));
        std::fs::write(
            rustup.path().join("settings.toml"),
            "default_toolchain = \"stable-x\"\n",
        )
        .unwrap();
        let bin = rustup.path().join("toolchains/stable-x/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("cargo"), "").unwrap();
        if std::env::var_os("RUSTUP_TOOLCHAIN").is_none() {
            let found = default_rust_toolchain(rustup.path()).unwrap();
            assert!(
                found.ends_with("toolchains/stable-x"),
                "{}",
                found.display()
            );
        }
    }
}

//! Reaching the forge: a server of the operator's, or the one inside timmy. Both over HTTP.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::embedded::EmbeddedError;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::Scope;
use timmy_git::Remote;
use timmy_loopback::Server;
use timmy_store::Store;
use url::Url;

use crate::config::ForgeSettings;
use crate::host::incomplete;

/// The embedded forge's directory and token below the private root.
const DIRECTORY: &str = "forge";
const TOKEN_FILE: &str = "forge/token";
/// The largest push the embedded forge takes, in bytes.
const LARGEST_PUSH: usize = 256 << 20;

/// A forge that can be talked to.
pub(crate) struct Connection {
    client: Arc<GiteaClient>,
    token: SecretString,
    base: Url,
    /// Serves the embedded forge as long as this lives.
    server: Option<Served>,
}

/// The embedded forge while it is served.
pub(crate) struct Served {
    /// For what only an operator may do.
    pub(crate) forge: EmbeddedForge,
    /// Serves it as long as this lives.
    _server: Server,
}

impl Connection {
    /// The forge as the rest of timmy sees it.
    pub(crate) fn forge(&self) -> Arc<dyn Forge> {
        Arc::clone(&self.client) as Arc<dyn Forge>
    }

    /// The client itself, for operations that only some forges have.
    pub(crate) fn client(&self) -> &GiteaClient {
        &self.client
    }

    /// Where git reaches a repository.
    pub(crate) fn remote(&self, repo: &RepoName) -> Result<Remote, Problem> {
        self.client.remote(repo).map_err(|error| error.problem())
    }

    /// The token, for the redactor.
    pub(crate) fn token(&self) -> &SecretString {
        &self.token
    }

    /// The address.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The embedded forge, when it is that one.
    pub(crate) fn embedded(&self) -> Option<&Served> {
        self.server.as_ref()
    }
}

/// Connects to the forge of the configuration.
pub(crate) async fn connect(
    settings: &ForgeSettings,
    store: &Store,
    root: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Connection, Problem> {
    if settings.kind == ForgeKind::Embedded {
        return embedded(settings, settings.port, store, root, clock).await;
    }
    let base = settings.url.clone();
    let base = base.ok_or_else(|| incomplete("forge.url", "the address is missing".to_owned()))?;
    let reference = settings.token.as_ref();
    let reference =
        reference.ok_or_else(|| incomplete("forge.token", "the token is missing".to_owned()))?;
    let token = reference
        .resolve()
        .map_err(|reason| incomplete("forge.token", reason))?;
    client(settings, base, token, clock)
}

/// Serves the embedded forge on a port and connects to it.
pub(crate) async fn embedded(
    settings: &ForgeSettings,
    port: u16,
    store: &Store,
    root: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Connection, Problem> {
    let told = |error: EmbeddedError| error.problem();
    let forge = EmbeddedForge::new(store.clone(), &root.join(DIRECTORY), Arc::clone(clock))
        .map_err(told)?;
    let token = own_token(&forge, &settings.user, &root.join(TOKEN_FILE)).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let server = Server::start_at(address, LARGEST_PUSH, forge.clone()).await;
    let server = server.map_err(|error| error.problem())?;
    let base =
        Url::parse(&server.url()).map_err(|error| incomplete("forge.port", error.to_string()))?;
    let mut connection = client(settings, base, token, clock)?;
    connection.server = Some(Served {
        forge,
        _server: server,
    });
    Ok(connection)
}

/// Speaks to a server with a token.
pub(crate) fn client(
    settings: &ForgeSettings,
    base: Url,
    token: SecretString,
    clock: &Arc<dyn Clock>,
) -> Result<Connection, Problem> {
    let address = ForgeAddress {
        base: base.clone(),
        kind: settings.kind,
    };
    let user = settings.user.clone();
    let client = GiteaClient::new(address, user, token.clone(), Arc::clone(clock));
    let client = Arc::new(client.map_err(|error| error.problem())?);
    Ok(Connection {
        client,
        token,
        base,
        server: None,
    })
}

/// The token of timmy's own user on the embedded forge, if there is one yet.
pub(crate) fn kept_token(root: &Path) -> Option<SecretString> {
    let token = std::fs::read_to_string(root.join(TOKEN_FILE)).ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| SecretString::from(token))
}

/// The token of timmy's own user on the embedded forge, made when it is first needed.
async fn own_token(
    forge: &EmbeddedForge,
    user: &str,
    file: &Path,
) -> Result<SecretString, Problem> {
    let unusable = |error: io::Error| {
        timmy_store::StoreError::Root {
            path: file.to_owned(),
            reason: error.to_string(),
        }
        .problem()
    };
    match std::fs::read_to_string(file) {
        Ok(token) if !token.trim().is_empty() => return Ok(SecretString::from(token.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    match forge.create_user(user).await {
        Ok(()) | Err(EmbeddedError::Exists(_)) => {}
        Err(error) => return Err(error.problem()),
    }
    let scopes = [Scope::WriteRepository, Scope::WriteIssue, Scope::WriteUser];
    let token = forge.create_token(user, "timmy", &scopes).await;
    let token = token.map_err(|error| error.problem())?;
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file);
    let mut file = file.map_err(unusable)?;
    file.write_all(token.expose_secret().as_bytes())
        .map_err(unusable)?;
    Ok(token)
}

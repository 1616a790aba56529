//! Who asks, and what they may do.

use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header::AUTHORIZATION;
use timmy_store::forge::ForgeTables;
use timmy_store::forge::Permission;
use timmy_store::forge::Repository;
use timmy_store::forge::User;

use super::Shared;
use super::answer::Refusal;
use super::call::Call;
use super::credentials;
use super::credentials::Category;
use super::credentials::Scope;
use super::credentials::Scopes;
use super::git::Bare;
use super::git::Signature;

/// Who asks.
pub(super) enum Caller {
    Anonymous,
    Known { user: User, scopes: Scopes },
}

impl Caller {
    /// From a request's headers. A token that is wrong is refused; one that is absent is not.
    pub(super) async fn of(tables: &ForgeTables, headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Ok(Self::Anonymous);
        };
        let wrong = || {
            let message = "user does not exist [uid: 0, name: ]";
            Refusal::said(StatusCode::UNAUTHORIZED, message)
        };
        let token = credentials::token_in(header.as_bytes()).ok_or_else(wrong)?;
        let owner = tables.token_owner(&credentials::digest(&token)).await?;
        let owner = owner.ok_or_else(wrong)?;
        Ok(Self::Known {
            user: owner.user,
            scopes: Scopes::stored(&owner.scopes),
        })
    }

    pub(super) fn user(&self) -> Result<&User, Refusal> {
        match self {
            Self::Known { user, .. } => Ok(user),
            Self::Anonymous => Err(Refusal::said(StatusCode::UNAUTHORIZED, "token is required")),
        }
    }

    /// Refuses a token without the scope. Nobody's token is nobody's concern here.
    pub(super) fn has_scope(&self, wanted: Scope) -> Result<(), Refusal> {
        match self {
            Self::Known { scopes, .. } if !scopes.allow(wanted) => Err(Refusal::said(
                StatusCode::FORBIDDEN,
                format!(
                    "token does not have at least one of required scope(s), \
                     required=[{wanted}], token scope={scopes}"
                ),
            )),
            Self::Known { .. } | Self::Anonymous => Ok(()),
        }
    }

    /// Reading needs the reading scope, everything else the writing one.
    pub(super) fn may_call(&self, category: Category, method: &Method) -> Result<(), Refusal> {
        match *method {
            Method::GET | Method::HEAD => self.has_scope(Scope::reading(category)),
            _ => self.has_scope(Scope::writing(category)),
        }
    }

    /// What the caller may do in a repository.
    pub(super) async fn permission(
        &self,
        tables: &ForgeTables,
        repository: &Repository,
    ) -> Result<Permission, Refusal> {
        let anybody = if repository.private {
            Permission::None
        } else {
            Permission::Read
        };
        match self {
            Self::Anonymous => Ok(anybody),
            Self::Known { user, .. } => {
                Ok(anybody.max(tables.permission(repository, user.id).await?))
            }
        }
    }
}

/// A request to a repository that the caller can see.
pub(super) struct Visit<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) call: &'a Call,
    pub(super) repository: Repository,
    pub(super) permission: Permission,
    caller: &'a Caller,
}

impl<'a> Visit<'a> {
    pub(super) async fn new(
        shared: &'a Arc<Shared>,
        call: &'a Call,
        caller: &'a Caller,
        owner: &str,
        name: &str,
    ) -> Result<Self, Refusal> {
        let found = shared.tables.repository(owner, name).await?;
        let repository = found.ok_or(Refusal::Missing)?;
        let permission = caller.permission(&shared.tables, &repository).await?;
        if permission == Permission::None {
            return Err(Refusal::Missing);
        }
        Ok(Self {
            shared,
            call,
            repository,
            permission,
            caller,
        })
    }

    /// The same visit to the repository as it is now.
    pub(super) async fn again(&self) -> Result<Visit<'a>, Refusal> {
        let (owner, name) = (&self.repository.owner, &self.repository.name);
        Self::new(self.shared, self.call, self.caller, owner, name).await
    }

    pub(super) fn tables(&self) -> &ForgeTables {
        &self.shared.tables
    }

    pub(super) fn user(&self) -> Result<&User, Refusal> {
        self.caller.user()
    }

    pub(super) fn can_write(&self) -> bool {
        self.permission >= Permission::Write && self.user().is_ok()
    }

    /// The user, who must have at least this permission.
    pub(super) fn require(&self, permission: Permission) -> Result<&User, Refusal> {
        let user = self.user()?;
        if self.permission < permission {
            return Err(Refusal::Silent(StatusCode::FORBIDDEN));
        }
        Ok(user)
    }

    pub(super) fn not_archived(&self) -> Result<(), Refusal> {
        if self.repository.archived {
            let Repository { owner, name, .. } = &self.repository;
            let message = format!("{owner}/{name} is archived");
            return Err(Refusal::said(StatusCode::LOCKED, message));
        }
        Ok(())
    }

    /// The repository's git side, made if a crash has kept it from being made.
    pub(super) async fn bare(&self) -> Result<Bare, Refusal> {
        let bare = self.shared.bare(self.repository.id);
        bare.ensure(&self.repository.default_branch).await?;
        Ok(bare)
    }

    /// `/OWNER/NAME` below the base, for pages.
    pub(super) fn page_url(&self) -> String {
        let Repository { owner, name, .. } = &self.repository;
        format!("{}/{owner}/{name}", self.call.base)
    }

    /// The repository below the API's base.
    pub(super) fn api_url(&self) -> String {
        let Repository { owner, name, .. } = &self.repository;
        format!("{}/api/v1/repos/{owner}/{name}", self.call.base)
    }

    /// In whose name the forge commits, and when.
    pub(super) fn signature(&self, bare: &Bare) -> Result<Signature, Refusal> {
        let user = self.user()?;
        Ok(Signature {
            name: user.name.clone(),
            email: email(&user.name),
            date: bare.date(),
        })
    }
}

/// An address that no mail can reach (RFC 2606).
pub(super) fn email(user: &str) -> String {
    format!("{user}@noreply.timmy.invalid")
}

//! Repositories and where git finds them.

use http::Method;
use serde_json::json;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_git::Credential;
use timmy_git::Remote;

use super::GiteaClient;
use super::in_repo;
use super::wire::WireBranchTip;
use super::wire::WireRepository;
use crate::error::ForgeError;
use crate::types::NewRepository;
use crate::types::Repository;

impl GiteaClient {
    pub(super) async fn read_repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let call = self.http.call(Method::GET, &in_repo(repo, &[]));
        let answer = self.http.read(&call).await?;
        let repository = answer.json::<WireRepository>()?.into_repository();
        repository.map_err(|why| answer.malformed(&why))
    }

    pub(super) fn git_remote(&self, repo: &RepoName) -> Result<Remote, ForgeError> {
        let mut url = self.address.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        let directory = format!("{}.git", repo.name());
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([repo.owner(), &directory]);
        }
        let url = url.as_str().parse().map_err(|error| ForgeError::Address {
            value: url.to_string(),
            why: format!("{error}"),
        })?;
        let credential = Credential {
            user: self.user.clone(),
            token: self.token.clone(),
        };
        Ok(Remote {
            url,
            credential: Some(credential),
        })
    }

    /// Makes a repository that belongs to the token's user.
    ///
    /// # Errors
    /// [`ForgeError::Conflict`] when there is one of that name.
    pub async fn create_repository(&self, new: &NewRepository) -> Result<Repository, ForgeError> {
        let call = self
            .http
            .call(Method::POST, &["user", "repos"])
            .body(json!({
                "name": new.name,
                "private": new.private,
                "auto_init": new.with_first_commit,
                "default_branch": new.default_branch,
            }));
        let answer = self.http.write(&call).await?;
        let repository = answer.json::<WireRepository>()?.into_repository();
        repository.map_err(|why| answer.malformed(&why))
    }

    /// Makes a repository read-only.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn archive_repository(&self, repo: &RepoName) -> Result<(), ForgeError> {
        let call = self.http.call(Method::PATCH, &in_repo(repo, &[]));
        let call = call.body(json!({"archived": true}));
        let send = async || self.http.write(&call).await.map(drop);
        let look = async || Ok(self.read_repository(repo).await?.archived.then_some(()));
        self.settle(send, look).await
    }

    /// The commit at the end of a branch, as the forge's database has it.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] when there is no such branch.
    pub async fn branch(&self, repo: &RepoName, name: &str) -> Result<ObjectName, ForgeError> {
        let call = self
            .http
            .call(Method::GET, &in_repo(repo, &["branches", name]));
        let answer = self.http.read(&call).await?;
        let commit = answer.json::<WireBranchTip>()?.commit.id;
        commit
            .parse()
            .map_err(|error| answer.malformed(&format!("{error}")))
    }

    /// One page of a list just as the server gives it.
    pub(crate) async fn raw_list(
        &self,
        repo: &RepoName,
        rest: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<serde_json::Value>, ForgeError> {
        let mut call = self.http.call(Method::GET, &in_repo(repo, rest));
        for (key, value) in query {
            call = call.query(key, value);
        }
        self.http.read(&call).await?.json()
    }

    /// A write just as it is, once.
    pub(crate) async fn raw_post(
        &self,
        repo: &RepoName,
        rest: &[&str],
        body: serde_json::Value,
    ) -> Result<(), ForgeError> {
        let call = self
            .http
            .call(Method::POST, &in_repo(repo, rest))
            .body(body);
        self.http.write(&call).await.map(drop)
    }
}

//! How much there is of something, without reading it.

use http::Method;
use timmy_core::RepoName;

use super::GiteaClient;
use super::http::Answer;
use super::in_repo;
use crate::error::ForgeError;
use crate::types::Counts;

/// Where servers say how long a list is.
const TOTAL: &str = "x-total-count";
/// The least that can be asked for.
const ONE: (&str, &str) = ("limit", "1");

impl GiteaClient {
    pub(super) async fn count(&self, repo: &RepoName) -> Result<Counts, ForgeError> {
        let issues = [("state", "open"), ("type", "issues"), ONE];
        let pulls = [("state", "open"), ONE];
        // Nobody looks at the one commit that comes along.
        let commits = [
            ("stat", "false"),
            ("verification", "false"),
            ("files", "false"),
            ONE,
        ];
        Ok(Counts {
            open_issues: self.length(repo, "issues", &issues).await?,
            open_pulls: self.length(repo, "pulls", &pulls).await?,
            commits: match self.length(repo, "commits", &commits).await {
                // That is how a repository without commits answers.
                Err(ForgeError::Conflict(_)) => 0,
                counted => counted?,
            },
        })
    }

    async fn length(
        &self,
        repo: &RepoName,
        list: &str,
        query: &[(&str, &str)],
    ) -> Result<u64, ForgeError> {
        let mut call = self.http.call(Method::GET, &in_repo(repo, &[list]));
        for (key, value) in query {
            call = call.query(key, value);
        }
        let answer = self.http.read(&call).await?;
        total(&answer).ok_or_else(|| answer.malformed("it does not say how long the list is"))
    }
}

fn total(answer: &Answer) -> Option<u64> {
    let total = answer.headers.get(TOTAL)?;
    total.to_str().ok()?.trim().parse().ok()
}

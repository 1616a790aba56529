//! What is open, and what changed.

use jiff::Timestamp;
use timmy_core::RepoName;

use super::GiteaClient;
use super::in_repo;
use super::paging::CUT_ITEM_LIMIT;
use super::paging::List;
use super::paging::all_pages_as;
use super::wire::Listing;
use super::wire::WireIssue;
use crate::error::ForgeError;
use crate::feed::Changes;

impl GiteaClient {
    /// Without `type`, one list holds issues and pull requests. It comes by number whatever `sort`
    /// says (Gitea 1.25, Forgejo 7), so its entries are not in the order of their changes.
    pub(super) async fn list_changes(
        &self,
        repo: &RepoName,
        since: Option<Timestamp>,
    ) -> Result<Changes, ForgeError> {
        let moment = since.map(|since| since.to_string());
        let query = match &moment {
            Some(moment) => vec![("state", "all"), ("since", moment.as_str())],
            None => vec![("state", "open")],
        };
        let list = List {
            segments: &in_repo(repo, &["issues"]),
            query: &query,
            item_limit: CUT_ITEM_LIMIT,
        };
        let found = all_pages_as(&self.http, &list, WireIssue::into_listed).await?;
        // What changes while later pages are read is no older than the newest of the first page, but
        // may be older than the newest of the last.
        let first_page = &found.items[..found.on_first_page];
        let newest = first_page.iter().map(Listing::updated).chain(since).max();
        let mut changes = Changes {
            newest,
            complete: !found.left_out,
            ..Changes::default()
        };
        for listing in found.items {
            match listing {
                Listing::Issue(issue) => changes.issues.push(issue),
                Listing::Pull(pull) => changes.pulls.push(pull),
            }
        }
        Ok(changes)
    }
}

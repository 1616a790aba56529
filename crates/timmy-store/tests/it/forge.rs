//! The embedded forge's tables.

use std::sync::Arc;
use std::time::Duration;

use timmy_store::forge::ForgeTables;
use timmy_store::forge::IssueEdit;
use timmy_store::forge::IssueQuery;
use timmy_store::forge::IssueState;
use timmy_store::forge::Kind;
use timmy_store::forge::LabelEdit;
use timmy_store::forge::Mergeable;
use timmy_store::forge::NewIssue;
use timmy_store::forge::NewLabel;
use timmy_store::forge::NewPull;
use timmy_store::forge::NewRepository;
use timmy_store::forge::NewReview;
use timmy_store::forge::NewStatus;
use timmy_store::forge::Page;
use timmy_store::forge::Permission;
use timmy_store::forge::Repository;
use timmy_store::forge::RepositoryEdit;
use timmy_store::forge::ReviewComment;
use timmy_testkit::ManualClock;

use crate::databases::Database;
use crate::databases::on_both_databases;

on_both_databases!(
    names_are_taken_without_regard_to_case,
    issues_and_pull_requests_share_their_numbers,
    lists_are_filtered_counted_and_paged,
    an_issue_remembers_when_it_was_closed,
    one_of_many_opens_a_pull_request,
    a_check_of_an_old_head_says_nothing,
    a_merge_is_begun_finished_or_abandoned,
    everything_of_a_repository_goes_with_it,
);

const PAGE: Page = Page {
    number: 1,
    size: 50,
};

struct Forge {
    tables: ForgeTables,
    clock: Arc<ManualClock>,
    bot: i64,
    repository: Repository,
    _database: Database,
}

async fn forge(database: Database) -> Forge {
    let clock = Arc::new(ManualClock::default());
    let tables = ForgeTables::new(database.store.clone(), clock.clone());
    let bot = tables.add_user("Bot").await.unwrap().unwrap().id;
    tables
        .add_repository(&named(bot, "Project"))
        .await
        .unwrap()
        .unwrap();
    let repository = tables.repository("bot", "project").await.unwrap().unwrap();
    Forge {
        tables,
        clock,
        bot,
        repository,
        _database: database,
    }
}

fn named(owner: i64, name: &str) -> NewRepository<'_> {
    NewRepository {
        owner,
        name,
        description: "",
        default_branch: "main",
        private: true,
    }
}

impl Forge {
    fn new_issue<'a>(&self, title: &'a str, labels: &'a [i64]) -> NewIssue<'a> {
        NewIssue {
            repository: self.repository.id,
            author: self.bot,
            title,
            body: "body",
            labels,
            assignees: &[],
        }
    }

    async fn issue(&self, title: &str, labels: &[i64]) -> i64 {
        self.tables
            .add_issue(&self.new_issue(title, labels))
            .await
            .unwrap()
    }

    async fn label(&self, name: &str) -> i64 {
        let new = NewLabel {
            name,
            color: "00aabb",
            description: "",
        };
        self.tables
            .add_label(self.repository.id, &new)
            .await
            .unwrap()
    }

    async fn pull(&self, head_branch: &str) -> Result<i64, i64> {
        let new = NewPull {
            issue: self.new_issue("offer", &[]),
            head_branch,
            base_branch: "main",
            head: "a",
            merge_base: "b",
        };
        self.tables.add_pull(&new).await.unwrap()
    }

    async fn numbers(&self, query: IssueQuery, page: Page) -> (Vec<i64>, i64) {
        let found = self.tables.issues(self.repository.id, &query, page).await;
        let (issues, total) = found.unwrap();
        (
            issues.into_iter().map(|issue| issue.number).collect(),
            total,
        )
    }
}

async fn names_are_taken_without_regard_to_case(database: Database) {
    let forge = forge(database).await;
    let tables = &forge.tables;
    assert_eq!(None, tables.add_user("BOT").await.unwrap());
    assert_eq!(
        None,
        tables
            .add_repository(&named(forge.bot, "PROJECT"))
            .await
            .unwrap()
    );
    assert_eq!("Bot", tables.user("bOT").await.unwrap().unwrap().name);
    let archive = RepositoryEdit {
        archived: Some(true),
        ..RepositoryEdit::default()
    };
    tables
        .edit_repository(forge.repository.id, archive)
        .await
        .unwrap();
    let expected = Repository {
        archived: true,
        ..forge.repository.clone()
    };
    assert_eq!(vec![expected], tables.repositories().await.unwrap());
    tables
        .add_token(forge.bot, "t", "digest", "read:issue")
        .await
        .unwrap();
    let owner = tables.token_owner("digest").await.unwrap().unwrap();
    assert_eq!(
        (forge.bot, "read:issue"),
        (owner.user.id, owner.scopes.as_str())
    );
    assert_eq!(None, tables.token_owner("other").await.unwrap());
}

async fn issues_and_pull_requests_share_their_numbers(database: Database) {
    let forge = forge(database).await;
    assert_eq!(1, forge.issue("one", &[]).await);
    assert_eq!(Ok(2), forge.pull("work").await);
    assert_eq!(3, forge.issue("three", &[]).await);
    let pull = forge
        .tables
        .pull(forge.repository.id, 2)
        .await
        .unwrap()
        .unwrap();
    let issue = forge
        .tables
        .issue(forge.repository.id, 2)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((Kind::Pull, &issue), (issue.kind, &pull.issue));
    assert_eq!(
        None,
        forge.tables.pull(forge.repository.id, 1).await.unwrap()
    );
    let id = forge
        .tables
        .add_comment(issue.id, forge.bot, "said")
        .await
        .unwrap();
    let comment = forge
        .tables
        .comment(forge.repository.id, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (2, true, "said"),
        (comment.number, comment.on_pull, comment.body.as_str())
    );
}

async fn lists_are_filtered_counted_and_paged(database: Database) {
    let forge = forge(database).await;
    let (todo, bug) = (forge.label("todo").await, forge.label("bug").await);
    forge.issue("both", &[todo, bug]).await;
    forge.issue("one", &[todo]).await;
    forge.pull("work").await.unwrap();
    let labelled = |labels: Vec<i64>| IssueQuery {
        labels,
        ..IssueQuery::default()
    };
    assert_eq!(
        (vec![3, 2, 1], 3),
        forge.numbers(IssueQuery::default(), PAGE).await
    );
    assert_eq!(
        (vec![2, 1], 2),
        forge.numbers(labelled(vec![todo]), PAGE).await
    );
    assert_eq!(
        (vec![1], 1),
        forge.numbers(labelled(vec![bug, todo]), PAGE).await
    );
    let second = Page { number: 2, size: 2 };
    assert_eq!(
        (vec![1], 3),
        forge.numbers(IssueQuery::default(), second).await
    );
    let pulls = |branch: &str| IssueQuery {
        kind: Some(Kind::Pull),
        state: Some(IssueState::Open),
        base_branch: Some(branch.to_owned()),
        ..IssueQuery::default()
    };
    assert_eq!((vec![3], 1), forge.numbers(pulls("main"), PAGE).await);
    assert_eq!((Vec::new(), 0), forge.numbers(pulls("other"), PAGE).await);
    let rename = LabelEdit {
        name: Some("defect".to_owned()),
        ..LabelEdit::default()
    };
    forge.tables.edit_label(bug, rename).await.unwrap();
    forge.tables.remove_label(todo).await.unwrap();
    let first = forge
        .tables
        .issue(forge.repository.id, 1)
        .await
        .unwrap()
        .unwrap();
    let labels = forge.tables.labels_of(first.id).await.unwrap();
    assert_eq!(
        vec!["defect"],
        labels.iter().map(|label| &label.name).collect::<Vec<_>>()
    );
}

async fn an_issue_remembers_when_it_was_closed(database: Database) {
    let forge = forge(database).await;
    forge.issue("one", &[]).await;
    let read = || async {
        let found = forge.tables.issue(forge.repository.id, 1).await;
        found.unwrap().unwrap()
    };
    let id = read().await.id;
    let edit = |state| IssueEdit {
        state: Some(state),
        ..IssueEdit::default()
    };
    forge
        .tables
        .edit_issue(id, edit(IssueState::Closed))
        .await
        .unwrap();
    let closed_at = read().await.closed_at;
    forge.clock.advance(Duration::from_secs(60));
    let assign = IssueEdit {
        assignees: Some(vec![forge.bot]),
        ..edit(IssueState::Closed)
    };
    forge.tables.edit_issue(id, assign).await.unwrap();
    assert!(closed_at.is_some());
    assert_eq!(closed_at, read().await.closed_at);
    assert_eq!(forge.bot, forge.tables.assignees(id).await.unwrap()[0].id);
    forge
        .tables
        .edit_issue(id, edit(IssueState::Open))
        .await
        .unwrap();
    assert_eq!(
        (None, "body"),
        (read().await.closed_at, read().await.body.as_str())
    );
}

async fn one_of_many_opens_a_pull_request(database: Database) {
    let forge = Arc::new(forge(database).await);
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let forge = Arc::clone(&forge);
        racing.spawn(async move { forge.pull("work").await });
    }
    let ends = racing.join_all().await;
    assert_eq!(1, ends.iter().filter(|end| end.is_ok()).count());
    assert!(
        ends.iter().all(|end| matches!(end, Ok(1) | Err(1))),
        "{ends:?}"
    );
}

async fn a_check_of_an_old_head_says_nothing(database: Database) {
    let forge = forge(database).await;
    let number = forge.pull("work").await.unwrap();
    let read = || async {
        let found = forge.tables.pull(forge.repository.id, number).await;
        found.unwrap().unwrap()
    };
    let id = read().await.issue.id;
    forge.tables.move_pull(id, "main", "c", "b").await.unwrap();
    forge
        .tables
        .keep_mergeable(id, "a", Mergeable::Yes)
        .await
        .unwrap();
    assert_eq!(Mergeable::Checking, read().await.mergeable);
    forge
        .tables
        .keep_mergeable(id, "c", Mergeable::No)
        .await
        .unwrap();
    assert_eq!(Mergeable::No, read().await.mergeable);
}

async fn a_merge_is_begun_finished_or_abandoned(database: Database) {
    let forge = forge(database).await;
    let number = forge.pull("work").await.unwrap();
    let read = || async {
        let found = forge.tables.pull(forge.repository.id, number).await;
        found.unwrap().unwrap()
    };
    let id = read().await.issue.id;
    forge.tables.begin_merge(id, "m", forge.bot).await.unwrap();
    forge.tables.abandon_merge(id).await.unwrap();
    assert_eq!(
        (None, None),
        (read().await.merge_commit, read().await.merged_by)
    );
    forge.tables.begin_merge(id, "m", forge.bot).await.unwrap();
    forge.tables.finish_merge(id).await.unwrap();
    forge.tables.abandon_merge(id).await.unwrap();
    let pull = read().await;
    assert_eq!(
        (Some("m"), Some("Bot"), IssueState::Closed),
        (
            pull.merge_commit.as_deref(),
            pull.merged_by.as_deref(),
            pull.issue.state
        )
    );
    assert_eq!(pull.merged_at, pull.issue.closed_at);
    assert_eq!(Ok(2), forge.pull("work").await);
}

async fn everything_of_a_repository_goes_with_it(database: Database) {
    let forge = forge(database).await;
    let (tables, repository) = (&forge.tables, forge.repository.id);
    let alice = tables.add_user("alice").await.unwrap().unwrap().id;
    tables
        .set_collaborator(repository, alice, Permission::Read)
        .await
        .unwrap();
    assert_eq!(
        Permission::Read,
        tables.permission(&forge.repository, alice).await.unwrap()
    );
    assert_eq!(
        Permission::Admin,
        tables
            .permission(&forge.repository, forge.bot)
            .await
            .unwrap()
    );
    let label = forge.label("todo").await;
    forge.issue("one", &[label]).await;
    forge.pull("work").await.unwrap();
    let issue = tables.issue(repository, 1).await.unwrap().unwrap().id;
    let pull = tables.issue(repository, 2).await.unwrap().unwrap().id;
    assert!(tables.add_dependency(issue, pull).await.unwrap());
    assert!(!tables.add_dependency(issue, pull).await.unwrap());
    assert_eq!(pull, tables.blockers(issue).await.unwrap()[0].id);
    assert_eq!(issue, tables.blocked_by(pull).await.unwrap()[0].id);
    tables.add_comment(issue, alice, "said").await.unwrap();
    let review = NewReview {
        issue: pull,
        author: alice,
        state: "APPROVED",
        body: "",
        commit: "a",
        comments: &[ReviewComment {
            path: "p".to_owned(),
            line: 1,
            body: "b".to_owned(),
        }],
    };
    tables.add_review(&review).await.unwrap();
    assert_eq!(1, tables.reviews(pull).await.unwrap()[0].comments);
    let status = NewStatus {
        repository,
        sha: "a",
        context: "c",
        state: "success",
        target_url: "",
        description: "",
        creator: alice,
    };
    tables.add_status(&status).await.unwrap();
    assert_eq!(
        "alice",
        tables.statuses(repository, "a").await.unwrap()[0].creator
    );
    tables.remove_repository(repository).await.unwrap();
    assert_eq!(
        Vec::<Repository>::new(),
        tables.repositories().await.unwrap()
    );
    let again = tables
        .add_repository(&named(forge.bot, "Project"))
        .await
        .unwrap();
    assert_ne!(Some(repository), again, "keys are not used twice");
}

//! The agent's part: a private clone, a prompt, the loop, and what is left behind.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timmy_agent::Agent;
use timmy_agent::Ending;
use timmy_agent::ToolBox;
use timmy_agent::conversation::Conversation;
use timmy_agent::prompt;
use timmy_agent::prompt::Instructions;
use timmy_agent::prompt::Outside;
use timmy_agent::prompt::Prompt;
use timmy_agent::prompt::PromptParts;
use timmy_agent::tools::ForgeDesk;
use timmy_agent::tools::Workbench;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_core::event::Feedback;
use timmy_core::event::Outcome;
use timmy_core::text;
use timmy_forge::Comment;
use timmy_forge::Issue;
use timmy_git::BareRepository;
use timmy_git::RefName;
use timmy_git::collect;
use timmy_git::prepare_workspace;
use timmy_sandbox::Policy;
use timmy_sandbox::Tree;

use super::Sprint;
use super::consider::Chosen;
use super::desk::Desk;
use super::diary::Diary;
use super::place::RunPlace;
use crate::error::SprintError;
use crate::workflow;
use crate::workflow::Project;

impl Sprint {
    /// Lets the agent work, and takes over what it left in its work tree. Gives the end of the run
    /// when the agent was stopped.
    pub(super) async fn work(
        &self,
        diary: &mut Diary<'_>,
        chosen: &Chosen,
        project: &Project,
        place: &RunPlace,
    ) -> Result<Option<Outcome>, SprintError> {
        let bare = self.desk.bare().await?;
        let tree = place.tree();
        let work_branch = chosen.branch.trim_start_matches("refs/heads/");
        let base_branch = &chosen.base_branch;
        prepare_workspace(
            &self.desk.git,
            &bare,
            &chosen.base,
            base_branch,
            work_branch,
            &tree,
        )
        .await?;
        self.sandbox.hand_over(&tree)?;
        let ready = EventKind::WorkspaceReady {
            base_branch: base_branch.clone(),
            base: chosen.base.clone(),
            work_branch: Some(work_branch.to_owned()),
        };
        diary.record(ready).await?;
        let prompt = self.desk.prompt(chosen, project, &tree).await?;
        let built = EventKind::PromptBuilt {
            sha256: prompt.sha256(),
            bytes: u64::try_from(prompt.whole().len()).unwrap_or(u64::MAX),
        };
        diary.record(built).await?;
        let report = self
            .agent(diary, chosen, &tree)?
            .run(conversation(prompt))
            .await?;
        diary.catch_up().await?;
        if let Ending::Stopped(error) = &report.ending {
            return Ok(Some(stopped(&error.problem())));
        }
        let commit = self.collect(diary.run, chosen, &bare, &tree).await?;
        let proposals = report.proposals;
        let collected = EventKind::WorkCollected {
            commit,
            title: proposals.title,
            description: proposals.description,
            comment: proposals.comment,
        };
        diary.record(collected).await?;
        Ok(None)
    }

    fn agent(&self, diary: &Diary<'_>, chosen: &Chosen, tree: &Path) -> Result<Agent, SprintError> {
        let limits = self.desk.settings.agent.clone();
        let bench = Workbench::new(
            Arc::clone(&self.sandbox),
            self.desk.policy(tree),
            Tree::open(tree)?,
            self.desk.redactor.clone(),
            Duration::from_secs(limits.command_seconds),
        );
        let bench = bench.with_forge(ForgeDesk {
            forge: Arc::clone(&self.desk.forge),
            repo: self.desk.repo.clone(),
            issue: chosen.issue.number,
        });
        Ok(Agent {
            run: diary.run.clone(),
            issue: Some(IssueName {
                repo: self.desk.repo.clone(),
                number: chosen.issue.number,
            }),
            router: Arc::clone(&self.router),
            tools: ToolBox::new(bench),
            limits,
            events: diary.sink(),
            clock: Arc::clone(&self.desk.clock),
            redactor: self.desk.redactor.clone(),
        })
    }

    async fn collect(
        &self,
        run: &RunId,
        chosen: &Chosen,
        bare: &BareRepository,
        tree: &Path,
    ) -> Result<Option<ObjectName>, SprintError> {
        let title = text::defuse_line(&self.desk.presentable_line(&chosen.issue.title));
        let message = format!("{title}\n\nIssue: #{}\nRun: {run}\n", chosen.issue.number);
        let target: RefName = run_ref(run).parse().map_err(timmy_git::GitError::from)?;
        let policy = self.desk.policy(tree);
        let sandbox = self.sandbox.as_ref();
        Ok(collect(sandbox, &policy, bare, &chosen.base, &message, &target).await?)
    }
}

impl Desk {
    /// The policy of a command that works in `workspace`.
    pub(crate) fn policy(&self, workspace: &Path) -> Policy {
        Policy {
            workspace: workspace.to_owned(),
            ..self.settings.policy.clone()
        }
    }

    /// Reads what the repository says about itself at the base commit.
    pub(crate) async fn read_project(&self, base: &ObjectName) -> Result<Project, SprintError> {
        let bare = self.bare().await?;
        Ok(workflow::read_project(&bare, base, self.settings.check.as_deref()).await?)
    }

    /// The prompt for an issue.
    pub(super) async fn prompt(
        &self,
        chosen: &Chosen,
        project: &Project,
        tree: &Path,
    ) -> Result<Prompt, SprintError> {
        let comments = self.forge.comments(&self.repo, chosen.issue.number).await?;
        let repository = self.repo.to_string();
        let instructions = project.instructions.as_ref();
        let parts = PromptParts {
            repository: &repository,
            base_branch: &chosen.base_branch,
            workspace: &tree.to_string_lossy(),
            check: &project.check,
            instructions: instructions.map(|(file, text)| Instructions { file, text }),
            issue: outside_issue(&chosen.issue),
            comments: comments
                .iter()
                .map(outside_comment)
                .chain(chosen.feedback().iter().map(outside_feedback))
                .collect(),
        };
        Ok(prompt::build(&parts, &self.redactor))
    }
}

/// Where the host keeps the commit of a run in its own repository.
pub(super) fn run_ref(run: &RunId) -> String {
    format!("refs/timmy/runs/{run}")
}

fn conversation(prompt: Prompt) -> Conversation {
    Conversation::new(prompt.rules, prompt.task)
}

/// A limit or a loop stops a run; a missing model or budget fails it.
fn stopped(problem: &timmy_core::Problem) -> Outcome {
    match problem.exit {
        ExitStatus::Failure => Outcome::Stopped { code: problem.code },
        _ => Outcome::Failed {
            problem: problem.clone(),
        },
    }
}

fn outside_issue(issue: &Issue) -> Outside<'_> {
    Outside {
        what: format!("issue #{}", issue.number),
        author: &issue.author,
        title: &issue.title,
        body: &issue.body,
    }
}

fn outside_feedback(feedback: &Feedback) -> Outside<'_> {
    Outside {
        what: format!("to be answered: {} on the pull request", feedback.id),
        author: &feedback.author,
        title: "",
        body: &feedback.text,
    }
}

fn outside_comment(comment: &Comment) -> Outside<'_> {
    Outside {
        what: "comment".to_owned(),
        author: &comment.author,
        title: "",
        body: &comment.body,
    }
}

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
use timmy_core::IssueNumber;
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
use crate::attempt::Phase;
use crate::error::SprintError;
use crate::workflow;
use crate::workflow::Project;
use crate::workflow::Said;
use crate::workflow::Template;
use crate::workflow::TrackedIssue;
use crate::workflow::WorkflowError;
use crate::workflow::hooks;
use crate::workflow::hooks::Hook;
use crate::workspace::cache;

/// Runs of the past that are counted.
const RUNS_LOOKED_AT: u32 = 2_000;

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
        cache::lend(&self.desk, self.sandbox.as_ref(), &tree).await?;
        self.hook(diary, project, &tree, Hook::AfterCreate).await?;
        let ready = EventKind::WorkspaceReady {
            base_branch: base_branch.clone(),
            base: chosen.base.clone(),
            work_branch: Some(work_branch.to_owned()),
        };
        diary.record(ready).await?;
        self.hook(diary, project, &tree, Hook::BeforeRun).await?;
        let prompt = self.desk.prompt(diary.run, chosen, project, &tree).await?;
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

    /// Runs the project's script for a point in an attempt, if it has one.
    async fn hook(
        &self,
        diary: &mut Diary<'_>,
        project: &Project,
        tree: &Path,
        hook: Hook,
    ) -> Result<(), SprintError> {
        let hooks = &project.workflow.hooks;
        let Some(script) = hook.script(hooks) else {
            return Ok(());
        };
        let hook_name = hook.name().to_owned();
        diary
            .record(EventKind::HookStarted { hook: hook_name })
            .await?;
        let mut policy = self.desk.policy(tree);
        policy.limits.wall = Duration::from_secs(self.desk.settings.publish.check_seconds);
        let (sandbox, redactor) = (self.sandbox.as_ref(), &self.desk.redactor);
        Ok(hooks::run(sandbox, &policy, hook, script, hooks.timeout, redactor).await?)
    }

    /// Runs the scripts that follow an attempt, however it ended. What fails is recorded and
    /// changes nothing: the run's end is decided.
    pub(super) async fn leave(
        &self,
        diary: &mut Diary<'_>,
        chosen: &Chosen,
        place: &RunPlace,
    ) -> Result<(), SprintError> {
        let tree = place.tree();
        if !tree.is_dir() {
            return Ok(());
        }
        let Ok(project) = self.desk.read_project(&chosen.trusted).await else {
            return Ok(());
        };
        let agent_began = !matches!(
            diary.attempt.phase(),
            Phase::PreparingWorkspace | Phase::BuildingPrompt
        );
        let after_run = agent_began.then_some(Hook::AfterRun);
        for hook in after_run.into_iter().chain([Hook::BeforeRemove]) {
            if let Err(error) = self.hook(diary, &project, &tree, hook).await {
                let problem = error.problem();
                diary.record(EventKind::Warned { problem }).await?;
            }
        }
        Ok(())
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
        let mut policy = Policy {
            workspace: workspace.to_owned(),
            ..self.settings.policy.clone()
        };
        cache::open_to(&mut policy, &self.settings.workspace);
        policy
    }

    /// What the operator says about the project.
    pub(super) fn said(&self) -> Said<'_> {
        Said {
            check: self.settings.check.as_deref(),
            workflow: self.settings.workflow.as_ref(),
        }
    }

    /// Reads what the repository says about itself at the base commit.
    pub(crate) async fn read_project(&self, base: &ObjectName) -> Result<Project, SprintError> {
        let bare = self.bare().await?;
        Ok(workflow::read_project(&bare, base, self.said()).await?)
    }

    /// The prompt for an issue.
    pub(super) async fn prompt(
        &self,
        run: &RunId,
        chosen: &Chosen,
        project: &Project,
        tree: &Path,
    ) -> Result<Prompt, SprintError> {
        let comments = self.forge.comments(&self.repo, chosen.issue.number).await?;
        let repository = self.repo.to_string();
        let instructions = Box::pin(self.instructions(run, chosen, project)).await?;
        let parts = PromptParts {
            repository: &repository,
            base_branch: &chosen.base_branch,
            workspace: &tree.to_string_lossy(),
            check: &project.check,
            instructions: instructions
                .as_ref()
                .map(|(file, text)| Instructions { file, text }),
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

impl Desk {
    /// The project's instructions: those of a workflow rendered for the issue, when they are a
    /// template; others as they are.
    async fn instructions(
        &self,
        run: &RunId,
        chosen: &Chosen,
        project: &Project,
    ) -> Result<Option<(String, String)>, SprintError> {
        let Some((file, text)) = project.instructions.clone() else {
            return Ok(None);
        };
        if project.workflow.body != text || !Template::is_in(&text) {
            return Ok(Some((file, text)));
        }
        let template = Template::parse(&text)?;
        let number = chosen.issue.number;
        let blockers = self.forge.blockers(&self.repo, number).await?;
        let selection = &self.settings.selection;
        let (repo, issue) = (&self.repo, &chosen.issue);
        // It was chosen: the rules let it be worked on.
        let issue = TrackedIssue::normalise(repo, issue, &blockers, true, selection).map_err(
            |malformed| WorkflowError::TemplateRender {
                reason: format!("issue #{} has no {}", malformed.number, malformed.lacks),
            },
        )?;
        let earlier = self.earlier_runs(run, number).await?;
        let rendered = template.render(&issue, earlier)?;
        Ok(Some((file, rendered)))
    }

    /// How many other runs of this log worked on an issue; none before the first.
    async fn earlier_runs(
        &self,
        run: &RunId,
        issue: IssueNumber,
    ) -> Result<Option<u32>, SprintError> {
        let started = self.events().started(RUNS_LOOKED_AT).await?;
        let others = started.iter().filter(|started| {
            started.repo == self.repo && started.issue == issue && started.run != *run
        });
        let count = u32::try_from(others.count()).unwrap_or(u32::MAX);
        Ok((count > 0).then_some(count))
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

//! The loop: query the model, execute what it asks for, stop in time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::RunId;
use timmy_core::money::Usage;
use timmy_core::text;
use timmy_model::Arguments;
use timmy_model::ChatRequest;
use timmy_model::Finish;
use timmy_model::Reply;
use timmy_model::RouteError;
use timmy_model::Router;
use timmy_model::ToolCall;
use timmy_store::Account;

use crate::conversation::Conversation;
use crate::error::AgentError;
use crate::limits::Limits;
use crate::loops::Detector;
use crate::loops::Verdict;
use crate::presentable::presentable;
use crate::presentable::presentable_object;
use crate::tools;
use crate::tools::Proposals;
use crate::tools::ToolBox;

/// The most bytes of a call's arguments or result that one event keeps.
const EVENT_BYTES: usize = 4 << 10;

/// The most bytes of a tool's name that an event keeps.
const NAME_BYTES: usize = 64;

/// Told to a model that talks instead of working.
const CALL_A_TOOL: &str =
    "Your message called no tool. Call a tool to go on, or `finish` when the work is done.";
/// Told to a model whose reply ran into the limit.
const CUT_OFF: &str =
    "Your reply was cut off at its limit and nothing in it was executed. Make it shorter.";
/// Told to a model whose replies were empty or made no sense.
const UNUSABLE: &str =
    "Your reply was empty or unreadable. Call a tool to go on, or `finish` when the work is done.";

/// One model working on one task in one workspace.
pub struct Agent {
    /// The run it works for.
    pub run: RunId,
    /// The issue it works on, if it is one of a forge; its calls are booked to it.
    pub issue: Option<IssueName>,
    /// The cascade of models.
    pub router: Arc<Router>,
    /// What the model may ask for.
    pub tools: ToolBox,
    /// How far it may go.
    pub limits: Limits,
    /// Where everything that happens is recorded.
    pub events: Arc<dyn EventSink>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What must not be shown to anybody.
    pub redactor: Redactor,
}

/// How an agent's work ended.
#[derive(Debug)]
pub enum Ending {
    /// The model called `finish`. Whether the work is done is for the check to say.
    Finished,
    /// Something else ended it.
    Stopped(AgentError),
}

/// What an agent leaves behind, apart from its workspace.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// The model's own account, cleaned, redacted and bounded. Not evidence.
    pub summary: String,
    /// Model turns taken.
    pub steps: u32,
    /// What its model calls used.
    pub usage: Usage,
    /// What it wants the forge to be told.
    pub proposals: Proposals,
}

/// The state of one run of the loop.
struct Progress {
    conversation: Conversation,
    detector: Detector,
    started: Duration,
    steps: u32,
    calls: u32,
    usage: Usage,
    summary: Option<String>,
}

impl Agent {
    /// Works until the model finishes or something stops it. The report is recorded either way.
    ///
    /// # Errors
    /// Only when the end itself cannot be recorded; everything else is an [`Ending`].
    pub async fn run(&self, conversation: Conversation) -> Result<Report, Problem> {
        let mut progress = Progress {
            conversation,
            detector: Detector::default(),
            started: self.clock.monotonic(),
            steps: 0,
            calls: 0,
            usage: Usage::default(),
            summary: None,
        };
        let ending = match self.work(&mut progress).await {
            Ok(()) => Ending::Finished,
            Err(error) => Ending::Stopped(error),
        };
        let summary = match (&progress.summary, &ending) {
            (Some(summary), _) => summary.clone(),
            (None, Ending::Stopped(error)) => {
                self.presentable(&format!("Stopped: {error}."), EVENT_BYTES)
            }
            (None, Ending::Finished) => String::new(),
        };
        let report = Report {
            ending,
            summary,
            steps: progress.steps,
            usage: progress.usage,
            proposals: self.tools.proposals(),
        };
        self.record(report.event()).await?;
        Ok(report)
    }

    async fn work(&self, progress: &mut Progress) -> Result<(), AgentError> {
        while progress.summary.is_none() {
            self.limits.allow_step(progress.steps)?;
            progress.steps += 1;
            match self.query(progress).await {
                Ok(reply) => self.act(progress, &reply).await?,
                Err(AgentError::Route(RouteError::Malformed(_))) => {
                    self.prompt_again(progress, UNUSABLE).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks the model, shortening the conversation when it is too long.
    async fn query(&self, progress: &mut Progress) -> Result<Reply, AgentError> {
        let account = Account {
            run: self.run.clone(),
            issue: self.issue.clone(),
        };
        loop {
            self.limits.allow_time(self.elapsed(progress))?;
            progress.calls += 1;
            let request = ChatRequest {
                messages: progress.conversation.messages().to_vec(),
                tools: self.tools.specs(),
                max_output_tokens: self.limits.reply_tokens,
            };
            let asked = self
                .router
                .call(&account, progress.calls, &request, self.events.as_ref())
                .await;
            match asked {
                Ok(answer) => {
                    progress.usage = progress.usage + answer.usage;
                    return Ok(answer.reply);
                }
                Err(error @ RouteError::ContextOverflow(_)) => {
                    let verdict = progress.detector.overflowed();
                    self.stop_if_circling(verdict).await?;
                    if progress.conversation.shorten() == 0 {
                        return Err(error.into());
                    }
                    warn(progress, verdict);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does what a reply asks for, call by call, in its order.
    async fn act(&self, progress: &mut Progress, reply: &Reply) -> Result<(), AgentError> {
        progress.conversation.replied(reply);
        if !reply.text.trim().is_empty() {
            let text = self.presentable(&reply.text, EVENT_BYTES);
            let step = progress.steps;
            self.record(EventKind::ModelSpoke { step, text }).await?;
        }
        if reply.calls.is_empty() {
            let cut_off = reply.finish == Finish::Length;
            let remark = if cut_off { CUT_OFF } else { CALL_A_TOOL };
            return self.prompt_again(progress, remark).await;
        }
        let mut verdict = Verdict::Fine;
        for call in &reply.calls {
            verdict = self.execute(progress, call).await?;
            self.stop_if_circling(verdict).await?;
        }
        warn(progress, verdict);
        Ok(())
    }

    /// Reacts to a reply that called no tool.
    async fn prompt_again(&self, progress: &mut Progress, remark: &str) -> Result<(), AgentError> {
        progress.conversation.remark(remark);
        let verdict = progress.detector.said_only();
        self.stop_if_circling(verdict).await?;
        warn(progress, verdict);
        Ok(())
    }

    /// Runs one tool and shows the model what came of it.
    async fn execute(
        &self,
        progress: &mut Progress,
        call: &ToolCall,
    ) -> Result<Verdict, AgentError> {
        if progress.summary.is_some() {
            let text = "Not executed: the work was finished.".to_owned();
            progress.conversation.answered(call, text);
            return Ok(Verdict::Fine);
        }
        // To hear that the work is finished takes no time.
        if call.name != tools::FINISH {
            self.limits.allow_time(self.elapsed(progress))?;
        }
        let (step, tool) = (progress.steps, self.presentable(&call.name, NAME_BYTES));
        let called = EventKind::ToolCalled {
            step,
            tool: tool.clone(),
            arguments: self.shown_arguments(&call.arguments),
        };
        self.record(called).await?;
        let begun = self.clock.monotonic();
        let answer = self.tools.run(call).await;
        let duration = self.clock.monotonic().saturating_sub(begun);
        let result = self.presentable(&answer.text, self.limits.result_bytes);
        let finished = EventKind::ToolFinished {
            step,
            tool,
            ok: answer.ok,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            result: text::bound(&result, EVENT_BYTES).into_owned(),
        };
        self.record(finished).await?;
        let arguments = call.arguments.as_text();
        let verdict = progress
            .detector
            .called(&call.name, &arguments, &result, answer.ok);
        progress.conversation.answered(call, result);
        match answer.finished {
            Some(summary) => {
                progress.summary = Some(self.presentable(&summary, EVENT_BYTES));
                Ok(Verdict::Fine)
            }
            None => Ok(verdict),
        }
    }

    fn elapsed(&self, progress: &Progress) -> Duration {
        self.clock.monotonic().saturating_sub(progress.started)
    }

    async fn stop_if_circling(&self, verdict: Verdict) -> Result<(), AgentError> {
        let Verdict::Stop(pattern) = verdict else {
            return Ok(());
        };
        self.record(EventKind::LoopDetected {
            pattern: pattern.to_string(),
        })
        .await?;
        Err(AgentError::Loop(pattern))
    }

    fn presentable(&self, text: &str, limit: usize) -> String {
        presentable(&self.redactor, text, limit)
    }

    fn shown_arguments(&self, arguments: &Arguments) -> String {
        let text = match arguments {
            Arguments::Object(object) => {
                let object = presentable_object(&self.redactor, object.clone(), usize::MAX);
                Value::Object(object).to_string()
            }
            Arguments::Invalid { text, .. } => text.clone(),
        };
        self.presentable(&text, EVENT_BYTES)
    }

    async fn record(&self, kind: EventKind) -> Result<(), AgentError> {
        let appended = self.events.append(Some(&self.run), kind).await;
        appended.map(drop).map_err(AgentError::Record)
    }
}

impl From<AgentError> for Problem {
    fn from(error: AgentError) -> Self {
        error.problem()
    }
}

impl Report {
    fn event(&self) -> EventKind {
        let reason = match &self.ending {
            Ending::Finished => "finished",
            Ending::Stopped(AgentError::StepLimit(_) | AgentError::TimeLimit(_)) => "limit",
            Ending::Stopped(AgentError::Loop(_)) => "loop",
            Ending::Stopped(AgentError::Route(_) | AgentError::Record(_)) => "failed",
        };
        EventKind::AgentFinished {
            reason: reason.to_owned(),
            summary: self.summary.clone(),
            steps: self.steps,
            usage: self.usage,
        }
    }
}

/// Tells the model that one more of the same ends the run.
fn warn(progress: &mut Progress, verdict: Verdict) {
    if let Verdict::Warn(pattern) = verdict {
        let warning =
            format!("You are going in circles ({pattern}, nearly). Try something different.");
        progress.conversation.remark(&warning);
    }
}

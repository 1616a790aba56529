//! Names that OpenTelemetry gives to things.
//!
//! GenAI semantic conventions, github.com/open-telemetry/semantic-conventions-genai at commit 004902b
//! (November 2026): docs/gen-ai/gen-ai-spans.md, gen-ai-agent-spans.md and gen-ai-metrics.md. All of
//! them are still in status *Development* and may change; this module is the only place to follow them.
//! `error.type`, `service.*` and `process.exit.code` are those of the general conventions 1.42.
//! Names that begin with `timmy.` are ours.

/// What an operation is: [`CHAT`], [`EXECUTE_TOOL`], [`INVOKE_AGENT`].
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// One request to a model.
pub const CHAT: &str = "chat";
/// One tool call.
pub const EXECUTE_TOOL: &str = "execute_tool";
/// One run of an agent.
pub const INVOKE_AGENT: &str = "invoke_agent";

/// Who answers; timmy's name for the provider.
pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The model that was asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Tokens sent.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens received.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Which way tokens went: `input` or `output`.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// The agent's name.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// The agent's version.
pub const AGENT_VERSION: &str = "gen_ai.agent.version";
/// What the requests of one run have in common.
pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// The tool.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// What kind of tool; ours are functions.
pub const TOOL_TYPE: &str = "gen_ai.tool.type";
/// The kind of all our tools.
pub const FUNCTION: &str = "function";
/// What a tool was asked. Opt-in.
pub const TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
/// What a tool answered. Opt-in.
pub const TOOL_RESULT: &str = "gen_ai.tool.call.result";

/// Tokens of single requests.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// Durations of single requests.
pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// The bounds that the conventions advise for [`TOKEN_USAGE`].
pub const TOKEN_BOUNDS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// The bounds that the conventions advise for [`OPERATION_DURATION`], in seconds.
pub const DURATION_BOUNDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// A class of errors, few in number.
pub const ERROR_TYPE: &str = "error.type";
/// How a program ended.
pub const EXIT_CODE: &str = "process.exit.code";
/// The program that sends.
pub const SERVICE_NAME: &str = "service.name";
/// Its version.
pub const SERVICE_VERSION: &str = "service.version";
/// A branch.
pub const REF_NAME: &str = "vcs.ref.head.name";
/// Its commit.
pub const REF_REVISION: &str = "vcs.ref.head.revision";

/// The name of agent, service and scope.
pub const TIMMY: &str = "timmy";
/// The repository a run works on.
pub const REPOSITORY: &str = "timmy.repository";
/// The issue it works on.
pub const ISSUE: &str = "timmy.issue";
/// How it ended.
pub const OUTCOME: &str = "timmy.outcome";
/// Whether a model answered or a recording was played back.
pub const PROVENANCE: &str = "timmy.provenance";
/// The isolation that was proven.
pub const SANDBOX: &str = "timmy.sandbox";
/// Steps of the agent.
pub const STEPS: &str = "timmy.steps";
/// What model calls cost, in millionths of a US dollar.
pub const COST: &str = "timmy.cost_microusd";
/// Whether the figures of a call were reported by the provider.
pub const MEASURED: &str = "timmy.usage.measured";
/// The place of the event in the log that a span begins with.
pub const SEQ: &str = "timmy.event.seq";

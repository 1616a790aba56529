//! What a person asks of the fleet, and the live view they ask it from.

#[derive(Debug, clap::Args)]
pub(crate) struct PauseArguments {
    /// Why: it is shown wherever the pause is.
    #[arg(num_args = 0..)]
    pub(crate) reason: Vec<String>,
    /// Also stop every attempt that runs. Otherwise what runs is finished.
    #[arg(long)]
    pub(crate) stop_running: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StopArguments {
    /// The run's id, or the end of it.
    pub(crate) run: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TopArguments {
    /// Print one frame as text, and end.
    #[arg(long)]
    pub(crate) once: bool,
}

//! `timmy report`: what was done, and what needs a person.

use std::path::Path;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::ForgeKind;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_telemetry::report::ForgeView;
use timmy_telemetry::report::Gathered;
use timmy_telemetry::report::Moment;
use timmy_telemetry::report::Report;
use timmy_telemetry::report::ReportError;
use timmy_telemetry::report::Window;
use timmy_telemetry::report::Zone;
use timmy_telemetry::report::document::Block;
use timmy_telemetry::report::document::Document;
use timmy_telemetry::report::document::Links;
use timmy_telemetry::report::file;
use timmy_telemetry::report::file::Output;
use timmy_telemetry::report::file::Over;
use timmy_telemetry::report::html;
use timmy_telemetry::report::mail;
use timmy_telemetry::report::mail::Letter;
use timmy_telemetry::report::markdown;
use timmy_telemetry::report::markdown::Images;
use timmy_telemetry::report::post;
use timmy_telemetry::report::post::How;
use timmy_telemetry::report::telling;
use timmy_telemetry::report::text;
use timmy_telemetry::report::wanted;

use super::Ended;
use super::told;
use crate::cli::ReportArguments;
use crate::cli::ReportFormat;
use crate::host::Host;
use crate::host::incomplete;
use crate::host::make_directory;
use crate::output;
use crate::output::Form;

/// Below the private root: messages that could not be sent.
const DIRECTORY: &str = "report";

pub(super) async fn run(host: &Host, arguments: &ReportArguments) -> Ended {
    let format = format(host, arguments)?;
    let store = host.store().await?;
    let made = Made::new(host, &store, arguments).await?;
    if let Some(path) = &arguments.output {
        let over = if arguments.force {
            Over::Anything
        } else {
            Over::Reports
        };
        file::write(&made.files(path, format)?, over).map_err(told)?;
        output::talk(&format!("wrote {}", path.display()));
    } else if arguments.post.is_none() && !arguments.mail {
        output::line(made.written(format)?.trim_end())?;
    }
    if let Some(named) = &arguments.post {
        made.post(host, &store, named.as_ref()).await?;
    }
    if arguments.mail {
        made.mail(host).await?;
    }
    Ok(ExitStatus::Success)
}

/// The report of everything, for the end of the demo.
pub(super) async fn show(host: &Host, store: &Store) -> Result<(), Problem> {
    let made = Made::new(host, store, &ReportArguments::default()).await?;
    output::line(made.written(ReportFormat::Text)?.trim_end())
}

/// In which form, by the options or the name of the file.
fn format(host: &Host, arguments: &ReportArguments) -> Result<ReportFormat, Problem> {
    let json = host.form == Form::Json;
    match arguments.format {
        Some(format) if json && format != ReportFormat::Json => {
            let reason = "--json and --format ask for two forms".to_owned();
            Err(incomplete("--format", reason))
        }
        Some(format) => Ok(format),
        None if json => Ok(ReportFormat::Json),
        None => Ok(by_name(arguments.output.as_deref())),
    }
}

fn by_name(path: Option<&Path>) -> ReportFormat {
    let extension = path.and_then(Path::extension);
    match extension.and_then(|extension| extension.to_str()) {
        Some("md" | "markdown") => ReportFormat::Md,
        Some("html" | "htm") => ReportFormat::Html,
        Some("json") => ReportFormat::Json,
        _ => ReportFormat::Text,
    }
}

/// A report, and what it is written with.
struct Made {
    report: Report,
    document: Document,
    links: Links,
    zone: Zone,
}

impl Made {
    async fn new(host: &Host, store: &Store, arguments: &ReportArguments) -> Result<Self, Problem> {
        let log = store.log(std::sync::Arc::clone(&host.clock));
        let zone = Zone(TimeZone::system());
        let moment = |text: &Option<String>| {
            let read = text
                .as_deref()
                .map(|text| Moment::read(text, host.clock.now(), &zone.0));
            read.transpose().map_err(told)
        };
        let (since, until) = (moment(&arguments.since)?, moment(&arguments.until)?);
        let night = log
            .newest_up_to(&["loop_started"], EventLog::END, 1)
            .await
            .map_err(told)?;
        let night = night.first().map(|event| event.at);
        let window = Window::between(since, until, night).map_err(told)?;
        let gathered = Gathered::read(&log, &window).await.map_err(told)?;
        let view = look(host, store, &gathered).await;
        let report = Report::of(window, gathered, &view);
        let links = links(host);
        Ok(Self {
            document: telling::tell(&report, &zone, &links),
            report,
            links,
            zone,
        })
    }

    fn written(&self, format: ReportFormat) -> Result<String, Problem> {
        self.written_with(format, &Images::None)
    }

    fn written_with(&self, format: ReportFormat, images: &Images) -> Result<String, Problem> {
        Ok(match format {
            ReportFormat::Text => text::write(&self.document, &self.links),
            ReportFormat::Md => markdown::write(&self.document, &self.links, images),
            ReportFormat::Html => html::write(&self.document, &self.links),
            ReportFormat::Json => output::json_text(&self.report)? + "\n",
        })
    }

    /// The file of a report, and those of its charts where they do not fit into it.
    fn files(&self, path: &Path, format: ReportFormat) -> Result<Vec<Output>, Problem> {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let images = match (format, stem) {
            (ReportFormat::Md, Some(stem)) => Images::Beside(stem.to_owned()),
            _ => Images::None,
        };
        let mut files = vec![Output {
            path: path.to_owned(),
            text: self.written_with(format, &images)?,
        }];
        let blocks = self
            .document
            .sections
            .iter()
            .flat_map(|section| &section.blocks);
        for block in blocks {
            if let Block::Chart(chart) = block
                && let Some(file) = images.file(chart.drawing.name())
            {
                files.push(Output {
                    path: path.with_file_name(file),
                    text: chart.drawing.alone(),
                });
            }
        }
        Ok(files)
    }

    async fn post(
        &self,
        host: &Host,
        store: &Store,
        named: Option<&RepoName>,
    ) -> Result<(), Problem> {
        let config = &host.loaded.config;
        let only = match config.forge.repositories.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let repo = named.or(config.report.post.as_ref()).or(only);
        let repo = repo.ok_or_else(|| told(ReportError::NoRepository))?;
        let connection = host.connect(store).await?;
        let (forge, user) = (connection.forge(), connection.client().user());
        let what = (&self.document, &self.report.window);
        let posted = post::post(forge.as_ref(), user, repo, what)
            .await
            .map_err(told)?;
        if host.form == Form::Json {
            return output::json(&posted);
        }
        let how = match posted.how {
            How::Opened => "posted as",
            How::Updated => "brought up to date:",
            How::Unchanged => "there already:",
        };
        output::line(&format!("{how} {}#{}", posted.repo, posted.number))
    }

    async fn mail(&self, host: &Host) -> Result<(), Problem> {
        let settings = &host.loaded.config.report;
        let letter = Letter {
            subject: &format!("{}: {}", self.document.title, self.document.stretch),
            text: &self.written(ReportFormat::Text)?,
            html: &self.written(ReportFormat::Html)?,
            date: host.clock.now(),
        };
        let message = mail::message(settings, &letter, &self.zone).map_err(told)?;
        let keep = self.unsent(host)?;
        mail::send(&settings.mail, &message, &keep)
            .await
            .map_err(told)?;
        output::talk(&format!("mailed to {}", settings.to.join(", ")));
        Ok(())
    }

    /// Where a message that cannot be sent is kept.
    fn unsent(&self, host: &Host) -> Result<PathBuf, Problem> {
        let directory = host.root.join(DIRECTORY);
        make_directory(&directory)?;
        let key = self.document.key.replace('/', "-");
        Ok(directory.join(format!("unsent-{key}.eml")))
    }
}

/// Where the forge shows things. The embedded one has another address each time.
fn links(host: &Host) -> Links {
    let forge = &host.loaded.config.forge;
    Links {
        base: forge
            .url
            .clone()
            .filter(|_| forge.kind != ForgeKind::Embedded),
    }
}

/// Asks the forge. One that cannot be asked is told about in the report.
async fn look(host: &Host, store: &Store, gathered: &Gathered) -> ForgeView {
    let wanted = wanted(gathered, &host.loaded.config.forge.repositories);
    if wanted.is_empty() {
        return ForgeView::default();
    }
    match host.connect(store).await {
        Ok(connection) => {
            let user = connection.client().user().to_owned();
            ForgeView::look(&connection.forge(), &user, &wanted).await
        }
        Err(problem) => ForgeView::of_nothing(&problem),
    }
}

//! The process log, to standard error: one line each, ours and Pingora's (which logs through `log`). What clients did is not told
//! here: that is the access log.
//!
//! `SSEDGE_LOG` overrides the level, in the syntax of `tracing_subscriber`'s `EnvFilter`: `debug`, `info,pingora_core=debug`.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable that overrides `log.level`.
const VARIABLE: &str = "SSEDGE_LOG";

/// Pingora tells of each disconnect, the h2 crate of each frame, and rustls warns of each record that a client should not have sent;
/// what matters of it we log ourselves.
const SILENCED: &str = "pingora=off,pingora_core=off,pingora_pool=off,pingora_runtime=off,h2=info,rustls=error";

/// `log.level`: what is logged at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// What broke.
    Error,
    /// What may break.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// And why.
    Debug,
}

impl LogLevel {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// `log.format`: how a line looks, in the process log and in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people: `key=value`.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Sets up the process log. A second call has no effect.
pub fn init(level: LogLevel, format: LogFormat) {
    let (filter, problem) = filter(level, std::env::var(VARIABLE).ok().as_deref());
    let color = format == LogFormat::Text && std::io::stderr().is_terminal();
    let first = subscriber(filter, format, color, std::io::stderr).try_init().is_ok();
    if let (true, Some(problem)) = (first, problem) {
        tracing::warn!(problem, "{VARIABLE} cannot be understood and is ignored");
    }
}

/// What passes: `wanted` if it can be understood, else `level`. With the reason why it cannot.
fn filter(level: LogLevel, wanted: Option<&str>) -> (EnvFilter, Option<String>) {
    let ours = || EnvFilter::new(format!("{},{SILENCED}", level.name()));
    match wanted.filter(|wanted| !wanted.is_empty()).map(EnvFilter::try_new) {
        None => (ours(), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (ours(), Some(error.to_string())),
    }
}

fn subscriber<W>(filter: EnvFilter, format: LogFormat, color: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(color).with_target(false);
    match format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_current_span(false).with_span_list(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::{LogFormat, LogLevel, filter, subscriber};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat, wanted: Option<&str>) -> String {
        let page = Page::default();
        let writer = page.clone();
        let lines = subscriber(filter(level, wanted).0, format, false, move || writer.clone());
        tracing::subscriber::with_default(lines, || {
            tracing::error!(code = 7, "broke");
            tracing::warn!("may break");
            tracing::info!(text = "a \"b\"\nc", "happened");
            tracing::debug!("why");
            tracing::error!(target: "pingora_core", "a client left");
            tracing::warn!(target: "rustls::check", "a client sent what it should not");
        });
        let page = page.0.lock().unwrap().clone();
        String::from_utf8(page).expect("logs are text")
    }

    #[test]
    fn each_level_takes_in_the_ones_above_it() {
        let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];
        assert_eq!(levels.map(|level| logged(level, LogFormat::Text, None).lines().count()), [1, 2, 3, 4]);
    }

    #[test]
    fn the_variable_overrides_the_level_and_may_let_pingora_speak() {
        assert_eq!(logged(LogLevel::Error, LogFormat::Text, Some("warn,pingora_core=off,rustls=off")).lines().count(), 2);
        let all = logged(LogLevel::Error, LogFormat::Text, Some("debug"));
        assert!(all.contains("a client left") && all.contains("why"), "{all}");
        assert_eq!(logged(LogLevel::Error, LogFormat::Text, Some("")).lines().count(), 1, "empty is unset");
    }

    #[test]
    fn a_variable_that_cannot_be_understood_is_told_and_ignored() {
        let (_, problem) = filter(LogLevel::Warn, Some("ssedge=loud"));
        assert!(problem.is_some());
        assert_eq!(logged(LogLevel::Warn, LogFormat::Text, Some("ssedge=loud")).lines().count(), 2);
    }

    #[test]
    fn json_is_one_object_a_line_with_its_fields_at_the_top() {
        let text = logged(LogLevel::Info, LogFormat::Json, None);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["level"], &lines[0]["message"], &lines[0]["code"]), (&"ERROR".into(), &"broke".into(), &7.into()));
        assert_eq!(lines[2]["text"], "a \"b\"\nc");
    }
}

//! Programs that run beside a test, and what must be installed for them: failures say how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::edge::Process;
use crate::support::{Edge, polled, within_time};

/// How long a line may take: before its first one, a tool loads libraries for seconds of CPU time, and others do the same.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A program that runs beside the test, read line by line.
pub(super) struct Tool {
    pub(super) process: Process,
    /// Bytes of its output that were taken as lines.
    taken: usize,
}

impl Tool {
    pub(super) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        // The environment may name a proxy or a service: all traffic stays here.
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        // Sources stay free of compiled files.
        command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        Self { process: Process::spawn(command), taken: 0 }
    }

    /// The next line that it prints, without its end; `None` when it has said all.
    pub(super) async fn next(&mut self) -> Option<String> {
        let Self { process, taken } = self;
        let line = polled(|| {
            let ended = process.has_said_all();
            let output = process.stdout();
            let line = output[*taken..].split_once('\n').map(|(line, _)| line.to_owned());
            (line.is_some() || ended).then_some(line)
        });
        let line = within_time(PATIENCE, "the next line of a tool, or its end", line).await?;
        *taken += line.len() + 1;
        Some(line.trim_end_matches('\r').to_owned())
    }

    /// The next line, which must come.
    pub(super) async fn line(&mut self) -> String {
        self.next().await.expect("a tool said less than it should, see its output")
    }

    /// The next `count` lines.
    pub(super) async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.push(self.line().await);
        }
        lines
    }

    /// The next line that is `wanted`; those before it are passed over.
    pub(super) async fn find(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line().await;
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The lines up to an empty one, without it.
    pub(super) async fn block(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return lines,
                line => lines.push(line),
            }
        }
    }

    /// The port that a server names in its first line, `{"port": N}`.
    pub(super) async fn port(&mut self) -> u16 {
        let line = self.line().await;
        let said: serde_json::Value = serde_json::from_str(&line).expect("the first line is JSON");
        said["port"].as_u64().and_then(|port| port.try_into().ok()).expect("the first line names the port")
    }
}

/// How each `curl` runs: no buffering, no proxy of the environment, no wait without an end.
pub(super) const CURL: &[&str] = &["-sS", "-N", "--fail", "--noproxy", "*", "--max-time", "60"];

/// `curl -N` and what else is said; it fails when the answer is no success, and never runs for long.
pub(super) fn curl(arguments: &[&str]) -> Tool {
    must_have("curl", "curl");
    Tool::start("curl", &[CURL, arguments].concat())
}

/// A script of `tests/integration/node`.
pub(super) fn node(script: &str, arguments: &[&str]) -> Tool {
    must_have("node", "nodejs npm");
    let dir = dir().join("node");
    assert!(
        dir.join("node_modules/express").is_dir() && dir.join("node_modules/ai").is_dir(),
        "the packages of tests/integration/node are not installed: run `npm ci --prefix tests/integration/node` first"
    );
    Tool::start("node", &[&[&*dir.join(script).to_string_lossy()], arguments].concat())
}

/// `chromium.js`: a browser, which runs the clients of `tests/integration/node/page`.
pub(super) fn browser() -> Tool {
    must_have("chromium", "chromium");
    must_have("chromedriver", "chromium-driver");
    node("chromium.js", &[])
}

/// A script of `tests/integration/python`, run by the virtual environment's interpreter.
pub(super) fn python(script: &str, arguments: &[&str]) -> Tool {
    let interpreter = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(
        interpreter.is_file(),
        "the Python packages are not installed: run `python3 -m venv target/python && \
         target/python/bin/pip install -r tests/integration/python/requirements.txt` first"
    );
    let script = dir().join("python").join(script);
    Tool::start(&interpreter.to_string_lossy(), &[&[&*script.to_string_lossy()], arguments].concat())
}

pub(super) fn url(edge: &Edge, path: &str) -> String {
    format!("http://{}{path}", edge.address())
}

/// Where the scripts are.
pub(super) fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration")
}

pub(super) fn must_have(program: &str, packages: &str) {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(found, "`{program}` is not installed: run `apt-get install {packages}` first");
}

/// The same for a program that knows no `--version`, or ends it with an exit code of its own.
pub(super) fn must_run(program: &str, arguments: &[&str], packages: &str) {
    let found = Command::new(program).args(arguments).output().is_ok();
    assert!(found, "`{program}` is not installed: run `apt-get install {packages}` first");
}

//! `ssedge load`, an instrument that others rely on: the real binary before servers whose events are known to the last one.

mod clients;
mod faults;
mod protocols;

use std::process::Command;

use serde_json::Value;

use crate::support::edge::Process;
use crate::support::{eventually, within};

/// `ssedge load`, running.
struct Load(Process);

/// What it said.
struct Said {
    code: Option<i32>,
    /// Its progress, line by line.
    progress: Vec<Value>,
    report: Value,
    stderr: String,
}

impl Load {
    /// Starts it with JSON lines, to be held for longer than any test takes unless `arguments` say otherwise.
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
        command.args(["load", url, "--json", "--threads", "2"]).args(arguments);
        if !arguments.contains(&"--hold") {
            command.args(["--hold", "10m"]);
        }
        Self(Process::spawn(command))
    }

    /// Waits until a line of progress says at least this many of `key`.
    async fn reaches(&self, key: &str, count: u64) {
        eventually(&format!("{count} {key} in a line of progress"), || {
            let lines = self.0.stdout();
            let mut counts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?[key].as_u64());
            counts.find(|found| *found >= count)
        })
        .await;
    }

    /// Ends it as a script does, and reads what it said.
    async fn stop(self) -> Said {
        self.0.signal("TERM");
        self.over().await
    }

    /// Waits until it ends by itself, and reads what it said.
    async fn over(mut self) -> Said {
        let code = within("the end of the load", self.0.exit()).await.code();
        eventually("all its output", || self.0.has_said_all().then_some(())).await;
        let (stdout, stderr) = (self.0.stdout(), self.0.log());
        let mut lines: Vec<Value> =
            stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
        let report = lines.pop().unwrap_or_else(|| panic!("no report; standard error:\n{stderr}"));
        assert!(lines.iter().all(|line| line["kind"] == "progress") && report["kind"] == "report", "{stdout}");
        Said { code, progress: lines, report, stderr }
    }
}

/// Events with these ids, stamped as due at the begin of time.
fn events(ids: impl IntoIterator<Item = u64>) -> String {
    ids.into_iter().map(|id| format!("id: {id}\ndata: ts={id} event {id}\n\n")).collect()
}

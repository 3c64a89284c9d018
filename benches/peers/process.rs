//! Children: started on their cores, with their output in files, and ended in every case: by `Drop`, which a panic runs too; by the
//! signal thread on Ctrl-C; and by the kernel (`setpriv --pdeathsig`) when this process is killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use ssedge::clock;

use crate::Fallible;
use crate::cores::Cores;

/// How long a child may take to end by itself before it is killed.
const POLITE: Duration = Duration::from_secs(3);

/// Between two looks at a child.
const LOOK: Duration = Duration::from_millis(10);

/// Children that run now, for the signal thread.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// What is started.
#[derive(Debug)]
pub(crate) struct Program {
    /// What messages and log files call it.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
}

impl Program {
    /// `path` with `args`, called `name`.
    pub(crate) fn new(name: &str, path: impl Into<PathBuf>, args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self { name: name.to_owned(), path: path.into(), args, env: Vec::new() }
    }
}

/// A child and all that it starts.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` on `cores`; both outputs go to `DIR/NAME.log`.
    pub(crate) fn start(program: &Program, cores: &Cores, dir: &Path) -> Fallible<Self> {
        let log = log_file(program, dir)?;
        Self::spawn(program, cores, dir, Stdio::from(log))
    }

    /// Starts `program` on `cores`; its standard output comes back, the rest goes to `DIR/NAME.log`.
    pub(crate) fn start_piped(program: &Program, cores: &Cores, dir: &Path) -> Fallible<(Self, ChildStdout)> {
        let mut process = Self::spawn(program, cores, dir, Stdio::piped())?;
        let output = process.child.stdout.take().ok_or_else(|| format!("{}: no standard output", program.name))?;
        Ok((process, output))
    }

    fn spawn(program: &Program, cores: &Cores, dir: &Path, output: Stdio) -> Fallible<Self> {
        let complaints = log_file(program, dir)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", &cores.list()]).arg(&program.path);
        command.args(&program.args).envs(program.env.iter().map(|(name, value)| (name, value)));
        // A group of its own: Ctrl-C at the terminal is ours to pass on.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stdout(output).stderr(Stdio::from(complaints));
        let mut running = running();
        let child =
            command.spawn().map_err(|error| format!("{} cannot be started with setpriv (util-linux): {error}", program.name))?;
        running.insert(child.id());
        Ok(Self { name: program.name.clone(), child, log: log_path(program, dir) })
    }

    /// Its id; the commands before it replace themselves, so that it is the program's own.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the end of its log when it has ended.
    pub(crate) fn alive(&mut self) -> Fallible<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} ended with {status}: {}", self.name, self.last_words())),
            Err(error) => Err(format!("{} cannot be waited for: {error}", self.name)),
        }
    }

    /// Waits until it ends by itself, at most for `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Fallible<ExitStatus> {
        let deadline = clock::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if clock::now() >= deadline => return Err(format!("{} did not end within {limit:?}", self.name)),
                Ok(None) => std::thread::sleep(LOOK),
                Err(error) => return Err(format!("{} cannot be waited for: {error}", self.name)),
            }
        }
    }

    /// Sends `signal` to it alone.
    pub(crate) fn signal(&self, signal: Signal) -> Fallible<()> {
        send(self.id(), signal).map_err(|error| format!("{} cannot be signalled: {error}", self.name))
    }

    /// The last lines that it wrote.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return "it said nothing".to_owned();
        }
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = send(self.id(), Signal::TERM);
        if self.wait(POLITE).is_err() {
            let _ = self.child.kill();
        }
        // Workers whose parent went without them.
        end_group(self.id());
        let _ = self.child.wait();
        running().remove(&self.id());
    }
}

/// Ends all children at once, for the signal thread; nothing may be started after it.
pub(crate) fn end_all() {
    // Held for good: whoever wants to start one more waits until this process is gone.
    let children = running();
    for &pid in children.iter() {
        let _ = send(pid, Signal::TERM);
    }
    std::thread::sleep(Duration::from_millis(500));
    for &pid in children.iter() {
        end_group(pid);
    }
    std::mem::forget(children);
}

/// Kills what is left of the group that child `pid` leads.
fn end_group(pid: u32) {
    if let Some(pid) = pid_of(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = pid_of(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, signal)?)
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn running() -> std::sync::MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_path(program: &Program, dir: &Path) -> PathBuf {
    dir.join(format!("{}.log", program.name))
}

fn log_file(program: &Program, dir: &Path) -> Fallible<File> {
    let path = log_path(program, dir);
    let opened = File::options().create(true).append(true).open(&path);
    opened.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

//! The real binary, started with a configuration of its own on ports that the system chose, and ended with the test.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::{Client, End, eventually, head::Head, tls};

/// What a test wants of the configuration; everything else is the default.
#[derive(Debug, Clone)]
pub(crate) struct EdgeBuilder {
    listeners: Vec<String>,
    limits: Vec<String>,
    timeouts: Vec<String>,
    drain: Vec<String>,
    upstream: Vec<String>,
    route: Vec<String>,
}

impl EdgeBuilder {
    /// Listens here too (the first listener is always there).
    pub(crate) fn listener(mut self, address: &str) -> Self {
        let tls = if tls::everywhere() { format!(", tls: {{ {} }}", tls::listener()) } else { String::new() };
        self.listeners.push(format!("{{ address: \"{address}\"{tls} }}"));
        self
    }

    /// Listens here too, with TLS: `tls` is what stands in its section.
    pub(crate) fn tls_listener(mut self, tls: &str) -> Self {
        self.listeners.push(format!("{{ address: \"127.0.0.1:0\", tls: {{ {tls} }} }}"));
        self
    }

    /// More keys of the last listener: `h2: { streams: 2 }`.
    pub(crate) fn listener_keys(mut self, keys: &str) -> Self {
        let last = self.listeners.last_mut().expect("the first is always there");
        *last = last.replacen("{ address", &format!("{{ {keys}, address"), 1);
        self
    }

    /// `limits.KEY`.
    pub(crate) fn limit(mut self, key: &str, value: &str) -> Self {
        self.limits.push(format!("{key}: {value}"));
        self
    }

    /// `timeouts.KEY`.
    pub(crate) fn timeout(mut self, key: &str, value: &str) -> Self {
        self.timeouts.push(format!("{key}: {value}"));
        self
    }

    /// `drain.deadline`.
    pub(crate) fn drain_deadline(mut self, value: &str) -> Self {
        self.drain.push(format!("deadline: {value}"));
        self
    }

    /// `upstreams.app.KEY`.
    pub(crate) fn upstream(mut self, key: &str, value: &str) -> Self {
        self.upstream.push(format!("{key}: {value}"));
        self
    }

    /// The upstream speaks HTTP/2.
    pub(crate) fn h2c(self) -> Self {
        self.upstream("protocol", "h2c")
    }

    /// `routes[0].KEY`.
    pub(crate) fn route(mut self, key: &str, value: &str) -> Self {
        self.route.push(format!("{key}: {value}"));
        self
    }

    /// `routes[0].heartbeat`: `off`, or `interval: 100ms, frame: block`.
    pub(crate) fn heartbeat(mut self, value: &str) -> Self {
        let value = if value == "off" { value.to_owned() } else { format!("{{ {value} }}") };
        self.route.push(format!("heartbeat: {value}"));
        self
    }

    /// Starts it in front of a server that is reached as it is, also where the suite runs over TLS.
    pub(crate) async fn plain_start(self, upstream: impl ToString) -> Edge {
        Starting::with_file(&self.file(&upstream.to_string(), false)).ready().await
    }

    fn file(&self, server: &str, encrypts: bool) -> String {
        let section = |name: &str, keys: &[String]| match keys {
            [] => String::new(),
            keys => format!("{name}: {{ {} }}\n", keys.join(", ")),
        };
        let mut upstream = [&[format!("servers: [ \"{server}\" ]")], self.upstream.as_slice()].concat();
        if let (true, Ok(origin)) = (encrypts, server.parse()) {
            let is_http2 = upstream.iter().any(|key| key == "protocol: h2c");
            let shim = tls::for_origin(origin, if is_http2 { b"h2" } else { b"http/1.1" });
            upstream[0] = format!("servers: [ \"{shim}\" ]");
            upstream.push(format!("tls: {{ server_name: localhost, ca: {} }}", tls::file("ca.pem").display()));
            upstream.iter_mut().filter(|key| *key == "protocol: h2c").for_each(|key| *key = "protocol: h2".to_owned());
        }
        let route = [&["upstream: app".to_owned()], self.route.as_slice()].concat();
        format!(
            "listeners: [ {} ]\nadmin: {{ address: \"127.0.0.1:0\" }}\nthreads: 2\n{}{}{}upstreams: {{ app: {{ {} }} }}\nroutes: [ {{ {} }} ]\n",
            self.listeners.join(", "),
            section("limits", &self.limits),
            section("timeouts", &self.timeouts),
            section("drain", &self.drain),
            upstream.join(", "),
            route.join(", "),
        )
    }

    /// Starts it, and waits for its start line.
    pub(crate) async fn start(self, upstream: impl ToString) -> Edge {
        let edge = self.spawn(upstream);
        edge.ready().await
    }

    /// Starts it without waiting.
    pub(crate) fn spawn(self, upstream: impl ToString) -> Starting {
        Starting::with_file(&self.file(&upstream.to_string(), tls::everywhere()))
    }
}

/// A process whose output is collected; killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

type Output = Arc<Mutex<Vec<u8>>>;

impl Process {
    /// Starts `command` with nothing of the test's environment that changes what it logs.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        Self { child, stdout, stderr }
    }

    /// What it wrote to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Whether that is all: it has closed its standard output, and everything was collected.
    pub(crate) fn has_said_all(&self) -> bool {
        // The thread that collects drops its half at the end.
        Arc::strong_count(&self.stdout) == 1
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        text(&self.stderr)
    }

    /// Its own process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name: `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().expect("a shell");
        assert!(status.success(), "no process to send {name} to; its log:\n{}", self.log());
    }

    /// Waits until it is gone.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the end of the process", || child.try_wait().expect("our own child")).await
    }

    /// Waits until its log says `words`.
    pub(crate) async fn logs(&self, words: &str) {
        eventually(&format!("{words:?} in the log"), || self.log().contains(words).then_some(())).await;
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_gone() {
            // The process may have ended in between, which is as good.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- standard output of ssedge\n{}--- its log\n{}---", self.stdout(), self.log());
        }
    }
}

/// `ssedge run` before its start line.
pub(crate) struct Starting {
    pub(crate) process: Process,
    _directory: TempDir,
}

impl Starting {
    fn with_file(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the configuration");
        let path = directory.path().join("ssedge.yaml");
        std::fs::write(&path, text).expect("the configuration can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
        command.args(["run", "--config"]).arg(&path);
        Self { process: Process::spawn(command), _directory: directory }
    }

    /// With so few descriptors.
    fn with_descriptors(descriptors: u32, text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the configuration");
        let path = directory.path().join("ssedge.yaml");
        std::fs::write(&path, text).expect("the configuration can be written");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" run --config \"$1\"")]);
        command.arg(env!("CARGO_BIN_EXE_ssedge")).arg(&path);
        Self { process: Process::spawn(command), _directory: directory }
    }

    async fn ready(mut self) -> Edge {
        let process = &mut self.process;
        let line = eventually("the start line", || {
            let line = process.stdout().split_once('\n').map(|(line, _)| line.to_owned());
            assert!(line.is_some() || !process.is_gone(), "it ended before it ran");
            line
        })
        .await;
        let addresses = addresses(&line);
        let real: Vec<_> = addresses.iter().map(|(_, address)| *address).collect();
        let addresses: Vec<_> = addresses.into_iter().map(|(scheme, address)| reached(scheme, address)).collect();
        let [listeners @ .., admin] = addresses.as_slice() else { panic!("no address in {line:?}") };
        Edge { listeners: listeners.to_vec(), real: real[..listeners.len()].to_vec(), admin: *admin, line, starting: self }
    }
}

/// The addresses of the start line, in its order: listeners, then admin.
fn addresses(line: &str) -> Vec<(&str, SocketAddr)> {
    let urls = line.split([',', ' ']).filter_map(|word| word.split_once("://"));
    urls.map(|(scheme, address)| (scheme, address.trim_end_matches(|c: char| !c.is_ascii_digit())))
        .map(|(scheme, address)| (scheme, address.parse().unwrap_or_else(|_| panic!("not an address: {address:?} in {line:?}"))))
        .collect()
}

/// Where an instrument without TLS reaches a listener.
fn reached(scheme: &str, address: SocketAddr) -> SocketAddr {
    if tls::everywhere() && scheme == "https" { tls::for_clients(address) } else { address }
}

/// `ssedge run`, running.
pub(crate) struct Edge {
    /// Where clients connect.
    pub(crate) listeners: Vec<SocketAddr>,
    /// The same as the edge names them, without a shim in between.
    pub(crate) real: Vec<SocketAddr>,
    /// Where operators connect.
    pub(crate) admin: SocketAddr,
    /// What it said when it started.
    pub(crate) line: String,
    starting: Starting,
}

impl Edge {
    /// A configuration to change.
    pub(crate) fn with() -> EdgeBuilder {
        let none = Vec::new;
        let builder =
            EdgeBuilder { listeners: none(), limits: none(), timeouts: none(), drain: none(), upstream: none(), route: none() };
        builder.listener("127.0.0.1:0")
    }

    /// In front of `upstream`, everything else by default.
    pub(crate) async fn start(upstream: impl ToString) -> Self {
        Self::with().start(upstream).await
    }

    /// With a configuration as it stands in a file: `upstreams`, `routes` and what else a test wants. Where to listen is given.
    pub(crate) async fn of(yaml: &str) -> Self {
        let tls = if tls::everywhere() { format!(", tls: {{ {} }}", tls::listener()) } else { String::new() };
        let places =
            format!("listeners: [ {{ address: \"127.0.0.1:0\"{tls} }} ]\nadmin: {{ address: \"127.0.0.1:0\" }}\nthreads: 2\n");
        Starting::with_file(&format!("{places}{yaml}")).ready().await
    }

    /// The same with these keys in its listener.
    pub(crate) async fn listening(keys: &str, yaml: &str) -> Self {
        let places =
            format!("listeners: [ {{ address: \"127.0.0.1:0\", {keys} }} ]\nadmin: {{ address: \"127.0.0.1:0\" }}\nthreads: 2\n");
        Starting::with_file(&format!("{places}{yaml}")).ready().await
    }

    /// In cleartext, as a process that may have so few descriptors.
    pub(crate) async fn with_descriptors(descriptors: u32, yaml: &str) -> Self {
        let places = "listeners: [ { address: \"127.0.0.1:0\" } ]\nadmin: { address: \"127.0.0.1:0\" }\nthreads: 2\n";
        Starting::with_descriptors(descriptors, &format!("{places}{yaml}")).ready().await
    }

    /// With a configuration that says all, listeners too.
    pub(crate) async fn of_whole(yaml: &str) -> Self {
        Starting::with_file(yaml).ready().await
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.starting.process
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        self.process().signal(name);
    }

    /// Waits until the process is gone, then gives its exit code (`None`: a signal killed it).
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        self.starting.process.exit().await.code()
    }

    /// One request to the admin listener.
    pub(crate) async fn admin(&self, request_line: &str) -> (Head, String) {
        let request = format!("{request_line} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        let (mut client, head) = Client::open(self.admin, request).await;
        let (body, end) = client.rest_of_body().await;
        assert_eq!(end, End::Clean, "the admin answer was cut");
        (head, String::from_utf8(body).expect("admin answers are text"))
    }

    /// The sum of a metric's samples whose labels contain `label` (all of them if it is empty).
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let (head, text) = self.admin("GET /metrics").await;
        assert_eq!(head.status(), 200);
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, labels) = series.split_once('{').unwrap_or((series, ""));
            (metric == name && labels.contains(label)).then(|| value.parse::<f64>().expect("a sample is a number"))
        });
        let samples: Vec<f64> = samples.collect();
        assert!(!samples.is_empty(), "no sample of {name} with {label:?} in:\n{text}");
        samples.iter().sum()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn metric_becomes(&self, name: &str, label: &str, value: f64) {
        super::within(&format!("{name} {label} = {value}"), async {
            while (self.metric(name, label).await - value).abs() > f64::EPSILON {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Waits until a stream has ended for `reason`.
    pub(crate) async fn stream_ended(&self, reason: &str) {
        self.metric_becomes("ssedge_streams_ended_total", &format!("reason=\"{reason}\""), 1.0).await;
    }

    /// Waits until it says that it is not ready: the drain has begun.
    pub(crate) async fn draining(&self) {
        super::within("/readyz to fail", async {
            while self.admin("GET /readyz").await.0.status() != 503 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes: no peak between two looks is missed.
    pub(crate) fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process().id())).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells the memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib * 1024
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process().id())).expect("the process lives").count()
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Output {
    let output = Output::default();
    let (mut pipe, into) = (pipe.expect("the pipe was asked for"), Arc::clone(&output));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            into.lock().expect("nobody panics with it").extend_from_slice(&buffer[..count]);
        }
    });
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.lock().expect("nobody panics with it")).into_owned()
}

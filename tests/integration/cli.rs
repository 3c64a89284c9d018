//! The command line from outside: exit codes, the start line, what goes to which output.

use std::process::{Command, Output};

use crate::support::{Client, Edge, End, GET, Origin, SUBSCRIBE, Script, edge::Process, eventually, tls};

fn ssedge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ssedge")).args(arguments).env_remove("RUST_LOG").output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

/// A file with this configuration, in a directory that goes when it is dropped.
fn file(content: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("edge.yaml");
    std::fs::write(&path, content).expect("a file");
    let path = path.to_str().expect("a plain path").to_owned();
    (directory, path)
}

const GOOD: &str = "listeners: [ { address: \"127.0.0.1:0\" } ]\nadmin: off\nupstreams: { app: { servers: [ \"127.0.0.1:3000\" ] } }\nroutes: [ { upstream: app } ]\n";

#[test]
fn wrong_usage_is_2_and_says_so_on_standard_error() {
    for arguments in [&[][..], &["serve"], &["run", "--nonsense"], &["run"], &["check"], &["--nonsense"]] {
        let output = ssedge(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && text(&output.stderr).contains("Usage"), "{arguments:?}: {output:?}");
    }
}

#[test]
fn help_and_version_are_0_on_standard_output() {
    for arguments in [&["--help"][..], &["help"], &["run", "--help"], &["check", "--help"]] {
        let output = ssedge(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text(&output.stdout).contains("Usage"), "{arguments:?}: {output:?}");
    }
    let output = ssedge(&["--version"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), format!("ssedge {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn check_is_0_for_a_good_file() {
    let (_directory, path) = file(GOOD);
    let output = ssedge(&["check", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn an_access_log_at_a_pipe_that_is_our_own_output_is_fine() {
    let (_directory, path) = file(&format!("{GOOD}log: {{ access: /dev/stdout }}\n"));
    let output = ssedge(&["check", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_dump_that_the_disk_does_not_take_is_1() {
    let (_directory, path) = file(GOOD);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
    let output = command.args(["check", "--config", &path, "--dump"]).stdout(full).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).starts_with("ssedge: the configuration cannot be printed"), "{output:?}");
}

#[test]
fn check_is_2_for_a_bad_file_and_names_every_place() {
    let bad = GOOD.replace("127.0.0.1:0", "127.0.0.1:nine").replace("upstream: app", "upstream: ap, heartbeat: { intervall: 5s }");
    let (_directory, path) = file(&bad);
    let output = ssedge(&["check", "--config", &path]);
    let said = text(&output.stderr) + &text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for place in ["edge.yaml:1:", "edge.yaml:4:", "intervall", "nine"] {
        assert!(said.contains(place), "{place} in:\n{said}");
    }
}

#[test]
fn run_refuses_a_bad_file_as_check_does() {
    let (_directory, path) = file(&GOOD.replace("listeners", "listener"));
    let (check, run) = (ssedge(&["check", "--config", &path]), ssedge(&["run", "--config", &path]));
    assert_eq!((check.status.code(), run.status.code()), (Some(2), Some(2)));
    assert!(text(&run.stderr).contains("listeners") && text(&run.stdout).is_empty(), "{run:?}");
}

#[test]
fn a_file_that_is_not_there_is_2_and_named() {
    for command in ["check", "run"] {
        let output = ssedge(&[command, "--config", "/nowhere/edge.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains("/nowhere/edge.yaml"), "{output:?}");
    }
}

#[tokio::test]
async fn the_start_line_names_every_address_and_each_of_them_serves() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = Edge::with().listener("127.0.0.1:0").start(origin.address()).await;
    let [first, second] = edge.real[..] else { panic!("two listeners in {:?}", edge.line) };
    let version = env!("CARGO_PKG_VERSION");
    let (admin, scheme) = (edge.admin, tls::scheme());
    assert_eq!(
        edge.line,
        format!("ssedge {version} running: listening on {scheme}://{first}, {scheme}://{second}, admin on http://{admin}")
    );
    for address in edge.listeners.clone() {
        let (mut client, _) = Client::open(address, GET).await;
        client.ends_with("ok", End::Clean).await;
    }
}

#[tokio::test]
async fn run_says_one_line_on_standard_output_before_the_access_log_and_logs_elsewhere() {
    let origin = Origin::start(Script::stream().event("a").end()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.rest_of_body().await;
    edge.signal("TERM");
    assert_eq!(edge.exit_code().await, Some(0));
    let stdout = edge.process().stdout();
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some(edge.line.as_str()));
    let kinds: Vec<_> = lines.map(|line| line.split_once("kind=").and_then(|(_, rest)| rest.split(' ').next())).collect();
    assert_eq!(kinds, [Some("stream_open"), Some("stream_close")]);
    assert!(edge.process().log().contains("gone: "), "{}", edge.process().log());
}

#[tokio::test]
async fn without_an_admin_listener_the_start_line_says_so() {
    let (_directory, path) = file(GOOD);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
    command.args(["run", "--config", &path]);
    let process = Process::spawn(command);
    let line = eventually("the start line", || process.stdout().split_once('\n').map(|(line, _)| line.to_owned())).await;
    assert!(line.contains("listening on http://127.0.0.1:") && line.ends_with(", admin off"), "{line:?}");
}

#[tokio::test]
async fn a_taken_port_is_1_at_once_and_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let files = [
        GOOD.replace("127.0.0.1:0", &address),
        GOOD.replace("admin: off", &format!("admin: {{ address: \"{address}\" }}")),
        GOOD.replace(
            "[ { address: \"127.0.0.1:0\" } ]",
            &format!("[ {{ address: \"127.0.0.1:0\" }}, {{ address: \"{address}\" }} ]"),
        ),
    ];
    for content in files {
        let (_directory, path) = file(&content);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
        command.args(["run", "--config", &path]);
        let mut process = Process::spawn(command);
        assert_eq!(process.exit().await.code(), Some(1), "{content}");
        eventually("the address on standard error", || process.log().contains(&address).then_some(())).await;
        assert_eq!(process.stdout(), "", "it never ran");
    }
}

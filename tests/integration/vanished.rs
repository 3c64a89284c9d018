//! A client that is gone without a word, as a phone that loses its network: its place is free within `timeouts.write_stall` and one
//! heartbeat, by the TCP user timeout, since nothing else learns of it.
//!
//! The network is two namespaces with a cable between them that can be pulled. Where the system allows no namespaces, the test says so;
//! that accepted sockets have the option is then still asserted in `src/server/listen.rs`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ssedge::clock;

use crate::servers::Server;
use crate::support::{edge::Process, eventually, within};

const WRITE_STALL: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Makes the network, says who holds the phone's end of it, and becomes the edge. The addresses are those of RFC 5737.
const NETWORK: &str = r#"
set -e
ip link set lo up
ip link add edge type veth peer name phone address 02:00:00:00:00:02
unshare -n sleep 120 >/dev/null 2>&1 </dev/null &
holder=$!
own=$(readlink /proc/$$/ns/net)
tries=0
while [ "$(readlink /proc/$holder/ns/net)" = "$own" ]; do
    tries=$((tries + 1))
    [ $tries -lt 3000 ]
    sleep 0.01
done
ip link set phone netns $holder
ip addr add 192.0.2.1/24 dev edge
ip link set edge up
ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev edge nud permanent
nsenter -t $holder -n sh -c 'ip addr add 192.0.2.2/24 dev phone && ip link set phone up'
echo $holder > "$2.part"
mv "$2.part" "$2"
exec "$0" run --config "$1"
"#;

/// The namespace of the phone, which ends with the test.
struct Phone(String);

impl Phone {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.0, "-U", "-n", "--preserve-credentials", program]);
        command
    }

    /// Pulls the cable or plugs it in.
    fn cable(&self, state: &str) {
        let status = self.command("ip").args(["link", "set", "phone", state]).status().expect("nsenter");
        assert!(status.success(), "the cable cannot be {state}");
    }

    fn subscribe(&self, url: &str, hold: &str) -> Process {
        let mut command = self.command(env!("CARGO_BIN_EXE_ssedge"));
        command.args(["load", url, "-c", "1", "--hold", hold]);
        Process::spawn(command)
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// The edge in a network of its own, and the phone; `None` where there can be none.
async fn network(directory: &Path) -> Option<(Process, Phone)> {
    let (config, holder) = (directory.join("ssedge.yaml"), directory.join("holder"));
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", NETWORK, env!("CARGO_BIN_EXE_ssedge")]);
    let mut edge = Process::spawn({
        command.arg(&config).arg(&holder);
        command
    });
    let runs = eventually("the edge, or the end of an attempt", || {
        if edge.stdout().contains("http://") { Some(true) } else { edge.is_gone().then_some(false) }
    })
    .await;
    if runs {
        let holder = std::fs::read_to_string(holder).expect("it is written before the edge starts");
        return Some((edge, Phone(holder.trim().to_owned())));
    }
    let log = edge.log();
    assert!(!log.contains("ssedge"), "the edge failed, not the network:\n{log}");
    eprintln!("no network of our own here ({}): only the socket option is asserted, in src/server/listen.rs", log.trim());
    None
}

#[tokio::test]
async fn a_client_that_vanished_frees_its_place_within_the_stall_limit_and_a_heartbeat() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("server.sock");
    let _server = Server::on_socket("a", &socket);
    let yaml = format!(
        "listeners: [ {{ address: \"192.0.2.1:0\" }} ]\nadmin: off\nthreads: 2\nlimits: {{ streams: 1 }}\ntimeouts: {{ write_stall: {}ms }}\n\
         upstreams: {{ app: {{ servers: [ \"unix:{}\" ] }} }}\nroutes: [ {{ upstream: app, heartbeat: {{ interval: {}ms }} }} ]\n",
        WRITE_STALL.as_millis(),
        socket.display(),
        HEARTBEAT.as_millis()
    );
    std::fs::write(directory.path().join("ssedge.yaml"), yaml).expect("the configuration can be written");
    let Some((edge, phone)) = network(directory.path()).await else { return };
    eprintln!("a network of our own: the client vanishes for real");
    let line = edge.stdout();
    let url = line.split([' ', ',', '\n']).find(|word| word.starts_with("http://")).expect("an address").to_owned() + "/events";
    let edge = &edge;
    let says = |words: &'static str| within(words, crate::support::polled(move || edge.stdout().contains(words).then_some(())));

    let _client = phone.subscribe(&url, "60s");
    says("kind=stream_open").await;
    phone.cable("down");
    let vanished = clock::now();
    says("kind=stream_close").await;
    let took = clock::now() - vanished;
    let log = edge.stdout();
    assert!(log.contains("reason=write_stall"), "{log}");
    assert!(took + HEARTBEAT >= WRITE_STALL, "after {took:?}, a phone in a tunnel would not be back yet");
    // A kernel that has to find out by itself takes 15 minutes: what counts is the order, not the second.
    assert!(took < WRITE_STALL + HEARTBEAT + Duration::from_secs(10), "after {took:?}");

    phone.cable("up");
    let _next = phone.subscribe(&url, "2s");
    within(
        "a stream in the place of the first",
        crate::support::polled(|| (edge.stdout().matches("kind=stream_open").count() >= 2).then_some(())),
    )
    .await;
}

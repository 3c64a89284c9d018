//! `ssedge demo`: the embedded origin, the proxy before it, and a page in the browser. No file, no server, no set-up.

use std::io::Write;
use std::net::SocketAddr;

use super::{FAILED, FINE, complain};
use crate::config;
use crate::demo::Origin;
use crate::server::{self, Bound};

/// Arguments of `ssedge demo`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DemoArgs {
    /// Where the proxy listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where metrics and health are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    admin: SocketAddr,
}

/// What the demo runs with. The interval is short so that the pauses show several heartbeats; the default is 15 s.
fn yaml(arguments: &DemoArgs, origin: SocketAddr) -> String {
    format!(
        r#"listeners: [ {{ address: "{}" }} ]
admin: {{ address: "{}" }}
drain: {{ spread: 0s, deadline: 1s }}
upstreams: {{ demo: {{ servers: [ "{origin}" ] }} }}
routes: [ {{ upstream: demo, heartbeat: {{ interval: 3s }} }} ]
"#,
        arguments.listen, arguments.admin
    )
}

pub(super) fn run(arguments: &DemoArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("no worker threads can be started: {error}")),
    };
    let origin = match runtime.block_on(Origin::bind(SocketAddr::from(([127, 0, 0, 1], 0)))) {
        Ok(origin) => origin,
        Err(error) => return complain(&format!("the demo's event stream server cannot listen: {error}")),
    };
    let origin_address = origin.local_addr();
    runtime.spawn(origin.serve(std::future::pending()));

    let (config, _) = match config::parse("the demo's configuration", &yaml(arguments, origin_address), &|_| None) {
        Ok(parsed) => parsed,
        Err(problems) => return complain(&problems.to_string()),
    };
    server::init_logging(&config.log);
    let bound = match Bound::new(config) {
        Ok(bound) => bound,
        Err(error) => {
            complain(&format!("{error}\n        choose another with: ssedge demo --listen 127.0.0.1:0"));
            return FAILED;
        }
    };
    let greeting = greeting(bound.addresses().first().copied().unwrap_or(arguments.listen), bound.admin_address(), origin_address);
    let outcome = bound.run(move || greet(&greeting));
    runtime.shutdown_background();
    match outcome {
        Ok(()) => FINE,
        Err(error) => complain(&error.to_string()),
    }
}

fn greeting(proxy: SocketAddr, admin: Option<SocketAddr>, origin: SocketAddr) -> String {
    let admin = admin.map_or_else(String::new, |admin| format!("\n  metrics             curl http://{admin}/metrics"));
    format!(
        "ssedge {} demo: an event stream server on {origin}, and the proxy before it

  open in a browser   http://{proxy}/
  or watch the wire   curl -N http://{proxy}/events{admin}

The stream pauses for 20 s after every ten events. The lines that begin with `:` in the pauses are heartbeats from ssedge.
The page can kill the server and start it again, and comes back by itself; so can you: curl -X POST http://{proxy}/restart
Ctrl-C ends the demo.",
        env!("CARGO_PKG_VERSION")
    )
}

/// Whoever closed our standard output does not want to know.
fn greet(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

//! `vanilla-pingora LISTEN UPSTREAM THREADS [CERTIFICATE KEY]`: forwards everything from LISTEN to UPSTREAM (both HOST:PORT) with Pingora's
//! own proxy, without a line of policy. It speaks HTTP/1.1 and HTTP/2, the latter by prior knowledge or by ALPN.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::{HttpPeer, Server, http_proxy_service};
use pingora::proxy::{ProxyHttp, Session};
use pingora::server::configuration::ServerConf;

struct Forward(String);

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0.as_str(), false, String::new())))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, threads, tls @ ..] = args.as_slice() else {
        return Err("usage: vanilla-pingora LISTEN UPSTREAM THREADS [CERTIFICATE KEY]".into());
    };
    let conf = ServerConf {
        threads: threads.parse()?,
        upstream_keepalive_pool_size: 1024,
        grace_period_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Forward(upstream.clone()));
    if let Some(logic) = service.app_logic_mut() {
        let mut options = logic.server_options.take().unwrap_or_default();
        options.h2c = true;
        logic.server_options = Some(options);
    }
    match tls {
        [certificate, key] => {
            let mut settings = TlsSettings::intermediate(certificate, key)?;
            settings.enable_h2();
            service.add_tls_with_settings(listen, None, settings);
        }
        _ => service.add_tcp(listen),
    }
    server.add_service(service);
    server.run_forever();
}

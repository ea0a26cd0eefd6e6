//! Servers that answer 204 and do nothing else. Each is this program, started again with another argument.

use super::ARGUMENT;
use crate::procs::Served;
use baton::http::Response;
use baton::http::peers::Peers;
use baton::http::server::{HttpServer, bind};
use baton::http::traffic::Traffic;
use baton::limits::Limits;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Baton's accept loop and workers, with nothing behind them: all that a poll costs beside the polling.
pub const OWN_LOOP: &str = "own-loop";
/// tiny_http with a thread for each connection, without limits and without a look at what arrives: what Baton's
/// loop costs shows against this.
pub const BARE: &str = "bare";

/// Starts the floor of this name.
pub fn start(name: &str) -> Served {
    Served::start(Command::new(std::env::current_exe().unwrap()).args([ARGUMENT, name]))
}

/// The life of a floor's process: to the end of its standard input.
pub fn serve(name: &str) {
    let limits = Limits::default();
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), &limits).unwrap();
    let address = listener.local_addr().unwrap();
    let _server = match name {
        OWN_LOOP => Some(
            HttpServer::start(
                listener,
                limits,
                Arc::new(Traffic::new(&[])),
                Peers::default(),
                Box::new(|_| Response::empty(204).into()),
            )
            .unwrap(),
        ),
        BARE => {
            listener.set_nonblocking(false).unwrap();
            thread::spawn(move || thread_per_connection(&listener.into()));
            None
        }
        other => panic!("there is no floor {other:?}"),
    };
    println!("listening on http://{address}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn thread_per_connection(listener: &tiny_http::Listener) {
    let no_tls = tiny_http::SslContextWrap::build_ssl_capabilities(None).unwrap();
    loop {
        match tiny_http::Server::accept_connection(listener, &no_tls) {
            Ok(Some(connection)) => {
                let serve = move || {
                    for request in connection.map_while(Result::ok) {
                        if request.respond(tiny_http::Response::empty(204)).is_err() {
                            break;
                        }
                    }
                };
                thread::Builder::new().stack_size(256 << 10).spawn(serve).unwrap();
            }
            Ok(None) => {}
            // The listener's read timeout ends an idle wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                eprintln!("cannot accept: {error}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

//! A coordinator that listens: the library's front door.

use crate::api::Api;
use crate::background::Background;
use crate::coordinator::{Coordinator, Serving, Swept};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::ephemeral::Ephemeral;
use crate::error::Result;
use crate::http::server::{HttpServer, bind};
use crate::http::traffic::Traffic;
use crate::limits::Limits;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a server keeps its data, where it listens, and what it allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; made if there is none.
    pub data: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it allows.
    pub limits: Limits,
    /// What runners register with; `None`: the token that the data directory has.
    pub registration_token: Option<Token>,
}

impl Config {
    /// A server for tests: this data directory, a free port of the loopback interface, the usual limits.
    #[must_use]
    pub fn local(data: impl Into<PathBuf>) -> Config {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Config { data: data.into(), listen, limits: Limits::default(), registration_token: None }
    }
}

/// A running server. Dropping it stops it.
///
/// ```
/// let server = baton::Server::ephemeral(baton::limits::Limits::default())?;
/// let token = server.coordinator().registration_token(false)?;
/// println!("gitlab-runner register --url {}/ci --registration-token {token}", server.url());
/// // Stops it, and removes its data.
/// drop(server);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    // Before the right to serve, so that it has stopped when that goes.
    http: HttpServer,
    _background: Background,
    coordinator: Arc<Coordinator>,
    _serving: Serving,
    /// Last, so that everybody has let go of it.
    _ephemeral: Option<Ephemeral>,
}

impl Server {
    /// A server of its own for a test: a temporary data directory, which goes when the server is dropped or stopped,
    /// and a free port of the loopback interface.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn ephemeral(limits: Limits) -> Result<Server> {
        let dir = Ephemeral::new()?;
        let server = Server::start(Config { limits, ..Config::local(dir.path()) })?;
        Ok(Server { _ephemeral: Some(dir), ..server })
    }

    /// Opens the data directory, removes what a crash left behind, and serves.
    ///
    /// # Errors
    /// If the data directory cannot be used or another server uses it, or the address cannot be had.
    pub fn start(config: Config) -> Result<Server> {
        let listener = bind(config.listen, &config.limits)?;
        Server::start_on(listener, config)
    }

    /// The same on a socket that listens already, made by [`bind`]; `config.listen` does not count.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_on(listener: TcpListener, config: Config) -> Result<Server> {
        let coordinator = Arc::new(Coordinator::open(&config.data, config.limits.clone())?);
        let serving = Serving::begin(&config.data)?;
        if let Some(token) = config.registration_token {
            coordinator.set_registration_token(token)?;
        }
        let now = Timestamp::now();
        let orphans = coordinator.begin_serving(now)?;
        let swept = coordinator.sweep(now)?;
        if orphans > 0 || swept != Swept::default() {
            log::info!(
                "cleaned up: {orphans} files without a build, {} expired artifacts; failed {} builds whose runner is lost, {} that timed out",
                swept.expired,
                swept.runner_lost,
                swept.timed_out
            );
        }
        let traffic = Arc::new(Traffic::new(&crate::api::routes()));
        let handler = {
            let api = Api::new(Arc::clone(&coordinator), Arc::clone(&traffic));
            Box::new(move |request: &mut crate::http::Request<'_>| api.handle(request))
        };
        let http = HttpServer::start(listener, config.limits, traffic, handler)?;
        let background = Background::start(Arc::clone(&coordinator))?;
        Ok(Server { http, _background: background, coordinator, _serving: serving, _ephemeral: None })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// The URL that its address comes to, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The data directory, on which every command of `baton` works beside the server.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.coordinator.data()
    }

    /// Whether it still hears what arrives; a process whose server does not is better started anew.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.http.is_serving()
    }

    /// Threads that tiny_http has swallowed; a process that has lost many is better started anew.
    #[must_use]
    pub fn lost_threads(&self) -> usize {
        self.http.lost_threads()
    }

    /// The deeds, for those who run the server in their own process.
    #[must_use]
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }

    /// Takes no new requests, finishes those under way, and returns. Requests that did not finish within
    /// [`Limits::drain_time_max`] are given up; nothing that was acknowledged is lost.
    pub fn stop(mut self) {
        self.coordinator.begin_draining();
        let given_up = self.http.stop();
        if given_up > 0 {
            log::warn!("gave up {given_up} requests that did not finish in time");
        }
    }
}

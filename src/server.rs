//! A coordinator that listens: the library's front door.
//!
//! `LIBSQLITE3_FLAGS` in `.cargo/config.toml` says how SQLite is compiled, in this tree only. A program that uses the library
//! gets SQLite as its own tree says; nothing that Baton promises needs these flags, but speed does.

use crate::api::{Api, Reached};
use crate::background::Background;
use crate::coordinator::{Coordinator, Reached as Place, Serving, Swept};
use crate::domain::base_url::{BaseUrl, Endpoint};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::ephemeral::Ephemeral;
use crate::error::Result;
use crate::http::Request;
use crate::http::peers::Peers;
use crate::http::server::{HttpServer, bind};
use crate::http::traffic::Traffic;
use crate::limits::Limits;
use crate::tls::{self, Relay};
use crate::web::{Access, Web};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
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
    /// The certificate for TLS, without which plain HTTP is spoken.
    pub tls: Option<tls::Files>,
    /// The URL by which runners reach it; `None`: the one that each of them asks for.
    pub base_url: Option<BaseUrl>,
    /// How many serving processes have died before this one and were replaced; 0 without a supervisor.
    pub restarts: u64,
    /// Who may look at the page.
    pub page: Access,
    /// How the command line is called for this data, where the page says what to type.
    pub program: String,
}

impl Config {
    /// A server for tests: this data directory, a free port of the loopback interface, the usual limits.
    #[must_use]
    pub fn local(data: impl Into<PathBuf>) -> Config {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (limits, registration_token, tls) = (Limits::default(), None, None);
        let (page, program) = (Access::default(), "baton".to_owned());
        let data = data.into();
        Config { data, listen, limits, registration_token, tls, base_url: None, restarts: 0, page, program }
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
    front: Front,
    _background: Background,
    coordinator: Arc<Coordinator>,
    serving: Arc<Serving>,
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
        Server::with(listener, config, coordinator, serving, false)
    }

    /// Serves for the command that has opened the data directory and has the right to serve it, on this machine only.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_briefly(listener: TcpListener, coordinator: Arc<Coordinator>, serving: Serving) -> Result<Server> {
        let config = Config { limits: coordinator.limits().clone(), ..Config::local(coordinator.data()) };
        Server::with(listener, config, coordinator, serving, true)
    }

    fn with(
        listener: TcpListener,
        config: Config,
        coordinator: Arc<Coordinator>,
        serving: Serving,
        is_brief: bool,
    ) -> Result<Server> {
        let serving = Arc::new(serving);
        if let Some(token) = config.registration_token {
            coordinator.set_registration_token(token)?;
        }
        let now = Timestamp::now();
        let orphans = coordinator.begin_serving(now)?;
        serving.say_alive(now)?;
        let swept = coordinator.sweep(now)?;
        if orphans > 0 || swept != Swept::default() {
            log::info!(
                "cleaned up: {orphans} files without a build, {} expired artifacts; failed {} builds whose runner is lost, {} that timed out",
                swept.expired,
                swept.runner_lost,
                swept.timed_out
            );
        }
        let base_url = config.base_url.as_ref().map(ToString::to_string);
        let traffic = Arc::new(Traffic::new(&[crate::api::routes(), crate::web::routes()].concat()));
        let handler = {
            let is_tls = config.tls.is_some();
            let web = Web::new(
                Arc::clone(&coordinator),
                config.page,
                config.base_url.clone(),
                is_tls,
                config.program.clone(),
            );
            let web = Arc::new(web);
            let below = config.base_url.as_ref().map_or_else(String::new, |url| url.path().to_owned());
            let reached = Reached { base_url: config.base_url, is_tls };
            let api = Api::new(Arc::clone(&coordinator), Arc::clone(&traffic), reached, config.restarts);
            Box::new(move |request: &mut Request<'_>| {
                take_off(&below, request);
                web.handle(request).unwrap_or_else(|| api.handle(request))
            })
        };
        let peers = Peers::default();
        let start = |listener| HttpServer::start(listener, config.limits.clone(), traffic, peers.clone(), handler);
        let front = Front::start(listener, &config.limits, config.tls, &peers, start)?;
        let background = Background::start(Arc::clone(&coordinator), Arc::clone(&serving))?;
        let url = base_url.unwrap_or_else(|| front.endpoint().from_here().to_string());
        serving.say_where(&Place { url, is_brief })?;
        Ok(Server { front, _background: background, coordinator, serving, _ephemeral: None })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.front.endpoint().address
    }

    /// The URL that its address comes to, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.front.endpoint().to_string()
    }

    /// The data directory, on which every command of `baton` works beside the server.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.coordinator.data()
    }

    /// Reads the certificate for TLS and its key anew, for those who connect from now on. Returns whether there is one.
    ///
    /// # Errors
    /// If they cannot be used; then what was there stays.
    pub fn reload_certificate(&self) -> Result<bool> {
        self.front.relay.as_ref().map_or(Ok(false), |relay| relay.reload().map(|()| true))
    }

    /// Whether it still hears what arrives; a process whose server does not is better started anew.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.front.is_serving()
    }

    /// Grows several times a second, as long as it hears what arrives.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.front.http.rounds()
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
        let given_up = self.front.stop();
        if given_up > 0 {
            log::warn!("gave up {given_up} requests that did not finish in time");
        }
        let now = Timestamp::now();
        if let Err(error) = self.serving.say_alive(now).and_then(|()| self.coordinator.say_alive(now)) {
            log::warn!("the next server will not know when this one ended: {error}");
        }
    }
}

/// Takes the path of the base URL off: a proxy may pass it on or not.
fn take_off(below: &str, request: &mut Request<'_>) {
    if let Some(rest) = request.path.strip_prefix(below).filter(|rest| !below.is_empty() && rest.starts_with('/')) {
        request.path = rest.to_owned();
    }
}

/// What listens: the HTTP server, and TLS before it, if that is wanted. Dropping it stops both.
struct Front {
    relay: Option<Relay>,
    http: HttpServer,
    is_stopped: bool,
}

impl Front {
    /// `serve` starts the HTTP server on a listener.
    fn start(
        listener: TcpListener,
        limits: &Limits,
        files: Option<tls::Files>,
        peers: &Peers,
        serve: impl FnOnce(TcpListener) -> Result<HttpServer>,
    ) -> Result<Front> {
        let Some(files) = files else {
            return Ok(Front { relay: None, http: serve(listener)?, is_stopped: false });
        };
        let inner = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), limits)?;
        let relay = Relay::start(listener, inner.local_addr()?, files, limits, peers.clone())?;
        Ok(Front { relay: Some(relay), http: serve(inner)?, is_stopped: false })
    }

    fn endpoint(&self) -> Endpoint {
        match &self.relay {
            Some(relay) => Endpoint { address: relay.address(), is_tls: true },
            None => Endpoint { address: self.http.address(), is_tls: false },
        }
    }

    fn is_serving(&self) -> bool {
        self.http.is_serving() && self.relay.as_ref().is_none_or(Relay::is_running)
    }

    /// As [`HttpServer::stop`]; what that says last still reaches clients of TLS.
    fn stop(&mut self) -> usize {
        self.is_stopped = true;
        if let Some(relay) = &self.relay {
            relay.refuse();
        }
        let given_up = self.http.stop();
        if let Some(relay) = &mut self.relay {
            relay.finish();
        }
        given_up
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if !self.is_stopped {
            self.stop();
        }
    }
}

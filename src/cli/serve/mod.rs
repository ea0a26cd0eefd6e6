//! `baton serve`: the server, in two processes: see [`crate::process::supervisor`].

mod greeting;
mod ready;
mod values;

pub use self::values::address;

use self::ready::Ready;
use self::values::{Keeping, access, base_url, count, hold_time, keeping, log_format, size, size_or_none};

use super::show::logger::{self, Format};
use super::words::secrets::read_secret;
use super::{Done, Stop, duration, signals};
use crate::Config;
use crate::api::health;
use crate::domain::base_url::{BaseUrl, Endpoint};
use crate::domain::token::{CHOSEN_BYTES_MAX, Token};
use crate::ephemeral::Ephemeral;
use crate::http::server::bind;
use crate::limits::Limits;
use crate::process::drain::Farewells;
use crate::process::supervisor::{self, Supervisor};
use crate::process::systemd;
use crate::tls::Files;
use crate::web::Access;
use argh::{ArgsInfo, FromArgs};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Where the server listens unless it is told.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where an ephemeral one does.
const LISTEN_ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Descriptors that a connection takes.
const DESCRIPTORS_PER_CONNECTION: u64 = 1;
/// And that TLS takes: the client's, and one to the HTTP server.
const DESCRIPTORS_OF_TLS: u64 = 2;
/// Descriptors for everything else; half of all, where that is less.
const OTHER_DESCRIPTORS: u64 = 256;

/// What tells the server to stop, or to read its certificate anew.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// How long artifacts are kept that nobody has said more of.
const KEEP_ARTIFACTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Run the server that runners ask for builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "serve",
    usage = "[--listen ADDR:PORT] [options]",
    example = "{command_name}\n{command_name} --listen 0.0.0.0:8080 --max-artifact-size 2G --runner-timeout 30min",
    note = "\
        Each option may also be given as an environment variable, as in BATON_MAX_CONNECTIONS=500 for\n\
        --max-connections; options win.\n\
        SIGTERM and SIGINT finish the requests under way; a second one ends the server at once.\n\
        SIGHUP reads the files of --tls-cert and --tls-key anew; if they are no good, the old ones stay in use.\n\
        RUST_LOG=warn makes the log shorter, RUST_LOG=debug longer; RUST_LOG=info,baton::requests=off leaves\n\
        requests out. On a terminal it has colours, unless NO_COLOR is set or TERM is dumb.",
    error_code(0, "Stopped by a signal."),
    error_code(1, "It could not start; one line on standard error says why.")
)]
pub struct Serve {
    /// where to listen; port 0 takes a free one; default: 127.0.0.1:8080
    #[argh(option, arg_name = "ADDR:PORT", from_str_fn(address))]
    listen: Option<SocketAddr>,

    /// most connections at a time; then the one that has waited longest makes room; default: 10000
    #[argh(option, arg_name = "N", from_str_fn(count))]
    max_connections: Option<usize>,

    /// artifacts must be smaller, as in 100M or 2G (powers of 1024); default: 1G
    #[argh(option, arg_name = "SIZE", from_str_fn(size))]
    max_artifact_size: Option<u64>,

    /// a build whose log grows larger fails, as in 100M (powers of 1024); default: 100M
    #[argh(option, arg_name = "SIZE", from_str_fn(size))]
    max_trace_size: Option<u64>,

    /// a running build without a sign of life for so long has failed, as in 30min or 3600 (seconds); default: 1h
    #[argh(option, arg_name = "DURATION", from_str_fn(duration))]
    runner_timeout: Option<Duration>,

    /// how long a runner that asks for work waits for some, at most 50s; 0: it asks again by itself; default: 30s
    #[argh(option, arg_name = "DURATION", from_str_fn(hold_time))]
    hold: Option<Duration>,

    /// remove builds that ended so long ago, with their logs and artifacts, as in 90d; default: they stay
    #[argh(option, arg_name = "DURATION", from_str_fn(keeping), default = "None")]
    keep_builds: Keeping,

    /// keep artifacts so long, from their upload on, unless the build says otherwise, as in 7d or never; default: 30d
    #[argh(option, arg_name = "DURATION", from_str_fn(keeping), default = "Some(KEEP_ARTIFACTS)")]
    keep_artifacts: Keeping,

    /// with less room on the disk, nothing new is taken on, as in 64M (powers of 1024); default: 64M
    #[argh(option, arg_name = "SIZE", from_str_fn(size_or_none))]
    reserve: Option<u64>,

    /// take the registration token from this file at the start, in place of the one that `baton runner token` shows:
    /// 16 to 255 letters, digits, - and _
    #[argh(option, arg_name = "FILE")]
    registration_token_file: Option<String>,

    /// speak TLS, with the certificate in this PEM file and those that lead to a known one behind it; SIGHUP reads it anew
    #[argh(option, arg_name = "FILE")]
    tls_cert: Option<String>,

    /// the private key of that certificate, in PEM without a password
    #[argh(option, arg_name = "FILE")]
    tls_key: Option<String>,

    /// the URL under which runners reach the server, if that is not where it listens: a proxy's, as in
    /// https://ci.example
    #[argh(option, arg_name = "URL", from_str_fn(base_url))]
    base_url: Option<BaseUrl>,

    /// who may look at the page: login, those whom `baton open` and `baton page login` let in; public, everybody, though
    /// what changes something is for those who are signed in; off, nobody; default: login
    #[argh(option, arg_name = "WHO", from_str_fn(access), default = "Access::Login")]
    page: Access,

    /// for test suites: serve new data in a temporary directory, on a free port; ends, and removes the data, at the
    /// latest with the process that started it
    #[argh(switch)]
    ephemeral: bool,

    /// write a line of JSON with url, registration_token, pid and data to this descriptor once it serves, and close it
    #[argh(option, arg_name = "N", from_str_fn(ready::number))]
    ready_fd: Option<RawFd>,

    /// print that line of JSON in place of the sentence
    #[argh(switch)]
    json: bool,

    /// how the log on standard error looks: text, for people, or json, an object a line; default: text
    #[argh(option, arg_name = "FORMAT", from_str_fn(log_format), default = "Format::Text")]
    log_format: Format,

    /// no option for operators, who have no reason to change it; tests have
    #[argh(option, arg_name = "SIZE", from_str_fn(size), hidden_help)]
    memory_limit: Option<u64>,

    /// no option for operators, who have no reason to change it; tests have
    #[argh(option, arg_name = "DURATION", from_str_fn(duration), hidden_help)]
    silence_limit: Option<Duration>,
}

impl Serve {
    /// Runs the server on `data` until a signal comes.
    pub fn run(self, data: PathBuf) -> Done {
        logger::set_format(self.log_format);
        let limits = self.limits();
        if supervisor::is_child() {
            return self.serve(data, limits);
        }
        let mut ready = Ready::new(self.ready_fd, self.json)?;
        // The child takes them; here it is only found out whether they can be had.
        self.registration_token()?;
        let files = self.tls()?;
        let certificate = files.as_ref().map(Files::load).transpose()?;
        let mut supervisor = match systemd::listener(&limits)? {
            Some(handed) => Supervisor::new(handed, limits),
            None => Supervisor::new(bind(self.listen(), &limits)?, limits)
                .with_farewells(Farewells { certificate, answer: health::farewell }),
        };
        // Removed when this function returns, at the latest.
        let ephemeral = self.ephemeral.then(Ephemeral::new).transpose()?;
        if let Some(dir) = &ephemeral {
            supervisor = supervisor.for_a_while(dir.path());
        }
        let data = ephemeral.as_ref().map_or(data.as_path(), Ephemeral::path);
        supervisor = supervisor.watching(data);
        signals::each(&SIGNALS, stop_with_terminal(supervisor.signals()))?;
        let base_url = self.base_url.as_ref();
        let is_tls = files.is_some();
        supervisor.run(|address| {
            let endpoint = Endpoint { address, is_tls };
            warnings(address, files.as_ref()).iter().for_each(|warning| log::warn!("{warning}"));
            ready.say(endpoint, base_url, data)?;
            if ready.is_answer() { Ok(()) } else { greeting::say(endpoint, base_url, data, self.page) }
        })
    }

    /// Whether its data is its own, so that it must not be given any.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(if self.ephemeral { LISTEN_ANYWHERE } else { LISTEN })
    }

    /// What the supervisor's child does.
    fn serve(&self, data: PathBuf, mut limits: Limits) -> Done {
        let (sender, stop) = channel();
        // The supervisor passes on what is meant for both: Ctrl-C reaches both from the terminal. However often it
        // is told to stop, this process finishes what is under way; the supervisor can end it.
        signals::each(&SIGNALS, move |signal| {
            if signal != Signal::SIGINT {
                // Nobody listens any more: the process is about to end.
                let _ = sender.send(signal);
            }
        })?;
        self.fit_connections(&mut limits);
        let registration_token = self.registration_token().unwrap_or_else(|stop| {
            // The file has gone since the start: no reason not to go on with the token that is stored.
            log::warn!("the stored registration token stays in force: {stop}");
            None
        });
        let base_url = self.base_url.clone();
        let (page, program) = (self.page, super::program(&data));
        let tls = self.tls()?;
        let config = Config { limits, registration_token, tls, base_url, page, program, ..Config::local(data) };
        supervisor::serve(config, self.ephemeral, &stop);
        Ok(())
    }

    fn tls(&self) -> Done<Option<Files>> {
        match (&self.tls_cert, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Files { certificate: certificate.into(), key: key.into() })),
            (Some(_), None) => Err(Stop::Usage("--tls-cert needs --tls-key, the file of its private key".to_owned())),
            (None, Some(_)) => Err(Stop::Usage("--tls-key needs --tls-cert, the file of its certificate".to_owned())),
        }
    }

    fn registration_token(&self) -> Done<Option<Token>> {
        let Some(file) = &self.registration_token_file else { return Ok(None) };
        let failed = |error: String| Stop::Failed(format!("--registration-token-file: {error}"));
        // Every serving process reads it anew, which a pipe would not bear.
        if !Path::new(file).is_file() {
            return Err(failed("there is no regular file of that name".to_owned()));
        }
        let token = read_secret(file, CHOSEN_BYTES_MAX).and_then(|text| Token::chosen(&text));
        Ok(Some(token.map_err(failed)?))
    }

    /// Raises the limit of descriptors as far as it goes, and cuts the limit of connections to what fits.
    fn fit_connections(&self, limits: &mut Limits) {
        let descriptors = match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((soft, hard)) => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                Ok(()) => hard,
                Err(_) => soft,
            },
            Err(error) => return log::warn!("cannot tell how many descriptors there are: {error}"),
        };
        let fitting = connections_that_fit(descriptors, self.tls_cert.is_some());
        let wanted = limits.connections_max;
        if wanted > fitting {
            limits.connections_max = fitting;
            // Who has not asked for so many has lost nothing, as long as it is about the usual number.
            let level = match self.max_connections {
                Some(_) => log::Level::Warn,
                None if fitting < wanted / 2 => log::Level::Info,
                None => log::Level::Debug,
            };
            let advice = "raise the hard limit (`ulimit -Hn`) for more";
            log::log!(level, "{fitting} connections instead of {wanted} fit into {descriptors} descriptors; {advice}");
        }
    }

    fn limits(&self) -> Limits {
        let (keep_builds, keep_artifacts) = (self.keep_builds, self.keep_artifacts);
        let mut limits = Limits { keep_builds, keep_artifacts, ..Limits::default() };
        set(&mut limits.connections_max, self.max_connections);
        set(&mut limits.artifacts_bytes_max, self.max_artifact_size);
        set(&mut limits.trace_bytes_max, self.max_trace_size);
        set(&mut limits.runner_timeout, self.runner_timeout);
        set(&mut limits.hold_time_max, self.hold);
        set(&mut limits.disk_reserve_bytes, self.reserve);
        set(&mut limits.memory_bytes_max, self.memory_limit);
        set(&mut limits.silence_max, self.silence_limit);
        // A runner's last report repeats the whole trace, encoded: it must stay possible.
        let encoded = limits.trace_bytes_max.saturating_add(limits.trace_bytes_max / 4);
        limits.put_bytes_max = limits.put_bytes_max.max(encoded);
        limits
    }
}

/// What an operator may not have meant.
fn warnings(address: SocketAddr, files: Option<&Files>) -> Vec<String> {
    let is_open = files.is_none() && !address.ip().to_canonical().is_loopback();
    let open = is_open.then(|| {
        let advice = "use --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that speaks TLS";
        format!("{address} is reached over the network without TLS, so that tokens and secrets can be read on the way: {advice}")
    });
    open.into_iter().chain(files.and_then(Files::warning)).collect()
}

/// Signals, of which a hang-up is a stop when it means that the terminal is gone from which the server was started.
fn stop_with_terminal(mut act: impl FnMut(Signal) + Send + 'static) -> impl FnMut(Signal) + Send + 'static {
    let terminals = || [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()];
    let before = terminals();
    move |signal| {
        let has_gone = || before.iter().zip(terminals()).any(|(was, is)| *was && !is);
        act(if signal == Signal::SIGHUP && has_gone() { Signal::SIGTERM } else { signal });
    }
}

/// An option or its variable in place of the default.
fn set<T>(limit: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *limit = given;
    }
}

/// How many connections so many descriptors are enough for; at least one.
fn connections_that_fit(descriptors: u64, is_tls: bool) -> usize {
    let each = DESCRIPTORS_PER_CONNECTION + if is_tls { DESCRIPTORS_OF_TLS } else { 0 };
    let fitting = (descriptors - OTHER_DESCRIPTORS.min(descriptors / 2)) / each;
    usize::try_from(fitting).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::parsed_with;
    use crate::cli::{Command, Stop};

    fn settings(line: &[&str], variables: &[(&str, &str)]) -> Done<(String, Limits)> {
        match parsed_with(&[&["serve"], line].concat(), variables)?.command {
            Some(Command::Serve(serve)) => serve.tls().map(|_| (serve.listen().to_string(), serve.limits())),
            _ => panic!("{line:?}"),
        }
    }

    #[test]
    fn an_option_wins_over_its_variable_and_that_over_the_default() {
        let variables = [
            ("BATON_LISTEN", "127.0.0.1:1"),
            ("BATON_MAX_CONNECTIONS", "5"),
            ("BATON_MAX_ARTIFACT_SIZE", "2G"),
            ("BATON_MAX_TRACE_SIZE", "1K"),
            ("BATON_RUNNER_TIMEOUT", "2min"),
            ("BATON_HOLD", "10s"),
            ("BATON_RESERVE", "1G"),
            ("BATON_KEEP_BUILDS", "90d"),
            ("BATON_KEEP_ARTIFACTS", "never"),
        ];
        let (listen, limits) = settings(&[], &[("BATON_LISTEN", "")]).unwrap();
        assert_eq!(listen, "127.0.0.1:8080");
        let usual = Limits { keep_artifacts: Some(KEEP_ARTIFACTS), ..Limits::default() };
        assert_eq!(format!("{limits:?}"), format!("{usual:?}"));
        let (listen, limits) = settings(&[], &variables).unwrap();
        assert_eq!(listen, "127.0.0.1:1");
        assert_eq!((limits.connections_max, limits.artifacts_bytes_max, limits.trace_bytes_max), (5, 2 << 30, 1 << 10));
        assert_eq!((limits.runner_timeout, limits.disk_reserve_bytes), (Duration::from_secs(120), 1 << 30));
        assert_eq!(limits.hold_time_max, Duration::from_secs(10));
        let day = Duration::from_secs(24 * 3600);
        assert_eq!((limits.keep_builds, limits.keep_artifacts), (Some(90 * day), None));
        let line = [
            "--listen",
            "[::1]:0",
            "--max-connections",
            "7",
            "--max-trace-size",
            "1G",
            "--reserve",
            "0",
            "--hold",
            "0",
            "--keep-builds",
            "0",
            "--keep-artifacts",
            "1 week",
        ];
        let (listen, limits) = settings(&line, &variables).unwrap();
        assert!(limits.hold_time_max.is_zero());
        assert_eq!((limits.keep_builds, limits.keep_artifacts), (None, Some(7 * day)));
        assert_eq!((listen.as_str(), limits.connections_max, limits.disk_reserve_bytes), ("[::1]:0", 7, 0));
        assert!(limits.put_bytes_max > 1 << 30);
    }

    #[test]
    fn one_line_warns_of_a_network_without_tls_and_one_of_a_key_that_others_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let files = Files { certificate: dir.path().join("cert"), key: dir.path().join("key") };
        std::fs::write(&files.key, b"key").unwrap();
        for (listen, mode, parts) in [
            ("127.0.0.1:1", None, &[][..]),
            ("[::1]:1", None, &[]),
            ("[::ffff:127.0.0.1]:1", None, &[]),
            ("0.0.0.0:1", None, &["without TLS"]),
            ("[::]:1", None, &["without TLS"]),
            ("10.1.2.3:1", None, &["without TLS"]),
            ("0.0.0.0:1", Some(0o600), &[]),
            ("0.0.0.0:1", Some(0o640), &[]),
            ("127.0.0.1:1", Some(0o644), &["(644): `chmod o="]),
        ] {
            let files = mode.map(|mode| {
                std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
                &files
            });
            let warnings = warnings(listen.parse().unwrap(), files);
            assert_eq!(warnings.len(), parts.len(), "{listen} {mode:?}: {warnings:?}");
            assert!(warnings.iter().zip(parts).all(|(warning, part)| warning.contains(part)), "{warnings:?}");
        }
    }

    #[test]
    fn one_descriptor_a_connection_or_three_with_tls_and_some_for_the_rest() {
        for (descriptors, connections) in [(10_256, 10_000), (1024, 768), (64, 32), (1, 1)] {
            assert_eq!(connections_that_fit(descriptors, false), connections);
            assert_eq!(connections_that_fit(descriptors, true), (connections / 3).max(1));
        }
    }

    #[test]
    fn a_wrong_setting_names_its_source() {
        for (line, variables, part) in [
            (&["--listen", "8080"][..], &[][..], "--listen \"8080\""),
            (&[], &[("BATON_LISTEN", "x")], "BATON_LISTEN \"x\""),
            (&["--max-connections", "0"], &[], "at least 1"),
            (&["--max-artifact-size", "1X"], &[], "--max-artifact-size \"1X\""),
            (&[], &[("BATON_RUNNER_TIMEOUT", "0")], "at least one second"),
            (&["--hold", "2min"], &[], "at most 50s"),
            (&["--reserve", "much"], &[], "--reserve \"much\""),
            (&["--hold", "1s"], &[("BATON_RESERVE", "much")], "BATON_RESERVE \"much\""),
            (&["--tls-cert", "c"], &[], "--tls-key"),
            (&["--tls-key", "k"], &[], "--tls-cert"),
            (&["--base-url", "ci.example"], &[], "--base-url \"ci.example\": it must be a URL such as"),
            (&["--base-url", "http://u:p@ci.example"], &[], "--base-url \"...\": it must have no user"),
            (&[], &[("BATON_HOLDS", "1s")], "BATON_HOLD?"),
        ] {
            match settings(line, variables).err() {
                Some(Stop::Usage(message)) => assert!(message.contains(part), "{message}"),
                other => panic!("{line:?} {variables:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_host_name_is_looked_up() {
        assert_eq!(address("localhost:80").map(|address| address.port()), Ok(80));
    }
}

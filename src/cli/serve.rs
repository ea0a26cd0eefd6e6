//! `baton serve`: the server.

use super::{Done, Stop, duration, print, signals};
use crate::domain::size::parse_size;
use crate::limits::Limits;
use crate::{Config, Server};
use argh::{ArgsInfo, FromArgs};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// Where the server listens unless it is told.
const LISTEN: &str = "127.0.0.1:8080";

/// Run the server that runners ask for builds.
#[derive(FromArgs, ArgsInfo, Default)]
#[argh(
    subcommand,
    name = "serve",
    usage = "[--listen ADDR:PORT] [options]",
    example = "{command_name}\n{command_name} --listen 0.0.0.0:8080 --max-artifact-size 2G --runner-timeout 30min",
    note = "\
        Each option may also be given as an environment variable: BATON_LISTEN, BATON_MAX_CONNECTIONS,\n\
        BATON_MAX_ARTIFACT_SIZE, BATON_MAX_TRACE_SIZE, BATON_RUNNER_TIMEOUT; options win.\n\
        SIGTERM and SIGINT finish the requests under way; a second one ends the server at once.\n\
        RUST_LOG=warn makes the log shorter, RUST_LOG=debug longer.",
    error_code(0, "Stopped by a signal."),
    error_code(1, "It could not start; one line on standard error says why.")
)]
pub struct Serve {
    /// where to listen; port 0 takes a free one; default: 127.0.0.1:8080
    #[argh(option, arg_name = "ADDR:PORT")]
    listen: Option<String>,

    /// most connections at a time, further ones wait; default: 10000
    #[argh(option, arg_name = "N")]
    max_connections: Option<String>,

    /// artifacts must be smaller, as in 100M or 2G (powers of 1024); default: 1G
    #[argh(option, arg_name = "SIZE")]
    max_artifact_size: Option<String>,

    /// a build whose log grows larger fails, as in 100M (powers of 1024); default: 100M
    #[argh(option, arg_name = "SIZE")]
    max_trace_size: Option<String>,

    /// a running build without a sign of life for so long has failed, as in 30min or 3600 (seconds); default: 1h
    #[argh(option, arg_name = "DURATION")]
    runner_timeout: Option<String>,
}

impl Serve {
    /// Runs the server on `data` until a signal comes.
    pub fn run(self, data: PathBuf) -> Done {
        let signals = signals::watch()?;
        let variable = |name: &str| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
        let config = self.config(data, variable)?;
        let server = Server::start(config)?;
        match print::out(&format!("baton listening on http://{}\n", server.address())) {
            // The server serves, whether or not somebody reads where.
            Ok(()) | Err(Stop::Unread) => {}
            Err(stop) => return Err(stop),
        }
        match signals.recv() {
            Ok(signal) => log::info!("{signal}: stopping; requests under way are finished"),
            Err(_) => return Err(Stop::Failed("the watch for signals has ended; the server stops".to_owned())),
        }
        server.stop();
        Ok(())
    }

    /// An option wins over its environment variable, that over the default.
    fn config(self, data: PathBuf, environment: impl Fn(&str) -> Option<String>) -> Done<Config> {
        let given = |option: Option<String>, name: &'static str| -> Option<Given> {
            let variable = format!("BATON_{}", name.trim_start_matches('-').replace('-', "_").to_uppercase());
            let from_environment = || environment(&variable).filter(|text| !text.is_empty());
            match option {
                Some(text) => Some(Given { text, source: name.to_owned() }),
                None => from_environment().map(|text| Given { text, source: variable.clone() }),
            }
        };
        let mut limits = Limits::default();
        let listen = given(self.listen, "--listen")
            .unwrap_or_else(|| Given { text: LISTEN.to_owned(), source: "--listen".to_owned() })
            .read(address)?;
        if let Some(connections) = given(self.max_connections, "--max-connections") {
            limits.connections_max = connections.read(count)?;
        }
        if let Some(bytes) = given(self.max_artifact_size, "--max-artifact-size") {
            limits.artifacts_bytes_max = bytes.read(size)?;
        }
        if let Some(bytes) = given(self.max_trace_size, "--max-trace-size") {
            limits.trace_bytes_max = bytes.read(size)?;
            // A runner's last report repeats the whole trace, encoded: it must stay possible.
            let encoded = limits.trace_bytes_max.saturating_add(limits.trace_bytes_max / 4);
            limits.put_bytes_max = limits.put_bytes_max.max(encoded);
        }
        if let Some(timeout) = given(self.runner_timeout, "--runner-timeout") {
            limits.runner_timeout = timeout.read::<Duration>(duration)?;
        }
        Ok(Config { data, listen, limits })
    }
}

/// A setting, and where it comes from.
struct Given {
    text: String,
    source: String,
}

impl Given {
    fn read<T>(self, parse: impl Fn(&str) -> Result<T, String>) -> Done<T> {
        let wrong =
            |error| Stop::Usage(format!("{} {:?}: {error}; `baton serve --help` explains", self.source, self.text));
        parse(&self.text).map_err(wrong)
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "it must be an address and a port, as in 127.0.0.1:8080 or [::1]:8080".to_owned();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    // A host's name; of several addresses the first IPv4 one, which is what people mean by localhost.
    let addresses: Vec<SocketAddr> = text.to_socket_addrs().map_err(|_| wrong.clone())?.collect();
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied().ok_or(wrong)
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "it must be a number, at least 1".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("it must be at least one byte".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &[&str], environment: &[(&str, &str)]) -> Done<Config> {
        let serve = Serve::from_args(&["baton", "serve"], line).map_err(|exit| exit.output).unwrap();
        let look_up =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        serve.config(PathBuf::from("d"), look_up)
    }

    #[test]
    fn an_option_wins_over_its_variable_and_that_over_the_default() {
        let variables = [
            ("BATON_LISTEN", "127.0.0.1:1"),
            ("BATON_MAX_CONNECTIONS", "5"),
            ("BATON_MAX_ARTIFACT_SIZE", "2G"),
            ("BATON_MAX_TRACE_SIZE", "1K"),
            ("BATON_RUNNER_TIMEOUT", "2min"),
        ];
        let default = config(&[], &[("BATON_LISTEN", "")]).unwrap();
        assert_eq!(default.listen.to_string(), LISTEN);
        assert_eq!(format!("{:?}", default.limits), format!("{:?}", Limits::default()));
        let from_variables = config(&[], &variables).unwrap();
        assert_eq!(from_variables.listen.to_string(), "127.0.0.1:1");
        let limits = from_variables.limits;
        assert_eq!((limits.connections_max, limits.artifacts_bytes_max, limits.trace_bytes_max), (5, 2 << 30, 1 << 10));
        assert_eq!(limits.runner_timeout, Duration::from_secs(120));
        let line = ["--listen", "[::1]:0", "--max-connections", "7", "--max-trace-size", "1G"];
        let from_options = config(&line, &variables).unwrap();
        assert_eq!((from_options.listen.to_string().as_str(), from_options.limits.connections_max), ("[::1]:0", 7));
        assert!(from_options.limits.put_bytes_max > 1 << 30);
    }

    #[test]
    fn a_wrong_setting_names_its_source() {
        for (line, variables, part) in [
            (&["--listen", "8080"][..], &[][..], "--listen \"8080\""),
            (&[], &[("BATON_LISTEN", "x")], "BATON_LISTEN \"x\""),
            (&["--max-connections", "0"], &[], "at least 1"),
            (&["--max-artifact-size", "1X"], &[], "--max-artifact-size \"1X\""),
            (&[], &[("BATON_RUNNER_TIMEOUT", "0")], "at least one second"),
        ] {
            match config(line, variables).err() {
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

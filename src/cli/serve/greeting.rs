//! What `baton serve` says once it serves: how to get from here to a first build.
//!
//! What must stay true: the registration token and the link to the page go to a terminal only, never to a file, a pipe or a log. Today's command
//! makes a token of its own as it runs, so that nothing secret stands in it.

use crate::cli::page::{link_at, own_name};
use crate::cli::show::print;
use crate::cli::{Done, Stop, program};
use crate::coordinator::Coordinator;
use crate::domain::base_url::{BaseUrl, Endpoint};
use crate::domain::first_steps::{old_register_line, register_line};
use crate::limits::Limits;
use crate::web::Access;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Says where the server listens and where its data is, and how a runner is registered, at `base_url` if that is
/// another place. The first line goes to standard output, whoever reads it; the rest to a terminal, or else, without
/// the token, to the log.
///
/// # Errors
/// If standard output cannot be written, other than for want of a reader.
pub fn say(endpoint: Endpoint, base_url: Option<&BaseUrl>, data: &Path, access: Access) -> Done {
    match print::out(&format!("baton listening on {endpoint}\n")) {
        // The server serves, whether or not somebody reads where.
        Ok(()) | Err(Stop::Unread) => {}
        Err(stop) => return Err(stop),
    }
    let (is_out, is_err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let place = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let (url, is_everywhere) = url(endpoint, base_url);
    let program = program(data);
    if !is_out && !is_err {
        let line = register_line(&url, &program);
        log::info!("data in {}; a runner is registered with: {line}", place.display());
        return Ok(());
    }
    let (token, page) = match Coordinator::open(data, Limits::default()) {
        Ok(coordinator) => (coordinator.registration_token(false), page_line(&coordinator, &url, access)),
        Err(error) => (Err(error), String::new()),
    };
    let token = token.unwrap_or_else(|error| {
        log::warn!("cannot read the registration token: {error}");
        format!("\"$({program} runner token)\"")
    });
    let lines = [&register_line(&url, &program), &old_register_line(&url, &token)];
    let text = format!("{}{page}", text(&place, lines.map(String::as_str), &program, is_everywhere));
    // Nobody can be told when that fails, and the server serves.
    let _ = if is_out { io::stdout().write_all(text.as_bytes()) } else { io::stderr().write_all(text.as_bytes()) };
    Ok(())
}

/// Where the page is.
fn page_line(coordinator: &Coordinator, url: &str, access: Access) -> String {
    match access {
        Access::Off => String::new(),
        Access::Public => format!("The page, which everybody may read: {url}/\n\n"),
        Access::Login => match link_at(coordinator, url, &own_name(), None) {
            Ok(link) => format!(
                "The page, by a link that is good once, for ten minutes (`baton open` makes another):\n\n  {link}\n\n"
            ),
            Err(stop) => {
                log::warn!("there is no link to the page: {stop}");
                String::new()
            }
        },
    }
}

fn text(data: &Path, [register, old_register]: [&str; 2], program: &str, is_everywhere: bool) -> String {
    let elsewhere = if is_everywhere {
        " (on another machine, with this machine's name in the URL, and a token that was made here)"
    } else {
        ""
    };
    format!(
        "data in {}\n\nIn another terminal, register a runner{elsewhere} and start it:\n\n  {register}\n  \
         gitlab-runner run\n\nA runner 1.x is registered with:\n\n  {old_register}\n\nThen run a first build, in a third, in a git checkout or anywhere:\n\n  \
         {program} run -- echo hello\n\n",
        data.display()
    )
}

/// The URL for runners, and whether it is one for this machine only of a server that others can reach, too.
pub fn url(endpoint: Endpoint, base_url: Option<&BaseUrl>) -> (String, bool) {
    base_url.map_or_else(|| reachable(endpoint), |url| (url.to_string(), false))
}

/// The URL that people on this machine can use, and whether other machines can reach the server, too.
fn reachable(endpoint: Endpoint) -> (String, bool) {
    let address = endpoint.address;
    let is_everywhere = address.ip().is_unspecified();
    let here = match address.ip() {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    let ip = if is_everywhere { here } else { address.ip() };
    let address = SocketAddr::new(ip, address.port());
    (Endpoint { address, ..endpoint }.to_string(), is_everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_one_that_a_person_can_use() {
        for (listen, url, is_everywhere) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", false),
            ("0.0.0.0:80", "http://127.0.0.1:80", true),
            ("[::]:8080", "http://[::1]:8080", true),
            ("[fd00::1]:8080", "http://[fd00::1]:8080", false),
        ] {
            let endpoint = Endpoint { address: listen.parse().unwrap(), is_tls: false };
            assert_eq!(reachable(endpoint), (url.to_owned(), is_everywhere));
            let url = url.replace("http", "https");
            assert_eq!(reachable(Endpoint { is_tls: true, ..endpoint }), (url, is_everywhere));
        }
        let line = old_register_line("https://ci.example/baton/", "T");
        assert!(line.ends_with("--url https://ci.example/baton/ci --registration-token T"), "{line}");
        let line = register_line("https://ci.example/baton/", "baton --data x");
        let end = "--url https://ci.example/baton --token \"$(baton --data x runner add --token-only)\"";
        assert!(line.ends_with(end), "{line}");
        // A shell would take the brackets for a pattern.
        assert!(register_line("http://[::1]:8080", "baton").contains("'http://[::1]:8080'"));
        assert!(old_register_line("http://[::1]:8080", "T").contains("'http://[::1]:8080/ci'"));
    }
}

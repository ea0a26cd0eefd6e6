//! What the values of the options of `serve` may be, for argh.

use crate::cli::show::logger::Format;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::duration::{check_unit, parse_duration, parse_keeping};
use crate::domain::text::size::parse_size;
use crate::web::Access;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Usual time limits of proxies are 60 seconds.
const HOLD_TIME_MAX: Duration = Duration::from_secs(50);

/// For how long something is kept; `None`: for ever. By another name, since an option may be absent, too.
pub(super) type Keeping = Option<Duration>;

/// Longer than proxies and clients wait for an answer, nobody is held.
pub(super) fn hold_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(time) if time > HOLD_TIME_MAX => Err("at most 50s: proxies give up on answers after a minute".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn keeping(text: &str) -> Result<Keeping, String> {
    check_unit(text)?;
    match parse_keeping(text) {
        Ok(Some(time)) if time < Duration::from_secs(1) => Err("it must be at least one second, or never".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn access(text: &str) -> Result<Access, String> {
    let found = Access::WORDS.into_iter().find(|(word, _)| *word == text);
    found.map(|(_, access)| access).ok_or_else(|| "it must be login, public or off".to_owned())
}

pub(super) fn log_format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("it must be text or json".to_owned()),
    }
}

pub(super) fn base_url(text: &str) -> Result<BaseUrl, String> {
    BaseUrl::parse(text)
}

/// An address and a port, or a host's name and a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "it must be an address and a port, as in 127.0.0.1:8080 or [::1]:8080".to_owned();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    // A host's name; of several addresses the first IPv4 one, which is what people mean by localhost.
    let addresses: Vec<SocketAddr> = text.to_socket_addrs().map_err(|_| wrong.clone())?.collect();
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied().ok_or(wrong)
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "it must be a number, at least 1".to_owned())
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    match size_or_none(text)? {
        0 => Err("it must be at least one byte".to_owned()),
        bytes => Ok(bytes),
    }
}

pub(super) fn size_or_none(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

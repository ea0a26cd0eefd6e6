//! The lines of shell with which somebody begins.

use super::text::shell::quoted;

/// The line that registers a runner from 9.0 on at the server of this URL. `program` makes its token.
pub fn register_line(url: &str, program: &str) -> String {
    format!(
        "gitlab-runner register --non-interactive --executor shell --url {} --token \"$({program} runner add --token-only)\"",
        quoted(&[url.trim_end_matches('/').to_owned()])
    )
}

/// The line that registers a runner 1.x. `token` stands in it as it is.
pub fn old_register_line(url: &str, token: &str) -> String {
    let url = format!("{}/ci", url.trim_end_matches('/'));
    format!(
        "gitlab-runner register --non-interactive --executor shell --url {} --registration-token {token}",
        quoted(&[url])
    )
}

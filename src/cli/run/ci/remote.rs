//! Files that a configuration includes by URL, where the command line allows it.
//!
//! What must stay true: by https alone, redirects too; within bounds of time and bytes; with an `integrity`, only the
//! content that it names.

use crate::gitlab_ci::surroundings::Refusal;
use crate::gitlab_ci::yaml::FILE_BYTES_MAX;
use crate::runner::trusted_by_system;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::time::Duration;
use ureq::Agent;

/// Longest time for one file.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Most redirects to one.
const REDIRECTS_MAX: u32 = 5;

/// Fetches files, each once.
#[derive(Default)]
pub struct Remote {
    agent: OnceCell<Result<Agent, String>>,
    known: RefCell<HashMap<String, Result<Vec<u8>, String>>>,
}

impl Remote {
    /// The file at a URL.
    ///
    /// # Errors
    /// Says why it is not had.
    pub fn fetch(&self, url: &str, integrity: Option<&str>) -> Result<Vec<u8>, Refusal> {
        let told = |why: String| Refusal {
            words: format!("Remote file `{url}` could not be fetched because of {why}"),
            hint: None,
        };
        if !url.starts_with("https://") {
            return Err(told("its address, which is not `https://`".to_owned()));
        }
        let found = self.known.borrow().get(url).cloned();
        let content = found.unwrap_or_else(|| {
            let content = self.get(url);
            self.known.borrow_mut().insert(url.to_owned(), content.clone());
            content
        });
        let content = content.map_err(told)?;
        match integrity {
            Some(integrity) if !is_content(&content, integrity) => {
                Err(told(format!("its content, which is not what the integrity hash {integrity} names")))
            }
            _ => Ok(content),
        }
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let agent = self.agent.get_or_init(|| {
            let config = Agent::config_builder()
                .tls_config(trusted_by_system().map_err(|error| error.message)?)
                .timeout_global(Some(TIME_MAX))
                .max_redirects(REDIRECTS_MAX)
                .https_only(true)
                .build();
            Ok(config.into())
        });
        let agent = agent.as_ref().map_err(Clone::clone)?;
        let mut response = agent.get(url).call().map_err(|error| format!("an error: {error}"))?;
        let body = response.body_mut().with_config().limit(FILE_BYTES_MAX as u64);
        body.read_to_vec().map_err(|error| format!("an error: {error}"))
    }
}

/// Whether a hash as in `sha256-BASE64` is that of this content.
fn is_content(content: &[u8], integrity: &str) -> bool {
    let wanted = integrity.strip_prefix("sha256-").and_then(|text| STANDARD.decode(text).ok());
    wanted.is_some_and(|wanted| wanted == Sha256::digest(content)[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_https_is_fetched_and_a_hash_names_one_content() {
        let refused = Remote::default().fetch("http://127.0.0.1:9/x.yml", None).unwrap_err();
        assert!(refused.words.contains("not `https://`"), "{}", refused.words);
        let of_abc = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        assert!(is_content(b"abc", of_abc) && !is_content(b"abd", of_abc) && !is_content(b"abc", "abc"));
    }
}

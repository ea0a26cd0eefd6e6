//! Paths in URLs.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as it stands in a URL: bytes that mean something else there, or nothing, are `%` and two digits.
#[must_use]
pub fn path_in_url(path: &Path) -> String {
    let mut url = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// The URL by which git reads the repository at this absolute path. It has a host, since runners make a folder of their
/// own for each repository of host and path, and one for all of a project that have no host.
#[must_use]
pub fn repository_url(path: &Path) -> String {
    format!("file://localhost{}", path_in_url(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_mean_something_in_a_url_are_encoded() {
        let url = repository_url(Path::new("/home/ü/a b%41?c#d.git"));
        assert_eq!(url, "file://localhost/home/%C3%BC/a%20b%2541%3Fc%23d.git");
        assert_eq!(crate::domain::build::check_repo_url(&url), Ok(()));
    }
    #[test]
    fn a_repository_may_lie_in_the_longest_path_of_any_letters() {
        let path = format!("/{}", "Документы/".repeat(4096 / 19));
        assert!(path.len() < 4096 && path.len() > 4000);
        let longest = format!("/{}", "\u{1f98a}".repeat(1023));
        for path in [path.as_str(), &longest] {
            assert_eq!(crate::domain::build::check_repo_url(&repository_url(Path::new(path))), Ok(()));
        }
        assert!(crate::domain::build::check_repo_url(&format!("/{}", "a".repeat(20_000))).is_err());
    }
}

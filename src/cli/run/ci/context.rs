//! Under which circumstances a pipeline of a checkout is made: branch or tag, commit, project, user.

use super::Terms;
use crate::cli::{Done, Stop};
use crate::coordinator::start::circumstances::of_commit;
use crate::domain::git_names::url_of_short_form;
use crate::domain::pipeline::Source;
use crate::error::Result;
use crate::git::checkout::{Found, Settings, look};
use crate::git::{Checkout, Head, Snapshot};
use crate::gitlab_ci::context::{Context, Given};
use nix::unistd::{User, getuid};

/// What the ref is called where none is checked out.
const DETACHED: &str = "detached";

/// A checkout, and what is known of it before anything is compiled.
pub struct Place {
    /// The checkout.
    pub checkout: Checkout,
    /// Its present commit.
    pub head: Head,
    /// What git was told.
    pub settings: Settings,
}

/// What the pipeline is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct For {
    /// Why there is one.
    pub source: Source,
    /// The branch; of a merge request the source branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The default branch.
    pub default_branch: String,
    /// The target branch of a merge request.
    pub target: String,
}

impl For {
    /// Branch or tag.
    pub fn ref_name(&self) -> &str {
        self.tag.as_deref().or(self.branch.as_deref()).unwrap_or(DETACHED)
    }
}

/// What was asked for, and what the checkout says where nothing was.
pub fn what_for(place: &Place, terms: &Terms) -> Done<For> {
    let Place { checkout, settings, .. } = place;
    let found = checkout.default_branch(settings)?;
    let is_other_source = terms.source.is_some_and(|source| source != Source::Push);
    let tag = match (&terms.tag, &terms.branch, &checkout.branch) {
        (Some(tag), None, _) => Some(tag.clone()),
        (Some(_), Some(_), _) => {
            return Err(Stop::Usage("--tag and --branch do not go together: a pipeline is of one of them".to_owned()));
        }
        (None, None, None) if !is_other_source => checkout.tag_at_head()?,
        _ => None,
    };
    let branch = match (&tag, &terms.branch, &checkout.branch) {
        (Some(_), ..) => None,
        (None, Some(branch), _) | (None, None, Some(branch)) => Some(branch.clone()),
        (None, None, None) => Some(DETACHED.to_owned()),
    };
    let default_branch = terms.default_branch.clone().or(found).or(branch.clone()).unwrap_or_else(|| "main".to_owned());
    let target = terms.target.clone().unwrap_or_else(|| default_branch.clone());
    let source = terms.source.unwrap_or(if terms.target.is_some() { Source::MergeRequestEvent } else { Source::Push });
    if source == Source::MergeRequestEvent && tag.is_some() {
        return Err(Stop::Usage("a merge request is of a branch: --tag does not go with it".to_owned()));
    }
    Ok(For { source, branch, tag, default_branch, target })
}

/// The commit that a pipeline is compared with, as GitLab would; `None`: each `changes` holds.
pub fn base(place: &Place, what: &For, terms: &Terms) -> Done<Option<String>> {
    let Place { checkout, head, .. } = place;
    if terms.all_changes {
        return Ok(None);
    }
    if let Some(other) = &terms.compare_to {
        let Some(sha) = resolve(checkout, other)? else {
            return Err(Stop::Failed(format!("--compare-to {other:?}: there is no such commit, branch or tag")));
        };
        return Ok(Some(merge_base(checkout, &sha)?.unwrap_or(sha)));
    }
    match (what.source, &what.branch) {
        (Source::MergeRequestEvent, _) => match resolve(checkout, &what.target)? {
            Some(target) => merge_base(checkout, &target),
            None => Ok(None),
        },
        (Source::Push, Some(branch)) => {
            if let Some(upstream) = checkout.upstream(branch)? {
                return Ok(Some(upstream));
            }
            if *branch == what.default_branch {
                return Ok(head.parents.first().cloned());
            }
            match resolve(checkout, &what.default_branch)? {
                Some(default) => merge_base(checkout, &default),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// A commit by any name, that of a branch of `origin` too.
pub fn resolve(checkout: &Checkout, name: &str) -> Result<Option<String>> {
    let short = name.strip_prefix("refs/heads/").unwrap_or(name);
    for name in [name.to_owned(), short.to_owned(), format!("origin/{short}")] {
        if let Some(sha) = checkout.resolve(&name)? {
            return Ok(Some(sha));
        }
    }
    Ok(None)
}

fn merge_base(checkout: &Checkout, sha: &str) -> Done<Option<String>> {
    Ok(checkout.merge_base("HEAD", sha)?)
}

/// Where the project lies elsewhere: protocol, host with port, path.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    protocol: String,
    authority: String,
    path: String,
}

/// Reads the URL of a remote repository; `None`: it is none that a server has.
fn origin(url: &str) -> Option<Origin> {
    let long = url_of_short_form(url).unwrap_or_else(|| url.to_owned());
    let (protocol, rest) = long.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    if protocol == "file" || authority.is_empty() || path.is_empty() {
        return None;
    }
    // Whoever fetches by ssh still looks at the project by https.
    let is_web = matches!(protocol, "http" | "https");
    let host = authority.split(':').next().unwrap_or_default();
    Some(Origin {
        protocol: if is_web { protocol.to_owned() } else { "https".to_owned() },
        authority: if is_web { authority.to_owned() } else { host.to_owned() },
        path: path.to_owned(),
    })
}

/// The path of `origin` of the checkout that this is called in, if it has one.
///
/// # Errors
/// What git finds wrong with the checkout.
pub fn path_of_checkout() -> Done<Option<String>> {
    let Ok(here) = std::env::current_dir() else { return Ok(None) };
    let Found::Checkout(checkout) = look(&here)? else { return Ok(None) };
    let settings = checkout.settings()?;
    Ok(settings.origin().and_then(origin).map(|origin| origin.path))
}

/// The project's path, as in `group/name`: that of `origin`, else the folder's name below `local/`.
pub fn project_path(place: &Place) -> String {
    let of_origin = place.settings.origin().and_then(origin).map(|origin| origin.path);
    of_origin.unwrap_or_else(|| {
        let folder = place.checkout.top.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = folder.unwrap_or_else(|| "project".to_owned());
        let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
        format!(
            "local/{}",
            folder.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect::<String>()
        )
    })
}

/// The circumstances, for the meaning of the file.
pub fn context(
    place: &Place,
    what: &For,
    base: Option<&str>,
    snapshot: &Snapshot,
    terms: &Terms,
    given: Vec<Given>,
) -> Done<Context> {
    let mut predefined = of_commit(&place.head, &snapshot.sha, base);
    if let Some(tag) = &what.tag
        && let Some(message) = place.checkout.tag_message(tag)?
    {
        predefined.push(("CI_COMMIT_TAG_MESSAGE".to_owned(), message));
    }
    if terms.protected {
        predefined.push(("CI_COMMIT_REF_PROTECTED".to_owned(), "true".to_owned()));
    }
    if what.source == Source::MergeRequestEvent {
        predefined.push(("CI_MERGE_REQUEST_DIFF_BASE_SHA".to_owned(), base.unwrap_or_default().to_owned()));
        predefined.push(("CI_MERGE_REQUEST_TITLE".to_owned(), place.head.title().to_owned()));
    }
    predefined.extend(of_server(place));
    predefined.extend(of_user(place));
    Ok(Context {
        source: what.source,
        branch: what.branch.clone(),
        tag: what.tag.clone(),
        target: (what.source == Source::MergeRequestEvent).then(|| what.target.clone()),
        default_branch: what.default_branch.clone(),
        project: project_path(place),
        config_path: terms.file.clone(),
        predefined,
        given,
        inputs: terms.inputs.clone(),
    })
}

fn of_server(place: &Place) -> Vec<(String, String)> {
    let Some(Origin { protocol, authority, path }) = place.settings.origin().and_then(origin) else {
        return Vec::new();
    };
    let (host, port) = authority.split_once(':').unwrap_or((&authority, if protocol == "http" { "80" } else { "443" }));
    let url = format!("{protocol}://{authority}");
    [
        ("CI_SERVER_URL", url.as_str()),
        ("CI_SERVER_HOST", host),
        ("CI_SERVER_FQDN", &authority),
        ("CI_SERVER_PORT", port),
        ("CI_SERVER_PROTOCOL", &protocol),
        ("CI_PROJECT_URL", &format!("{url}/{path}")),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn of_user(place: &Place) -> Vec<(String, String)> {
    let system = User::from_uid(getuid()).ok().flatten().map(|user| user.name).unwrap_or_else(|| "user".to_owned());
    let settings = &place.settings;
    let name = settings.user_name.clone().unwrap_or_else(|| system.clone());
    let email = settings.user_email.clone().unwrap_or_else(|| format!("{system}@localhost"));
    [
        ("GITLAB_USER_LOGIN", system),
        ("GITLAB_USER_NAME", name),
        ("GITLAB_USER_EMAIL", email),
        ("GITLAB_USER_ID", "1".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_the_place_where_people_look_at_them() {
        for (url, is) in [
            ("git@gitlab.com:group/sub/name.git", Some("https gitlab.com group/sub/name")),
            ("ssh://git@host:2222/group/name.git", Some("https host group/name")),
            ("https://user:secret@host:8443/group/name/", Some("https host:8443 group/name")),
            ("http://host/name", Some("http host name")),
            ("file:///srv/name.git", None),
            ("/srv/name.git", None),
            ("https://host/", None),
        ] {
            let read = origin(url).map(|origin| format!("{} {} {}", origin.protocol, origin.authority, origin.path));
            assert_eq!(read.as_deref(), is, "{url}");
        }
    }
}

//! The script that gets the sources: git, in the job's own shell, so that what the user's profile sets up holds.
//!
//! What must stay true: the lines are those of gitlab-runner 19.3. No token stands in `.git/config`: it is in a file for
//! one job, which the checkout includes. Nothing of the job can be taken for an option of git that was not meant to be.

use super::job::{GitInfo, Job};
use super::script::{Script, command, quoted, quoted_path};
use super::stages::Failure;
use super::variables::Variables;
use std::path::Path;

/// What the file is called that holds what git needs of one job.
pub const EXTERNAL: &str = ".gitlab-runner.ext.conf";
/// The folder with what a new checkout begins with.
pub const TEMPLATE: &str = "git-template";

/// How a checkout is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// The one that is there is used.
    Fetch,
    /// It is made anew.
    Clone,
    /// What is there stays as it is.
    None,
    /// The folder is empty.
    Empty,
}

/// What is done about submodules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Submodules {
    None,
    Normal,
    Recursive,
}

impl Strategy {
    /// What the job asks for; and whether that was an unknown word.
    #[must_use]
    pub fn of(job: &Job, variables: &Variables) -> (Strategy, bool) {
        let usual = if job.allow_git_fetch { Strategy::Fetch } else { Strategy::Clone };
        match variables.text("GIT_STRATEGY") {
            "" => (usual, false),
            "fetch" => (Strategy::Fetch, false),
            "clone" => (Strategy::Clone, false),
            "none" => (Strategy::None, false),
            "empty" => (Strategy::Empty, false),
            _ => (usual, true),
        }
    }

    /// Whether git has anything to do.
    #[must_use]
    pub fn is_git(self) -> bool {
        matches!(self, Strategy::Fetch | Strategy::Clone)
    }
}

/// The content of [`EXTERNAL`]: the repository's URL with what it takes to get in. Also the URL without.
///
/// # Errors
/// If the URL cannot stand in a file of git's.
pub fn external(repo_url: &str) -> Result<(String, String), Failure> {
    if repo_url.is_empty() || repo_url.starts_with('-') || repo_url.chars().any(char::is_control) {
        return Err(Failure::Configuration("the repository's URL is none".to_owned()));
    }
    let plain = without_user(repo_url);
    if plain == repo_url {
        return Ok((String::new(), plain));
    }
    let content = format!("[url {}]\n\tinsteadOf = {}\n", git_quoted(repo_url), git_quoted(&plain));
    Ok((content, plain))
}

/// The URL without user and password.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(host_end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A text as it stands in git's files.
fn git_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The content of `config` in [`TEMPLATE`].
#[must_use]
pub fn template(external: &Path) -> String {
    format!(
        "[init]\n\tdefaultBranch = none\n[fetch]\n\trecurseSubmodules = false\n[credential]\n\tinteractive = never\n\
         [gc]\n\tautoDetach = false\n[include]\n\tpath = {}\n",
        git_quoted(&external.display().to_string())
    )
}

/// What a checkout is made from.
pub struct Sources<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its variables.
    pub variables: &'a Variables,
    /// Its folder.
    pub project: &'a Path,
    /// The folder for one job.
    pub temporary: &'a Path,
    /// The repository, without a token.
    pub url: &'a str,
}

impl Sources<'_> {
    /// The script.
    ///
    /// # Errors
    /// If the job asks for what cannot be.
    pub fn script(&self) -> Result<String, Failure> {
        let (strategy, is_unknown) = Strategy::of(self.job, self.variables);
        let submodules = self.submodules()?;
        let mut script = Script::checking(self.variables.flag("FF_ENABLE_BASH_EXIT_CODE_CHECK", false));
        script.exports(self.variables);
        for name in ["GIT_TERMINAL_PROMPT=0", "GCM_INTERACTIVE=Never"] {
            script.line(&format!("export {name}"));
        }
        let has_lfs = !self.variables.flag("GIT_LFS_SKIP_SMUDGE", false);
        if has_lfs {
            script.line("export GIT_LFS_SKIP_SMUDGE=1");
        }
        if is_unknown {
            script.warning(&format!("unknown GIT_STRATEGY: {}", self.variables.text("GIT_STRATEGY")));
        }
        if strategy.is_git() {
            script.entries(self.job.hook("pre_get_sources_script"), None);
            self.fetch(&mut script)?;
        } else if strategy == Strategy::Empty {
            script.notice("Skipping Git repository setup and creating an empty build directory");
            script.enter(self.project);
        } else {
            script.notice("Skipping Git repository setup");
            script.enter(self.project);
        }
        if strategy.is_git() && self.variables.flag("GIT_CHECKOUT", true) {
            self.checkout(&mut script, has_lfs)?;
        } else {
            script.notice("Skipping Git checkout");
        }
        match submodules {
            Submodules::Normal | Submodules::Recursive if strategy.is_git() => {
                self.update_submodules(&mut script, submodules == Submodules::Recursive, has_lfs);
            }
            Submodules::None | Submodules::Normal | Submodules::Recursive => {
                script.notice("Skipping Git submodules setup");
            }
        }
        if strategy.is_git() {
            script.entries(self.job.hook("post_get_sources_script"), None);
            self.forget_credentials(&mut script);
        }
        Ok(script.text().to_owned())
    }

    fn submodules(&self) -> Result<Submodules, Failure> {
        match self.variables.text("GIT_SUBMODULE_STRATEGY") {
            "" | "none" => Ok(Submodules::None),
            "normal" => Ok(Submodules::Normal),
            "recursive" => Ok(Submodules::Recursive),
            _ => Err(Failure::Configuration("unknown GIT_SUBMODULE_STRATEGY".to_owned())),
        }
    }

    fn depth(&self) -> i64 {
        let own = self.variables.text("GIT_DEPTH").trim().parse::<i64>();
        own.unwrap_or(self.job.git_info.depth).max(0)
    }

    fn fetch(&self, script: &mut Script) -> Result<(), Failure> {
        let depth = self.depth();
        let GitInfo { refspecs, repo_object_format, .. } = &self.job.git_info;
        if refspecs.iter().any(|refspec| refspec.starts_with('-')) {
            return Err(Failure::Configuration("a refspec begins with -".to_owned()));
        }
        script.notice(&match depth {
            0 => "Fetching changes...".to_owned(),
            _ => format!("Fetching changes with git depth set to {depth}..."),
        });
        let (project, template) = (path_text(self.project), path_text(&self.temporary.join(TEMPLATE)));
        let mut init = vec!["git", "init", &project, "--template", &template];
        if repo_object_format == "sha256" {
            // The checkout's own settings, which would say so, were taken away.
            let config = quoted_path(&self.project.join(".git/config"));
            script.line(&format!(
                "if [ -d {} ]; then printf '[core]\\n\\trepositoryformatversion = 1\\n[extensions]\\n\\t\
                 objectformat = sha256\\n[include]\\n\\tpath = %s\\n' {} > {config}; fi",
                quoted_path(&self.project.join(".git")),
                quoted(&git_quoted(&path_text(&self.temporary.join(EXTERNAL))))
            ));
            init.extend(["--object-format", "sha256"]);
        }
        script.line(&format!("_baton_new=; [ -e {} ] || _baton_new=1", quoted_path(&self.project.join(".git"))));
        script.command(&init);
        script.enter(self.project);
        script.command(&["git", "remote", "add", "origin", self.url]);
        script.line("if [ -n \"$_baton_new\" ]; then");
        script.notice("Created fresh repository.");
        script.line("fi");
        let agent = format!("http.userAgent=baton-runner {}", env!("CARGO_PKG_VERSION"));
        let mut fetch = vec!["git", "-c", &agent, "fetch", "origin", "--no-recurse-submodules"];
        fetch.extend(refspecs.iter().map(String::as_str));
        let depth_text = depth.to_string();
        if depth > 0 {
            fetch.extend(["--depth", &depth_text]);
        }
        let flags = self.flags("GIT_FETCH_EXTRA_FLAGS", &["--prune", "--quiet"]);
        fetch.extend(flags.iter().map(String::as_str));
        if depth > 0 {
            script.command(&fetch);
        } else {
            script.line("if [ -e .git/shallow ]; then");
            let unshallow = [fetch.as_slice(), &["--unshallow"]].concat();
            script.command(&unshallow);
            script.line("else");
            script.command(&fetch);
            script.line("fi");
        }
        Ok(())
    }

    fn checkout(&self, script: &mut Script, has_lfs: bool) -> Result<(), Failure> {
        let GitInfo { sha, reference, .. } = &self.job.git_info;
        if !is_hash(sha) && !is_ref(sha) {
            let text = "the commit is named neither by its hash nor by a whole ref";
            return Err(Failure::Configuration(text.to_owned()));
        }
        let short = sha.get(..8).unwrap_or(sha);
        script.notice(&format!("Checking out {short} as detached HEAD (ref is {reference})..."));
        script.command(&["git", "-c", "submodule.recurse=false", "checkout", "-f", "-q", sha]);
        let flags = self.clean_flags();
        if !flags.is_empty() {
            let clean: Vec<&str> = ["git", "clean"].into_iter().chain(flags.iter().map(String::as_str)).collect();
            script.command(&clean);
        }
        if has_lfs {
            script.line("if git lfs version > /dev/null 2>&1; then");
            script.command(&["git", "lfs", "pull"]);
            script.line("echo");
            script.line("fi");
        }
        Ok(())
    }

    fn clean_flags(&self) -> Vec<String> {
        self.flags("GIT_CLEAN_FLAGS", &["-ffdx"])
    }

    /// What a variable says, word by word; `none` is nothing.
    fn flags(&self, name: &str, usual: &[&str]) -> Vec<String> {
        match self.variables.text(name).trim() {
            "" => usual.iter().map(|&flag| flag.to_owned()).collect(),
            "none" => Vec::new(),
            text => text.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn update_submodules(&self, script: &mut Script, is_recursive: bool, has_lfs: bool) {
        let depth = self.variables.text("GIT_SUBMODULE_DEPTH").trim().parse::<i64>().unwrap_or(self.depth()).max(0);
        let recursively = if is_recursive { " recursively" } else { "" };
        let with_depth = if depth > 0 { format!(" with git depth set to {depth}") } else { String::new() };
        script.notice(&format!("Updating/initializing submodules{recursively}{with_depth}..."));
        let paths = self.flags("GIT_SUBMODULE_PATHS", &[]);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let paths = if paths.is_empty() { Vec::new() } else { [&["--"], paths.as_slice()].concat() };
        let recursive: &[&str] = if is_recursive { &["--recursive"] } else { &[] };
        let include = format!("include.path={}", path_text(&self.temporary.join(EXTERNAL)));
        let sync = [&["git", "submodule", "sync"], recursive, &paths].concat();
        let each = [&["git", "submodule", "foreach"], recursive].concat();
        let depth_text = depth.to_string();
        let depth: &[&str] = if depth > 0 { &["--depth", &depth_text] } else { &[] };
        let flags = self.flags("GIT_SUBMODULE_UPDATE_FLAGS", &[]);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let update =
            [&["git", "-c", &include, "submodule", "update", "--init"], recursive, depth, &flags, &paths].concat();
        let clean = Some(self.clean_flags()).filter(|flags| !flags.is_empty()).unwrap_or(vec!["-ffdx".to_owned()]);
        let clean: Vec<&str> = clean.iter().map(String::as_str).collect();
        let clean = [each.as_slice(), &["git", "clean"], &clean].concat();
        let reset = [each.as_slice(), &["git", "reset", "--hard"]].concat();
        script.command(&["git", "submodule", "init"]);
        script.command(&sync);
        script.command(&clean);
        script.command(&reset);
        script.line(&format!("if {}; then", command(&update)));
        script.notice("Updated submodules");
        script.command(&sync);
        script.line("else");
        script.warning("Updating submodules failed. Retrying...");
        if flags.iter().any(|flag| flag.eq_ignore_ascii_case("--remote")) {
            let heads = ["git", "fetch", "origin", "+refs/heads/*:refs/remotes/origin/*"];
            let each = [&["git", "-c", &include, "submodule", "foreach"], recursive, &heads].concat();
            script.command(&each);
        }
        script.command(&sync);
        script.command(&update);
        script.command(&reset);
        script.line("fi");
        script.command(&clean);
        script.notice("Configuring submodules to use parent git credentials...");
        let external = path_text(&self.temporary.join(EXTERNAL));
        let configure = ["git", "config", "--replace-all", "include.path", &external];
        script.command(&[&["git", "submodule", "foreach", "--recursive"][..], &configure].concat());
        if has_lfs {
            script.line("if git lfs version > /dev/null 2>&1; then");
            script.notice("Pulling LFS files...");
            let each = [&["git", "-c", &include, "submodule", "foreach"], recursive, &["git", "lfs", "pull"]].concat();
            script.command(&each);
            script.line("fi");
        }
    }

    /// Takes the token out of a helper of the user's that may have kept it.
    fn forget_credentials(&self, script: &mut Script) {
        let Some((scheme, rest)) = self.url.split_once("://") else { return };
        if !["http", "https", "ssh"].contains(&scheme) {
            return;
        }
        let host = rest.split('/').next().unwrap_or("");
        let text = quoted(&format!("url={scheme}://{host}\nusername=gitlab-ci-token"));
        script.line(&format!("printf '%s\\n' {text} | git credential reject || true"));
    }
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

fn is_hash(sha: &str) -> bool {
    (8..=64).contains(&sha.len()) && sha.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether this names what a fetch has brought: so Baton says it of a build that was queued without a commit.
fn is_ref(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !" ~^:?*[\\@".contains(c);
    name.starts_with("refs/") && name.chars().all(is_plain) && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn script(variables: &[(&str, &str)], git_info: serde_json::Value) -> Result<String, Failure> {
        let job = json!({"id": 1, "token": "t", "allow_git_fetch": true, "git_info": git_info});
        let job: Job = serde_json::from_value(job).unwrap();
        let mut known = Variables::default();
        for (name, value) in variables {
            known.set(name, value);
        }
        let (project, temporary) = (Path::new("/b/p"), Path::new("/b/p.tmp"));
        Sources { job: &job, variables: &known, project, temporary, url: "http://h/p.git" }.script()
    }

    fn git() -> serde_json::Value {
        json!({"sha": "d640822f".repeat(5), "ref": "main", "refspecs": ["+refs/heads/main:refs/remotes/origin/main"]})
    }

    #[test]
    fn the_token_is_in_the_jobs_own_file_only() {
        let (content, plain) = external("http://gitlab-ci-token:T\"1@h:80/p.git").unwrap();
        assert_eq!(plain, "http://h:80/p.git");
        let expected = "[url \"http://gitlab-ci-token:T\\\"1@h:80/p.git\"]\n\tinsteadOf = \"http://h:80/p.git\"\n";
        assert_eq!(content, expected);
        assert_eq!(external("file:///a/b@c").unwrap(), (String::new(), "file:///a/b@c".to_owned()));
        for url in ["", "-x", "http://h/a\n[core]"] {
            assert!(external(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn nothing_of_the_job_is_an_option_of_git_by_accident() {
        assert!(script(&[], git()).is_ok());
        for (name, value) in [("sha", json!("--upload-pack=x")), ("sha", json!("")), ("refspecs", json!(["--exec=x"]))]
        {
            let mut info = git();
            info[name] = value;
            assert!(matches!(script(&[], info), Err(Failure::Configuration(_))), "{name}");
        }
    }

    #[test]
    fn what_is_queued_without_a_commit_is_what_its_ref_names() {
        let named = |sha: &str| {
            let mut info = git();
            info["sha"] = json!(sha);
            script(&[], info)
        };
        let text = named("refs/remotes/origin/HEAD").unwrap();
        assert!(text.contains("'checkout' '-f' '-q' 'refs/remotes/origin/HEAD'"), "{text}");
        assert!(named("refs/tags/v1.0").is_ok());
        for sha in ["HEAD", "refs/heads/a..b", "refs/heads/a^{/x}", "refs/a:b", "main"] {
            assert!(named(sha).is_err(), "{sha}");
        }
    }

    #[test]
    fn variables_steer_what_git_does() {
        let has = |variables: &[(&str, &str)], text: &str| script(variables, git()).unwrap().contains(text);
        assert!(has(&[], "'git' 'clean' '-ffdx'\n"));
        assert!(has(&[("GIT_CLEAN_FLAGS", "-ffd -e x")], "'git' 'clean' '-ffd' '-e' 'x'\n"));
        assert!(!has(&[("GIT_CLEAN_FLAGS", "none")], "'clean'"));
        assert!(has(&[("GIT_DEPTH", "5")], "'--depth' '5' '--prune' '--quiet'"));
        assert!(has(&[], "'--unshallow'") && !has(&[("GIT_DEPTH", "5")], "'--unshallow'"));
        assert!(has(&[("GIT_FETCH_EXTRA_FLAGS", "--tags")], "'--tags'\n"));
        assert!(has(&[("GIT_CHECKOUT", "false")], "Skipping Git checkout"));
        assert!(!has(&[("GIT_STRATEGY", "none")], "'fetch'") && !has(&[("GIT_STRATEGY", "empty")], "'init'"));
        assert!(has(&[("GIT_STRATEGY", "odd")], "unknown GIT_STRATEGY"));
        let paths = [("GIT_SUBMODULE_STRATEGY", "recursive"), ("GIT_SUBMODULE_PATHS", "a b")];
        assert!(has(&paths, "'update' '--init' '--recursive' '--' 'a' 'b'"));
        assert!(script(&[("GIT_SUBMODULE_STRATEGY", "odd")], git()).is_err());
    }
}

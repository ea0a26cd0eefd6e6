//! Shell text: the only place that quotes.
//!
//! What must stay true: a text in single quotes is carried to the byte by bash and dash alike; nothing of a job becomes
//! shell text but the job's own script, inside the quotes of one `eval`. Command lines are shown by `printf`, since some
//! shells' `echo` reads backslashes.

use super::variables::Variables;
use std::fmt::Write;
use std::path::Path;

/// The shell that runs scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Shell {
    /// As real runners do.
    #[default]
    Bash,
    /// Where there is no bash.
    Sh,
}

impl Shell {
    /// The program, which is found in `PATH`.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Sh => "sh",
        }
    }
}

/// Bold green: what a stage tells.
const NOTICE: &str = "\x1b[32;1m";
/// Yellow: what went wrong without consequence.
const WARNING: &str = "\x1b[0;33m";
/// The end of a colour.
const RESET: &str = "\x1b[0;m";

/// What stands in the place of a script that cannot end by itself: a signal ends it with a status.
const TRAP: &str = "trap 'exit 1' TERM";

/// The text in single quotes. What is NUL is left out: no shell can carry it.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}

/// A path in single quotes.
#[must_use]
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A text that a shell will evaluate, line by line.
#[derive(Default)]
pub struct Script {
    text: String,
    /// Whether the status is looked at after each command, since the script may switch `errexit` off.
    checks: bool,
}

impl Script {
    /// A script that looks at each command's status, if `checks`.
    #[must_use]
    pub fn checking(checks: bool) -> Script {
        Script { text: String::new(), checks }
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line as it is.
    pub fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A command, each word of it quoted.
    pub fn command(&mut self, words: &[&str]) {
        self.line(&command(words));
        self.check();
    }

    fn check(&mut self) {
        if self.checks {
            self.line("_baton_status=$?; if [ $_baton_status -ne 0 ]; then exit $_baton_status; fi");
        }
    }

    /// A line of the log.
    pub fn notice(&mut self, text: &str) {
        self.line(&format!("printf '%s\\n' {}", quoted(&format!("{NOTICE}{text}{RESET}"))));
    }

    /// A line of the log that warns.
    pub fn warning(&mut self, text: &str) {
        self.line(&format!("printf '%s\\n' {}", quoted(&format!("{WARNING}{text}{RESET}"))));
    }

    /// The variables, then what earlier stages wrote into `$GITLAB_ENV`.
    pub fn exports(&mut self, variables: &Variables) {
        for (name, value) in variables.exported() {
            self.line(&format!("export {name}={}", quoted(value)));
        }
        let file = quoted(variables.text("GITLAB_ENV"));
        self.line(&format!("if [ -r {file} ]; then while read -r line; do export \"$line\"; done < {file}; fi"));
    }

    /// Goes into a folder.
    pub fn enter(&mut self, folder: &Path) {
        self.command(&["cd", &folder.display().to_string()]);
    }

    /// The entries of a job's script, each shown before it runs. With `sections`, those of several lines are shown
    /// whole, in a section of this name that is folded.
    pub fn entries(&mut self, entries: &[String], sections: Option<&str>) {
        for (number, entry) in entries.iter().enumerate() {
            let entry = entry.trim();
            match (entry.split_once('\n'), sections) {
                _ if entry.is_empty() => self.line("printf '\\n'"),
                (None, _) => self.notice(&format!("$ {entry}")),
                (Some((first, _)), None) => self.notice(&format!("$ {first} # collapsed multi-line command")),
                (Some(_), Some(name)) => self.section(&format!("section_{name}_{number}"), entry),
            }
            self.line(entry);
            self.check();
        }
    }

    fn section(&mut self, name: &str, entry: &str) {
        let time = "$(date +%s)";
        let text = quoted(&format!("{NOTICE}$ {entry}{RESET}"));
        let options = "[hide_duration=true,collapsed=true]";
        self.line(&format!("printf 'section_start:%s:{name}{options}\\r\\033[0K%s\\n' \"{time}\" {text}"));
        self.line(&format!("printf 'section_end:%s:{name}\\r\\033[0K\\n' \"{time}\""));
    }
}

/// A command line, each word of it quoted.
#[must_use]
pub fn command(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// What a shell reads on its standard input to run a stage: in a subshell of its own, without standard input. The last
/// act is to make the file `ran`: a profile that reads standard input would have swallowed everything, unnoticed.
#[must_use]
pub fn stage(body: &str, ran: &Path, is_traced: bool) -> String {
    let mut text = format!("{TRAP}\n");
    if is_traced {
        text.push_str("set -o xtrace\n");
    }
    text.push_str("case \"$(set -o)\" in *pipefail*) set -o pipefail;; esac; set -o errexit\nset +o noclobber\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "({TRAP}; eval {}) < /dev/null", quoted(body));
    let folder = quoted_path(ran.parent().unwrap_or(ran));
    let _ = writeln!(text, "[ -h {folder} ] || (: > {}) 2> /dev/null || :", quoted_path(ran));
    text.push_str("exit 0\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    fn run(shell: Shell, script: &str) -> Output {
        let mut child = Command::new(shell.program())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn entries(shell: Shell, entries: &[&str]) -> (Option<i32>, String) {
        let mut body = Script::default();
        body.entries(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>(), None);
        let dir = tempfile::tempdir().unwrap();
        let output = run(shell, &stage(body.text(), &dir.path().join("ran"), false));
        if output.status.success() {
            assert!(dir.path().join("ran").exists());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text.replace(NOTICE, "").replace(RESET, ""))
    }

    #[test]
    fn quotes_carry_every_byte_through_bash_and_sh() {
        let text: String = (1..=0x7f_u8).map(char::from).chain("é€\u{1f98a}'\\''".chars()).collect();
        for shell in [Shell::Bash, Shell::Sh] {
            let output = run(shell, &format!("printf '%s' {}", quoted(&text)));
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{shell:?}");
        }
        assert_eq!(quoted("a\0b"), "'ab'");
    }

    #[test]
    fn each_entry_is_shown_as_it_is_and_then_run() {
        for shell in [Shell::Bash, Shell::Sh] {
            let (code, text) =
                entries(shell, &["echo 'a\\tb' | cat", "for i in 1 2; do\necho $i\ndone", "", "  echo x  "]);
            assert_eq!(code, Some(0));
            let shown = "$ echo 'a\\tb' | cat\n";
            assert!(text.starts_with(shown), "{text}");
            let rest = "$ for i in 1 2; do # collapsed multi-line command\n1\n2\n\n$ echo x\nx\n";
            assert!(text.ends_with(rest), "{text}");
        }
    }

    #[test]
    fn a_script_ends_with_the_status_of_what_failed() {
        for (script, code) in [
            (&["exit 0", "false"][..], 0),
            (&["(exit 3)", "echo no"], 3),
            (&["x=$(false); echo no"], 1),
            (&["f() { return 5; }", "f && echo yes", "f"], 5),
            (&["! true", "false || true", "set +e", "false", "true"], 0),
            (&["no-such-command-here"], 127),
            (&["echo before", "echo \"open"], 2),
            (&["if true; then", "echo joined", "fi"], 0),
            (&["cat", "read x || true"], 0),
        ] {
            for shell in [Shell::Bash, Shell::Sh] {
                assert_eq!(entries(shell, script).0, Some(code), "{shell:?} {script:?}");
            }
        }
        assert_eq!(entries(Shell::Bash, &["false | true"]).0, Some(1));
    }

    #[test]
    fn with_checks_a_failure_counts_though_errexit_is_off() {
        let mut body = Script::checking(true);
        body.entries(&["set +e".to_owned(), "(exit 9)".to_owned(), "echo no".to_owned()], None);
        let output = run(Shell::Bash, &stage(body.text(), Path::new("/dev/null"), false));
        assert_eq!(output.status.code(), Some(9));
    }

    #[test]
    fn a_swallowed_script_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let ran = dir.path().join("ran");
        let output = run(Shell::Bash, &format!("cat > /dev/null\n{}", stage("true", &ran, false)));
        assert!(output.status.success() && !ran.exists());
    }

    #[test]
    fn several_lines_are_a_section_when_that_is_asked_for() {
        let mut body = Script::default();
        body.entries(&["echo a\necho b".to_owned()], Some("script_step"));
        let output = run(Shell::Sh, &stage(body.text(), Path::new("/dev/null"), false));
        let text = String::from_utf8(output.stdout).unwrap();
        let name = "section_script_step_0[hide_duration=true,collapsed=true]\r\x1b[0K\x1b[32;1m$ echo a\necho b";
        assert!(text.starts_with("section_start:") && text.contains(name) && text.ends_with("\na\nb\n"), "{text:?}");
    }
}

//! What operators set: by options, by variables, by files with secrets.

use crate::harness::victim::Victim;
use crate::harness::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TOKEN: &str = "chosen-by-the-operator_1";

fn baton(data: &Path, words: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env_remove("BATON_DATA").envs(variables.iter().copied()).arg("--data").arg(data).args(words);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // It may end without reading.
    let _ = process.stdin.take().unwrap().write_all(input);
    process.wait_with_output().unwrap()
}

/// What a command that must succeed prints.
#[track_caller]
fn answer(data: &Path, words: &[&str], input: &[u8]) -> String {
    let output = baton(data, words, &[], input);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on standard error of a command that must end with `status`.
#[track_caller]
fn refusal(output: &Output, status: i32) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{line}");
    assert!(output.stdout.is_empty() && line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
    line
}

#[test]
fn an_unknown_variable_stops_the_server_before_it_does_anything() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let line = refusal(&baton(&data, &["serve"], &[("BATON_LISTN", "hunter2")], b""), 2);
    assert!(line.contains("BATON_LISTN") && line.contains("BATON_LISTEN") && !line.contains("hunter2"), "{line}");
    assert!(!data.exists());
}

/// A machine that tests sets variables for the tests, which the servers that they start see, too.
#[test]
fn variables_of_the_tests_do_not_keep_a_server_from_starting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [".ci/run", ".ci/page-tools", "tests/harness/browser.rs", "tests/harness/skip.rs"];
    let text: String = files.iter().map(|file| fs::read_to_string(root.join(file)).unwrap()).collect();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names: BTreeSet<&str> = words.filter(|word| word.starts_with("BATON_")).collect();
    assert!(names.len() >= 3, "{names:?}");
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let output = baton(dir.path(), &["serve", "--listen", "nonsense"], &[(name, "1")], b"");
        let line = refusal(&output, 2);
        assert!(line.contains("nonsense") && !line.contains(name), "{line}");
    }
}

/// What is set in the environment for a server, or by a link between containers, is no matter of theirs.
#[test]
fn other_commands_do_their_work_and_tell_of_a_variable_that_looks_misspelt() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (name, said) in [("BATON_LISTN", "did you mean BATON_LISTEN?"), ("BATON_VERSION", ""), ("BATON_FRUIT", "")] {
        let output = baton(&data, &["project", "add", name], &[(name, "hunter2")], b"");
        assert!(output.status.success(), "{output:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.contains(said) && line.lines().count() == usize::from(!said.is_empty()), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn variables_set_what_options_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let variables = [("BATON_REGISTRATION_TOKEN_FILE", file.to_str().unwrap()), ("BATON_LISTEN", "nonsense")];
    let victim = Victim::with(&[], &variables, "");
    assert_eq!(answer(&victim.data(), &["runner", "token"], b""), format!("{TOKEN}\n"));
}

#[test]
fn the_registration_token_of_a_file_registers_runners_and_the_one_before_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let options = ["--registration-token-file", file.to_str().unwrap()];
    let victim = Victim::with(&options, &[], "");
    let register = |token: &str| {
        http::send(victim.address, &Request::post("runners/register").json(&json!({"token": token}))).status
    };
    assert_eq!(register(TOKEN), 201);
    assert_eq!(answer(&victim.data(), &["runner", "token"], b""), format!("{TOKEN}\n"));
    let other = answer(&victim.data(), &["runner", "token", "--reset"], b"");
    assert_eq!((register(TOKEN), register(other.trim())), (403, 201));
    // Whoever serves next takes the file's again; and serves, too, when that has gone.
    for is_there in [true, false] {
        if !is_there {
            fs::remove_file(&file).unwrap();
        }
        let before = victim.vitals().pid;
        kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
        wait_for("another process serves", || victim.vitals().pid != before);
        assert_eq!(register(TOKEN), 201);
    }
    assert!(!victim.log().contains(TOKEN));
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_registration_token_that_will_not_do_is_refused_without_a_word_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--registration-token-file", file.to_str().unwrap()];
    for (content, part) in [
        (Some("hunter2"), "16 to 255"),
        (Some("hunter2 and more of it"), "16 to 255"),
        (Some(""), "empty"),
        (None, "regular"),
    ] {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let line = refusal(&baton(&dir.path().join("data"), &serve, &[], b""), 1);
        assert!(line.contains("--registration-token-file") && line.contains(part), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_secret_comes_from_a_file_or_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("secret");
    fs::write(&file, "from a file\n").unwrap();
    answer(&data, &["project", "add", "demo"], b"");
    let of_file = format!("A={}", file.display());
    let line = ["--secret-file", &of_file, "--secret-file", "B=-", "--secret", "C=c"];
    answer(&data, &[&["build", "add", "--project", "demo", "--script", "true"], &line[..]].concat(), b"from outside\n");
    let database = open_database(&data);
    let variables: String = database.query_row("SELECT variables FROM build_specs", [], |row| row.get(0)).unwrap();
    let variables: Vec<Value> = serde_json::from_str(&variables).unwrap();
    let found: Vec<_> =
        variables.iter().map(|it| (it["key"].clone(), it["value"].clone(), it["public"].clone())).collect();
    let secret = |key: &str, value: &str| (json!(key), json!(value), json!(false));
    assert_eq!(found, [secret("C", "c"), secret("A", "from a file"), secret("B", "from outside")]);
}

#[test]
fn a_secret_file_that_will_not_do_is_refused_without_a_word_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    answer(&data, &["project", "add", "demo"], b"");
    for (option, part, status) in [
        ("K=-", "not UTF-8", 1),
        ("K=hunter2", "cannot be read", 1),
        ("K=", "cannot be read", 1),
        ("hunter2", "NAME=FILE", 2),
    ] {
        for before in [&["build", "add", "--project", "demo", "--script", "true"][..], &["run"]] {
            let after: &[&str] = if before == ["run"] { &["--", "true"] } else { &[] };
            let line = [before, &["--secret-file", option], after].concat();
            let message = refusal(&baton(&data, &line, &[], b"hunter2\xff"), status);
            assert!(message.contains(part) && !message.contains("hunter2"), "{line:?}: {message}");
        }
    }
    let both = ["build", "add", "--project", "demo", "--script-file", "-", "--secret-file", "K=-"];
    assert!(refusal(&baton(&data, &both, &[], b"x"), 2).contains("cannot be both"));
    assert!(answer(&data, &["build", "list", "--json"], b"").is_empty());
}

#[test]
fn the_url_to_register_at_is_the_base_url_that_was_set() {
    for (options, variables, url) in [
        (
            &["--base-url", "https://ci.example/baton/"][..],
            &[("BATON_BASE_URL", "nonsense")][..],
            "https://ci.example/baton",
        ),
        (&[], &[("BATON_BASE_URL", "http://proxy:81")], "http://proxy:81"),
    ] {
        let victim = Victim::with(options, variables, "");
        let line = format!("gitlab-runner register --non-interactive --executor shell --url {url} ");
        wait_for("the line that registers a runner", || victim.log().contains(&line));
    }
}

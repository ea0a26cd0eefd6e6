//! What a runner 1.x runs is the script that was given, byte for byte. These tests take what a claim hands out apart as
//! such a runner does (cut at line ends, blanks off both ends, an `echo` of each line before it), and have shells run it
//! beside the script itself.

use crate::harness::random::Random;
use crate::harness::*;
use baton::domain::build::{NewBuild, Variable};
use baton::domain::spec::BuildSpec;
use std::process::{Command, Stdio};

/// Begins what the runner prints of a line.
const MARK: &str = "\u{1}$ ";

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The shell script that the runner makes.
fn as_a_runner(commands: &str) -> String {
    let mut script = String::new();
    for line in commands.split('\n').map(str::trim) {
        // `echo` of dash would read backslashes.
        script += &format!("printf '%s\\n' {}\n{line}\n", quoted(&format!("{MARK}{line}")));
    }
    format!(": | eval {}\n", quoted(&script))
}

/// What the shell prints, without what the runner's lines print, and whether it ends well.
fn run(shell: &str, script: &str) -> (String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script");
    std::fs::write(&file, script).unwrap();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let options: &[&str] = if shell == "bash" { &["-e", "-o", "pipefail"] } else { &["-e"] };
    let mut command = Command::new(shell);
    let output =
        command.args(options).arg(&file).current_dir(&work).stdin(Stdio::null()).output().expect("the shell runs");
    let mut text = String::from_utf8(output.stdout).unwrap();
    while let Some(start) = text.find(MARK) {
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at + 1);
        text.replace_range(start..end, "");
    }
    (text, output.status.success())
}

fn shells() -> Vec<&'static str> {
    let is_there = |shell: &&str| Command::new(shell).args(["-c", ":"]).status().is_ok_and(|status| status.success());
    let shells: Vec<_> = ["bash", "dash"].into_iter().filter(is_there).collect();
    assert!(shells.contains(&"bash"));
    shells
}

/// Queues the scripts, claims them, and compares.
fn expect_unharmed(scripts: &[String]) {
    let baton = Baton::start();
    baton.project("demo");
    let runner = baton.runner();
    for script in scripts {
        baton.queue(NewBuild { spec: BuildSpec::of_script(script), ..new_build("demo") });
        let build = baton.claim(&runner);
        let commands = build.json["commands"].as_str().unwrap();
        for shell in shells() {
            assert_eq!(
                run(shell, &as_a_runner(commands)),
                run(shell, script),
                "{shell}, the script {script:?}, handed out as {commands:?}"
            );
        }
    }
}

#[test]
fn what_spans_lines_runs_as_it_was_given() {
    let scripts = [
        "cat > conf <<EOF\nkey: value\nother: 1\nEOF\nwc -l < conf\n",
        "cat <<'EOF'\n  indented\n\n   \ntrailing  \n\ttab\t\n\\ ' \" $HOME `x` \u{a0}\nEOF\n",
        "cat <<-EOF\n\ta\n\t\tb\n\tEOF\necho after",
        "printf '%s\\n' a \\\n  b \\\n  c",
        "echo a \\\n",
        "echo a\\\n\n",
        "echo a\\ \necho b",
        "echo 'a  \n  b  '\necho \"c\n\n d\"",
        "case x in\n  x) echo yes;;\n  *) echo no;;\nesac",
        "if false\nthen echo yes\nelse echo no\nfi",
        "for i in 1 2\ndo\n  echo $i\ndone | sort -r\n",
        "f() {\n  echo \"f $1\"\n  return 3\n}\nf x || echo $?",
        "true && false || echo $?\necho $?",
        "set +e\nfalse\necho $?\nset -e\nfalse\necho never",
        "exec > file\necho in the file\nexec >&2\ncat file",
        "cd /\npwd\nA=1\nexport B=2\nsh -c 'echo $B' ; echo $A",
        "cat\necho the input is empty",
        "read line || echo nothing to read\necho \"[$line]\"",
        "sh -c 'echo a\necho \"b  c\"'",
        "echo a\r\necho b\r\n",
        "echo a |\n cat\necho b &&\n echo c",
        "exit 7\necho never",
        "(exit 5)\necho never\ncat <<E\nE",
        "#!/bin/sh\n# it's a comment\necho \\n '\\n' \"\\\\n\" %s %b\ncat <<E\n%b \\0101 \\c\nE",
        "-x() { :; }\necho a",
        "- || echo b \\\n c",
        "echo 'größe 日本 \u{1f600}\n\u{7f}\u{b}\u{c}\u{1b}[0m'",
        "\n\n  echo a\n\n   \n\techo b   \n",
        "false && true\n",
        "echo a\nsyntax )\necho b",
        "echo if; echo fi\nif true; echo fi\nthen echo x; fi",
        "{ echo a\n} | cat\n( echo b\n)",
        "x=$(echo a\necho b)\necho \"$x\"",
        "echo $((1 +\n2))",
        "trap 'echo bye' EXIT\necho a",
        "echo \"$_\" $LINENO > /dev/null\nwhile false; do\n:\ndone\necho end",
    ];
    expect_unharmed(&scripts.map(str::to_owned));
}

#[test]
fn random_scripts_run_as_they_were_given() {
    const PARTS: [&str; 40] = [
        "echo a",
        "echo 'b",
        "'",
        "\"",
        "\\",
        "\n",
        "\n",
        "\n",
        " ",
        "  ",
        "\t",
        ";",
        " && ",
        " || ",
        " | cat",
        "if true",
        "then",
        "fi",
        "for i in 1 2",
        "do",
        "done",
        "{ ",
        " }",
        "(",
        ")",
        "$(echo x)",
        "`echo y`",
        "$?",
        "# c",
        "false",
        "! ",
        "cat <<E\nx  \n\tE\nE\n",
        "case a in a)",
        ";;",
        "esac",
        "echo $i",
        "&& \\\n",
        "f() ",
        "[ a = a ]",
        "echo \"c d\"",
    ];
    let mut random = Random::new();
    let scripts: Vec<String> = (0..150)
        .map(|_| (0..1 + random.below(12)).map(|_| random.pick(&PARTS)).collect::<String>())
        .filter(|script| !script.trim().is_empty())
        // Shells differ in what a `\\` means behind which nothing comes, and each differs from its own `eval`.
        .map(|script| if script.ends_with('\\') { script + "\n" } else { script })
        .collect();
    expect_unharmed(&scripts);
}

#[test]
fn a_value_with_a_dollar_sign_arrives_as_it_was_given() {
    let baton = Baton::start();
    baton.project("demo");
    let runner = baton.runner();
    let value = "cost $5, $$ and ${HOME}";
    let variables = vec![Variable::public("A", value), Variable { file: true, ..Variable::secret("B", value) }];
    baton.queue(NewBuild { variables, ..new_build("demo") });
    let build = baton.claim(&runner);
    let sent = build.json["variables"].as_array().unwrap();
    for key in ["A", "B"] {
        let variable = sent.iter().find(|variable| variable["key"] == key).unwrap();
        assert_eq!(variable["value"], value.replace('$', "$$"), "a runner makes $ of $$");
    }
}

#[test]
fn a_runner_on_windows_gets_the_lines_as_they_are() {
    let baton = Baton::start();
    baton.project("demo");
    let runner = baton.runner();
    let script = "if exist x (\n  dir\n)";
    baton.queue(NewBuild { spec: BuildSpec::of_script(script), ..new_build("demo") });
    let info = serde_json::json!({"platform": "windows", "executor": "shell"});
    let body = serde_json::json!({"token": runner.token, "info": info});
    let response = baton.send(Request::post("/ci/api/v1/builds/register.json").json(&body)).expect(201);
    assert_eq!(response.json()["commands"], script);
}

#[test]
fn a_build_without_sources_is_not_handed_to_a_runner_that_needs_some() {
    let baton = Baton::start();
    baton.project("demo");
    let runner = baton.runner();
    let bare = baton.queue(new_build("demo"));
    let url = Some("https://git.test/demo.git".to_owned());
    let with_sources = baton.queue(NewBuild { repo_url: url, ..new_build("demo") });
    let ask = |version: &str| {
        let body = serde_json::json!({"token": runner.token, "info": {"version": version}});
        baton.send(Request::post("/ci/api/v1/builds/register.json").json(&body))
    };
    assert_eq!(ask("1.6.1").expect(201).json()["id"], with_sources.0);
    ask("1.6.1").expect(404);
    let reason = baton.operator().show_build(bare, baton::domain::time::Timestamp::now()).unwrap().pending_reason;
    assert!(reason.unwrap().contains("needs a runner from version 1.7 on"));
    assert_eq!(ask("1.7.0").expect(201).json()["id"], bare.0);
}

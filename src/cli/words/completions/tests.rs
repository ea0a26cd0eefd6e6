//! What the shells offer, asked from the shells themselves where they are installed.

use super::*;
use crate::cli::Baton;
use crate::cli::skip::skipped;
use crate::cli::tests::parsed_with;
use crate::cli::words::commands::Node;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn nodes() -> Vec<Node> {
    commands::all(Baton::get_args_info())
}

/// Runs a shell on `input`; `None`, said aloud, if there is none.
fn shell(program: &str, args: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut process) = command.spawn() else {
        skipped(&format!("there is no {program} on this machine"));
        return None;
    };
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(process.wait_with_output().unwrap())
}

/// What bash offers for the last word of each line, whose words stand between bars.
fn offered_by_bash(lines: &[String]) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("baton.bash");
    std::fs::write(&file, bash::script(&nodes())).unwrap();
    // compopt, which works only while Tab is pressed, is said.
    let driver = "\
        source \"$1\"\n\
        compopt() { case \"$*\" in *'-o dirnames'*) printf '<dirnames>|' ;; *) printf '<none>|' ;; esac; }\n\
        while IFS= read -r line; do\n\
            IFS='|' read -ra COMP_WORDS <<<\"$line|\"\n\
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n\
            COMPREPLY=()\n\
            _baton\n\
            for word in \"${COMPREPLY[@]}\"; do printf '%s|' \"$word\"; done\n\
            echo\n\
        done\n";
    let output = shell("bash", &["-c", driver, "bash", file.to_str().unwrap()], &(lines.join("\n") + "\n")).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split_terminator('|').map(str::to_owned).collect()).collect()
}

#[test]
fn every_script_is_good_syntax_and_knows_every_command_and_option() {
    let nodes = nodes();
    for (program, script) in
        [("bash", bash::script(&nodes)), ("zsh", zsh::script(&nodes)), ("fish", fish::script(&nodes))]
    {
        for node in &nodes {
            for flag in node.options() {
                assert!(script.contains(flag.long.trim_start_matches('-')), "{program}: {}", flag.long);
            }
            assert!(node.info.commands.iter().all(|child| script.contains(child.name)), "{program}");
        }
        assert!(!script.contains("memory-limit"), "{program}");
        if let Some(output) = shell(program, &["-n"], &script) {
            assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
        }
    }
}

#[test]
fn bash_offers_the_commands_and_options_of_every_command() {
    let nodes = nodes();
    let line = |node: &Node, last: &str| [&["baton"], node.path.as_slice(), &[last]].concat().join("|");
    let commands = offered_by_bash(&nodes.iter().map(|node| line(node, "")).collect::<Vec<_>>());
    let options = offered_by_bash(&nodes.iter().map(|node| line(node, "--")).collect::<Vec<_>>());
    assert_eq!((commands.len(), options.len()), (nodes.len(), nodes.len()));
    for (node, (commands, options)) in nodes.iter().zip(commands.iter().zip(&options)) {
        for child in &node.info.commands {
            assert!(commands.iter().any(|word| word == child.name), "{}: {commands:?}", node.name());
        }
        for flag in node.options() {
            assert!(options.iter().any(|word| word == flag.long), "{}: {options:?}", node.name());
        }
        assert!(options.iter().any(|word| word == "--data"), "{}: {options:?}", node.name());
    }
}

#[test]
fn bash_offers_values_that_are_known_and_files_only_where_they_fit() {
    for (line, offered) in [
        ("baton|bu", &["build"][..]),
        ("baton|--data|d|bu", &["build"]),
        ("baton|--data|=|d|bu", &["build"]),
        // A value that is a command's name is none.
        ("baton|--data|build|ba", &["backup"]),
        ("baton|build|list|--status|p", &["pending"]),
        ("baton|build|list|--status|=|s", &["scheduled", "success", "skipped"]),
        ("baton|pipeline|", &["run", "list", "show", "follow", "cancel", "retry", "play"]),
        ("baton|build|list|--status|=|f", &["failed"]),
        ("baton|build|list|--sta", &["--status"]),
        ("baton|build|list|--project|x", &["<none>"]),
        ("baton|build|list|x", &["<none>"]),
        ("baton|completions|", &["bash", "zsh", "fish"]),
        ("baton|man|build-l", &["build-list", "build-log"]),
        ("baton|run|", &["--"]),
        // Files, which bash finds by itself.
        ("baton|run|--|make|x", &[]),
        ("baton|run|--|compge", &["compgen"]),
        ("baton|build|add|--script-file|x", &[]),
        ("baton|build|add|--secret-file|K|=|x", &[]),
        ("baton|build|add|--variable|K|=|x", &["<none>"]),
        ("baton|backup|x", &["<dirnames>"]),
        ("baton|frobnicate|x", &["<none>"]),
    ] {
        assert_eq!(offered_by_bash(&[line.to_owned()]), [offered], "{line}");
    }
}

#[test]
fn fish_offers_commands_options_and_values() {
    let script = fish::script(&nodes());
    for (line, offered) in [
        ("baton bu", &["build"][..]),
        ("baton --data build ba", &["backup"]),
        ("baton build list --status p", &["pending"]),
        ("baton build list --status=f", &["--status=failed"]),
        ("baton build list --sta", &["--status"]),
        ("baton build list x", &[]),
        ("baton completions ", &["bash", "fish", "zsh"]),
        ("baton build li", &["list"]),
        ("baton check --da", &["--data"]),
    ] {
        let Some(output) = shell("fish", &["--no-config", "-c", &format!("source -; complete -C {line:?}")], &script)
        else {
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        let words = String::from_utf8(output.stdout).unwrap();
        let mut words: Vec<&str> = words.lines().filter_map(|line| line.split('\t').next()).collect();
        words.sort_unstable();
        assert_eq!(words, offered, "{line}");
    }
}

#[test]
fn every_word_that_is_offered_as_a_value_is_one() {
    let nodes = nodes();
    let mut count = 0;
    for node in &nodes {
        for flag in node.options() {
            let name = commands::value_name(flag).unwrap_or_default();
            if let Values::Words(words) = values(name, &nodes) {
                for word in words {
                    let line = [node.path.as_slice(), &[flag.long, &word]].concat();
                    assert!(parsed_with(&line, &[]).is_ok(), "{line:?}");
                    count += 1;
                }
            }
        }
    }
    assert!(count >= Status::ALL.len());
}

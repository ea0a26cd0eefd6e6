//! Which commands and options there are, by `--help`, and whether a line of shell calls only those.

use std::process::{Command, Output};

fn baton(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BATON_") {
            command.env_remove(name);
        }
    }
    command.args(words).arg("--help").output().unwrap()
}

/// The help of a command, or what the program says of the call.
pub fn help(path: &[String]) -> Result<String, String> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let output = baton(&words);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Every command that has none below it, as the words of its call.
pub fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![vec![]];
    while let Some(path) = open.pop() {
        let help = help(&path).unwrap();
        let below = entries(&help, "Commands:");
        if below.is_empty() {
            found.push(path);
        } else {
            open.extend(below.into_iter().map(|word| [path.as_slice(), &[word]].concat()));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The long options of a command, but for `--help`.
pub fn options(path: &[String]) -> Vec<String> {
    let help = help(path).unwrap();
    let entries = entries(&help, "Options:").into_iter();
    entries
        .filter(|word| word.starts_with("--"))
        .map(|word| word.trim_end_matches(',').to_owned())
        .filter(|word| word != "--help")
        .collect()
}

/// The first words of the entries of a section.
fn entries(help: &str, section: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != section).skip(1);
    let entries = lines.take_while(|line| line.starts_with(' ')).filter(|line| !line.starts_with("   "));
    entries.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// Whether what a line calls of `baton` exists: commands, options, and which of them take a value.
pub fn check(line: &str) -> Result<(), String> {
    for words in simple_commands(line) {
        let calls = words.iter().enumerate().filter(|(at, word)| {
            let is_value = *at > 0 && words[at - 1].starts_with('-');
            // A user, a container, an image.
            let is_name = *at > 0 && words.get(at + 1).is_none_or(|next| next == "baton");
            word.as_str() == "baton" && !is_value && !is_name
        });
        for (at, _) in calls {
            let call: Vec<&str> = words[at + 1..].iter().map(String::as_str).take_while(|word| *word != "--").collect();
            let output = baton(&call);
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
    }
    Ok(())
}

/// The words of each command in a line of shell, as far as documentation uses its syntax; without redirections.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![vec![]];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut is_target = false;
    for c in line.chars().chain([' ']) {
        let ends = quote.is_none() && " ()|&;<>".contains(c) || quote == Some('"') && "()".contains(c);
        if ends && let Some(word) = word.take() {
            let is_descriptor = "<>".contains(c) && word.bytes().all(|c| c.is_ascii_digit());
            if !is_target && !is_descriptor {
                all.last_mut().unwrap().push(word);
            }
            is_target = false;
        }
        match c {
            _ if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            '#' if quote.is_none() && word.is_none() => break,
            '<' | '>' if ends => is_target = true,
            '(' | ')' | '|' | '&' | ';' if ends => {
                (quote, is_target) = (None, false);
                all.push(vec![]);
            }
            ' ' if ends => {}
            _ => word.get_or_insert_default().push(c),
        }
    }
    all
}

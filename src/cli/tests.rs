use super::*;

/// A command line that was read, beside these variables.
pub(super) fn parsed_with(line: &[&str], variables: &[(&str, &str)]) -> Done<Baton> {
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    parse(line.iter().map(OsString::from), &Variables::of(variables)).map(|(baton, _)| baton)
}

fn parsed(line: &[&str]) -> Done<Baton> {
    parsed_with(line, &[])
}

fn usage(line: &[&str]) -> String {
    match parsed(line).err() {
        Some(Stop::Usage(message)) => message,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn answer(line: &[&str]) -> String {
    match parsed(line).err() {
        Some(Stop::Answer(text)) => text,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn every_command_has_help_with_an_example_and_fits_a_terminal() {
    let all = words::commands::all(Baton::get_args_info());
    assert!(all.len() > 20);
    for words::commands::Node { path, info } in all {
        let help = answer(&[path.as_slice(), &["--help"]].concat());
        assert!(help.starts_with(format!("Usage: baton {}", path.join(" ")).trim_end()), "{help}");
        assert!(help.contains("Examples:"), "{path:?} has no example");
        let sentence = info.description.trim();
        assert!(sentence.ends_with('.') && sentence.len() < 110, "{path:?}: {sentence}");
        for line in help.lines().skip(1) {
            assert!(line.chars().count() <= 112, "{path:?}: {line}");
        }
    }
}

#[test]
fn help_is_reached_from_every_side() {
    for line in [
        &["build", "list", "--help"][..],
        &["build", "list", "-h"],
        &["build", "list", "help"],
        &["--help", "build", "list"],
        &["help", "build", "list"],
        &["build", "help", "list"],
        &["build", "list", "--limit", "5", "--help"],
    ] {
        assert!(answer(line).starts_with("Usage: baton build list"), "{line:?}");
    }
    assert!(answer(&["help"]).starts_with("Usage: baton ["));
    assert_eq!(answer(&["--version"]), answer(&["-V"]));
}

#[test]
fn wrong_usage_says_what_is_wrong_in_one_line_and_suggests_the_near_word() {
    for (line, words) in [
        (&["sevre"][..], &["\"sevre\"", "did you mean serve?"][..]),
        (&["biuld", "add"], &["did you mean build?"]),
        (&["build", "lst"], &["did you mean list?"]),
        (&["build", "frobnicate"], &["add, list, show"]),
        (&["build"], &["a command is missing", "add, list, show"]),
        (&[], &["a command is missing"]),
        (&["build", "list", "--projct", "x"], &["no option --projct", "did you mean --project?"]),
        (&["build", "list", "--frobnicate=1"], &["no option --frobnicate;", "`baton build list --help`"]),
        (&["build", "list", "--limit"], &["--limit needs a value"]),
        (&["build", "list", "--json=yes"], &["--json takes no value"]),
        (&["build", "list", "--limit", "many"], &["--limit \"many\": it must be a number"]),
        (&["build", "list", "--project", "a", "--project", "b"], &["--project \"b\": duplicate"]),
        (&["build", "show"], &["id is missing"]),
        (&["build", "show", "x"], &["id \"x\": a build's id is a number"]),
        (&["build", "show", "a': b"], &["id \"a': b\": a build's id"]),
        (&["build", "show", "1", "2"], &["unexpected", "2"]),
        (&["project", "add", "p", "--timeout", "0"], &["at least one second"]),
        (&["prune"], &["--older-than is missing", "`baton prune --help`"]),
        (&["prune", "--older-than", "30"], &["--older-than \"30\"", "30d"]),
        (&["build", "add", "--tags", ","], &["--tags \",\": a tag is empty"]),
        (&["build", "add", "--tags", "a b"], &["--tags \"a b\": a tag has a blank"]),
        (&["runner", "add", "--tags", "a,,b"], &["a tag is empty"]),
        (&["build", "add", "--from", "-", "--ref", "x"], &["--ref", "--from"]),
    ] {
        let message = usage(line);
        assert!(!message.contains('\n'), "{message}");
        for word in words {
            assert!(message.contains(word), "{line:?}: {message}");
        }
    }
}

#[test]
fn no_error_repeats_a_secret() {
    let begin = ["build", "add", "--project", "p", "--script", "true"];
    for rest in [
        &["--secret", "K=hunter2", "--frobnicate"][..],
        &["--secret", "hunter2", "--timeout", "x"],
        &["--secrets=K=hunter2"],
        &["--secrets", "K=hunter2"],
        &["--secret", "A=1", "B=hunter2"],
        &["--secret=K=hunter2", "--limit", "2"],
        &["--secret", "K=a", "hunter2"],
        &["--secret", "K=a", "-hunter2"],
        &["--secret", "K=a", "--", "hunter2"],
        &["--secret-file", "K=f", "hunter2"],
        &["--secret-files=K=hunter2"],
    ] {
        let message = usage(&[&begin[..], rest].concat());
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn the_data_directory_may_stand_anywhere() {
    for line in [
        &["--data", "d", "runner", "list"][..],
        &["--data=d", "runner", "list"],
        &["runner", "list", "--data", "d"],
        &["runner", "--data", "d", "list", "--json"],
    ] {
        assert_eq!(parsed(line).unwrap().data.as_deref(), Some("d"), "{line:?}");
    }
}

/// A line for each command that does something.
const LINES: [&[&str]; 55] = [
    &["serve"],
    &["project", "add", "p"],
    &["project", "list"],
    &["project", "token", "p"],
    &["project", "set", "p", "--timeout", "1h"],
    &["project", "rename", "p", "q"],
    &["project", "remove", "p"],
    &["runner", "token"],
    &["runner", "add"],
    &["runner", "list"],
    &["runner", "show", "1"],
    &["runner", "set", "1", "--untagged"],
    &["runner", "pause", "1"],
    &["runner", "resume", "1"],
    &["runner", "start"],
    &["runner", "remove", "1"],
    &["build", "add", "--project", "p", "--script", "true"],
    &["build", "add", "--from", "-", "--project", "p", "--json"],
    &["build", "list"],
    &["build", "show", "1"],
    &["build", "log", "1"],
    &["build", "artifacts", "1"],
    &["build", "cancel", "1"],
    &["build", "retry", "1"],
    &["build", "play", "1"],
    &["build", "erase", "1"],
    &["pipeline", "run", "--ref", "main"],
    &["pipeline", "list"],
    &["pipeline", "show", "1"],
    &["pipeline", "follow", "1"],
    &["pipeline", "cancel", "1"],
    &["pipeline", "retry", "1"],
    &["pipeline", "play", "1", "deploy"],
    &["page", "login"],
    &["page", "list"],
    &["page", "logout", "mira"],
    &["open"],
    &["run", "--", "true"],
    &["token", "add", "--name", "n"],
    &["token", "list"],
    &["token", "revoke", "n"],
    &["trigger", "add", "--project", "p"],
    &["trigger", "list", "--project", "p"],
    &["trigger", "remove", "--project", "p", "1"],
    &["variable", "set", "--project", "p", "--value", "v", "K"],
    &["variable", "list", "--project", "p"],
    &["variable", "remove", "--project", "p", "K"],
    &["backup", "d"],
    &["check"],
    &["completions", "bash"],
    &["man"],
    &["ping"],
    &["prune", "--older-than", "1d"],
    &["du"],
    &["status"],
];

#[test]
fn every_command_goes_with_the_programs_options_before_it_and_behind_it() {
    for line in LINES {
        let end = line.iter().position(|word| *word == "--").unwrap_or(line.len());
        let (words, rest) = line.split_at(end);
        for given in [&["--data", "d"][..], &["--data=d"]] {
            for line in [[given, words, rest].concat(), [words, given, rest].concat()] {
                match parsed(&line) {
                    Ok(baton) => assert_eq!(baton.data.as_deref(), Some("d"), "{line:?}"),
                    Err(stop) => panic!("{line:?}: {stop}"),
                }
            }
        }
    }
    for words::commands::Node { path, info } in words::commands::all(Baton::get_args_info()) {
        let is_tried = LINES.iter().any(|line| line.starts_with(&path));
        assert!(is_tried || !info.commands.is_empty(), "{path:?} is not tried here");
    }
}

#[test]
fn a_command_to_be_pasted_anywhere_names_the_data() {
    let default = std::env::current_dir().unwrap().join(DATA).display().to_string();
    assert_eq!(program(Path::new(DATA)), format!("baton --data {}", crate::domain::text::shell::quoted(&[default])));
    assert_eq!(program(Path::new("/no such/it's")), "baton --data '/no such/it'\\''s'");
}

#[test]
fn a_name_may_look_like_an_option_or_like_help_after_two_dashes() {
    for (line, name) in [
        (&["project", "token", "help"][..], "help"),
        (&["project", "token", "--", "--reset"], "--reset"),
        (&["project", "token", "--json", "--", "-x"], "-x"),
    ] {
        match parsed(line).unwrap().command {
            Some(Command::Project(project)) => assert_eq!(project.token_name(), Some(name), "{line:?}"),
            _ => panic!("{line:?}"),
        }
    }
}

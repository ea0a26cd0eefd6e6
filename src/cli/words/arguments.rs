//! Reads the words of a command line before argh does: argh knows neither `--option=value` nor near words, and
//! repeats whole words in its errors, which might be secrets.

use super::settings::{Variables, has_variables, takes_value, variable};
use crate::cli::{Done, Stop};
use crate::domain::text::did_you_mean::nearest;
use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// A command line whose commands and options are known to exist.
#[derive(Debug, Default)]
pub struct Words {
    /// For argh: global options, commands, options, `--`, the rest.
    pub args: Vec<String>,
    /// The command, as in `["build", "add"]`.
    pub path: Vec<&'static str>,
    /// The options that were given, with their dashes.
    pub given: Vec<&'static str>,
    /// Those among them that are the command's own, and not the program's.
    pub own: Vec<&'static str>,
    /// Whether `--` stood among them.
    pub has_dashes: bool,
    /// Variables that are most likely misspelt, in words for people.
    pub warnings: Vec<String>,
    /// The options that variables have given, with their dashes.
    from_variables: Vec<&'static str>,
    globals: Vec<String>,
    options: Vec<String>,
    positionals: Vec<String>,
    wants_help: bool,
}

impl Words {
    /// Reads `arguments`, without the program's name, of the program that `root` describes; `variables` add options
    /// that are not among them.
    ///
    /// The first `--` ends the options, also where a value is expected. It stands before the words of a greedy
    /// positional argument, always.
    pub fn read(arguments: &[String], variables: &Variables, root: &CommandInfoWithArgs) -> Done<Words> {
        let mut words = Words::default();
        let mut command = root;
        let mut parts = arguments.splitn(2, |word| word == "--");
        let mut rest = parts.next().unwrap_or_default();
        let after = parts.next();
        words.has_dashes = after.is_some();
        while let Some((word, others)) = rest.split_first() {
            rest = others;
            if word == "--help" || word == "-h" || (word == "help" && !words.has_room(command)) {
                words.wants_help = true;
            } else if word.starts_with('-') && word.len() > 1 {
                words.option(word, &mut rest, command, root)?;
            } else if command.commands.is_empty() {
                words.positional(word, command)?;
            } else {
                command = words.command(word, command)?;
            }
        }
        for word in after.unwrap_or_default() {
            if !is_greedy(command) && !words.has_room(command) {
                return Err(words.unexpected(word));
            }
            words.positionals.push(word.clone());
        }
        let is_version = words.globals.iter().any(|word| word == "--version");
        if !command.commands.is_empty() && !words.wants_help && !is_version {
            return Err(words.usage(&format!("a command is missing: {}", names(command).join(", "))));
        }
        if !words.wants_help && !is_version {
            words.add(variables, command, root)?;
        }
        words.arrange();
        Ok(words)
    }

    /// What the environment says and the command line does not.
    fn add(&mut self, variables: &Variables, command: &CommandInfoWithArgs, root: &CommandInfoWithArgs) -> Done {
        let stray = variables.stray(root);
        if has_variables(&self.path) {
            if let Some(stray) = stray.first() {
                return Err(Stop::Usage(stray.message.clone()));
            }
        } else {
            // A command that is not set up by variables must not fail for those of others: what is no slip is theirs.
            let slips = stray.into_iter().filter(|stray| stray.is_slip);
            self.warnings.extend(slips.map(|stray| format!("{} It is passed over", stray.message)));
        }
        let of_program = root.flags.iter().filter(|flag| takes_value(flag)).map(|flag| (flag, true));
        let of_command = command.flags.iter().filter(|_| has_variables(&self.path)).map(|flag| (flag, false));
        let all: Vec<_> = of_program.chain(of_command).filter(|(flag, _)| !self.given.contains(&flag.long)).collect();
        for (flag, is_global) in all {
            let mut words = variables.words(flag)?;
            if !words.is_empty() {
                self.from_variables.push(flag.long);
            }
            let target = if is_global { &mut self.globals } else { &mut self.options };
            target.append(&mut words);
        }
        Ok(())
    }

    /// Where the value of an option comes from: its name, or that of its variable.
    pub fn source(&self, option: &str) -> String {
        if self.from_variables.contains(&option) { variable(option) } else { option.to_owned() }
    }

    /// Wrong usage of the command that was read so far.
    pub fn usage(&self, message: &str) -> Stop {
        Stop::Usage(format!("{message}; `{} --help` explains", self.name()))
    }

    fn name(&self) -> String {
        [&["baton"], self.path.as_slice()].concat().join(" ")
    }

    fn arrange(&mut self) {
        self.args.append(&mut self.globals);
        self.args.extend(self.path.iter().map(|&word| word.to_owned()));
        if self.wants_help {
            self.args.push("--help".to_owned());
            return;
        }
        self.args.append(&mut self.options);
        if !self.positionals.is_empty() {
            self.args.push("--".to_owned());
            self.args.append(&mut self.positionals);
        }
    }

    fn command<'a>(&mut self, word: &str, command: &'a CommandInfoWithArgs) -> Done<&'a CommandInfoWithArgs> {
        if let Some(found) = command.commands.iter().find(|known| known.name == word) {
            self.path.push(found.name);
            return Ok(&found.command);
        }
        let names = names(command);
        let hint = match nearest(word, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", names.join(", ")),
        };
        Err(Stop::Usage(format!("{} has no command {:?}; {hint}", self.name(), self.shown(word))))
    }

    /// One option, and its value, which may be the next of `rest`. Options of the program may stand anywhere.
    fn option(
        &mut self,
        word: &str,
        rest: &mut &[String],
        command: &CommandInfoWithArgs,
        root: &CommandInfoWithArgs,
    ) -> Done {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let own = command.flags.iter().find(|flag| is_named(flag, name));
        let Some(flag) = own.or_else(|| root.flags.iter().find(|flag| is_named(flag, name))) else {
            let known = command.flags.iter().chain(root.flags).map(|flag| flag.long.trim_start_matches('-'));
            let hint = nearest(name.trim_start_matches('-'), known).map(|near| format!(", did you mean --{near}?"));
            let message = format!("there is no option {}{}", self.shown(name), hint.unwrap_or_default());
            return Err(self.usage(&message));
        };
        let is_global = own.is_none() || self.path.is_empty();
        let target = if is_global { &mut self.globals } else { &mut self.options };
        target.push(flag.long.to_owned());
        match (&flag.kind, value) {
            (FlagInfoKind::Switch, None) => {}
            (FlagInfoKind::Switch, Some(_)) => return Err(self.usage(&format!("{} takes no value", flag.long))),
            (FlagInfoKind::Option { .. }, Some(value)) => target.push(value.to_owned()),
            (FlagInfoKind::Option { arg_name }, None) => match rest.split_first() {
                Some((value, others)) => {
                    target.push(value.clone());
                    *rest = others;
                }
                None => return Err(self.usage(&format!("{} needs a value, {arg_name}", flag.long))),
            },
        }
        self.given.push(flag.long);
        if !is_global {
            self.own.push(flag.long);
        }
        Ok(())
    }

    fn positional(&mut self, word: &str, command: &CommandInfoWithArgs) -> Done {
        if !is_greedy(command) && !self.has_room(command) {
            return Err(self.unexpected(word));
        }
        self.positionals.push(word.to_owned());
        Ok(())
    }

    fn has_room(&self, command: &CommandInfoWithArgs) -> bool {
        !is_greedy(command) && self.positionals.len() < command.positionals.len()
    }

    fn unexpected(&self, word: &str) -> Stop {
        self.usage(&format!("unexpected argument {:?}", self.shown(word)))
    }

    /// What may be repeated of a stray word in an error. It may be `K=V` that has lost its `--secret`, or a part of
    /// a secret with blanks that was not quoted.
    fn shown<'a>(&self, word: &'a str) -> &'a str {
        let is_about_secrets = self.given.iter().any(|name| ["--secret", "--secret-file"].contains(name));
        if is_about_secrets { "..." } else { word.split_once('=').map_or(word, |(name, _)| name) }
    }
}

fn names(command: &CommandInfoWithArgs) -> Vec<&'static str> {
    command.commands.iter().map(|known| known.name).collect()
}

fn is_named(flag: &FlagInfo<'_>, name: &str) -> bool {
    flag.long == name || flag.short.is_some_and(|short| name.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4])))
}

fn is_greedy(command: &CommandInfoWithArgs) -> bool {
    command.positionals.iter().any(|positional| positional.optionality == Optionality::Greedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::{ArgsInfo, FromArgs};

    /// Test.
    #[derive(FromArgs, ArgsInfo)]
    #[expect(dead_code, reason = "only described")]
    struct Top {
        /// global
        #[argh(option)]
        data: Option<String>,
        #[argh(subcommand)]
        command: Sub,
    }

    #[derive(FromArgs, ArgsInfo)]
    #[argh(subcommand)]
    #[expect(dead_code, reason = "only described")]
    enum Sub {
        Go(Go),
        Name(Name),
    }

    /// Greedy.
    #[derive(FromArgs, ArgsInfo)]
    #[argh(subcommand, name = "go")]
    #[expect(dead_code, reason = "only described")]
    struct Go {
        /// text
        #[argh(option)]
        text: Vec<String>,
        #[argh(positional, greedy)]
        command: Vec<String>,
    }

    /// One word.
    #[derive(FromArgs, ArgsInfo)]
    #[argh(subcommand, name = "name")]
    #[expect(dead_code, reason = "only described")]
    struct Name {
        /// switch
        #[argh(switch)]
        json: bool,
        #[argh(positional)]
        name: String,
    }

    #[test]
    fn words_are_arranged_for_argh() {
        for (line, arranged) in [
            ("go -- make -j 4 --help", "go -- make -j 4 --help"),
            ("go --text a --text=b=c -- make -- x", "go --text a --text b=c -- make -- x"),
            ("go --text --json -- x", "go --text --json -- x"),
            ("go --text=", "go --text "),
            ("go --", "go"),
            ("go make --text a", "go --text a -- make"),
            ("go --data=d -- x", "--data d go -- x"),
            ("name x --json", "name --json -- x"),
            ("name --json -- -x", "name --json -- -x"),
            ("name - --data d", "--data d name -- -"),
            ("--help name x", "name --help"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let read = Words::read(&words, &Variables::default(), &Top::get_args_info()).unwrap();
            assert_eq!(read.args.join(" "), arranged, "{line}");
        }
    }

    #[test]
    fn what_has_no_place_is_refused() {
        for (line, part) in [
            ("go --text -- make", "--text needs a value"),
            ("name a b", "unexpected argument \"b\""),
            ("name a -- b", "unexpected argument \"b\""),
            ("name -5", "no option -5"),
            ("nmae", "did you mean name?"),
            ("--data d", "a command is missing: go, name"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            match Words::read(&words, &Variables::default(), &Top::get_args_info()) {
                Err(Stop::Usage(message)) => assert!(message.contains(part), "{line}: {message}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}

//! Settings from the environment: an option of `serve`, or of the program, may be given as a variable instead.
//!
//! What must stay true: a variable's name follows from its option's, and which there are from the options that argh
//! knows, so that a new option needs no word here; an option wins over its variable; a variable that begins like ours
//! and is none is an error of `serve`, which has its settings from there, and a warning of other commands if it is
//! most likely misspelt. Neither ever shows its value.

use crate::cli::{Done, Stop};
use crate::domain::text::did_you_mean::nearest;
use crate::process::supervisor::RESTARTS_VARIABLE;
use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// What our variables begin with.
const PREFIX: &str = "BATON_";

/// The command whose options have variables.
const COMMAND: &str = "serve";

/// Variables that stand for no option: what the supervisor tells its child, the seed of the project's own tests,
/// which start this program, and what images and deployments tell each other.
const OTHERS: [&str; 3] = [RESTARTS_VARIABLE, "BATON_SEED", "BATON_VERSION"];

/// More of those tests begin so.
const OF_TESTS: &str = "BATON_TEST_";

/// A variable that means nothing.
pub struct Stray {
    /// What is wrong with it, without its value.
    pub message: String,
    /// Whether it looks like one that means something.
    pub is_slip: bool,
}

/// The variables of a process whose names begin with `BATON_`, by name.
#[derive(Debug, Default)]
pub struct Variables(BTreeMap<String, OsString>);

impl Variables {
    /// Those among `environment`; empty ones are as good as absent.
    pub fn of(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Variables {
        let ours = |(name, value): (OsString, OsString)| {
            let name = name.to_string_lossy().into_owned();
            name.starts_with(PREFIX).then_some((name, value))
        };
        Variables(environment.into_iter().filter_map(ours).collect())
    }

    /// The variables that mean nothing to the program that `root` describes.
    pub fn stray(&self, root: &CommandInfoWithArgs) -> Vec<Stray> {
        let of_command = root.commands.iter().filter(|known| known.name == COMMAND).flat_map(|it| it.command.flags);
        let options = of_command.chain(root.flags.iter().filter(|flag| takes_value(flag)));
        let options: Vec<&FlagInfo<'_>> = options.filter(|flag| flag.long != "--help").collect();
        let is_option = |name: &str| options.iter().any(|flag| variable(flag.long) == name);
        let is_known = |name: &str| is_option(name) || OTHERS.contains(&name) || name.starts_with(OF_TESTS);
        let shown = options.iter().filter(|flag| !flag.hidden);
        let known: Vec<String> = shown.map(|flag| variable(flag.long)).collect();
        // What all have in common would make all look near.
        let ends = known.iter().filter_map(|own| own.strip_prefix(PREFIX));
        let stray = |name: &String| {
            let near = nearest(name.trim_start_matches(PREFIX), ends.clone());
            let hint = match near {
                Some(near) => format!("did you mean {PREFIX}{near}?"),
                None => format!("there are {}", known.join(", ")),
            };
            let message = format!("the environment has a variable {name}, which means nothing to baton; {hint}");
            Stray { message, is_slip: near.is_some() }
        };
        let strays = self.0.iter().filter(|(name, value)| !is_known(name) && !tells_of_others(name, value));
        strays.map(|(name, _)| stray(name)).collect()
    }

    /// The words that the variable of `flag` stands for on the command line; none if it is not set.
    pub fn words(&self, flag: &FlagInfo<'_>) -> Done<Vec<String>> {
        let name = variable(flag.long);
        let Some(value) = self.0.get(&name).filter(|value| !value.is_empty()) else { return Ok(Vec::new()) };
        let value = value.to_str().ok_or_else(|| Stop::Usage(format!("the value of {name} is not UTF-8")))?;
        let option = flag.long.to_owned();
        if takes_value(flag) {
            return Ok(vec![option, value.to_owned()]);
        }
        match value.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(vec![option]),
            "0" | "false" | "no" => Ok(Vec::new()),
            _ => Err(Stop::Usage(format!("{name} must be 1, true or yes, or 0, false or no"))),
        }
    }
}

/// Whether the options of the command at `path` have variables.
pub fn has_variables(path: &[&str]) -> bool {
    path == [COMMAND]
}

/// The variable of an option, as in `BATON_MAX_CONNECTIONS` for `--max-connections`.
pub fn variable(option: &str) -> String {
    format!("{PREFIX}{}", option.trim_start_matches('-').replace('-', "_").to_uppercase())
}

/// Whether a flag is followed by a value.
pub fn takes_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}

/// Whether this variable tells of another container. Kubernetes sets some in every container for each service beside
/// it, one named `baton` among them: `BATON_SERVICE_HOST`, `BATON_SERVICE_PORT_HTTP`, `BATON_PORT=tcp://...`,
/// `BATON_PORT_80_TCP`. So do links between Docker's containers: `BATON_NAME=/web/baton`, `BATON_ENV_...`.
fn tells_of_others(name: &str, value: &OsString) -> bool {
    let is_address = value.to_str().is_some_and(|value| value.contains("://"));
    let has_number = || {
        let after = name.split_once("_PORT_").map(|(_, rest)| rest.split('_').next().unwrap_or_default());
        after.is_some_and(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && is_address)
        || has_number()
        || name.strip_prefix(PREFIX).is_some_and(|end| end.starts_with("ENV_"))
        || (name.ends_with("_NAME") && value.to_str().is_some_and(|value| value.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::parsed_with;
    use crate::cli::words::arguments::Words;
    use crate::cli::{Baton, Command, Stop};
    use argh::ArgsInfo as _;

    fn usage(line: &[&str], variables: &[(&str, &str)]) -> String {
        match parsed_with(line, variables).err() {
            Some(Stop::Usage(message)) => message,
            other => panic!("{line:?} {variables:?}: {other:?}"),
        }
    }

    #[test]
    fn an_unknown_variable_is_wrong_usage_of_the_server_and_suggests_the_near_one() {
        for (name, part) in [
            ("BATON_LISTN", "did you mean BATON_LISTEN?"),
            ("BATON_MAX_CONECTIONS", "did you mean BATON_MAX_CONNECTIONS?"),
            ("BATON_DTA", "did you mean BATON_DATA?"),
            ("BATON_DIR", "there are BATON_LISTEN, "),
            ("BATON_HELP", "which means nothing"),
            ("BATON_", "which means nothing"),
            ("BATON_PORT", "which means nothing"),
            ("BATON_NAME", "which means nothing"),
        ] {
            for value in ["hunter2", ""] {
                let message = usage(&["serve"], &[(name, value)]);
                assert!(message.contains(name) && message.contains(part), "{message}");
                assert!(!message.contains("hunter2") && !message.contains('\n'), "{message}");
            }
        }
    }

    #[test]
    fn other_commands_work_beside_any_variable_and_tell_of_those_that_look_misspelt() {
        let warnings = |line: &[&str], name: &str| {
            let words: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
            let variables = Variables::of([(name.into(), "hunter2".into())]);
            Words::read(&words, &variables, &Baton::get_args_info()).unwrap().warnings
        };
        for line in [&["check"][..], &["runner", "list"], &["run", "--", "true"]] {
            for (name, near) in [("BATON_DTA", "BATON_DATA"), ("BATON_MAX_CONECTIONS", "BATON_MAX_CONNECTIONS")] {
                let told = warnings(line, name);
                let [warning] = told.as_slice() else { panic!("{line:?} {name}: {told:?}") };
                assert!(warning.contains(name) && warning.contains(&format!("did you mean {near}?")), "{warning}");
                assert!(!warning.contains("hunter2") && !warning.contains('\n'), "{warning}");
            }
            for name in ["BATON_VERSION", "BATON_NAME", "BATON_ENV_PATH", "BATON_HELP", "BATON_FRUIT", "BATON_"] {
                assert!(parsed_with(line, &[(name, "1.2")]).is_ok(), "{line:?} {name}");
                assert_eq!(warnings(line, name), [""; 0], "{line:?}");
            }
        }
    }

    #[test]
    fn variables_that_are_not_for_us_or_are_no_options_do_no_harm() {
        for (name, value) in [
            ("BATONS", "1"),
            ("baton_listen", "1"),
            ("BATON_SEED", "1"),
            ("BATON_TEST_SMALL_DISK", "1"),
            (RESTARTS_VARIABLE, "1"),
            ("BATON_SERVICE_HOST", "10.0.0.1"),
            ("BATON_SERVICE_PORT", "80"),
            ("BATON_WEB_SERVICE_PORT_HTTP", "80"),
            ("BATON_PORT", "tcp://10.0.0.1:80"),
            ("BATON_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("BATON_NAME", "/web/baton"),
            ("BATON_ENV_PATH", "/bin"),
            ("BATON_VERSION", "1.2"),
        ] {
            assert!(parsed_with(&["serve"], &[(name, value)]).is_ok(), "{name}");
        }
    }

    #[test]
    fn help_is_there_however_wrong_a_variable_is() {
        for line in [&["serve", "--help"][..], &["--version"]] {
            let answer = parsed_with(line, &[("BATON_LISTN", "x"), ("BATON_LISTEN", "x")]).err();
            assert!(matches!(answer, Some(Stop::Answer(_))), "{line:?}: {answer:?}");
        }
    }

    #[test]
    fn the_data_directory_is_an_option_else_a_variable() {
        for (line, variables, data) in [
            (&["check"][..], &[][..], None),
            (&["check"], &[("BATON_DATA", "v")], Some("v")),
            (&["check"], &[("BATON_DATA", "")], None),
            (&["check", "--data", "o"], &[("BATON_DATA", "v")], Some("o")),
        ] {
            assert_eq!(parsed_with(line, variables).unwrap().data.as_deref(), data, "{line:?} {variables:?}");
        }
    }

    #[test]
    fn variables_of_serve_change_no_other_command() {
        let other = parsed_with(&["build", "list"], &[("BATON_LISTEN", "nonsense")]).unwrap();
        assert!(matches!(other.command, Some(Command::Build(_))));
    }

    #[test]
    fn a_switch_is_on_or_off() {
        let switch = FlagInfo { kind: FlagInfoKind::Switch, long: "--dry-run", ..FlagInfo::default() };
        let words = |value: &str| {
            Variables::of([("BATON_DRY_RUN".into(), value.into())]).words(&switch).map_err(|stop| format!("{stop:?}"))
        };
        for value in ["1", "true", "yes", "TRUE"] {
            assert_eq!(words(value), Ok(vec!["--dry-run".to_owned()]), "{value}");
        }
        for value in ["0", "false", "no", "No", ""] {
            assert_eq!(words(value), Ok(vec![]), "{value}");
        }
        let wrong = words("hunter2").unwrap_err();
        assert!(wrong.contains("BATON_DRY_RUN must be 1") && !wrong.contains("hunter2"), "{wrong}");
    }
}

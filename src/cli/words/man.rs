//! `baton man`: manual pages, made from the definitions behind `--help`.

use super::commands::{self, Node, is_repeating, one_line, value_name};
use super::settings::{has_variables, takes_value, variable};
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs, Optionality};
use std::fmt::Write;
use std::path::Path;

/// Print the manual page of a command, or write those of all.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "man",
    example = "\
        {command_name} | man -l -\n\
        {command_name} build-add | man -l -\n\
        {command_name} --output /usr/local/share/man/man1"
)]
pub struct Man {
    /// the command, with hyphens, as in build-add; default: the program
    #[argh(positional)]
    page: Option<String>,

    /// write all pages to this directory, one a file: baton.1, baton-build-add.1, ...
    #[argh(option, arg_name = "DIR")]
    output: Option<String>,
}

impl Man {
    /// Prints or writes pages about the program that `root` describes.
    pub fn run(self, root: CommandInfoWithArgs) -> Done {
        let nodes = commands::all(root);
        match (self.page, self.output) {
            (Some(_), Some(_)) => Err(Stop::Usage("--output writes all pages, so that it goes with none".to_owned())),
            (None, Some(dir)) => write_all(Path::new(&dir), &nodes),
            (wanted, None) => {
                let wanted = wanted.unwrap_or_default().replace(' ', "-");
                let wanted = wanted.strip_prefix("baton-").unwrap_or(&wanted);
                let found = nodes.iter().find(|node| node.path.join("-") == wanted);
                let found = found.ok_or_else(|| {
                    Stop::Usage(format!("there is no page {wanted:?}; `baton --help` lists the commands"))
                })?;
                print::out(&page(found, &nodes))
            }
        }
    }
}

fn write_all(dir: &Path, nodes: &[Node]) -> Done {
    let failed = |error| Stop::Failed(format!("cannot write to {}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    for node in nodes {
        std::fs::write(dir.join(title(node) + ".1"), page(node, nodes)).map_err(failed)?;
    }
    Ok(())
}

/// The name of a command's page.
fn title(node: &Node) -> String {
    node.name().replace(' ', "-")
}

/// A page in the language of man(7). Without a date, so that the same program makes the same page.
fn page(node: &Node, nodes: &[Node]) -> String {
    let title = title(node);
    let mut text = format!(
        ".TH {} 1 \"\" \"baton {}\" \"Baton\"\n.nh\n.ad l\n.SH NAME\n{} \\- {}\n",
        title.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
        roff(&title),
        roff(lowered(node.sentence().trim_end_matches('.')).as_str())
    );
    synopsis(&mut text, node);
    // Writing to a String cannot fail.
    let _ = writeln!(text, ".SH DESCRIPTION\n{}", roff(&node.sentence()));
    if !node.info.positionals.is_empty() {
        text.push_str(".SH ARGUMENTS\n");
        for (argument, shown) in node.info.positionals.iter().zip(node.arguments()) {
            let what = one_line(argument.description);
            let what = if what.is_empty() { "the command, with its arguments".to_owned() } else { what };
            let _ = writeln!(text, ".TP\n.I {}\n{}", roff(&shown), roff(&what));
        }
    }
    text.push_str(".SH OPTIONS\n");
    for flag in node.options() {
        let short = flag.short.map(|short| format!("\\fB\\-{short}\\fR, ")).unwrap_or_default();
        let value = value_name(flag).map(|name| format!(" \\fI{}\\fR", roff(name))).unwrap_or_default();
        let again = if is_repeating(flag) { " (may be given more than once)" } else { "" };
        let what = one_line(flag.description);
        let _ = writeln!(text, ".TP\n{short}\\fB{}\\fR{value}\n{}{again}", roff(flag.long), roff(&what));
    }
    if !node.path.is_empty() {
        text.push_str(".PP\nThe options of\n.BR baton (1)\ngo with every command.\n");
    }
    if !node.info.commands.is_empty() {
        text.push_str(".SH COMMANDS\n");
        for child in &node.info.commands {
            let what = one_line(child.command.description);
            let _ = writeln!(text, ".TP\n.BR {}\\-{} (1)\n{}", roff(&title), roff(child.name), roff(&what));
        }
    }
    environment(&mut text, node);
    examples_and_notes(&mut text, node);
    if !node.info.error_codes.is_empty() {
        text.push_str(".SH EXIT STATUS\n");
        for code in node.info.error_codes {
            let _ = writeln!(text, ".TP\n.B {}\n{}", code.code, roff(&one_line(code.description)));
        }
    }
    see_also(&mut text, node, nodes);
    text
}

fn synopsis(text: &mut String, node: &Node) {
    let _ = writeln!(text, ".SH SYNOPSIS\n.B {}", roff(&node.name()));
    for flag in node.options().filter(|flag| flag.long != "--help") {
        let value = value_name(flag).map(|name| format!(" \\fI{}\\fR", roff(name))).unwrap_or_default();
        let option = format!("\\fB{}\\fR{value}", roff(flag.long));
        let _ = match flag.optionality {
            Optionality::Required => writeln!(text, "{option}"),
            Optionality::Optional => writeln!(text, "[{option}]"),
            Optionality::Repeating | Optionality::Greedy => writeln!(text, "[{option}]..."),
        };
    }
    if !node.info.commands.is_empty() {
        text.push_str("\\fICOMMAND\\fR\n");
    }
    for argument in node.arguments() {
        let _ = writeln!(text, "\\fI{}\\fR", roff(&argument));
    }
}

/// The variables that stand for options.
fn environment(text: &mut String, node: &Node) {
    let with_variables = |flag: &&argh::FlagInfo<'static>| {
        flag.long != "--help" && (has_variables(&node.path) || (node.path.is_empty() && takes_value(flag)))
    };
    let flags: Vec<_> = node.options().filter(with_variables).collect();
    if !flags.is_empty() {
        text.push_str(".SH ENVIRONMENT\nOptions win over variables.\n");
    }
    for flag in flags {
        let _ = writeln!(text, ".TP\n.B {}\nstands for\n.BR {} .", variable(flag.long), roff(flag.long));
    }
}

fn examples_and_notes(text: &mut String, node: &Node) {
    let named = |text: &&str| text.replace("{command_name}", &node.name());
    let examples: Vec<String> = node.info.examples.iter().map(named).collect();
    if !examples.is_empty() {
        let _ = writeln!(text, ".SH EXAMPLES\n.nf");
        for line in examples.iter().flat_map(|example| example.lines()) {
            let _ = writeln!(text, "{}", roff(line.trim()));
        }
        text.push_str(".fi\n");
    }
    let notes: Vec<String> = node.info.notes.iter().map(named).collect();
    if !notes.is_empty() {
        text.push_str(".SH NOTES\n");
        for note in notes {
            let _ = writeln!(text, ".PP\n{}", roff(&one_line(&note)));
        }
    }
}

fn see_also(text: &mut String, node: &Node, nodes: &[Node]) {
    let parent = node.path.split_last().map(|(_, parent)| parent);
    let near = |other: &&Node| {
        let of = other.path.split_last().map(|(_, of)| of);
        other.path != node.path && (parent == Some(&other.path) || of == parent || of == Some(&node.path))
    };
    let names: Vec<String> =
        nodes.iter().filter(near).map(|other| format!(".BR {} (1)", roff(&title(other)))).collect();
    let _ = writeln!(text, ".SH SEE ALSO\n{}", names.join(",\n"));
}

/// Text as it is: no control line, and hyphens that can be copied.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn lowered(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Baton;
    use crate::cli::skip::skipped;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn nodes() -> Vec<Node> {
        commands::all(Baton::get_args_info())
    }

    #[test]
    fn every_command_has_a_page_with_all_of_its_words() {
        let nodes = nodes();
        for node in &nodes {
            let page = page(node, &nodes);
            for flag in node.options() {
                assert!(page.contains(&roff(flag.long)), "{} in {page}", flag.long);
                assert!(page.contains(&roff(&one_line(flag.description))), "{} in {page}", flag.long);
            }
            for argument in node.arguments() {
                assert!(page.contains(&roff(&argument)), "{argument} in {page}");
            }
            for child in &node.info.commands {
                assert!(page.contains(&format!(".BR {}\\-{} (1)\n", roff(&title(node)), roff(child.name))), "{page}");
            }
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "SEE ALSO"] {
                assert!(page.contains(&format!("\n.SH {section}\n")), "{section} in {page}");
            }
            assert!(!page.contains("{command_name}"), "{page}");
        }
    }

    #[test]
    fn options_that_are_for_tests_are_in_no_page() {
        let nodes = nodes();
        assert!(nodes.iter().all(|node| !page(node, &nodes).contains("memory")));
    }

    #[test]
    fn variables_of_serve_are_in_its_page() {
        let nodes = nodes();
        let serve = nodes.iter().find(|node| node.path == ["serve"]).unwrap();
        let page = page(serve, &nodes);
        assert!(page.contains(".B BATON_MAX_TRACE_SIZE\n") && !page.contains("BATON_HELP"), "{page}");
    }

    #[test]
    fn text_is_shown_as_it_is() {
        assert_eq!(roff(".\\-'"), "\\&.\\e\\-'");
        assert_eq!(roff("'"), "\\&'");
    }

    #[test]
    fn pages_are_typeset_without_a_warning() {
        let nodes = nodes();
        for node in &nodes {
            let mut groff = Command::new("groff");
            let groff = groff.args(["-man", "-Tascii", "-P-cbou", "-ww"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let Ok(mut groff) = groff.stderr(Stdio::piped()).spawn() else {
                return skipped("there is no groff on this machine");
            };
            groff.stdin.take().unwrap().write_all(page(node, &nodes).as_bytes()).unwrap();
            let output = groff.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", node.name());
            assert!(String::from_utf8_lossy(&output.stdout).contains("SYNOPSIS"));
        }
    }

    #[test]
    fn all_pages_are_written_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let pages = dir.path().join("man1");
        write_all(&pages, &nodes()).unwrap();
        assert_eq!(std::fs::read_dir(&pages).unwrap().count(), nodes().len());
        let page = std::fs::read_to_string(pages.join("baton-build-add.1")).unwrap();
        assert!(page.starts_with(".TH BATON-BUILD-ADD 1 "), "{page}");
    }
}

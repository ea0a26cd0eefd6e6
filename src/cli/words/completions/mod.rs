//! `baton completions`: what a shell offers when Tab is pressed, made from the definitions behind `--help`.
//!
//! What must stay true: a script asks no program and no data, so that Tab is instant and makes nothing; a value
//! is offered only where all possible ones are known, or are files.

mod bash;
mod fish;
mod zsh;

#[cfg(test)]
mod tests;

use super::commands::{self, Node};
use crate::cli::Done;
use crate::cli::show::print;
use crate::domain::build::Status;
use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

/// Print a script that completes commands, options and values in a shell.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "completions",
    example = "\
        source <({command_name} bash)\n\
        {command_name} bash > /etc/bash_completion.d/baton\n\
        {command_name} zsh > /usr/local/share/zsh/site-functions/_baton\n\
        {command_name} fish > ~/.config/fish/completions/baton.fish"
)]
pub struct Completions {
    /// bash, zsh or fish
    #[argh(positional, from_str_fn(shell))]
    shell: Shell,
}

/// A shell that there is a script for.
#[derive(Clone, Copy)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    fn as_str(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }
}

fn shell(text: &str) -> Result<Shell, String> {
    let found = Shell::ALL.into_iter().find(|shell| shell.as_str() == text);
    found.ok_or_else(|| "a shell is bash, zsh or fish".to_owned())
}

impl Completions {
    /// Prints the script for the program that `root` describes.
    pub fn run(&self, root: CommandInfoWithArgs) -> Done {
        let nodes = commands::all(root);
        print::out(&match self.shell {
            Shell::Bash => bash::script(&nodes),
            Shell::Zsh => zsh::script(&nodes),
            Shell::Fish => fish::script(&nodes),
        })
    }
}

/// What may stand in a place.
enum Values {
    /// One of these.
    Words(Vec<String>),
    Files,
    Directories,
    /// A command line, as of `sudo`.
    Command,
    /// Nobody knows.
    Any,
}

/// What an option's value or an argument may be, by its name in `--help`.
fn values(name: &str, nodes: &[Node]) -> Values {
    let words = |words: &[&str]| Values::Words(words.iter().map(|&word| word.to_owned()).collect());
    match name {
        "FORMAT" => words(&["text", "json"]),
        "STATE" => words(&Status::ALL.map(Status::as_str)),
        "SHELL" => words(&Shell::ALL.map(Shell::as_str)),
        "PAGE" => {
            Values::Words(nodes.iter().filter(|node| !node.path.is_empty()).map(|it| it.path.join("-")).collect())
        }
        "FILE" | "PATH" | "K=FILE" => Values::Files,
        "DIR" => Values::Directories,
        "COMMAND" => Values::Command,
        _ => Values::Any,
    }
}

/// The options that may stand behind a command: its own, and those of the program.
fn options<'a>(node: &'a Node, nodes: &'a [Node]) -> impl Iterator<Item = &'static argh::FlagInfo<'static>> + 'a {
    let own = node.options();
    let of_program = nodes.first().filter(|_| !node.path.is_empty()).into_iter().flat_map(Node::options);
    own.chain(of_program.filter(|flag| commands::value_name(flag).is_some()))
}

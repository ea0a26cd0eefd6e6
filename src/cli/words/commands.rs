//! All commands as argh knows them: what `--help` shows, for those who say it in other forms.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// A command, with the words that lead to it; the program itself has none.
pub struct Node {
    pub path: Vec<&'static str>,
    pub info: CommandInfoWithArgs,
}

/// Every command below `root`, itself first.
pub fn all(root: CommandInfoWithArgs) -> Vec<Node> {
    let mut nodes = vec![Node { path: Vec::new(), info: root }];
    let mut next = 0;
    while let Some(node) = nodes.get(next) {
        let of = |child: &argh::SubCommandInfo| Node {
            path: [node.path.as_slice(), &[child.name]].concat(),
            info: child.command.clone(),
        };
        let mut children = node.info.commands.iter().map(of).collect();
        nodes.append(&mut children);
        next += 1;
    }
    nodes
}

impl Node {
    /// The whole name, as in `baton build add`.
    pub fn name(&self) -> String {
        [&["baton"], self.path.as_slice()].concat().join(" ")
    }

    /// Its options that are for people.
    pub fn options(&self) -> impl Iterator<Item = &'static FlagInfo<'static>> {
        self.info.flags.iter().filter(|flag| !flag.hidden)
    }

    /// Its description, in one line.
    pub fn sentence(&self) -> String {
        one_line(self.info.description)
    }

    /// What stands before `--` or instead of it: its positional arguments, in words for people.
    pub fn arguments(&self) -> Vec<String> {
        let shown = self.info.positionals.iter().filter(|positional| !positional.hidden);
        shown
            .map(|positional| {
                let name = positional.name.to_uppercase();
                match positional.optionality {
                    Optionality::Required => name,
                    Optionality::Optional => format!("[{name}]"),
                    Optionality::Repeating => format!("[{name}]..."),
                    Optionality::Greedy => format!("-- {name}..."),
                }
            })
            .collect()
    }
}

/// The name of an option's value; `None`: it takes none.
pub fn value_name(flag: &FlagInfo<'static>) -> Option<&'static str> {
    match flag.kind {
        FlagInfoKind::Switch => None,
        FlagInfoKind::Option { arg_name } => Some(arg_name),
    }
}

/// Whether an option may be given more than once.
pub fn is_repeating(flag: &FlagInfo<'_>) -> bool {
    flag.optionality == Optionality::Repeating
}

/// A description without the breaks that it has for a terminal.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

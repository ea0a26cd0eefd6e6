//! For fish, from 3 on.

use super::{Values, options, values};
use crate::cli::words::commands::{Node, one_line, value_name};
use std::fmt::Write;

/// Reads the words before the cursor, and says which command they lead to.
const HEAD: &str = r#"# fish completion for baton
function __baton_command
    set -l command ""
    set -l skip ""
    for word in (commandline -opc)[2..-1]
        if test -n "$skip"
            set skip ""
        else if test "$word" = --
            set command "$command --"
            break
        else if contains -- "$command:$word" $__baton_takers
            set skip yes
        else if contains -- "$command $word" $__baton_commands
            set command "$command $word"
        end
    end
    echo "baton$command"
end

function __baton_is
    test (__baton_command) = "$argv[1]"
end

complete -c baton -f
"#;

pub fn script(nodes: &[Node]) -> String {
    let mut text = format!("{HEAD}\n");
    let tail = |node: &Node| node.path.iter().fold(String::new(), |key, word| format!("{key} {word}"));
    let commands = nodes.iter().filter(|node| !node.path.is_empty()).map(|node| quoted(&tail(node)));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "set -g __baton_commands {}", commands.collect::<Vec<_>>().join(" "));
    let takers = nodes.iter().flat_map(|node| {
        let takers = options(node, nodes).filter(|flag| value_name(flag).is_some());
        takers.map(move |flag| quoted(&format!("{}:{}", tail(node), flag.long)))
    });
    let _ = writeln!(text, "set -g __baton_takers {}", takers.collect::<Vec<_>>().join(" "));
    for node in nodes {
        let at = quoted(&format!("__baton_is {:?}", node.name()));
        for child in &node.info.commands {
            let what = one_line(child.command.description);
            let _ = writeln!(text, "complete -c baton -n {at} -a {} -d {}", child.name, quoted(&what));
        }
        for flag in options(node, nodes) {
            let value =
                value_name(flag).map(|name| values(name, nodes)).map_or(String::new(), |value| offer(&value, " -r"));
            let what = quoted(&one_line(flag.description));
            let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let _ = writeln!(
                text,
                "complete -c baton -n {at} -l {}{short}{value} -d {what}",
                flag.long.trim_start_matches('-')
            );
        }
        if let (true, Some(argument)) = (node.info.commands.is_empty(), node.info.positionals.first()) {
            match values(&argument.name.to_uppercase(), nodes) {
                Values::Any => {}
                Values::Command => {
                    let jobs = "(baton run --list --plain 2>/dev/null)";
                    let _ = writeln!(text, "complete -c baton -n {at} -a '{jobs}'");
                    let at = quoted(&format!("__baton_is {:?}", format!("{} --", node.name())));
                    let _ = writeln!(text, "complete -c baton -n {at} -a '(__fish_complete_subcommand)'");
                }
                what @ (Values::Words(_) | Values::Files | Values::Directories) => {
                    let _ = writeln!(text, "complete -c baton -n {at}{}", offer(&what, ""));
                }
            }
        }
    }
    text
}

/// The options of `complete` for a place where this may stand.
fn offer(values: &Values, required: &str) -> String {
    match values {
        Values::Words(words) => format!("{required} -f -a {}", quoted(&words.join(" "))),
        Values::Files | Values::Command => format!("{required} -F"),
        Values::Directories => format!("{required} -f -a '(__fish_complete_directories)'"),
        Values::Any => format!("{required} -f"),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

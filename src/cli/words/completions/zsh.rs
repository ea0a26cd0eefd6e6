//! For zsh: a function for each command, which `_arguments` reads.

use super::{Values, options, values};
use crate::cli::words::commands::{Node, is_repeating, one_line, value_name};
use std::fmt::Write;

/// The jobs of the pipeline here, and what zsh knows of a command.
const JOBS: &str = r#"
_baton_jobs() {
    local -a jobs=("${(@f)$(baton run --list --plain 2>/dev/null)}")
    (( $#jobs )) && compadd -a jobs
    _normal
}
"#;

pub fn script(nodes: &[Node]) -> String {
    let mut text = format!("#compdef baton\n{JOBS}");
    for node in nodes {
        let name = function(&node.path);
        // Writing to a String cannot fail.
        let _ =
            write!(text, "\n{name}() {{\n    local curcontext=\"$curcontext\" state line\n    typeset -A opt_args\n");
        text.push_str("    _arguments -C -S");
        for flag in options(node, nodes) {
            let _ = write!(text, " \\\n        {}", option(flag, nodes));
        }
        if node.info.commands.is_empty() {
            for argument in node.info.positionals {
                let place = match values(&argument.name.to_uppercase(), nodes) {
                    Values::Command => "*:::job or command: _baton_jobs".to_owned(),
                    what @ (Values::Words(_) | Values::Files | Values::Directories | Values::Any) => {
                        format!("1:{}:{}", escaped(argument.name), action(&what))
                    }
                };
                let _ = write!(text, " \\\n        {}", quoted(&place));
            }
            text.push_str("\n}\n");
            continue;
        }
        text.push_str(
            " \\\n        '1:command:->command' '*::argument:->argument'\n    case $state in\n        command)\n",
        );
        text.push_str("            local -a commands=(\n");
        for child in &node.info.commands {
            let what = one_line(child.command.description).replace(':', "\\:");
            let _ = writeln!(text, "                {}", quoted(&format!("{}:{what}", child.name)));
        }
        text.push_str("            )\n            _describe command commands ;;\n        argument)\n            case $line[1] in\n");
        for child in &node.info.commands {
            let path = [node.path.as_slice(), &[child.name]].concat();
            let _ = writeln!(text, "                {}) {} ;;", child.name, function(&path));
        }
        text.push_str("            esac ;;\n    esac\n}\n");
    }
    // Read by autoload, the file is the function's body; read by `source`, it says what it is for.
    text.push_str("\nif [ \"$funcstack[1]\" = _baton ]; then\n    _baton \"$@\"\nelse\n    compdef _baton baton\nfi\n");
    text
}

fn function(path: &[&str]) -> String {
    path.iter().fold("_baton".to_owned(), |name, word| format!("{name}_{}", word.replace('-', "_")))
}

/// What `_arguments` is told of an option.
fn option(flag: &argh::FlagInfo<'static>, nodes: &[Node]) -> String {
    let what = escaped(&one_line(flag.description));
    let many = if is_repeating(flag) { "*" } else { "" };
    let value = value_name(flag).map(|name| format!(":{}:{}", escaped(name), action(&values(name, nodes))));
    let equals = if value.is_some() { "=" } else { "" };
    let long = quoted(&format!("{many}{}{equals}[{what}]{}", flag.long, value.unwrap_or_default()));
    match flag.short {
        Some(short) => format!("{long} {}", quoted(&format!("-{short}[{what}]"))),
        None => long,
    }
}

fn action(values: &Values) -> String {
    match values {
        Values::Words(words) => format!("({})", words.join(" ")),
        Values::Files => "_files".to_owned(),
        Values::Directories => "_files -/".to_owned(),
        Values::Command => "_normal".to_owned(),
        Values::Any => " ".to_owned(),
    }
}

/// For the parts between colons and brackets.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

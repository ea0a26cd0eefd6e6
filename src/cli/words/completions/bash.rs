//! For bash, from 3.2 on, which macOS still has, with or without the package bash-completion.

use super::{Values, options, values};
use crate::cli::words::commands::{Node, value_name};
use std::fmt::Write;

/// Reads the words before the cursor, then looks up what may follow.
const HEAD: &str = r#"# bash completion for baton
_baton() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" i words=""
    COMPREPLY=()
    # bash makes three words of --option=value, and of the value K=V.
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    if [[ ${COMP_WORDS[COMP_CWORD]} == "=" || ${COMP_WORDS[COMP_CWORD-1]} == "=" ]] && [[ $previous != -* ]]; then
        previous="${COMP_WORDS[COMP_CWORD-3]}"
        [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]] && previous="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == "--" ]]; then
            _baton_words "$command:--" || _baton_nothing
            return
        fi
        if [[ ${COMP_WORDS[i]} == "=" || ${COMP_WORDS[i-1]} == "=" ]] || _baton_takes_value "$command" "${COMP_WORDS[i-1]}"; then
            continue
        fi
        _baton_is_command "$command ${COMP_WORDS[i]}" && command="$command ${COMP_WORDS[i]}"
    done
    if _baton_takes_value "$command" "$previous"; then
        _baton_words "$command:$previous" || _baton_nothing
    elif [[ $current == -* ]]; then
        _baton_words "$command:-" || _baton_nothing
    else
        _baton_words "$command:" || _baton_nothing
    fi
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        [[ ${#COMPREPLY[@]} -gt 0 ]] || _baton_nothing
    fi
}

# Offers no files where bash knows nothing better. bash 3 has no compopt, and offers them.
_baton_nothing() {
    type compopt &>/dev/null && compopt +o default +o bashdefault
    return 0
}

# Behind --, at word i: a program, then what bash does by itself.
_baton_program() {
    [[ COMP_CWORD -gt i+1 ]] || COMPREPLY=($(compgen -c -- "$current"))
    return 0
}

# The jobs of the pipeline here, or -- before a command.
_baton_jobs() {
    local name
    while IFS= read -r name; do
        [[ $name == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
    done < <(baton run --list --plain 2>/dev/null; echo --)
    [[ ${#COMPREPLY[@]} -gt 0 ]] || _baton_nothing
}

_baton_directories() {
    type compopt &>/dev/null && compopt +o default +o bashdefault -o dirnames
    return 0
}
"#;

const TAIL: &str = "complete -o bashdefault -o default -F _baton baton\n";

pub fn script(nodes: &[Node]) -> String {
    let mut text = format!("{HEAD}\n");
    // Writing to a String cannot fail.
    let key = |node: &Node| node.path.iter().fold(String::new(), |key, word| format!("{key} {word}"));
    let commands: Vec<String> =
        nodes.iter().filter(|node| !node.path.is_empty()).map(|node| format!("{:?}", key(node))).collect();
    let _ = writeln!(text, "_baton_is_command() {{\n    case \"$1\" in\n        {}) ;;", commands.join(" | "));
    text.push_str("        *) return 1 ;;\n    esac\n}\n\n_baton_takes_value() {\n    case \"$1:$2\" in\n");
    for node in nodes {
        let takers: Vec<String> = options(node, nodes)
            .filter(|flag| value_name(flag).is_some())
            .map(|flag| format!("{:?}", format!("{}:{}", key(node), flag.long)))
            .collect();
        if !takers.is_empty() {
            let _ = writeln!(text, "        {}) ;;", takers.join(" | "));
        }
    }
    text.push_str("        *) return 1 ;;\n    esac\n}\n\n# What may stand there: sets words, or nothing for files.\n");
    text.push_str("_baton_words() {\n    case \"$1\" in\n");
    for node in nodes {
        let key = key(node);
        let line = |text: &mut String, after: &str, what: Values| {
            let what = match what {
                Values::Words(words) => format!("words={:?}", words.join(" ")),
                // What bash does by itself.
                Values::Files => ":".to_owned(),
                Values::Command => "_baton_program".to_owned(),
                Values::Directories => "_baton_directories".to_owned(),
                Values::Any => return,
            };
            let _ = writeln!(text, "        {:?}) {what} ;;", format!("{key}:{after}"));
        };
        let mut flags: Vec<String> = options(node, nodes).map(|flag| flag.long.to_owned()).collect();
        flags.sort();
        flags.dedup();
        line(&mut text, "-", Values::Words(flags));
        for flag in options(node, nodes) {
            if let Some(name) = value_name(flag) {
                line(&mut text, flag.long, values(name, nodes));
            }
        }
        let commands: Vec<String> = node.info.commands.iter().map(|child| child.name.to_owned()).collect();
        if !commands.is_empty() {
            line(&mut text, "", Values::Words(commands));
        } else if let Some(argument) = node.info.positionals.first() {
            match values(&argument.name.to_uppercase(), nodes) {
                Values::Command => {
                    let _ = writeln!(text, "        {:?}) _baton_jobs ;;", format!("{key}:"));
                    line(&mut text, "--", Values::Command);
                }
                what @ (Values::Words(_) | Values::Files | Values::Directories | Values::Any) => {
                    line(&mut text, "", what)
                }
            }
        }
    }
    text.push_str("        *) return 1 ;;\n    esac\n}\n\n");
    text.push_str(TAIL);
    text
}

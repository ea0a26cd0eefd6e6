//! What is looked for of a secret value: every form in which it can be read.
//!
//! What must stay true: whoever can read a line of a secret of several lines has read a part of the secret, so each line
//! is one by itself, whatever its line end and the blanks around it.

use super::script;
use std::collections::BTreeSet;

/// Fewest bytes of a secret that is masked: shorter ones would turn ordinary words into `x`.
pub const BYTES_MIN: usize = 8;

/// Whether a value is too short to be masked, as anybody would write it.
#[must_use]
pub fn is_short(value: &str) -> bool {
    value.trim().len() < BYTES_MIN
}

/// All that is masked for `value`: as given and trimmed, as a whole with the line ends that terminals make of its own,
/// and each line. Also as the one line that stands for a script shows it.
#[must_use]
pub fn forms(value: &str) -> BTreeSet<String> {
    let unified = value.replace("\r\n", "\n").replace('\r', "\n");
    let block = unified.trim();
    let lines = unified.split('\n').filter(|line| !line.trim().is_empty());
    let mut forms: BTreeSet<String> = lines.flat_map(|line| [line, line.trim()]).map(str::to_owned).collect();
    forms.extend([value, value.trim(), block].map(str::to_owned));
    forms.insert(block.replace('\n', "\r\n"));
    let in_scripts: Vec<String> = forms.iter().map(|form| script::escaped(form)).collect();
    forms.extend(in_scripts);
    forms.retain(|form| form.len() >= BYTES_MIN);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Vec<String> {
        forms(value).into_iter().collect()
    }

    #[test]
    fn a_secret_of_one_line_is_itself_with_and_without_the_blanks_around_it() {
        assert_eq!(of("hunter22"), ["hunter22"]);
        assert_eq!(of("hunter22\n"), ["hunter22", "hunter22\n", "hunter22\\n"]);
        assert_eq!(of(" hunter22"), [" hunter22", "hunter22"]);
        assert!(of("hunter2").is_empty() && of("").is_empty());
        assert!(is_short("hunter2\n") && !is_short("hunter22"));
    }

    #[test]
    fn each_line_of_a_secret_is_one_whatever_ends_it() {
        for end in ["\n", "\r\n", "\r", "\n\n"] {
            let value = ["first line", "short", "  indented\t", "        ", "last line"].join(end);
            let forms = forms(&value);
            for line in ["first line", "  indented\t", "indented", "last line", &value] {
                assert!(forms.contains(line), "{line:?} of {value:?}: {forms:?}");
            }
            assert!(!forms.contains("short") && !forms.contains("        "), "{forms:?}");
        }
    }

    #[test]
    fn the_whole_block_is_found_with_the_line_ends_of_terminals() {
        for value in ["ab\ncd\nef", "ab\ncd\nef\n", "ab\r\ncd\r\nef"] {
            let forms = forms(value);
            assert!(forms.contains("ab\ncd\nef") && forms.contains("ab\r\ncd\r\nef"), "{forms:?}");
        }
        assert!(forms("it's \\ here").contains("it'\\''s \\\\ here"));
    }
}

//! The known word that somebody may have meant: "did you mean ...?".

/// Longest word that is compared, in characters. Comparing costs time and memory in the product of both lengths.
const WORD_CHARS_MAX: usize = 64;

/// The known word nearest to `wanted`, whatever the case of their letters; the first of several equally near ones.
///
/// `None` when the nearest needs more changes (letters added, dropped, replaced, swapped) than a third of the longer
/// word's length, or when `wanted` is empty or longer than 64 characters.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted_chars = wanted.chars().count();
    if wanted_chars == 0 || wanted_chars > WORD_CHARS_MAX {
        return None;
    }
    let wanted = wanted.to_lowercase();
    known
        .into_iter()
        .filter_map(|word| {
            let chars = word.chars().count();
            if chars > WORD_CHARS_MAX {
                return None;
            }
            let changes = strsim::damerau_levenshtein(&wanted, &word.to_lowercase());
            (changes <= chars.max(wanted_chars) / 3).then_some((changes, word))
        })
        .min_by_key(|&(changes, _)| changes)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [&str; 8] = ["serve", "project", "runner", "build", "backup", "check", "list", "add"];

    #[test]
    fn a_slip_of_the_fingers_finds_the_word() {
        for (wanted, found) in [
            ("serve", "serve"),
            ("SERVE", "serve"),
            ("sevre", "serve"),
            ("porject", "project"),
            ("projects", "project"),
            ("Runer", "runner"),
            ("biuld", "build"),
            ("bakcup", "backup"),
            ("lst", "list"),
            ("ad", "add"),
        ] {
            assert_eq!(nearest(wanted, COMMANDS), Some(found), "{wanted:?}");
        }
    }

    #[test]
    fn a_different_word_finds_nothing() {
        for wanted in ["", "x", "frobnicate", "start", "run", "delete", "日本"] {
            assert_eq!(nearest(wanted, COMMANDS), None, "{wanted:?}");
        }
        assert_eq!(nearest("serve", []), None);
        assert_eq!(nearest("serve", [""]), None);
    }

    #[test]
    fn letters_beyond_ascii_count_once() {
        assert_eq!(nearest("größe", ["GRÖSSER", "Größen"]), Some("Größen"));
    }

    #[test]
    fn the_nearest_wins_and_the_first_of_equals() {
        assert_eq!(nearest("builds", ["guilds", "build", "builts"]), Some("guilds"));
        assert_eq!(nearest("builds", ["guilty", "builts"]), Some("builts"));
    }

    #[test]
    fn a_very_long_word_is_not_compared() {
        let long = "a".repeat(65);
        assert_eq!(nearest(&long, [long.as_str()]), None);
        assert_eq!(nearest("aaa", [long.as_str(), "aab"]), Some("aab"));
    }
}

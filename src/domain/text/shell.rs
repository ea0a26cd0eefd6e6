//! Words for a shell, as each argument is.

/// A line of shell that has each of `words` arrive as it is.
pub fn quoted(words: &[String]) -> String {
    let words = words.iter().enumerate().map(|(index, word)| {
        // `A=1` as the first word would be an assignment.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+:,./-".contains(c) || (c == '=' && index > 0);
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn line(words: &[&str]) -> String {
        quoted(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn plain_words_stay_readable_and_others_are_quoted() {
        for (words, expected) in [
            (&["make", "-j4", "CC=gcc", "a/b.c"][..], "make -j4 CC=gcc a/b.c"),
            (&["A=1"], "'A=1'"),
            (&["echo", "", "a b"], "echo '' 'a b'"),
            (&["echo", "it's"], "echo 'it'\\''s'"),
            (&["echo", "$HOME", "*", "~", "a;b", "#"], "echo '$HOME' '*' '~' 'a;b' '#'"),
        ] {
            assert_eq!(line(words), expected);
        }
    }

    #[test]
    fn every_argument_survives_the_shell() {
        let words = [
            "", "a b", "it's", "'", "\"", "$HOME", "`id`", "a\nb", "\\", "\\'", "-n", "größe", "!x", "{a,b}", "=", "\t",
        ];
        let script = line(&[&["printf", "%s\\0"], &words[..]].concat());
        let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        let expected: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        assert_eq!(output.stdout, expected, "{script}");
    }
}

//! A dotenv report: lines `KEY=value`, which builds that need this one get as variables.
//!
//! What must stay true: what is taken here is taken by GitLab, too, and means the same: blanks at the ends are cut, quotes
//! are kept, nothing is expanded, the last of two equal keys counts. An error names the line and repeats nothing of it: it
//! may hold a secret.

use super::reserved::is_reserved;

/// Longest report, in bytes, all files together; as in GitLab.
pub const BYTES_MAX: usize = 5 << 10;
/// Most variables of a report; as in GitLab.
pub const VARIABLES_MAX: usize = 20;
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The variables in these files, in the order of their keys' first lines.
///
/// # Errors
/// Says what is wrong, and in which line.
pub fn parse(files: &[Vec<u8>]) -> Result<Vec<(String, String)>, String> {
    if files.iter().map(Vec::len).sum::<usize>() > BYTES_MAX {
        return Err(format!("the dotenv report is longer than {BYTES_MAX} bytes"));
    }
    let mut variables: Vec<(String, String)> = Vec::new();
    for (index, bytes) in files.iter().enumerate() {
        let file = if files.len() > 1 { format!(" of file {}", index + 1) } else { String::new() };
        let text = text(bytes).ok_or_else(|| format!("the dotenv report{file} is no text in UTF-8"))?;
        for (number, line) in lines(&text).enumerate() {
            let wrong = |what: &str| format!("line {}{file} of the dotenv report {what}", number + 1);
            let (key, value) = variable(line).map_err(wrong)?;
            let count = variables.len();
            match variables.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => value.clone_into(known),
                None if count == VARIABLES_MAX => {
                    return Err(wrong(&format!("has one variable too many: at most {VARIABLES_MAX} are allowed")));
                }
                None => variables.push((key.to_owned(), value.to_owned())),
            }
        }
    }
    Ok(variables)
}

/// Key and value of a line.
fn variable(line: &str) -> Result<(&str, &str), &'static str> {
    let line = line.trim();
    if line.is_empty() {
        return Err("is blank, which GitLab does not take");
    }
    if line.starts_with('#') {
        return Err("is a comment, which GitLab does not take");
    }
    let (key, value) = line.split_once('=').ok_or("is not KEY=value")?;
    let (key, value) = (key.trim_end(), value.trim_start());
    let is_plain = key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !is_plain {
        return Err("has a key of other characters than letters, digits and _, or none");
    }
    if is_reserved(key) {
        return Err("sets a variable that each build gets by itself");
    }
    if value.contains('\0') {
        return Err("has a NUL byte, which no program takes");
    }
    Ok((key, value))
}

/// The lines, without one behind the last line end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

/// A file's text. Windows writes UTF-16 with a mark at its begin.
fn text(bytes: &[u8]) -> Option<String> {
    let of_units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, rest @ ..] => of_units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => of_units(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, String)>, String> {
        parse(&[text.as_bytes().to_vec()])
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn lines_are_variables() {
        let cases: [(&str, &[(&str, &str)]); 13] = [
            ("", &[]),
            ("A=1", &[("A", "1")]),
            ("A=1\nB_2=x y\n", &[("A", "1"), ("B_2", "x y")]),
            ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
            ("  A  =  1  ", &[("A", "1")]),
            ("A=", &[("A", "")]),
            ("A=b=c", &[("A", "b=c")]),
            ("A=\"q\"\nB='q'", &[("A", "\"q\""), ("B", "'q'")]),
            ("A=$B ${C} $$", &[("A", "$B ${C} $$")]),
            ("A=1\nB=2\nA=3", &[("A", "3"), ("B", "2")]),
            ("A=1 # no comment", &[("A", "1 # no comment")]),
            ("A=größe\u{1b}[0m", &[("A", "größe\u{1b}[0m")]),
            ("1A=x\na=y", &[("1A", "x"), ("a", "y")]),
        ];
        for (text, expected) in cases {
            assert_eq!(of(text), Ok(pairs(expected)), "{text:?}");
        }
    }

    #[test]
    fn what_gitlab_refuses_is_refused_with_the_line_and_nothing_of_what_it_says() {
        for (text, part) in [
            ("A=1\n\nB=2", "line 2 of the dotenv report is blank"),
            ("\n", "line 1 of the dotenv report is blank"),
            ("A=1\n# hidden\n", "line 2 of the dotenv report is a comment"),
            ("#hidden=1", "is a comment"),
            ("A=1\nhidden", "line 2 of the dotenv report is not KEY=value"),
            ("=hidden", "or none"),
            ("hid den=1", "letters, digits and _"),
            ("export hidden=1", "letters, digits and _"),
            ("größe=hidden", "letters, digits and _"),
            ("A=hid\0den", "NUL"),
            ("CI_JOB_TOKEN=hidden", "by itself"),
        ] {
            let message = of(text).unwrap_err();
            assert!(message.contains(part) && !message.contains("hidden"), "{text:?}: {message}");
        }
    }

    #[test]
    fn length_and_number_are_bounded() {
        let long = format!("A={}", "x".repeat(BYTES_MAX - 2));
        assert_eq!(of(&long).unwrap().len(), 1);
        assert!(of(&format!("{long}x")).unwrap_err().contains("longer than 5120 bytes"));
        let lines = |count: usize| (0..count).map(|n| format!("K{n}=v\n")).collect::<String>();
        assert_eq!(of(&lines(20)).unwrap().len(), 20);
        assert!(of(&lines(21)).unwrap_err().contains("line 21"));
        assert_eq!(of(&(lines(20) + "K3=again")).unwrap().len(), 20);
        assert!(of(&format!("{}=v", "K".repeat(256))).is_err());
    }

    #[test]
    fn each_file_begins_with_a_line_of_its_own() {
        let files = [b"A=1".to_vec(), b"B=2\nA=3".to_vec()];
        assert_eq!(parse(&files), Ok(pairs(&[("A", "3"), ("B", "2")])));
        assert!(parse(&[b"A=1".to_vec(), b"B=2\nx".to_vec()]).unwrap_err().contains("line 2 of file 2"));
    }

    #[test]
    fn files_as_windows_writes_them_are_read() {
        let units = |to: fn(u16) -> [u8; 2]| "\u{feff}A=ö\r\n".encode_utf16().flat_map(to).collect::<Vec<u8>>();
        for bytes in [units(u16::to_le_bytes), units(u16::to_be_bytes), "\u{feff}A=ö\r\n".as_bytes().to_vec()] {
            assert_eq!(parse(&[bytes]), Ok(pairs(&[("A", "ö")])));
        }
        for bytes in [&b"A=\xff"[..], b"\xff\xfeA", b"\xff\xfe\x00\xd8"] {
            assert!(parse(&[bytes.to_vec()]).unwrap_err().contains("UTF-8"));
        }
    }
}

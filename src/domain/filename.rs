//! Names of artifact files: what is kept of the name that a client gave its upload.
//!
//! What must stay true: a stored name is a label, never a path, since files on disk are named by the server. It is safe
//! all the same: clients save under it.

/// The name of an upload that has none.
const DEFAULT_NAME: &str = "artifacts.zip";

/// The longest name, in bytes: what file systems take.
const NAME_BYTES_MAX: usize = 255;

/// The longest extension, in bytes, that is kept when a name is cut.
const EXTENSION_BYTES_MAX: usize = 32;

/// The client's file name made safe: what follows the last `/` or `\`, without control characters (C0, DEL, C1), at
/// most 255 bytes: a longer one is cut between characters, before its extension. `artifacts.zip` when nothing, only blanks, `.` or `..` is left, or when no name was given.
///
/// Source: `POST builds/:id/artifacts` keeps the base name of the part's `filename`.
pub fn artifacts_filename(given: Option<&str>) -> String {
    let base = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = base.chars().filter(|c| !c.is_control()).collect();
    let name = if name.len() > NAME_BYTES_MAX { cut(&name) } else { name };
    match name.trim() {
        "" | "." | ".." => DEFAULT_NAME.to_owned(),
        _ => name,
    }
}

/// A long name, cut before its extension.
fn cut(name: &str) -> String {
    let (stem, extension) = name.split_at(extension_start(name));
    let mut end = NAME_BYTES_MAX.saturating_sub(extension.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    stem.get(..end).unwrap_or_default().to_owned() + extension
}

/// Where a name's extension begins: at its last dot, or at `.tar` before that; at its end if it has none that is one.
fn extension_start(name: &str) -> usize {
    let dot = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX);
    dot.map_or(name.len(), |dot| {
        let before = name.get(..dot).unwrap_or_default();
        before.strip_suffix(".tar").filter(|stem| !stem.is_empty()).map_or(dot, str::len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_name_is_kept() {
        for (given, name) in [
            ("ci_build_artifacts.zip", "ci_build_artifacts.zip"),
            ("out dir.zip", "out dir.zip"),
            ("/etc/passwd", "passwd"),
            ("../../up.zip", "up.zip"),
            ("C:\\builds\\out.zip", "out.zip"),
            ("a/b\\c.zip", "c.zip"),
            ("a\\b/c.zip", "c.zip"),
            (".hidden", ".hidden"),
            ("...", "..."),
            ("say \"hi\".zip", "say \"hi\".zip"),
            ("größe.zip", "größe.zip"),
        ] {
            assert_eq!(artifacts_filename(Some(given)), name, "{given:?}");
        }
    }

    #[test]
    fn control_characters_are_removed() {
        for (given, name) in
            [("a\r\nSet-Cookie: b.zip", "aSet-Cookie: b.zip"), ("a\0b\u{7f}c\u{85}d\u{9f}\te.zip", "abcde.zip")]
        {
            assert_eq!(artifacts_filename(Some(given)), name, "{given:?}");
        }
    }

    #[test]
    fn a_name_that_says_nothing_becomes_the_default() {
        assert_eq!(artifacts_filename(None), "artifacts.zip");
        for given in ["", ".", "..", " ", " .. ", "/", "out/", "out\\", "out/..", "\0", ".\0.", "\r\n"] {
            assert_eq!(artifacts_filename(Some(given)), "artifacts.zip", "{given:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_before_its_extension() {
        assert_eq!(artifacts_filename(Some(&format!("{}.zip", "a".repeat(300)))), format!("{}.zip", "a".repeat(251)));
        assert_eq!(artifacts_filename(Some(&format!("{}.zip", "€".repeat(300)))), format!("{}.zip", "€".repeat(83)));
        let archive = format!("{}.tar.gz", "a".repeat(300));
        assert_eq!(artifacts_filename(Some(&archive)), format!("{}.tar.gz", "a".repeat(248)));
        let sentence = format!("a. {}", "b".repeat(300));
        assert_eq!(artifacts_filename(Some(&sentence)), sentence[..255]);
        assert_eq!(artifacts_filename(Some(&format!(".{}", "a".repeat(300)))), format!(".{}", "a".repeat(254)));
        assert_eq!(artifacts_filename(Some(&"a".repeat(300))), "a".repeat(255));
        assert_eq!(artifacts_filename(Some(&"ü".repeat(300))), "ü".repeat(127));
        assert_eq!(artifacts_filename(Some(&format!("{}{}", "\0".repeat(300), "b.zip"))), "b.zip");
    }
}

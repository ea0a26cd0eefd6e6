//! Variables that people give to a pipeline: on the command line, in files.
//!
//! What must stay true: the strongest comes last: the command line over the files that it names, those over the files that
//! lie beside the checkout. No value reaches a message.

use super::Terms;
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::git::Checkout;
use crate::gitlab_ci::context::Given;
use crate::gitlab_ci::yaml::{FILE_BYTES_MAX, Node, load};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Read where it lies; git is told not to see it.
const OWN_FILE: &str = ".baton/variables.yml";
/// That of another program that people come from.
const OTHER_FILE: &str = ".gitlab-ci-local-variables.yml";

/// All of them, the weakest first.
pub fn all(checkout: &Checkout, terms: &Terms) -> Done<Vec<Given>> {
    let mut all = Vec::new();
    for name in [OTHER_FILE, OWN_FILE] {
        let path = checkout.top.join(name);
        let Some(text) = read(&path, true)? else { continue };
        if name == OTHER_FILE {
            print::note(&format!("variables of {name} are taken"));
        } else {
            hide(checkout);
        }
        all.extend(of_file(&text, name)?);
    }
    for path in &terms.variables_files {
        if let Some(text) = read(path, false)? {
            all.extend(of_file(&text, &path.display().to_string())?);
        }
    }
    all.extend(terms.given.iter().cloned());
    Ok(all)
}

fn read(path: &Path, may_be_absent: bool) -> Done<Option<String>> {
    let failed = |why: &dyn std::fmt::Display| Err(Stop::Failed(format!("cannot read {}: {why}", path.display())));
    match fs::metadata(path) {
        Err(error) if may_be_absent && error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX as u64 => {
            return failed(&format!("it has more than {FILE_BYTES_MAX} bytes"));
        }
        Err(error) => return failed(&error),
        Ok(_) => {}
    }
    match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(Some(text)),
        Ok(Err(_)) => failed(&"it is not UTF-8"),
        Err(error) => failed(&error),
    }
}

/// Secrets lie in it: git is to leave it alone, by a line of this checkout's own.
fn hide(checkout: &Checkout) {
    let file = checkout.common_dir.join("info/exclude");
    let line = "/.baton/";
    let text = fs::read_to_string(&file).unwrap_or_default();
    if text.lines().any(|known| known.trim() == line) {
        return;
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = made.and_then(|()| fs::write(&file, format!("{text}{end}{line}\n"))) {
        print::note(&format!("{OWN_FILE} is not hidden from git: {}: {error}", file.display()));
    }
}

/// `NAME: value`, or `NAME: {value, masked, raw, file}`.
fn of_file(text: &str, name: &str) -> Done<Vec<Given>> {
    let documents =
        load(text, 0).map_err(|error| Stop::Failed(format!("{name}:{}: {}", error.place.line, error.words)))?;
    let Some(content) = documents.documents.first() else { return Ok(Vec::new()) };
    let Some(map) = content.map() else {
        if content.is_null() {
            return Ok(Vec::new());
        }
        return Err(Stop::Failed(format!("{name}: it must have lines `NAME: value`")));
    };
    let mut all = Vec::new();
    for (key, entry) in &map.0 {
        let place = |why: &str| Stop::Failed(format!("{name}:{}: {key} {why}", entry.node.place.line));
        all.push(variable(key, &entry.node).map_err(place)?);
    }
    Ok(all)
}

fn variable(key: &str, node: &Node) -> Result<Given, &'static str> {
    if let Some(value) = node.scalar_text() {
        return Ok(Given::public(key, value));
    }
    let map = node.map().ok_or("must be a text, a number, a boolean, or a hash with `value`")?;
    if let Some(unknown) = map.keys().find(|key| !["value", "masked", "raw", "file"].contains(key)) {
        return Err(match unknown {
            "values" | "type" => "has keys of another program; write {value, masked, raw, file}",
            _ => "has an unknown key; there are value, masked, raw and file",
        });
    }
    let is = |key: &str| map.get(key).and_then(Node::bool).unwrap_or_default();
    let value = map.get("value").and_then(Node::scalar_text).ok_or("has no value")?;
    Ok(Given { key: key.to_owned(), value, public: !is("masked"), file: is("file"), raw: is("raw") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_plain_values_and_what_is_said_of_them() {
        let all = of_file("A: 1\nB: {value: x, masked: true}\nC: {value: y, file: true}\nD: yes\n", "f").unwrap();
        let shown: Vec<_> =
            all.iter().map(|one| (one.key.as_str(), one.value.as_str(), one.public, one.file)).collect();
        assert_eq!(
            shown,
            [("A", "1", true, false), ("B", "x", false, false), ("C", "y", true, true), ("D", "true", true, false)]
        );
        for (text, says) in
            [("A: [hunter2]", "f:1: A must be"), ("- hunter2", "f: it must"), ("x: {valu: hunter2}", "unknown key")]
        {
            let Err(Stop::Failed(message)) = of_file(text, "f") else { panic!("{text} is taken") };
            assert!(message.contains(says) && !message.contains("hunter2"), "{message}");
        }
    }
}

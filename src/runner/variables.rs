//! The variables of a job: their order, what the runner expands, and which of them are files.
//!
//! What must stay true: a later variable wins; a value is looked at once, and what comes out is not looked at again; a
//! name that no shell takes never reaches a shell. What the runner knows (where the checkout is) cannot be changed by a
//! variable of the job.

use super::job::Variable;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A job's variables, with their values as the job sees them.
#[derive(Clone, Default)]
pub struct Variables {
    list: Vec<Known>,
    /// Where each name stands last in the list.
    last: HashMap<String, usize>,
}

#[derive(Clone)]
struct Known {
    name: String,
    value: String,
    /// What the file holds, if the value is the path of one.
    file: Option<String>,
}

/// Which of a job's variables cannot be used.
pub type Unusable = Vec<String>;

impl Variables {
    /// The variables of a job: `before`, then the job's own, expanded, then `after`, which wins. Files lie in `folder`.
    /// Also the names that no shell takes, which are left out.
    #[must_use]
    pub fn new(
        before: &[(&str, String)],
        job: &[Variable],
        after: &[(&str, String)],
        folder: &Path,
    ) -> (Variables, Unusable) {
        let mut unusable = Unusable::new();
        let mut raw: HashMap<&str, String> = HashMap::new();
        let path_of = |name: &str| folder.join(name).display().to_string();
        for (name, value) in before {
            raw.insert(name, value.clone());
        }
        for variable in job {
            let value = if variable.file { path_of(&variable.key) } else { variable.value.clone() };
            raw.insert(&variable.key, value);
        }
        for (name, value) in after {
            raw.insert(name, value.clone());
        }
        let look = |name: &str| raw.get(name).cloned();
        let mut variables = Variables::default();
        for (name, value) in before {
            variables.set(name, value);
        }
        for variable in job {
            if !is_name(&variable.key) {
                unusable.push(variable.key.clone());
                continue;
            }
            let value = variable.value.replace('\0', "");
            let value = if variable.raw { value } else { expand(&value, look) };
            if variable.file {
                variables.put(&variable.key, path_of(&variable.key), Some(value));
            } else {
                variables.put(&variable.key, value, None);
            }
        }
        for (name, value) in after {
            variables.set(name, value);
        }
        (variables, unusable)
    }

    /// Gives a variable a value that is not expanded.
    pub fn set(&mut self, name: &str, value: &str) {
        self.put(name, value.to_owned(), None);
    }

    fn put(&mut self, name: &str, value: String, file: Option<String>) {
        let known = Known { name: name.to_owned(), value, file };
        match self.last.get(name).and_then(|&place| self.list.get_mut(place)) {
            Some(place) => *place = known,
            None => {
                self.last.insert(name.to_owned(), self.list.len());
                self.list.push(known);
            }
        }
    }

    /// The value of a variable; a file's is its path.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.last.get(name).and_then(|&place| self.list.get(place)).map(|known| known.value.as_str())
    }

    /// The value, or nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// Whether a flag is set; `default` if it is not there or no boolean.
    #[must_use]
    pub fn flag(&self, name: &str, default: bool) -> bool {
        boolean(self.text(name)).unwrap_or(default)
    }

    /// Names of feature flags that are no booleans.
    #[must_use]
    pub fn odd_flags(&self) -> Vec<&str> {
        let odd = |known: &&Known| known.name.starts_with("FF_") && boolean(&known.value).is_none();
        self.list.iter().filter(odd).map(|known| known.name.as_str()).collect()
    }

    /// Names and values, as they are exported.
    pub fn exported(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|known| (known.name.as_str(), known.value.as_str()))
    }

    /// Names and contents of the files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().filter_map(|known| Some((known.name.as_str(), known.file.as_deref()?)))
    }

    /// Replaces `$NAME` and `${NAME}`, by nothing if there is no such variable.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand(text, |name| self.get(name).map(str::to_owned))
    }

    /// The same for a path or a name of artifacts, which is read like text in double quotes: `${NAME:-default}`, too.
    ///
    /// # Errors
    /// If it is nothing that could stand in double quotes; then it means itself.
    pub fn expand_path(&self, text: &str) -> Result<String, &'static str> {
        quoted(text, |name| self.get(name))
    }
}

/// What Go's `strconv.ParseBool` reads.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a shell takes it for the name of a variable.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// Length of the name that `text` begins with: letters, digits and `_`.
fn name_bytes(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// One pass: `$NAME`, `${NAME}`, and `$$` for `$`. What a shell would take for a parameter of its own is empty.
fn expand(text: &str, look: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(braced) = after.strip_prefix('{') {
            match braced.split_once('}') {
                Some((name, after)) => {
                    out.push_str(&look(name).unwrap_or_default());
                    rest = after;
                }
                // A brace without its end is eaten, as in Go.
                None => rest = braced,
            }
        } else if let Some(after) = after.strip_prefix(|c: char| c.is_ascii_digit() || "*#@!?-".contains(c)) {
            rest = after;
        } else {
            let (name, after) = after.split_at(name_bytes(after));
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(&look(name).unwrap_or_default());
            }
            rest = after;
        }
    }
    out + rest
}

/// Text in double quotes, without commands.
fn quoted<'a>(text: &'a str, look: impl Fn(&str) -> Option<&'a str>) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((place, c)) = chars.next() {
        let rest = text.get(place + c.len_utf8()..).unwrap_or("");
        match c {
            '\\' => match chars.peek() {
                Some(&(_, next @ ('$' | '`' | '"' | '\\'))) => {
                    // A backslash before what a glob may hold stays for the glob.
                    if next == '\\' {
                        out.push('\\');
                    }
                    out.push(next);
                    chars.next();
                }
                _ => out.push('\\'),
            },
            '`' => return Err("a command is not run here"),
            '$' => {
                let (value, bytes) = parameter(rest, &look)?;
                out.push_str(&value);
                let end = place + 1 + bytes;
                while chars.peek().is_some_and(|&(next, _)| next < end) {
                    chars.next();
                }
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// What stands behind a `$`: its value, and how many bytes it takes.
fn parameter<'a>(rest: &'a str, look: &impl Fn(&str) -> Option<&'a str>) -> Result<(String, usize), &'static str> {
    if rest.starts_with('(') {
        return Err("a command is not run here");
    }
    let Some(braced) = rest.strip_prefix('{') else {
        let bytes = name_bytes(rest);
        let (name, _) = rest.split_at(bytes);
        let value = if name.is_empty() { "$".to_owned() } else { look(name).unwrap_or("").to_owned() };
        return Ok((value, bytes));
    };
    let (inside, _) = braced.split_once('}').ok_or("a brace is not closed")?;
    let (name, operation) = inside.split_at(name_bytes(inside));
    if name.is_empty() {
        return Err("a name is missing in ${}");
    }
    let value = look(name);
    let value = match operation.split_at_checked(2) {
        None if operation.is_empty() => value.unwrap_or(""),
        Some((":-", other)) => value.filter(|value| !value.is_empty()).unwrap_or(other),
        Some((":+", other)) => value.filter(|value| !value.is_empty()).map_or("", |_| other),
        _ => match operation.split_at_checked(1) {
            Some(("-", other)) => value.unwrap_or(other),
            Some(("+", other)) => value.map_or("", |_| other),
            _ => return Err("only ${NAME}, ${NAME:-other} and ${NAME:+other} are known here"),
        },
    };
    Ok((value.to_owned(), inside.len() + 2))
}

/// Where a job's temporary files are: beside its folder.
#[must_use]
pub fn temporary_folder(project: &Path) -> PathBuf {
    let mut name = project.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(list: &[(&str, &str)]) -> Variables {
        let list: Vec<Variable> = list
            .iter()
            .map(|&(key, value)| Variable { key: key.to_owned(), value: value.to_owned(), ..Variable::default() })
            .collect();
        let before = [("CI_PROJECT_DIR", "/b/p".to_owned())];
        Variables::new(&before, &list, &[("GITLAB_ENV", "/b/p.tmp/env".to_owned())], Path::new("/b/p.tmp")).0
    }

    #[test]
    fn values_are_expanded_once_by_the_last_of_each_name() {
        for (value, expected) in [
            ("a-$A", "a-two"),
            ("${A}b", "twob"),
            ("$CI_PROJECT_DIR/x", "/b/p/x"),
            ("x${NO}y$NO", "xy"),
            ("$$A", "$A"),
            ("$B", "$A"),
            ("cost: 5$", "cost: 5$"),
            ("$1$*$?$-x", "x"),
            ("$ x", "$ x"),
            ("${A", "A"),
            ("$SELF:x", "$SELF:x:x"),
            ("ä$Aö", "ätwoö"),
        ] {
            let variables = job(&[("A", "one"), ("B", "$A"), ("SELF", "$SELF:x"), ("X", value), ("A", "two")]);
            let got = if value.starts_with("$SELF") { variables.text("SELF") } else { variables.text("X") };
            assert_eq!(got, expected, "{value}");
        }
    }

    #[test]
    fn raw_values_stay_and_what_the_runner_knows_wins() {
        let raw = Variable { key: "R".into(), value: "$A".into(), raw: true, ..Variable::default() };
        let own = Variable { key: "GITLAB_ENV".into(), value: "/etc/passwd".into(), ..Variable::default() };
        let after = [("GITLAB_ENV", "/right".to_owned())];
        let (variables, _) = Variables::new(&[], &[raw, own], &after, Path::new("/t"));
        assert_eq!((variables.text("R"), variables.text("GITLAB_ENV")), ("$A", "/right"));
    }

    #[test]
    fn a_file_variable_is_a_path_and_its_content_is_expanded() {
        let file = Variable { key: "CONF".into(), value: "a=$A".into(), file: true, ..Variable::default() };
        let a = Variable { key: "A".into(), value: "1".into(), ..Variable::default() };
        let of = Variable { key: "OF".into(), value: "$CONF".into(), ..Variable::default() };
        let (variables, _) = Variables::new(&[], &[file, a, of], &[], Path::new("/b/p.tmp"));
        assert_eq!((variables.text("CONF"), variables.text("OF")), ("/b/p.tmp/CONF", "/b/p.tmp/CONF"));
        assert_eq!(variables.files().collect::<Vec<_>>(), [("CONF", "a=1")]);
    }

    #[test]
    fn a_name_that_is_no_name_is_left_out_and_told() {
        for name in ["", "1A", "A B", "A;rm -rf /", "../x", "Ä", "A-B", "A\n"] {
            let variable = Variable { key: name.into(), value: "x".into(), ..Variable::default() };
            let (variables, unusable) = Variables::new(&[], &[variable], &[], Path::new("/t"));
            assert!(variables.exported().next().is_none() && unusable == [name], "{name:?}");
        }
    }

    #[test]
    fn paths_are_read_like_text_in_double_quotes() {
        let variables = job(&[("A", "one"), ("EMPTY", "")]);
        for (text, expected) in [
            ("$A/x", Ok("one/x")),
            ("${A}/x", Ok("one/x")),
            ("${NO:-two}/$NO", Ok("two/")),
            ("${EMPTY:-two}${EMPTY-two}", Ok("two")),
            ("${A:+yes}", Ok("yes")),
            ("a\\$b", Ok("a$b")),
            ("we\\[i\\]rd", Ok("we\\[i\\]rd")),
            ("a$", Ok("a$")),
            ("$(id)", Err(())),
            ("`id`", Err(())),
            ("${A", Err(())),
            ("${A%x}", Err(())),
        ] {
            assert_eq!(variables.expand_path(text).map_err(|_| ()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn flags_are_what_go_takes_for_booleans() {
        let variables = job(&[("FF_A", "true"), ("FF_B", "0"), ("FF_C", "yes")]);
        assert!(variables.flag("FF_A", false) && !variables.flag("FF_B", true) && variables.flag("FF_C", true));
        assert_eq!(variables.odd_flags(), ["FF_C"]);
    }
}

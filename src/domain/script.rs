//! Scripts, and how they reach runners 1.x unharmed.
//!
//! Such a runner cuts the script at its line ends, takes the blanks off both ends of each line, and puts an `echo` of a
//! line before the line, so that the log shows it. That does no harm to lines which are whole commands. Anything else
//! (here-documents, quotes and constructs over several lines, lines that end in `\`, `$?` of the line before) would
//! become another script.
//!
//! What must stay true: what runs is the script as it was given. A script whose lines are known to stand alone goes out
//! as it is. Any other goes out as one line, which has the same shell evaluate the script and shows it in the log. The
//! scanner errs to that side only.

use std::borrow::Cow;

/// The `commands` that make a runner 1.x with a POSIX shell run `script`. Empty lines at the end are left out: an `echo`
/// of one would hide how the last command ended.
#[must_use]
pub fn for_lines(script: &str) -> Cow<'_, str> {
    let text = script.trim_end_matches([' ', '\t', '\n']);
    if lines_stand_alone(text) { Cow::Borrowed(text) } else { Cow::Owned(in_one_line(script)) }
}

/// `text` as it can be read in the one line that stands for a script.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("'\\''"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_ascii_control() => escaped.push_str(&format!("\\0{:03o}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A script file as editors write it: without the byte order mark, and with the line ends that shells know if all of
/// its lines end as on Windows.
#[must_use]
pub fn from_editor(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let ends = text.matches('\n').count();
    if ends > 0 && text.matches("\r\n").count() == ends {
        return Cow::Owned(text.replace("\r\n", "\n"));
    }
    Cow::Borrowed(text)
}

/// The program that the script's first line names, if it is none of the shells that runners run scripts in.
#[must_use]
pub fn foreign_interpreter(script: &str) -> Option<&str> {
    let line = script.lines().next()?.strip_prefix("#!")?;
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut words = line.split_whitespace();
    let mut program = words.next()?;
    if name(program) == "env" {
        program = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    }
    (!["sh", "bash", "dash", "ash"].contains(&name(program).as_str())).then_some(line.trim())
}

/// The shell's command substitution takes line ends off the end, which matters only behind a `\`. `#` keeps them.
fn in_one_line(script: &str) -> String {
    let text = script.trim_end_matches('\n');
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    let end = if backslashes % 2 == 1 { "\n\n#" } else { "" };
    // `eval` takes a minus for an option.
    let start = if text.starts_with('-') { " " } else { "" };
    format!("eval \"$(printf %b '{start}{}{}')\"", escaped(text), escaped(end))
}

/// Whether the runner may take the script apart. One line, behind which nothing comes, may be anything.
fn lines_stand_alone(text: &str) -> bool {
    let mut lines = text.split('\n').map(|line| (line, line.trim_matches([' ', '\t'])));
    let is_only = !text.contains('\n');
    !text.ends_with('\\') && lines.all(|(line, inner)| inner == line.trim() && (is_only || Line::stands_alone(inner)))
}

/// What a runner's `echo` between two lines changes, or would be changed by.
const TOUCHED_BY_ECHO: [&str; 6] = ["$?", "${?", "$_", "${_", "PIPESTATUS", "LINENO"];

/// Commands and words of the shell whose effect reaches over lines, or that are not followed here.
const FAR_REACHING: [&str; 9] = ["exec", "eval", "trap", "alias", "case", "esac", "select", "function", "coproc"];

/// What is open in a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    If,
    Then,
    Else,
    Loop,
    Do,
    Brace,
    Paren,
    /// `$(`, `<(` and the like, which are parts of words.
    PartOfWord,
    Test,
}

/// A look at one line: whether it is made of whole commands. Methods return `None` once that is not sure.
struct Line<'a> {
    rest: &'a str,
    open: Vec<Open>,
    /// Whether the next word may be a command or one of the shell's own words.
    at_command: bool,
    /// Whether something must follow, as after `&&`.
    wants_more: bool,
}

impl<'a> Line<'a> {
    fn stands_alone(line: &'a str) -> bool {
        if TOUCHED_BY_ECHO.iter().any(|touched| line.contains(touched)) {
            return false;
        }
        let mut line = Line { rest: line, open: Vec::new(), at_command: true, wants_more: false };
        while let Some(c) = line.rest.chars().next() {
            match line.token(c) {
                None => return false,
                Some(End::Line) => break,
                Some(End::Token) => {}
            }
        }
        line.open.is_empty() && !line.wants_more
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn token(&mut self, c: char) -> Option<End> {
        match c {
            ' ' | '\t' => self.skip(1),
            '#' => return Some(End::Line),
            ';' => {
                if self.rest.starts_with(";;") || self.rest.starts_with(";&") {
                    return None;
                }
                self.separator(1, false);
            }
            '&' if self.rest.starts_with("&>") => self.redirection(2),
            '&' => {
                let is_and = self.rest.starts_with("&&");
                self.separator(if is_and { 2 } else { 1 }, is_and);
            }
            '|' => {
                let is_two = self.rest.starts_with("||") || self.rest.starts_with("|&");
                self.separator(if is_two { 2 } else { 1 }, true);
            }
            '<' | '>' => {
                if self.rest.starts_with("<<") {
                    return None;
                }
                let bytes = self.rest.len() - self.rest.trim_start_matches(['<', '>', '&', '|']).len();
                self.redirection(bytes);
            }
            '(' => self.parenthesis(Open::Paren)?,
            ')' => {
                self.close(&[Open::Paren])?;
                self.separator(1, false);
            }
            _ => self.word()?,
        }
        Some(End::Token)
    }

    fn separator(&mut self, bytes: usize, wants_more: bool) {
        self.skip(bytes);
        (self.at_command, self.wants_more) = (true, wants_more);
    }

    fn redirection(&mut self, bytes: usize) {
        self.skip(bytes);
        (self.at_command, self.wants_more) = (false, false);
    }

    fn parenthesis(&mut self, kind: Open) -> Option<()> {
        self.separator(1, false);
        self.open.push(kind);
        // Of a function, whose body may be in the next line.
        (!self.rest.trim_start().starts_with(')')).then_some(())
    }

    fn close(&mut self, kinds: &[Open]) -> Option<()> {
        self.open.pop().filter(|open| kinds.contains(open)).map(drop)
    }

    /// Reads a word, with what is quoted or substituted in it.
    fn word(&mut self) -> Option<()> {
        let word = self.rest;
        let (at_command, depth) = (self.at_command, self.open.len());
        let is_part = |c: char| !" \t;&|<>()".contains(c);
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\\' => {
                    let escaped = self.rest.chars().nth(1)?;
                    self.skip(1 + escaped.len_utf8());
                }
                '\'' => self.skip_to(1, '\'', "")?,
                '`' => self.skip_to(1, '`', "'\"\\$(#")?,
                '"' => self.double_quoted()?,
                '$' if self.rest.starts_with("$'") => self.skip_to(2, '\'', "\\")?,
                '$' if self.rest.starts_with("${") => self.skip_to(2, '}', "'\"`\\$({")?,
                '$' if self.rest.starts_with("$(") => {
                    self.skip(1);
                    self.parenthesis(Open::PartOfWord)?;
                    self.substituted(depth)?;
                }
                // An array, or a pattern.
                '(' => {
                    self.parenthesis(Open::PartOfWord)?;
                    self.substituted(depth)?;
                }
                c if is_part(c) => self.skip(c.len_utf8()),
                _ => break,
            }
        }
        (self.at_command, self.wants_more) = (false, false);
        let word = word.get(..word.len() - self.rest.len()).unwrap_or_default();
        if self.open.last() == Some(&Open::Test) {
            return if word == "]]" { self.close(&[Open::Test]) } else { Some(()) };
        }
        if at_command { self.command_word(word) } else { Some(()) }
    }

    /// Reads to the parenthesis that ends the substitution which was opened at this depth.
    fn substituted(&mut self, depth: usize) -> Option<()> {
        while self.open.len() > depth {
            let c = self.rest.chars().next()?;
            if c == ')' && self.open.len() == depth + 1 {
                self.close(&[Open::PartOfWord])?;
                self.skip(1);
            } else if let End::Line = self.token(c)? {
                return None;
            }
        }
        Some(())
    }

    fn double_quoted(&mut self) -> Option<()> {
        self.skip(1);
        loop {
            let c = self.rest.chars().next()?;
            match c {
                '"' => {
                    self.skip(1);
                    return Some(());
                }
                '\\' => {
                    let escaped = self.rest.chars().nth(1)?;
                    self.skip(1 + escaped.len_utf8());
                }
                '`' => self.skip_to(1, '`', "'\"\\$(#")?,
                '$' if self.rest.starts_with("${") => self.skip_to(2, '}', "'\"`\\$({")?,
                '$' if self.rest.starts_with("$(") => self.skip_to(2, ')', "'\"`\\({#<")?,
                c => self.skip(c.len_utf8()),
            }
        }
    }

    /// Skips `bytes`, then to behind `end`, unless one of `unsure` comes before it.
    fn skip_to(&mut self, bytes: usize, end: char, unsure: &str) -> Option<()> {
        self.skip(bytes);
        let at = self.rest.find(|c| c == end || unsure.contains(c))?;
        let found = self.rest.get(at..)?.starts_with(end);
        self.skip(at + end.len_utf8());
        found.then_some(())
    }

    /// A word where a command may begin.
    fn command_word(&mut self, word: &str) -> Option<()> {
        let mut change = |from: &[Open], to: Option<Open>| {
            self.close(from)?;
            self.open.extend(to);
            Some(())
        };
        self.at_command = match word {
            word if FAR_REACHING.contains(&word) => return None,
            "if" => {
                self.open.push(Open::If);
                true
            }
            "then" => change(&[Open::If], Some(Open::Then)).map(|()| true)?,
            "elif" => change(&[Open::Then], Some(Open::If)).map(|()| true)?,
            "else" => change(&[Open::Then], Some(Open::Else)).map(|()| true)?,
            "fi" => change(&[Open::Then, Open::Else], None).map(|()| true)?,
            "while" | "until" | "for" => {
                self.open.push(Open::Loop);
                word != "for"
            }
            "do" => change(&[Open::Loop], Some(Open::Do)).map(|()| true)?,
            "done" => change(&[Open::Do], None).map(|()| true)?,
            "{" => {
                self.open.push(Open::Brace);
                true
            }
            "}" => change(&[Open::Brace], None).map(|()| true)?,
            "[[" => {
                self.open.push(Open::Test);
                false
            }
            "!" | "time" | "command" | "builtin" => {
                self.wants_more = true;
                true
            }
            _ => word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains(['"', '\'', '$'])),
        };
        Some(())
    }
}

/// What a step of the scanner ended.
enum End {
    Token,
    Line,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_commands_in_lines_stay_as_they_are() {
        for script in [
            "make",
            "make\nmake test\n",
            "  make\n\n\tmake test  \n",
            "case $A in a) make;; esac",
            "cd docs && make\necho done # if it's done\n",
            "if [ -f x ]; then make; elif true; then :; else exit 1; fi\nmake",
            "for i in 1 2; do echo \"$i\"; done\nwhile false; do :; done",
            "(cd x; make) > log 2>&1 || true\n{ echo a; }\n[[ a == b && -f c ]] || ls",
            "echo 'it is' \"$HOME ${A:-b} $(date +%s) \\\" x\" it\\'s $(uname -m) `id -u` $((1 + 2)) ${#A}\na=(1 2)",
            "export A=1 B='2'\n. venv/bin/activate\nA=2 make &\nwait",
            "echo größe 日本\nls",
        ] {
            assert_eq!(for_lines(script), script.trim_end());
        }
    }

    #[test]
    fn what_spans_lines_or_would_be_changed_goes_in_one_line() {
        for script in [
            "cat <<EOF\na\nEOF",
            "make \\\n test",
            "case $A in\na) make;;\nesac",
            "if true\nthen make; fi",
            "for i in 1 2\ndo make; done",
            "f() {\nmake\n}",
            "f() { make; }\nf",
            "make |\ncat",
            "make &&\nls",
            "echo 'a\nb'",
            "echo \"a\nb\"",
            "a=(1\n2)",
            "[[ a &&\n b ]]",
            "false || true\necho $?",
            "make\u{a0}\nls",
            "make\r\nls",
            "echo a\\ ",
            "! \nfalse",
            "exec > log\nmake",
            "echo \"$(echo \"a b\")\"\nls",
            "cat < <(echo a\n)",
            "!(a\n)",
        ] {
            let commands = for_lines(script);
            assert!(commands.starts_with("eval \"$(printf %b '") && !commands.contains('\n'), "{script:?}: {commands}");
        }
        assert_eq!(
            for_lines("cat > conf <<EOF\nit's \\ $A\nEOF\n"),
            "eval \"$(printf %b 'cat > conf <<EOF\\nit'\\''s \\\\ $A\\nEOF')\""
        );
    }

    #[test]
    fn files_are_read_as_editors_write_them() {
        for (file, text) in [
            ("\u{feff}make\n", "make\n"),
            ("make\r\nls\r\n", "make\nls\n"),
            ("make\r\nls\n", "make\r\nls\n"),
            ("make\r", "make\r"),
        ] {
            assert_eq!(from_editor(file), text);
        }
        for (script, program) in [
            ("#!/usr/bin/env python3\nimport os", Some("/usr/bin/env python3")),
            ("#! /usr/bin/perl -w\n", Some("/usr/bin/perl -w")),
            ("#!/usr/bin/env -S A=1 node", Some("/usr/bin/env -S A=1 node")),
            ("#!/bin/sh\nls", None),
            ("#!/usr/bin/env bash", None),
            ("#!/bin/bash -e", None),
            ("#!", None),
            ("ls", None),
        ] {
            assert_eq!(foreign_interpreter(script), program, "{script:?}");
        }
    }
}

//! `baton build add --from`: builds from JSON Lines.
//!
//! What must stay true: every error names its line, none repeats a value, which might be a secret; what
//! `build show --json` prints of a build that was queued alone can be fed back.

mod fields;
#[cfg(test)]
mod tests;

use self::fields::Fields;
use crate::cli::words::secrets::warn_of_short;
use crate::cli::{Done, Stop};
use crate::coordinator::{Coordinator, Queued};
use crate::domain::build::{BuildId, NewBuild};
use crate::domain::spec::BuildSpec;
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use serde_json::{Map, Value};
use std::io::{BufRead, Read};

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Most builds in a file.
const BUILDS_MAX: usize = 100_000;
/// Longest file, in bytes: all of its builds are queued in one step.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// A build, and the number of the line that asks for it.
pub struct Line {
    number: usize,
    queued: Queued,
}

/// Reads a file of builds, of which those that name no project are of `project`.
///
/// # Errors
/// Says which line is wrong, and how.
pub fn read(from: &mut dyn BufRead, project: Option<&str>) -> Result<Vec<Line>, String> {
    let mut builds = Vec::new();
    let mut bytes_read = 0;
    for number in 1.. {
        let at = |message: &str| format!("line {number}: {message}");
        let mut line = Vec::new();
        from.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(|error| at(&error.to_string()))?;
        bytes_read += line.len() as u64;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(at(&format!("it has more than {LINE_BYTES_MAX} bytes")));
        }
        if bytes_read > FILE_BYTES_MAX {
            return Err(at(&format!("the file has more than {FILE_BYTES_MAX} bytes; divide it")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if builds.len() == BUILDS_MAX {
            return Err(at(&format!("the file has more than {BUILDS_MAX} builds; divide it")));
        }
        builds.push(Line { number, queued: parse(&line, project).map_err(|message| at(&message))? });
    }
    Ok(builds)
}

/// Queues the builds of a file, all of them or none.
pub fn queue(coordinator: &Coordinator, lines: Vec<Line>) -> Done<Vec<BuildId>> {
    let numbers: Vec<usize> = lines.iter().map(|line| line.number).collect();
    if lines.is_empty() {
        return Err(Stop::Failed("there is no build in the file; nothing was queued".to_owned()));
    }
    let queued = lines.into_iter().map(|line| line.queued).collect();
    coordinator.add_builds(queued, Timestamp::now()).map_err(|error| with_line(error, &numbers).into())
}

/// Turns the place that `Coordinator::add_builds` names, which is a build's place in the list, into its line.
fn with_line(error: Error, numbers: &[usize]) -> Error {
    let named = error.message.strip_prefix("build ").and_then(|rest| {
        let (place, message) = rest.split_once(" of the list: ")?;
        let number = numbers.get(place.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some((*number, message.to_owned()))
    });
    let (number, message) = match (named, numbers) {
        (Some(named), _) => named,
        (None, [only]) if matches!(error.kind, Kind::Invalid | Kind::NotFound) => (*only, error.message),
        (None, _) => return error,
    };
    Error::new(error.kind, format!("line {number}: {message}; nothing was queued"))
}

fn parse(line: &[u8], project: Option<&str>) -> Result<Queued, String> {
    let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    let mut fields = Fields::new(fields);
    let (needs, needs_names) = fields.needs()?;
    let new = NewBuild {
        project: fields.text("project")?.or(project.map(str::to_owned)).ok_or("\"project\" is missing")?,
        name: fields.text("name")?.unwrap_or_else(|| "build".to_owned()),
        stage: fields.text("stage")?.unwrap_or_else(|| "test".to_owned()),
        ref_: fields.text("ref")?.unwrap_or_else(|| "HEAD".to_owned()),
        sha: fields.text("sha")?,
        before_sha: fields.text("before_sha")?,
        is_tag: fields.flag("tag")?.unwrap_or(false),
        repo_url: fields.text("repo_url")?,
        spec: BuildSpec { script: fields.script()?, ..fields.asked()? },
        allow_git_fetch: fields.flag("allow_git_fetch")?.unwrap_or(true),
        variables: fields.variables()?,
        tags: Tags::new(fields.texts("tags")?.unwrap_or_default())?,
        needs,
        timeout_s: fields.timeout()?,
    };
    fields.check_rest()?;
    super::add::check(&new)?;
    Ok(Queued { new, needs_names })
}

/// Says which secrets of the lines are too short to be masked.
pub fn warn_of_short_secrets(lines: &[Line]) {
    warn_of_short(lines.iter().flat_map(|line| &line.queued.new.variables));
}

/// serde's own words would repeat a value that is no object.
fn not_json(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => {
            "it must be a JSON object, as in {\"project\": ..., \"script\": ...}".to_owned()
        }
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            format!("it is not JSON (at character {})", error.column())
        }
    }
}

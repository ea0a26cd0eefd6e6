//! What commands print: tables, JSON, and the shape of a build in both.

use super::job::{self, JobDocument};
use super::{logger, terminal};
use crate::cli::{Done, Stop};
use crate::coordinator::BuildReport;
use crate::domain::build::{ArtifactsFile, Build, BuildId, FailureReason, Status};
use crate::domain::junit::Summary;
use crate::domain::pipeline::PipelineId;
use crate::domain::spec::{ArtifactFormat, ArtifactKind};
use crate::domain::tags::Tags;
use crate::domain::text::duration::format_duration;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use crate::domain::token::hex;
use crate::store::artifacts::Stored;
use serde::Serialize;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// Writes to standard output, at once.
pub fn out(text: &str) -> Done {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output, at once.
pub fn bytes(bytes: &[u8]) -> Done {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Stop::output)
}

/// Writes one line to standard error, as the log is written there. Nobody can be told when that fails.
pub fn note(text: &str) {
    if logger::format() == logger::Format::Json {
        return logger::say(text);
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    terminal::beside(|| {
        let _ = writeln!(io::stderr().lock(), "baton: {line}");
    });
}

/// Writes lines to standard error as they are, without a name before them: what people search for, or copy.
pub fn lines(text: &str) {
    let clean = |line: &str| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>() + "\n";
    terminal::beside(|| {
        let _ = io::stderr().lock().write_all(text.lines().map(clean).collect::<String>().as_bytes());
    });
}

/// One JSON document, in one line.
pub fn json(document: &impl Serialize) -> Done {
    out(&json_line(document)?)
}

/// One JSON document a line.
pub fn json_lines<T: Serialize>(documents: impl IntoIterator<Item = T>) -> Done {
    let lines: Vec<String> = documents.into_iter().map(|document| json_line(&document)).collect::<Done<_>>()?;
    out(&lines.concat())
}

/// One JSON document as a line of text.
pub fn json_line(document: &impl Serialize) -> Done<String> {
    let mut line = serde_json::to_string(document).map_err(|error| Stop::Failed(format!("no JSON: {error}")))?;
    line.push('\n');
    Ok(line)
}

/// A table with its header; `empty` goes to standard error when there are no rows.
pub fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>, empty: &str) -> Done {
    if rows.is_empty() {
        note(empty);
        return Ok(());
    }
    let header = header.map(str::to_owned);
    out(&aligned(&[vec![header], rows].concat()))
}

/// Columns as wide as their widest cell on a terminal, where some letters take two places and some none; no blanks at
/// the ends of lines.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let filled = |(cell, width): (&String, usize)| cell.clone() + &" ".repeat(width.saturating_sub(cell.width()));
        let cells: Vec<String> = row.iter().zip(widths).map(filled).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `1 build`, `2 builds`.
pub fn count(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// A time in tables, to the second.
pub fn short_time(time: Option<Timestamp>) -> String {
    time.map_or_else(dash, Timestamp::to_the_second)
}

/// What stands in a table for an absent thing.
pub fn dash() -> String {
    "-".to_owned()
}

/// `text`, or a dash for an empty one.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { dash() } else { text.to_owned() }
}

/// A build, in the JSON of every command.
#[derive(Serialize)]
pub struct BuildDocument<'a> {
    id: BuildId,
    project: &'a str,
    name: &'a str,
    stage: &'a str,
    r#ref: &'a str,
    sha: Option<&'a str>,
    status: Status,
    failure_reason: Option<FailureReason>,
    pending_reason: Option<&'a str>,
    runs_without: &'a [&'static str],
    tags: &'a Tags,
    needs: &'a [BuildId],
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    runner: Option<RunnerOfBuild<'a>>,
    manager: Option<&'a str>,
    trace_size: u64,
    artifacts_file: Option<ArtifactsDocument<'a>>,
    artifacts: Vec<KindDocument<'a>>,
    exit_code: Option<i64>,
    failure_text: Option<&'a str>,
    failure_allowed: bool,
    retry_of: Option<BuildId>,
    retried_as: Option<BuildId>,
    pipeline: Option<PipelineId>,
    /// Only of a job of a configuration, where somebody looks at it or at its pipeline.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    job: Option<JobDocument<'a>>,
    /// Only where somebody looks at this build alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    junit: Option<Summary>,
}

/// The runner that has or had a build, in JSON.
#[derive(Serialize)]
pub struct RunnerOfBuild<'a> {
    id: i64,
    description: &'a str,
}

impl<'a> RunnerOfBuild<'a> {
    /// That of `build`, if one took it.
    pub fn new(build: &'a Build) -> Option<RunnerOfBuild<'a>> {
        build.runner.as_ref().map(|(id, description)| RunnerOfBuild { id: *id, description })
    }
}

#[derive(Serialize)]
struct ArtifactsDocument<'a> {
    filename: &'a str,
    size: u64,
    sha256: String,
    expire_at: Option<String>,
}

impl<'a> ArtifactsDocument<'a> {
    fn new(file: &'a ArtifactsFile) -> ArtifactsDocument<'a> {
        ArtifactsDocument {
            filename: &file.filename,
            size: file.size,
            sha256: hex(&file.sha256),
            expire_at: file.expire_at.map(|time| time.to_string()),
        }
    }
}

/// The archive or a report, in JSON.
#[derive(Serialize)]
struct KindDocument<'a> {
    kind: &'a ArtifactKind,
    format: ArtifactFormat,
    #[serde(flatten)]
    file: ArtifactsDocument<'a>,
}

impl<'a> BuildDocument<'a> {
    /// The same, with what its JUnit report says, if it has one.
    pub fn with_tests(self, junit: Option<Summary>) -> BuildDocument<'a> {
        BuildDocument { junit, ..self }
    }

    /// The same, with what it is as a job of its pipeline.
    pub fn with_job(self, job: JobDocument<'a>) -> BuildDocument<'a> {
        BuildDocument { job: Some(job), ..self }
    }

    /// The document of a build.
    pub fn new(report: &'a BuildReport) -> BuildDocument<'a> {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let kind = |stored: &'a Stored| KindDocument {
            kind: &stored.kind,
            format: stored.format,
            file: ArtifactsDocument::new(&stored.file),
        };
        let build = &report.build;
        BuildDocument {
            id: build.id,
            project: &build.project,
            name: &build.name,
            stage: &build.stage,
            r#ref: &build.ref_,
            sha: build.sha.as_deref(),
            status: build.status,
            failure_reason: build.failure_reason,
            pending_reason: report.pending_reason.as_deref(),
            runs_without: &report.runs_without,
            tags: &build.tags,
            needs: &build.needs,
            created_at: build.created_at.to_string(),
            started_at: time(build.started_at),
            finished_at: time(build.finished_at),
            runner: RunnerOfBuild::new(build),
            manager: report.manager.as_deref(),
            trace_size: build.trace_size,
            artifacts_file: build.artifacts.as_ref().map(ArtifactsDocument::new),
            artifacts: report.artifacts.iter().map(kind).collect(),
            exit_code: build.exit_code,
            failure_text: build.failure_text.as_deref(),
            failure_allowed: build.failure_allowed,
            retry_of: build.retry_of,
            retried_as: report.repeated_by,
            pipeline: build.pipeline_id,
            job: None,
            junit: None,
        }
    }
}

/// What `build list` shows of a build.
const BUILD_COLUMNS: [&str; 8] = ["ID", "PROJECT", "NAME", "REF", "STATUS", "CREATED", "TOOK", "REMARK"];

/// A build's row.
pub fn build_row(report: &BuildReport) -> [String; 8] {
    let build = &report.build;
    let remark = build.failure_reason.map(FailureReason::as_str).or(report.pending_reason.as_deref());
    [
        build.id.to_string(),
        build.project.clone(),
        build.name.clone(),
        build.ref_.clone(),
        build.status.to_string(),
        short_time(Some(build.created_at)),
        run_time(build),
        remark.unwrap_or_default().to_owned(),
    ]
}

/// Builds as a table; `are_all`: nobody has asked for some only.
pub fn builds(list: &[BuildReport], are_all: bool) -> Done {
    let empty = if are_all {
        "no builds yet; `baton build add --project NAME --script 'make test'` queues one"
    } else {
        "no such builds; `baton build list` without options shows the newest of all"
    };
    table(BUILD_COLUMNS, list.iter().map(build_row).collect(), empty)
}

/// The same as a text, also of no builds.
pub fn builds_text(list: &[BuildReport]) -> String {
    let header = BUILD_COLUMNS.map(str::to_owned);
    aligned(&[vec![header], list.iter().map(build_row).collect()].concat())
}

/// One build, a line for each thing that is known of it, also as a job of its pipeline.
pub fn build<'a>(report: &'a BuildReport, junit: Option<&'a Summary>, job: Vec<job::Line>) -> Done {
    let build = &report.build;
    let needs: Vec<String> = build.needs.iter().map(ToString::to_string).collect();
    let time = |time: Option<Timestamp>| time.map(|time| short_time(Some(time)));
    let lines = [
        ("build", Some(build.id.to_string())),
        ("project", Some(build.project.clone())),
        ("pipeline", build.pipeline_id.map(|id| id.to_string())),
        ("name", Some(build.name.clone())),
        ("stage", Some(build.stage.clone())),
        ("ref", Some(build.ref_.clone())),
        ("sha", build.sha.clone()),
        ("status", Some(build.status.to_string())),
        ("failure", build.failure_reason.map(|reason| failure(build, reason))),
        ("repeats", build.retry_of.map(|id| format!("build {id}"))),
        ("repeated", report.repeated_by.map(|id| format!("as build {id}"))),
        ("pending", report.pending_reason.clone()),
        ("without", Some(report.runs_without.join(", ")).filter(|words| !words.is_empty())),
        ("tags", Some(build.tags.join(", "))),
        ("needs", Some(needs.join(", "))),
        ("created", time(Some(build.created_at))),
        ("started", time(build.started_at)),
        ("last call", time(build.seen_at.filter(|_| tells_last_call(build)))),
        ("finished", time(build.finished_at)),
        ("took", Some(run_time(build)).filter(|took| took != "-")),
        ("erased", time(build.erased_at)),
        ("runner", build.runner.as_ref().map(|(id, description)| format!("{id} {description}"))),
        ("manager", report.manager.clone()),
        ("log", Some(format_size(build.trace_size))),
    ];
    let artifacts = report.artifacts.iter().map(|stored| (artifacts_label(&stored.kind), Some(artifacts_line(stored))));
    let tests = junit.into_iter().flat_map(test_lines);
    let rows: Vec<[String; 2]> = lines
        .into_iter()
        .chain(job)
        .chain(artifacts)
        .chain(tests)
        .filter_map(|(name, value)| Some([name.to_owned(), value.filter(|value| !value.is_empty())?]))
        .collect();
    out(&aligned(&rows))
}

fn failure(build: &Build, reason: FailureReason) -> String {
    let text = build.failure_text.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
    let code = build.exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
    let allowed = if build.failure_allowed { ", which is allowed" } else { "" };
    format!("{}{text}{code}{allowed}", reason.as_str())
}

/// The archive has a word of its own, as ever.
fn artifacts_label(kind: &ArtifactKind) -> &str {
    if *kind == ArtifactKind::archive() { "artifacts" } else { &kind.0 }
}

fn artifacts_line(stored: &Stored) -> String {
    let file = &stored.file;
    let expiry = file.expire_at.map_or_else(String::new, |at| format!(", until {}", short_time(Some(at))));
    format!("{}, {}{expiry}, sha256 {}", file.filename, format_size(file.size), hex(&file.sha256))
}

/// What a JUnit report says.
fn test_lines(summary: &Summary) -> Vec<(&str, Option<String>)> {
    let Summary { tests, failures, errors, skipped, .. } = summary;
    let more = (failures + errors).saturating_sub(summary.failed.len() as u64);
    let more = (more > 0).then(|| ("", Some(format!("and {more} more"))));
    let rest = if summary.is_whole { "" } else { "; the report cannot be read to its end" };
    let counts = format!("{tests}, of which {failures} failed, {errors} broke, {skipped} were skipped{rest}");
    let failed = summary.failed.iter().map(|name| ("failed", Some(name.clone())));
    std::iter::once(("tests", Some(counts))).chain(failed).chain(more).collect()
}

/// Whether the last sign of life of the build's runner is of use: while nobody knows whether it lives, and if it did not.
fn tells_last_call(build: &Build) -> bool {
    build.status == Status::Running || build.failure_reason == Some(FailureReason::RunnerLost)
}

fn run_time(build: &Build) -> String {
    match (build.started_at, build.finished_at) {
        (Some(start), Some(end)) => format_duration(end.since(start)),
        _ => dash(),
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use super::*;
    use crate::domain::build::ProjectId;
    use crate::domain::pipeline::When;

    /// Of a build that waits.
    pub fn report() -> BuildReport {
        BuildReport {
            build: Build {
                id: BuildId(7),
                project_id: ProjectId(1),
                project: "demo".into(),
                name: "test".into(),
                stage: "test".into(),
                ref_: "master".into(),
                sha: None,
                status: Status::Pending,
                failure_reason: None,
                tags: Tags::from_list("b,a").unwrap(),
                needs: vec![BuildId(3)],
                created_at: Timestamp(1_000_000_000_123),
                started_at: None,
                finished_at: None,
                seen_at: None,
                erased_at: None,
                runner: None,
                trace_size: 0,
                artifacts: None,
                exit_code: None,
                failure_text: None,
                failure_allowed: false,
                retry_of: None,
                pipeline_id: Some(PipelineId(4)),
                stage_index: None,
                when: When::OnSuccess,
                retried_by: None,
            },
            pending_reason: Some("no runner".into()),
            runs_without: vec![],
            artifacts: vec![],
            repeated_by: None,
            manager: None,
        }
    }

    #[test]
    fn a_build_in_json_has_all_fields_in_order_and_null_for_what_is_absent() {
        assert_eq!(
            json_line(&BuildDocument::new(&report())).unwrap(),
            "{\"id\":7,\"project\":\"demo\",\"name\":\"test\",\"stage\":\"test\",\"ref\":\"master\",\"sha\":null,\
             \"status\":\"pending\",\"failure_reason\":null,\"pending_reason\":\"no runner\",\"runs_without\":[],\"tags\":[\"a\",\"b\"],\
             \"needs\":[3],\"created_at\":\"2001-09-09T01:46:40.123Z\",\"started_at\":null,\"finished_at\":null,\
             \"runner\":null,\"manager\":null,\"trace_size\":0,\"artifacts_file\":null,\"artifacts\":[],\"exit_code\":null,\"failure_text\":null,\
             \"failure_allowed\":false,\"retry_of\":null,\"retried_as\":null,\"pipeline\":4}\n"
        );
        let mut ended = report();
        ended.build.status = Status::Failed;
        ended.build.failure_reason = Some(FailureReason::TimedOut);
        ended.build.runner = Some((2, "r".into()));
        ended.build.artifacts = Some(ArtifactsFile {
            path: "7-x".into(),
            filename: "a.zip".into(),
            size: 5,
            sha256: [0xab; 32],
            expire_at: Some(Timestamp(0)),
        });
        let line = json_line(&BuildDocument::new(&ended)).unwrap();
        let file = format!(
            "{{\"filename\":\"a.zip\",\"size\":5,\"sha256\":\"{}\",\"expire_at\":\"1970-01-01T00:00:00.000Z\"}}",
            "ab".repeat(32)
        );
        for part in ["\"failure_reason\":\"timed_out\"", "\"runner\":{\"id\":2,\"description\":\"r\"}", file.as_str()] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_without_blanks() {
        let rows = [["ID", "NAME", ""], ["1", "größe", "x"], ["100", "a", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "ID   NAME\n1    größe  x\n100  a\n");
    }

    #[test]
    fn letters_of_two_cells_and_of_none_do_not_shift_the_columns_after_them() {
        for (name, cells) in [("日本", 4), ("🦊", 2), ("e\u{301}", 1), ("ｱ", 1), ("plain", 5)] {
            let rows = [["NAME", "X"], [name, "x"]].map(|row| row.map(str::to_owned));
            let blanks = " ".repeat(4_usize.saturating_sub(cells) + 2);
            assert_eq!(aligned(&rows).lines().nth(1), Some(format!("{name}{blanks}x").as_str()));
        }
    }
}

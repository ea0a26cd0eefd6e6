//! `baton check`: whether the data is whole.

use super::show::print;
use super::{Done, Stop};
use crate::coordinator::{self, Problem};
use crate::domain::text::size::format_size;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::path::Path;

/// Verify the database and every artifact, also while the server runs; changes nothing.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "check",
    example = "{command_name}\n{command_name} --json\nbaton --data /backups/monday check",
    note = "\
        It reads everything, which takes its time. What is wrong is named one thing a line, with what to do.",
    error_code(0, "All is well."),
    error_code(1, "Something is wrong, or the check could not be made.")
)]
pub struct Check {
    /// print JSON: ok, builds, artifacts, bytes, problems (of kind, what, advice)
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    builds: u64,
    artifacts: u64,
    bytes: u64,
    problems: Vec<ProblemDocument<'a>>,
}

#[derive(Serialize)]
struct ProblemDocument<'a> {
    kind: &'a str,
    what: &'a str,
    advice: &'a str,
}

impl<'a> ProblemDocument<'a> {
    fn new(problem: &'a Problem) -> ProblemDocument<'a> {
        ProblemDocument { kind: problem.kind, what: &problem.what, advice: &problem.advice }
    }
}

impl Check {
    /// Does what the command line says.
    pub fn run(self, data: &Path) -> Done {
        let checked = coordinator::check(data)?;
        let (builds, artifacts, bytes) = (checked.builds, checked.artifacts, checked.bytes);
        let problems = || checked.problems.iter();
        let ok = checked.problems.is_empty();
        if self.json {
            print::json(&Document {
                ok,
                builds,
                artifacts,
                bytes,
                problems: problems().map(ProblemDocument::new).collect(),
            })?;
        } else if ok {
            let (builds, artifacts) = (print::count(builds, "build"), print::count(artifacts, "artifact"));
            print::out(&format!("checked {builds}, {artifacts} ({}): all is well\n", format_size(bytes)))?;
        } else {
            let lines: Vec<String> = problems().map(|p| format!("{}; {}\n", p.what, p.advice)).collect();
            print::out(&lines.concat())?;
        }
        if ok {
            return Ok(());
        }
        let found = print::count(checked.problems.len() as u64, "problem");
        Err(Stop::Failed(format!("{found} in {}; standard output says which, and what to do", data.display())))
    }
}

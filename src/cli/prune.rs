//! `baton prune`: old builds go.

use super::show::print;
use super::{Done, duration_with_unit};
use crate::coordinator::{Coordinator, Removal};
use crate::domain::text::duration::format_duration;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::time::Duration;

/// Remove builds that ended long ago, with their logs and artifacts.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "prune",
    example = "{command_name} --older-than 90d --dry-run\n{command_name} --older-than 2w --project demo",
    note = "\
        Pipelines whose configuration was refused go, too; they have no builds.\n\
        Builds that have not ended stay, and so do those that such builds need. Builds that have ended and needed\n\
        a removed one stay, without that need. Ids are never used again. The room goes back to the file system: at\n\
        once, or, while a server runs, by its hand within minutes. `baton serve --keep-builds 90d` does the same all\n\
        the time."
)]
pub struct Prune {
    /// builds that ended longer ago than this go, as in 90d or 2 weeks, always with a unit
    #[argh(option, arg_name = "DURATION", from_str_fn(duration_with_unit))]
    older_than: Duration,

    /// only builds of this project
    #[argh(option, arg_name = "NAME")]
    project: Option<String>,

    /// remove nothing; say what would go
    #[argh(switch)]
    dry_run: bool,

    /// print JSON: builds, refused_pipelines, log_bytes, artifact_bytes, bytes, dry_run
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    builds: u64,
    refused_pipelines: u64,
    log_bytes: u64,
    artifact_bytes: u64,
    bytes: u64,
    dry_run: bool,
}

impl Prune {
    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        let removal = if self.dry_run { Removal::Tried } else { Removal::Done };
        let (project, now) = (self.project.as_deref(), Timestamp::now());
        let pruned = coordinator.prune(self.older_than, project, removal, now)?;
        let refused = coordinator.prune_refused(self.older_than, project, removal, now)?;
        if !self.dry_run {
            coordinator.reclaim_unserved()?;
        }
        if self.json {
            return print::json(&Document {
                builds: pruned.builds,
                refused_pipelines: refused,
                log_bytes: pruned.log_bytes,
                artifact_bytes: pruned.artifact_bytes,
                bytes: pruned.bytes(),
                dry_run: self.dry_run,
            });
        }
        let refused = match refused {
            0 => String::new(),
            count => format!(" and {}", print::count(count, "refused pipeline")),
        };
        print::out(&format!(
            "{} {}{refused} that ended more than {} ago: {} of logs, {} of artifacts\n",
            if self.dry_run { "would remove" } else { "removed" },
            print::count(pruned.builds, "build"),
            format_duration(self.older_than),
            format_size(pruned.log_bytes),
            format_size(pruned.artifact_bytes),
        ))
    }
}

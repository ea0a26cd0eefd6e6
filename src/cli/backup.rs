//! `baton backup`: a copy of the data directory.

use super::show::print;
use super::show::progress::Progress;
use super::{Done, Stop};
use crate::coordinator;
use crate::domain::text::size::format_size;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::cell::RefCell;
use std::path::Path;

/// Copy all data to a directory, also while the server runs.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "backup",
    example = "{command_name} /backups/monday\nbaton --data /backups/monday check\nbaton --data /backups/monday serve",
    note = "\
        The copy is verified, readable by you only, and works as a --data: to restore it, stop the server and\n\
        put it in the place of the data directory. A directory without a baton.db is not a whole backup.",
    error_code(1, "No backup was made; one line on standard error says why.")
)]
pub struct Backup {
    /// where to: a new or empty directory, in one that exists
    #[argh(positional)]
    dir: String,

    /// print JSON: builds, artifacts, bytes, dir
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    builds: u64,
    artifacts: u64,
    bytes: u64,
    dir: &'a str,
}

impl Backup {
    /// Does what the command line says.
    pub fn run(self, data: &Path) -> Done {
        let progress = RefCell::new(Progress::new("backup", 0));
        let copied = |done, total| progress.borrow_mut().set(done, total);
        let made = coordinator::backup(data, Path::new(&self.dir), &copied).map_err(Stop::from);
        drop(progress);
        let made = made?;
        if made.removed > 0 {
            let builds = print::count(made.removed, "build");
            print::note(&format!("artifacts of {builds} went while they were copied, and are not in the backup"));
        }
        if self.json {
            let (builds, artifacts, bytes) = (made.builds, made.artifacts, made.bytes);
            return print::json(&Document { builds, artifacts, bytes, dir: &self.dir });
        }
        print::out(&format!(
            "backed up {} and {} ({}) to {}\n",
            print::count(made.builds, "build"),
            print::count(made.artifacts, "artifact"),
            format_size(made.bytes),
            self.dir
        ))
    }
}

//! What takes how much room.

use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, ProjectId};
use crate::error::Result;
use crate::store::{projects, usage};
use std::collections::HashMap;

pub use crate::store::usage::Taken;

/// What takes how much room. Projects are looked at one after the other, while others write.
pub struct DiskUse {
    /// Each project by name, oldest first.
    pub projects: Vec<(String, Taken)>,
    /// Bytes of the database: logs, and all that is known of builds.
    pub database_bytes: u64,
    /// Of these, what is free for new content.
    pub database_free_bytes: u64,
}

impl Coordinator {
    /// What takes how much room. Looks at every build, which takes a second or so for a million of them.
    pub fn disk_use(&self) -> Result<DiskUse> {
        let mut taken: HashMap<ProjectId, Taken> = HashMap::new();
        let mut after = BuildId(0);
        loop {
            let page = self.store.read(|c| usage::page(c, after))?;
            for (project, more) in page.taken {
                let sum = taken.entry(project).or_default();
                *sum = sum.and(more);
            }
            match page.last {
                Some(last) => after = last,
                None => break,
            }
        }
        self.store.read(|c| {
            let of_project = |id| taken.get(&id).copied().unwrap_or_default();
            let projects = projects::all(c)?.into_iter().map(|it| (it.name, of_project(it.id))).collect();
            let (database_bytes, database_free_bytes) = usage::database(c)?;
            Ok(DiskUse { projects, database_bytes, database_free_bytes })
        })
    }
}

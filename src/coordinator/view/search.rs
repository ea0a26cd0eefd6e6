//! What is called so: projects, branches, commits.

use crate::coordinator::{Coordinator, PipelineReport};
use crate::error::Result;
use crate::store::{pipelines, projects};

/// Hits of each kind.
const HITS_MAX: usize = 20;

/// What is called so.
pub struct Hits {
    /// Projects, by their names.
    pub projects: Vec<String>,
    /// Branches and tags, each behind its project.
    pub branches: Vec<(String, String)>,
    /// Pipelines of a commit that begins so.
    pub pipelines: Vec<PipelineReport>,
}

impl Coordinator {
    /// What is called like `text`: a project or a branch whose name has it, a commit that begins with it. Branches and
    /// commits are looked for among those of the newest pipelines.
    ///
    /// # Errors
    /// The database's.
    pub fn search(&self, text: &str) -> Result<Hits> {
        let lower = text.to_lowercase();
        let has = |name: &str| name.to_lowercase().contains(&lower);
        self.store.read(|c| {
            let all = projects::all(c)?.into_iter().map(|project| project.name);
            let projects = all.filter(|name| has(name)).take(HITS_MAX).collect();
            let refs = pipelines::newest_refs(c, None, 200)?;
            let branches = refs.into_iter().map(|(_, project, ref_)| (project, ref_));
            let branches = branches.filter(|(_, ref_)| has(ref_)).take(HITS_MAX).collect();
            let is_sha = text.len() >= 4 && text.bytes().all(|c| c.is_ascii_hexdigit());
            let found = if is_sha { pipelines::of_commit(c, &lower, HITS_MAX)? } else { Vec::new() };
            let pipelines = found.into_iter().map(|it| PipelineReport::of(c, it)).collect::<Result<_>>()?;
            Ok(Hits { projects, branches, pipelines })
        })
    }
}

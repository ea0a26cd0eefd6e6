//! `needs`, and the rows of a matrix.

use super::control::{MatrixRow, matrix_rows};
use super::{Reader, flattened};
use crate::gitlab_ci::yaml::{Node, Place};

const KEYS: [&str; 7] = ["job", "artifacts", "optional", "parallel", "project", "ref", "pipeline"];

/// An entry of `needs`.
#[derive(Clone, Debug)]
pub(crate) struct NeedEntry {
    pub(crate) place: Place,
    pub(crate) job: String,
    pub(crate) artifacts: bool,
    pub(crate) optional: bool,
    /// Only these parts of a matrix.
    pub(crate) matrix: Option<Vec<MatrixRow>>,
}

impl Reader<'_> {
    /// The entries, and why the job cannot run if it needs something of another pipeline.
    pub(super) fn needs(&mut self, at: &str, node: &Node) -> Option<(Vec<NeedEntry>, Option<String>)> {
        let mut nodes = Vec::new();
        let is_flat = flattened(node, 1, &mut nodes).is_some();
        if !is_flat || (node.list().is_none() && node.map().is_none()) {
            self.error(node.place, format!("{at} config can only be a hash or an array"));
            return None;
        }
        let at = format!("{at}:need");
        let mut refused = None;
        let mut all = Vec::new();
        for node in nodes {
            match self.need(&at, node) {
                Some(Ok(need)) => all.push(need),
                Some(Err(why)) => refused = Some(why),
                None => {}
            }
        }
        Some((all, refused))
    }

    fn need(&mut self, at: &str, node: &Node) -> Option<Result<NeedEntry, String>> {
        let place = node.place;
        if let Some(job) = node.text() {
            let job = job.to_owned();
            return Some(Ok(NeedEntry { place, job, artifacts: true, optional: false, matrix: None }));
        }
        let Some(map) = node.map() else {
            self.error(place, format!("{at} has an unsupported type"));
            return None;
        };
        self.check_keys(at, map, &KEYS);
        if map.set("project").is_some() {
            return Some(Err("it needs a job of another project, which Baton does not have".to_owned()));
        }
        if map.set("pipeline").is_some() {
            return Some(Err("it needs another pipeline, which Baton does not have".to_owned()));
        }
        let Some(job) = self.text(at, map, "job") else {
            if map.set("job").is_none() {
                self.error(place, format!("{at} job can't be blank"));
            }
            return None;
        };
        let artifacts = self.bool(at, map, "artifacts").unwrap_or(true);
        let optional = self.bool(at, map, "optional").unwrap_or_default();
        let matrix = map.set("parallel").and_then(|node| {
            let at = format!("{at}:parallel");
            let map = self.map(&at, node, &["matrix"])?;
            let rows = map.set("matrix")?;
            matrix_rows(self, &format!("{at}:matrix"), rows)
        });
        Some(Ok(NeedEntry { place, job, artifacts, optional, matrix }))
    }
}

//! How a pipeline is followed: by looks that cost little, however many jobs it has.

use super::no_such;
use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::pipeline::states::Tally;
use crate::error::Result;
use crate::store::job_rows::{self, JobRow};
use crate::store::{jobs, pipelines};

/// By what it shows that a pipeline has moved: how many jobs of each stage stand how, and the newest build. A change that
/// leaves both as they were takes two jobs that go opposite ways at once, so that whoever follows a pipeline looks at all
/// of it now and then, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineMark {
    stages: Vec<Tally>,
    newest: Option<BuildId>,
}

impl Coordinator {
    /// The mark of a pipeline: some ten rows are read for it.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for a pipeline that is not there, or no more.
    pub fn pipeline_mark(&self, id: PipelineId) -> Result<PipelineMark> {
        self.store.read(|c| {
            let newest = job_rows::newest(c, id)?;
            if newest.is_none() {
                pipelines::by_id(c, id)?.ok_or_else(|| no_such(id))?;
            }
            let mut stages = jobs::tallies(c, id)?;
            if stages.is_empty() {
                // Its builds know needs only.
                stages.push(pipelines::standing(c, id)?.tally);
            }
            Ok(PipelineMark { stages, newest })
        })
    }

    /// All builds of a pipeline as who follows it sees them, those that were made again too, the earliest stage first.
    ///
    /// # Errors
    /// The database's.
    pub fn pipeline_rows(&self, id: PipelineId) -> Result<Vec<JobRow>> {
        self.store.read(|c| job_rows::of_pipeline(c, id))
    }

    /// Number and bytes of the traces of these builds, in their order: both 0 where there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn trace_sizes(&self, ids: &[BuildId]) -> Result<Vec<(i64, u64)>> {
        self.store.read(|c| ids.iter().map(|id| job_rows::trace_size(c, *id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::model_tests::{add, coordinator, end, job, start};
    use crate::domain::build::Status;
    use crate::domain::pipeline::Pipeline;
    use crate::domain::pipeline::PipelineId;
    use crate::domain::pipeline::Work;
    use crate::domain::spec::Retry;
    use crate::error::Kind;

    #[test]
    fn each_change_of_a_job_changes_the_mark() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = coordinator(dir.path());
        let mut again = job("a", 0);
        if let Work::Build(spec) = &mut again.work {
            spec.retry = Some(Retry { max: 1, ..Retry::default() });
        }
        let stages = vec!["s0".to_owned(), "s1".to_owned()];
        let added = add(&coordinator, &Pipeline { jobs: vec![again, job("b", 1)], stages, ..Pipeline::default() });
        let mut marks = vec![coordinator.pipeline_mark(added.id).unwrap()];
        let mut moved = |what: &str| {
            let mark = coordinator.pipeline_mark(added.id).unwrap();
            assert_ne!(Some(&mark), marks.last(), "{what}");
            assert_eq!(mark, coordinator.pipeline_mark(added.id).unwrap(), "{what}");
            marks.push(mark);
        };
        start(&coordinator, added.builds[0]);
        moved("a runs");
        end(&coordinator, added.builds[0], Status::Failed, Some(1));
        moved("a is made again");
        let rows = coordinator.pipeline_rows(added.id).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["a", "a", "b"]);
        assert_eq!(rows[0].retried_by, Some(rows[1].id));
        start(&coordinator, rows[1].id);
        moved("the second a runs");
        end(&coordinator, rows[1].id, Status::Success, Some(0));
        moved("a has ended, b is pending");
        assert_eq!(coordinator.trace_sizes(&added.builds).unwrap(), [(0, 0), (0, 0)]);
        let none = coordinator.pipeline_mark(PipelineId(99)).unwrap_err();
        assert_eq!(none.kind, Kind::NotFound);
    }
}

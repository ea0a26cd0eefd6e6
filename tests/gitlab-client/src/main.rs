//! What the crate `gitlab` does with a server, whose things tests/siege/clients/mod.rs has made.

use gitlab::Gitlab;
use gitlab::api::common::SortOrder;
use gitlab::api::projects::jobs::artifacts::{
    DeleteJobArtifacts, DownloadJobArtifactFile, DownloadJobArtifacts, DownloadRefJobArtifactFile,
    DownloadRefJobArtifacts, KeepJobArtifacts,
};
use gitlab::api::projects::jobs::{
    CancelJob, EraseJob, Job, JobScope, JobTrace, JobVariableAttribute, Jobs, PlayJob, RetryJob,
};
use gitlab::api::projects::pipeline_schedules::PipelineSchedules;
use gitlab::api::projects::pipelines::{
    CancelPipeline, CreatePipeline, DeletePipeline, Pipeline, PipelineBridges, PipelineJobs, PipelineStatus,
    PipelineTestReport, PipelineTestReportSummary, PipelineVariables, Pipelines, RetryPipeline,
};
use gitlab::api::projects::repository::branches::Branches;
use gitlab::api::projects::repository::commits::{Commit, CommitStatuses};
use gitlab::api::projects::variables::{
    CreateProjectVariable, DeleteProjectVariable, ProjectVariable, ProjectVariables, UpdateProjectVariable,
};
use gitlab::api::projects::{CreateProject, DeleteProject, EditProject, Project, Projects};
use gitlab::api::runners::{AllRunners, DeleteRunner, EditRunner, Runner, RunnerJobs};
use gitlab::api::users::{CreateRunner, CurrentUser};
use gitlab::api::{ApiError, Endpoint, Pageable, Pagination, Query, ignore, paged, raw};
use serde_json::Value;

const PROJECT: &str = "group/demo";

/// A request to an endpoint of the project, with these fields.
macro_rules! of_project {
    ($endpoint:ident $(, $field:ident = $value:expr)*) => {
        $endpoint::builder().project(PROJECT)$(.$field($value))*.build().unwrap()
    };
}

struct Server(Gitlab);

impl Server {
    fn as_(token: &str) -> Result<Server, gitlab::GitlabError> {
        let url = std::env::var("BATON_URL").unwrap();
        Gitlab::builder(url.strip_prefix("http://").unwrap(), token).insecure().build().map(Server)
    }

    #[track_caller]
    fn get(&self, endpoint: impl Endpoint) -> Value {
        endpoint.query(&self.0).unwrap_or_else(|error| panic!("{}: {error}", endpoint.endpoint()))
    }

    #[track_caller]
    fn bytes(&self, endpoint: impl Endpoint) -> Vec<u8> {
        let path = endpoint.endpoint();
        raw(endpoint).query(&self.0).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// For what answers nothing.
    #[track_caller]
    fn act(&self, endpoint: impl Endpoint) {
        let path = endpoint.endpoint();
        ignore(endpoint).query(&self.0).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The ids of a list, all pages of it.
    #[track_caller]
    fn ids(&self, endpoint: impl Endpoint + Pageable) -> Vec<u64> {
        let path = endpoint.endpoint();
        let list: Result<Vec<Value>, _> = paged(endpoint, Pagination::All).query(&self.0);
        let list = list.unwrap_or_else(|error| panic!("{path}: {error}"));
        list.iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
    }

    /// The status and the words with which it is refused.
    #[track_caller]
    fn refused(&self, endpoint: impl Endpoint) -> (u16, String) {
        let path = endpoint.endpoint();
        let answered: Result<(), _> = ignore(endpoint).query(&self.0);
        match answered.expect_err(&path) {
            ApiError::GitlabWithStatus { status, msg } => (status.as_u16(), msg),
            ApiError::GitlabObjectWithStatus { status, obj } => (status.as_u16(), obj.to_string()),
            other => panic!("{path}: {other:?}"),
        }
    }
}

fn projects(server: &Server) {
    let user = server.get(CurrentUser::builder().build().unwrap());
    assert_eq!((&user["username"], &user["is_admin"]), (&"operator".into(), &true.into()));
    let project = server.get(of_project!(Project));
    assert_eq!(project["path_with_namespace"], PROJECT);
    assert_eq!(server.get(Project::builder().project(2).build().unwrap())["id"], 2);
    assert_eq!(server.ids(Projects::builder().build().unwrap()), [2, 1]);
    assert_eq!(server.ids(Projects::builder().search("demo").membership(true).build().unwrap()), [2, 1]);
    let refused = server.refused(Project::builder().project("nobody").build().unwrap());
    assert_eq!(refused, (404, "404 Project Not Found".to_owned()));

    let made = server.get(CreateProject::builder().path("made").build().unwrap());
    let id = made["id"].as_u64().unwrap();
    let taken = server.refused(CreateProject::builder().path("made").build().unwrap());
    assert!(taken.0 == 400 && taken.1.contains("has already been taken"), "{taken:?}");
    let edit = |name| EditProject::builder().project(id).name(name).build_timeout(120).build().unwrap();
    assert_eq!(server.get(edit("renamed"))["build_timeout"], 120);
    assert_eq!(server.get(Project::builder().project("renamed").build().unwrap())["id"], id);
    server.act(DeleteProject::builder().project(id).build().unwrap());
    assert_eq!(server.refused(Project::builder().project(id).build().unwrap()).0, 404);
}

fn jobs(server: &Server) {
    assert_eq!(server.ids(of_project!(Jobs)), [6, 5, 4, 3, 2, 1]);
    assert_eq!(server.ids(of_project!(Jobs, scopes = [JobScope::Success, JobScope::Failed].into_iter())), [2, 1]);
    assert_eq!(server.ids(of_project!(Jobs, scope = JobScope::Canceling)), [0_u64; 0]);
    let job = server.get(of_project!(Job, job = 1));
    assert_eq!((&job["status"], &job["artifacts_file"]["filename"]), (&"success".into(), &"artifacts.zip".into()));
    assert_eq!(server.bytes(of_project!(JobTrace, job = 1)), b"a line\n");
    assert_eq!(server.bytes(of_project!(JobTrace, job = 3)), b"");

    let archive = server.bytes(of_project!(DownloadJobArtifacts, job = 1));
    assert!(archive.starts_with(b"PK"));
    let of_ref = of_project!(DownloadRefJobArtifacts, ref_name = "feature/slash", job = "compile");
    assert_eq!(server.bytes(of_ref), archive);
    for (path, content) in [("report.json", "{}"), ("out/a b/\u{fc}.txt", "text")] {
        let file = of_project!(DownloadJobArtifactFile, job = 1, path = path);
        assert_eq!(server.bytes(file), content.as_bytes(), "{path}");
    }
    let file =
        of_project!(DownloadRefJobArtifactFile, ref_name = "feature/slash", job = "compile", path = "report.json");
    assert_eq!(server.bytes(file), b"{}");
    assert_eq!(server.refused(of_project!(DownloadJobArtifacts, job = 2)).0, 404);
    assert_eq!(server.get(of_project!(KeepJobArtifacts, job = 1))["artifacts_expire_at"], Value::Null);
    server.act(of_project!(DeleteJobArtifacts, job = 1));
    assert_eq!(server.refused(of_project!(DownloadJobArtifacts, job = 1)).0, 404);

    let again = server.get(of_project!(RetryJob, job = 2));
    assert_eq!((&again["id"], &again["status"]), (&7.into(), &"pending".into()));
    let refused = server.refused(of_project!(RetryJob, job = 2));
    assert_eq!(refused, (403, "403 Forbidden - Job is not retryable".to_owned()));
    assert_eq!(server.get(of_project!(CancelJob, job = 7))["status"], "canceled");
    assert!(server.get(of_project!(EraseJob, job = 7))["erased_at"].is_string());
    assert_eq!(server.refused(of_project!(PlayJob, job = 3)), (400, "400 Bad request - Unplayable Job".to_owned()));
}

fn pipelines(server: &Server) {
    assert_eq!(server.ids(of_project!(Pipelines)), [4, 3, 2, 1]);
    let of_main = of_project!(Pipelines, ref_ = "main", status = PipelineStatus::Pending, sort = SortOrder::Ascending);
    assert_eq!(server.ids(of_main), [3, 4]);
    let pipeline = server.get(of_project!(Pipeline, pipeline = 4));
    let sha = pipeline["sha"].as_str().unwrap();
    assert_eq!(server.ids(of_project!(PipelineJobs, pipeline = 4)), [6, 5, 4]);
    assert_eq!(server.ids(of_project!(PipelineBridges, pipeline = 4)), [0_u64; 0]);
    assert_eq!(server.get(of_project!(PipelineVariables, pipeline = 4))[0]["value"], "hunter2");
    assert_eq!(server.get(of_project!(PipelineTestReport, pipeline = 4))["total_count"], 0);
    assert_eq!(server.get(of_project!(PipelineTestReportSummary, pipeline = 4))["total"]["count"], 0);
    assert_eq!(server.get(of_project!(Commit, commit = sha))["last_pipeline"]["id"], 4);
    assert_eq!(server.ids(of_project!(CommitStatuses, commit = sha)).len(), 3);
    let branches: Vec<Value> = paged(of_project!(Branches), Pagination::All).query(&server.0).unwrap();
    assert_eq!(branches[0]["name"], "feature/slash");
    assert_eq!(server.ids(of_project!(PipelineSchedules)), [0_u64; 0]);

    assert_eq!(server.get(of_project!(CancelPipeline, pipeline = 4))["id"], 4);
    let manual = server.ids(of_project!(Jobs, scope = JobScope::Manual))[0];
    let variable = JobVariableAttribute::builder().key("A").value("b").build().unwrap();
    let play = of_project!(PlayJob, job = manual, job_variables_attribute = variable);
    assert_eq!(server.get(play)["id"], manual);
    assert_eq!(server.get(of_project!(RetryPipeline, pipeline = 4))["id"], 4);
    let start = of_project!(CreatePipeline, ref_ = "main");
    let refused = server.refused(start);
    assert!(refused.0 == 400 && refused.1.contains("repository"), "{refused:?}");
    server.act(of_project!(DeletePipeline, pipeline = 4));
    assert_eq!(server.refused(of_project!(Pipeline, pipeline = 4)), (404, "404 Not found".to_owned()));
}

fn variables(server: &Server) {
    server.get(of_project!(CreateProjectVariable, key = "A", value = "one", masked = false));
    let taken = server.refused(of_project!(CreateProjectVariable, key = "A", value = "two"));
    assert!(taken.0 == 400 && taken.1.contains("has already been taken"), "{taken:?}");
    assert_eq!(server.get(of_project!(UpdateProjectVariable, key = "A", value = "three"))["value"], "three");
    assert_eq!(server.get(of_project!(ProjectVariable, key = "A"))["value"], "three");
    assert_eq!(server.get(of_project!(ProjectVariables)).as_array().unwrap().len(), 1);
    server.act(of_project!(DeleteProjectVariable, key = "A"));
    assert_eq!(server.refused(of_project!(ProjectVariable, key = "A")).0, 404);
}

fn runners(server: &Server) {
    let new = CreateRunner::builder().project(2).description("kit").tags(["kit", "linux"].into_iter()).build().unwrap();
    let made = server.get(new);
    assert!(made["token"].as_str().unwrap().starts_with("glrt-"));
    let runner = made["id"].as_u64().unwrap();
    let shown = || server.get(Runner::builder().runner(runner).build().unwrap());
    assert_eq!(shown()["tag_list"].as_array().unwrap().len(), 2);
    server.get(EditRunner::builder().runner(runner).paused(true).tag("kit").build().unwrap());
    assert_eq!((&shown()["paused"], shown()["tag_list"].as_array().unwrap().len()), (&true.into(), 1));
    assert!(server.ids(AllRunners::builder().build().unwrap()).contains(&runner));
    assert_eq!(server.ids(RunnerJobs::builder().runner(1).build().unwrap()), [2, 1]);
    server.act(DeleteRunner::builder().runner(runner).build().unwrap());
    assert_eq!(server.refused(Runner::builder().runner(runner).build().unwrap()).0, 404);
}

fn main() {
    let variable = |name| std::env::var(name).unwrap();
    let server = Server::as_(&variable("BATON_TOKEN")).unwrap();
    projects(&server);
    jobs(&server);
    pipelines(&server);
    variables(&server);
    runners(&server);
    let reader = Server::as_(&variable("BATON_READING")).unwrap();
    assert_eq!(reader.get(of_project!(Project))["id"], 2);
    assert_eq!(reader.refused(of_project!(DeletePipeline, pipeline = 1)).0, 403);
    // It looks at who it is when it begins.
    assert!(Server::as_("btn-nothing").is_err());
    println!("done");
}

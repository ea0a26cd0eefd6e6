//! `baton pipeline run`: a pipeline of what a project's repository has, as the server would start it.

use crate::cli::build::add::{Secret, unread, variable, variables};
use crate::cli::run::{input, only_project, path_of_checkout, source};
use crate::cli::show::cells::clean;
use crate::cli::show::print;
use crate::cli::words::secrets::warn_of_short;
use crate::cli::{Done, Stop};
use crate::coordinator::{Coordinator, PipelineRequest, StartOutcome};
use crate::domain::build::Variable;
use crate::domain::pipeline::Source;
use crate::domain::time::Timestamp;
use crate::git::mirror::Protocols;
use crate::gitlab_ci::context::Given;
use argh::{ArgsInfo, FromArgs};
use serde_json::json;

/// Rules let nothing through: not the same as a refusal.
const NO_PIPELINE: u8 = 3;

/// Start a pipeline of the newest commit that a project's repository has, and go; `run` is for what lies here.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "run",
    example = "{command_name} --project demo --ref main --variable LEVEL=2\n{command_name} --project demo --json",
    note = "\
        The commit is fetched from the project's repository URL, by http, https or a path, and its .gitlab-ci.yml is\n\
        read. Nothing of a checkout is: what is not pushed is not part of it.",
    error_code(0, "The pipeline is queued."),
    error_code(1, "It is not; standard error says why."),
    error_code(3, "Rules let nothing through: there is no pipeline.")
)]
pub struct Run {
    /// the project's name; default: that of the checkout in which this is called, else the only project
    #[argh(option, arg_name = "NAME")]
    project: Option<String>,

    /// branch or tag; default: the repository's default branch
    #[argh(option, long = "ref", arg_name = "REF")]
    ref_name: Option<String>,

    /// why there is one, as in web, api, push, schedule, trigger; default: web
    #[argh(option, arg_name = "WORD", from_str_fn(source), default = "Source::Web")]
    source: Source,

    /// a variable that everybody may see; may be given several times
    #[argh(option, arg_name = "K=V", from_str_fn(variable))]
    variable: Vec<Variable>,

    /// a variable that is masked in the log, whose value is the content of this file, - for standard input; may be given
    /// several times
    #[argh(option, arg_name = "K=FILE", from_str_fn(unread))]
    secret_file: Vec<Secret>,

    /// an input of the file's own `spec`; may be given several times
    #[argh(option, arg_name = "K=V", from_str_fn(input))]
    input: Vec<(String, String)>,

    /// print JSON: id, jobs (ids of builds)
    #[argh(switch)]
    json: bool,
}

impl Run {
    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        let project = self.project(coordinator)?;
        let all = variables(self.variable, Vec::new(), self.secret_file)?;
        warn_of_short(&all);
        let request = PipelineRequest {
            project,
            ref_: self.ref_name,
            source: self.source,
            given: all.into_iter().map(Given::from).collect(),
            inputs: self.input,
            actor: "command line".to_owned(),
            protocols: Protocols::WebAndFiles,
            warnings: Vec::new(),
        };
        let added = match coordinator.start_pipeline(&request, Timestamp::now())? {
            StartOutcome::Pipeline(added) => added,
            StartOutcome::Nothing(words) => return Err(Stop::Ended { code: NO_PIPELINE, message: words }),
            StartOutcome::Refused(sentences) => {
                let (last, others) = sentences.split_last().map_or(("", &[][..]), |(last, others)| (last, others));
                others.iter().for_each(|sentence| print::note(&clean(sentence)));
                return Err(Stop::Failed(clean(last)));
            }
        };
        let pipeline = coordinator.pipeline(added.id)?;
        pipeline.warnings.iter().for_each(|warning| print::note(&format!("warning: {}", clean(warning))));
        if self.json {
            return print::json(&json!({"id": added.id, "jobs": added.builds}));
        }
        let sha: String = pipeline.sha.unwrap_or_default().chars().take(8).collect();
        print::out(&format!(
            "pipeline {} is queued: {}, commit {sha} of {}\n",
            added.id,
            print::count(added.builds.len() as u64, "job"),
            clean(&pipeline.ref_),
        ))
    }

    fn project(&self, coordinator: &Coordinator) -> Done<String> {
        if let Some(name) = &self.project {
            return Ok(name.clone());
        }
        let names = coordinator.project_names()?;
        if names.is_empty() {
            let advice = "`baton project add NAME --repo-url URL` makes one";
            return Err(Stop::Failed(format!("there is no project yet; {advice}")));
        }
        if let Some(path) = path_of_checkout()?
            && let Some(name) = names.into_iter().find(|name| name.eq_ignore_ascii_case(&path))
        {
            return Ok(name);
        }
        Ok(only_project(coordinator)?.name)
    }
}

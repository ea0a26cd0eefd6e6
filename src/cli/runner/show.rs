//! Runners and their managers, as `baton runner list` and `baton runner show` print them.

use crate::cli::Done;
use crate::cli::show::print;
use crate::coordinator::Coordinator;
use crate::domain::asker::Manager;
use crate::domain::build::BuildId;
use crate::domain::runner::{RunnerAtWork, RunnerId};
use crate::domain::tags::Tags;
use crate::domain::text::duration::format_duration;
use crate::domain::time::Timestamp;
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct RunnerDocument<'a> {
    id: RunnerId,
    description: &'a str,
    tags: &'a Tags,
    run_untagged: bool,
    project: Option<&'a str>,
    paused: bool,
    max_timeout: Option<i64>,
    note: &'a str,
    version: Option<&'a str>,
    platform: Option<&'a str>,
    address: Option<&'a str>,
    contacted_at: Option<String>,
    state: &'a str,
    builds: Vec<BuildId>,
    managers: Vec<ManagerDocument<'a>>,
}

#[derive(Serialize)]
struct ManagerDocument<'a> {
    system_id: &'a str,
    version: Option<&'a str>,
    platform: Option<&'a str>,
    address: Option<&'a str>,
    contacted_at: String,
    builds: Vec<BuildId>,
}

/// Prints all runners.
pub fn list(coordinator: &Coordinator, json: bool) -> Done {
    let (runners, now) = (coordinator.runners_with_managers()?, Timestamp::now());
    if json {
        return print::json_lines(runners.iter().map(|(it, managers)| document(it, managers, now)));
    }
    print::table(
        [
            "ID",
            "STATE",
            "BUILDS",
            "TAGS",
            "UNTAGGED",
            "PROJECT",
            "MANAGERS",
            "VERSION",
            "PLATFORM",
            "CONTACT",
            "DESCRIPTION",
        ],
        runners.iter().map(|(it, managers)| row(it, managers.len(), now)).collect(),
        "no runners yet; `baton runner add --token-only` makes one for `gitlab-runner register --token`",
    )
}

/// Prints a runner.
pub fn show(coordinator: &Coordinator, id: RunnerId, json: bool) -> Done {
    let (it, managers) = coordinator.show_runner(id)?;
    let now = Timestamp::now();
    if json {
        return print::json(&document(&it, &managers, now));
    }
    let runner = &it.runner;
    let info = |field| runner.info.get(field).unwrap_or_default().to_owned();
    let timeout = runner.maximum_timeout_s.map(|s| format_duration(Duration::from_secs(u64::try_from(s).unwrap_or(0))));
    let lines = [
        ("runner", runner.id.to_string()),
        ("description", runner.description.clone()),
        ("state", it.state(now).as_str().replace('_', " ")),
        ("tags", runner.tags.join(",")),
        ("untagged", yes(runner.run_untagged)),
        ("project", project(&it)),
        ("max timeout", timeout.unwrap_or_default()),
        ("note", one_line(&runner.maintenance_note)),
        ("version", info("version")),
        ("platform", info("platform")),
        ("features", runner.info.features().collect::<Vec<_>>().join(" ")),
        ("address", runner.address.clone().unwrap_or_default()),
        ("contact", it.called_at().map_or_else(String::new, |at| ago(at, now))),
        ("builds", ids(&builds(&it, None))),
    ];
    let rows = lines.map(|(name, value)| [name.to_owned(), print::or_dash(&value)]);
    print::out(&print::aligned(&rows))?;
    if managers.is_empty() {
        return Ok(());
    }
    print::out("\n")?;
    print::table(
        ["MANAGER", "BUILDS", "VERSION", "PLATFORM", "ADDRESS", "CONTACT"],
        managers.iter().map(|manager| manager_row(&it, manager, now)).collect(),
        "",
    )
}

fn document<'a>(it: &'a RunnerAtWork, managers: &'a [Manager], now: Timestamp) -> RunnerDocument<'a> {
    let runner = &it.runner;
    RunnerDocument {
        id: runner.id,
        description: &runner.description,
        tags: &runner.tags,
        run_untagged: runner.run_untagged,
        project: runner.project.as_ref().map(|(_, name)| name.as_str()),
        paused: runner.paused,
        max_timeout: runner.maximum_timeout_s,
        note: &runner.maintenance_note,
        version: runner.info.get("version"),
        platform: runner.info.get("platform"),
        address: runner.address.as_deref(),
        contacted_at: runner.contacted_at.map(|at| at.to_string()),
        state: it.state(now).as_str(),
        builds: builds(it, None),
        managers: managers.iter().map(|manager| manager_document(it, manager)).collect(),
    }
}

fn manager_document<'a>(it: &RunnerAtWork, manager: &'a Manager) -> ManagerDocument<'a> {
    ManagerDocument {
        system_id: &manager.system_id,
        version: manager.info.get("version"),
        platform: manager.info.get("platform"),
        address: manager.address.as_deref(),
        contacted_at: manager.contacted_at.to_string(),
        builds: builds(it, Some(manager.id)),
    }
}

/// Builds of a runner that a table lists.
const BUILDS_SHOWN_MAX: usize = 5;

fn row(it: &RunnerAtWork, managers: usize, now: Timestamp) -> [String; 11] {
    let runner = &it.runner;
    let info = |field| print::or_dash(runner.info.get(field).unwrap_or_default());
    [
        runner.id.to_string(),
        it.state(now).as_str().replace('_', " "),
        print::or_dash(&ids(&builds(it, None))),
        print::or_dash(&runner.tags.join(",")),
        yes(runner.run_untagged),
        project(it),
        if managers == 0 { print::dash() } else { managers.to_string() },
        info("version"),
        info("platform"),
        it.called_at().map_or_else(print::dash, |at| ago(at, now)),
        runner.description.clone(),
    ]
}

fn manager_row(it: &RunnerAtWork, manager: &Manager, now: Timestamp) -> [String; 6] {
    let info = |field| print::or_dash(manager.info.get(field).unwrap_or_default());
    [
        manager.system_id.clone(),
        print::or_dash(&ids(&builds(it, Some(manager.id)))),
        info("version"),
        info("platform"),
        print::or_dash(manager.address.as_deref().unwrap_or_default()),
        ago(manager.contacted_at, now),
    ]
}

/// The builds that a runner has, or one manager of it.
fn builds(it: &RunnerAtWork, manager: Option<i64>) -> Vec<BuildId> {
    let is_its = |own: Option<i64>| manager.is_none() || own == manager;
    it.builds.iter().filter(|build| is_its(build.manager_id)).map(|build| build.id).collect()
}

fn ids(builds: &[BuildId]) -> String {
    let shown: Vec<String> = builds.iter().take(BUILDS_SHOWN_MAX).map(ToString::to_string).collect();
    shown.join(",") + if builds.len() > BUILDS_SHOWN_MAX { ",..." } else { "" }
}

fn project(it: &RunnerAtWork) -> String {
    it.runner.project.as_ref().map_or_else(|| "all".to_owned(), |(_, name)| name.clone())
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", format_duration(now.since(at)))
}

/// A note may have several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Handing builds to runners.

use super::contact;
use super::told::{Nothing, Whom};
use crate::coordinator::builds::finish::finish;
use crate::coordinator::{Coordinator, Deed};
use crate::domain::asker::Asker;
use crate::domain::base_url::BaseUrl;
use crate::domain::build::{ArtifactsFile, Build, BuildId, FailureReason, Status, Variable};
use crate::domain::file_url::path_in_url;
use crate::domain::runner::{Feature, Runner, RunnerId};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::variables::{Facts, PipelineFacts, RunnerFacts, slug};
use crate::error::{Error, Kind, Result};
use crate::limits::PROFILES_MAX;
use crate::store::builds::{self, Spec, Taker};
use crate::store::pipelines::{self, AboutPipeline};
use crate::store::queue::{self, QueueKey};
use crate::store::{jobs, managers, projects, runner_builds, runners};
use crate::sync::lock;
use rusqlite::Connection;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a runner that asks for work gets.
pub enum Claim {
    /// A build, which is the runner's from now on.
    Build(Box<Assigned>),
    /// Nothing at present for this runner.
    Nothing(RunnerId, Nothing),
    /// This runner is paused.
    Paused(RunnerId),
}

/// A build with all that its runner gets.
pub struct Assigned {
    /// The build.
    pub build: Build,
    /// What only the runner gets.
    pub spec: Spec,
    /// Its token.
    pub token: Token,
    /// The project's repository, if the build names none of its own.
    pub repo_url: Option<String>,
    /// The runner that has it. What it says of itself is what the manager says that asked.
    pub runner: Option<Runner>,
    /// The builds that it needs, of those whose artifacts go along.
    pub dependencies: Vec<Dependency>,
    /// The variables of their dotenv reports.
    pub dotenv: Vec<Variable>,
    /// Its pipeline.
    pub pipeline: Option<AboutPipeline>,
}

/// A build whose artifacts another one gets.
pub struct Dependency {
    /// The build.
    pub build: Build,
    /// Whether its ref is a tag.
    pub is_tag: bool,
}

/// Which sets of tags a runner matches, by its own set and whether it takes untagged builds. Sets are only
/// ever added, so that the highest id says whether an entry is current.
#[derive(Default)]
pub struct Profiles(Mutex<HashMap<(i64, bool), Profile>>);

struct Profile {
    newest_set: i64,
    sets: Arc<Vec<i64>>,
}

/// Whether a connection sees only what is committed, or is inside a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Committed,
    Uncommitted,
}

/// How long nothing may be heard of a build whose runner says something as soon as it has one (from 18.5 on).
const FIRST_WORD_TIME_MAX: Duration = Duration::from_secs(60);

/// Builds that one claim finds to be damaged; then whoever claims is to ask again.
const DAMAGED_PER_CLAIM_MAX: usize = 16;

impl Profiles {
    /// `seen` says what `c` sees. Inside a write, a set may still be undone and its id given to another: such
    /// a view is not kept.
    pub fn matching(&self, c: &Connection, runner: &Runner, seen: Seen) -> Result<Arc<Vec<i64>>> {
        let newest_set: i64 =
            c.prepare_cached("SELECT coalesce(max(id), 0) FROM tag_sets")?.query_row([], |row| row.get(0))?;
        let key = (runner.tag_set_id, runner.run_untagged);
        let mut profiles = lock(&self.0);
        if let Some(profile) = profiles.get(&key).filter(|profile| profile.newest_set == newest_set) {
            return Ok(Arc::clone(&profile.sets));
        }
        let matches = |(id, tags): (i64, Tags)| runner.takes_tags(&tags).then_some(id);
        let sets = Arc::new(runners::tag_sets(c)?.into_iter().filter_map(matches).collect::<Vec<_>>());
        if seen == Seen::Committed {
            if profiles.len() >= PROFILES_MAX {
                profiles.clear();
            }
            profiles.insert(key, Profile { newest_set, sets: Arc::clone(&sets) });
        } else {
            profiles.remove(&key);
        }
        Ok(sets)
    }

    /// Whether what this runner matches need not be found out.
    fn knows(&self, runner: &Runner) -> bool {
        let profiles = lock(&self.0);
        profiles.contains_key(&(runner.tag_set_id, runner.run_untagged))
    }

    /// The oldest pending build that this runner may take. One that is locked, to no project, takes those only for which it
    /// was made.
    fn candidate(&self, c: &Connection, runner: &Runner, seen: Seen) -> Result<Option<BuildId>> {
        if runner.locked && runner.project.is_none() {
            return runner_builds::oldest_pending(c, runner.id);
        }
        let sets = self.matching(c, runner, seen)?;
        let project = runner.project.as_ref().map(|(id, _)| *id);
        if runner.info.needs_sources() {
            return builds::oldest_pending_with_sources(c, &sets, project);
        }
        builds::oldest_pending(c, &sets, project)
    }
}

impl Coordinator {
    /// Hands the oldest pending build that `asker` may take to it (`docs/http.md`, POST builds/register).
    ///
    /// # Errors
    /// [`crate::error::Kind::Forbidden`] for anything but a runner's token.
    pub fn claim_build(&self, asker: &Asker, last_update: Option<&str>, now: Timestamp) -> Result<Deed<Claim>> {
        let hash = asker.token.as_ref().ok_or_else(Error::forbidden)?.hash();
        let whom = Whom::of(hash, asker);
        let step = self.limits().seen_step();
        if let Some((runner, nothing)) = self.told.nothing_for(&whom, &asker.info, step, now) {
            // Who says nothing of what it knows is owed what other processes queued in this moment, too.
            let is_known = last_update == Some(nothing.last_update.as_str());
            let generation = if is_known { self.store.changes().generation() } else { self.store.look_at_queue()? };
            if generation == nothing.generation {
                return Ok(Deed::done(Ok(Claim::Nothing(runner, nothing))));
            }
        }
        let key = QueueKey::clone(&self.queue_key);
        let nothing_as_of = move |runner: RunnerId, generation: u64| {
            let last_update = key.value(runner, generation);
            Nothing { generation, last_update }
        };
        let look = |c: &Connection| {
            let runner = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?;
            if runner.paused {
                return Ok(Some(Claim::Paused(runner.id)));
            }
            let known = contact::known(c, &runner, asker)?;
            let runner = runner.speaking(known.info.clone());
            if known.is_contact_due(&asker.info, step, now)
                || self.profiles.candidate(c, &runner, Seen::Committed)?.is_some()
            {
                return Ok(None);
            }
            // The generation is read in the snapshot that was searched, so that the answer holds for it.
            let nothing = nothing_as_of(runner.id, queue::generation(c)?);
            self.told.tell_nothing(&whom, nothing.clone(), runner.id, known);
            Ok(Some(Claim::Nothing(runner.id, nothing)))
        };
        // Who got a build last is likely to get another: then looking first is work done twice.
        if !self.told.got_build(&whom)
            && let Some(answer) = self.store.read(look)?
        {
            return Ok(Deed::done(Ok(answer)));
        }
        let room = self.check_room();
        let (profiles, told) = (Arc::clone(&self.profiles), Arc::clone(&self.told));
        let asker = asker.clone();
        Ok(Deed::write(&self.store, move |c| {
            let runner = runners::by_token(c, hash)?.ok_or_else(Error::forbidden)?;
            if runner.paused {
                return Ok(Claim::Paused(runner.id));
            }
            let (runner, manager) = contact::note(c, runner, &asker, step, now)?;
            let taker = Taker {
                runner: runner.id,
                manager,
                maximum_timeout_s: runner.maximum_timeout_s,
                is_graceful: asker.info.has(Feature::CancelGracefully),
                unheard_until: asker.info.has(Feature::TwoPhaseJobCommit).then(|| now.plus(FIRST_WORD_TIME_MAX)),
            };
            for _ in 0..DAMAGED_PER_CLAIM_MAX {
                let candidate = profiles.candidate(c, &runner, Seen::Uncommitted)?;
                told.give_build(&whom, candidate.is_some() && profiles.knows(&runner));
                let Some(id) = candidate else {
                    return Ok(Claim::Nothing(runner.id, nothing_as_of(runner.id, queue::generation(c)?)));
                };
                room.clone()?;
                if let Some(assigned) = hand(c, id, &taker, now)? {
                    return Ok(Claim::Build(Box::new(Assigned { runner: Some(runner), ..assigned })));
                }
            }
            Err(Error::new(Kind::Busy, "too many builds are damaged"))
        }))
    }

    /// Takes a build back whose runner has left before it could hear of it: else nobody would run it until the runner
    /// counts as lost. Returns whether nothing had been heard of the build, so that it waits again.
    pub fn give_back(&self, id: BuildId, token: &Token) -> Result<bool> {
        let hash = token.hash();
        self.store.write(move |c| builds::give_back(c, id, hash))
    }
}

/// Hands a pending build to a runner; what the build is told of that is left out. `None`: what is stored of it is damaged, so that it has failed instead: else it would
/// keep all others from their builds that stand behind it.
fn hand(c: &Connection, id: BuildId, taker: &Taker, now: Timestamp) -> Result<Option<Assigned>> {
    let token = Token::new_secret()?;
    if !builds::start(c, id, taker, &token, now)? {
        return Err(Error::internal("the queue's index names a build that is not pending"));
    }
    match without_runner(c, id, token, now) {
        Err(error) if error.kind == Kind::Damaged => {
            log::error!("build {id} cannot be handed out, and has failed: {error}");
            let build = builds::state(c, id)?.ok_or_else(|| vanished(id))?;
            finish(c, &build, Status::Failed, Some(FailureReason::SchedulerFailure), now)?;
            Ok(None)
        }
        assigned => assigned.map(Some),
    }
}

fn vanished(id: BuildId) -> Error {
    Error::internal(format!("build {id} has vanished"))
}

/// Everything that the runner gets of a build.
///
/// # Errors
/// The database's; also when there is no such build.
pub fn assigned(c: &Connection, id: BuildId, token: Token, now: Timestamp) -> Result<Assigned> {
    let runner = match builds::state(c, id)?.and_then(|build| build.runner_id) {
        Some(runner) => runners::by_id(c, runner)?,
        None => None,
    };
    let runner = match (runner, managers::info_for(c, id)?) {
        (Some(runner), Some(info)) => Some(runner.speaking(info)),
        (runner, _) => runner,
    };
    Ok(Assigned { runner, ..without_runner(c, id, token, now)? })
}

/// The same but the runner. A build that was queued alone costs nothing but itself.
fn without_runner(c: &Connection, id: BuildId, token: Token, now: Timestamp) -> Result<Assigned> {
    let missing = || vanished(id);
    let build = builds::by_id(c, id, now)?.ok_or_else(missing)?;
    let spec = builds::spec(c, id)?;
    let project = projects::by_id(c, build.project_id)?.ok_or_else(missing)?;
    let (mut dependencies, mut dotenv) = (Vec::new(), Vec::new());
    let mut needed = if build.needs.is_empty() { Vec::new() } else { builds::needs_with_artifacts(c, id)? };
    if build.stage_index.is_some_and(|stage| stage > 0) {
        needed.extend(jobs::uploads_of_earlier_stages(c, id)?);
    }
    for needed in needed {
        let is_tag = builds::is_tag(c, needed)?;
        let needed = builds::by_id(c, needed, now)?.ok_or_else(missing)?;
        if spec.asked.dependencies.as_ref().is_some_and(|names| !names.contains(&needed.name)) {
            continue;
        }
        let handed_on = crate::store::dotenv::of_build(c, needed.id)?;
        dotenv.extend(handed_on.into_iter().map(|(key, value)| Variable::public(key, value)));
        dependencies.push(Dependency { build: needed, is_tag });
    }
    let repo_url = spec.repo_url.clone().or(project.repo_url);
    let pipeline = match build.pipeline_id {
        Some(pipeline) => pipelines::about(c, pipeline)?,
        None => None,
    };
    Ok(Assigned { repo_url, build, spec, token, runner: None, dependencies, dotenv, pipeline })
}

impl Assigned {
    /// Whether a POSIX shell runs its script, as far as is known.
    #[must_use]
    pub fn has_posix_shell(&self) -> bool {
        self.runner.as_ref().is_none_or(|runner| runner.info.has_posix_shell())
    }

    /// The artifacts of the build itself, if there are any.
    #[must_use]
    pub fn artifacts(&self) -> Option<&ArtifactsFile> {
        self.build.artifacts.as_ref()
    }

    /// The variables that somebody gave it, behind those that it has by itself; later ones win. What a needed build hands
    /// on wins over what is written in a `.gitlab-ci.yml`, and over nothing else.
    #[must_use]
    pub fn given_variables(&self) -> Vec<Variable> {
        let own = |yields: bool| self.spec.variables.iter().filter(move |own| own.yields == yields);
        own(true).chain(&self.dotenv).chain(own(false)).cloned().collect()
    }

    /// The commit for the runner, at least 8 characters. Without one: the ref's tip in the runner's checkout;
    /// without sources, where nothing is checked out, 40 zeros.
    #[must_use]
    pub fn sha(&self) -> String {
        match (&self.build.sha, &self.repo_url) {
            (Some(sha), _) => sha.clone(),
            (None, Some(_)) if self.spec.is_tag => format!("refs/tags/{}", self.build.ref_),
            (None, Some(_)) => format!("refs/remotes/origin/{}", self.build.ref_),
            (None, None) => NO_COMMIT.to_owned(),
        }
    }

    /// The commit before; 40 zeros when none is known, as in GitLab.
    #[must_use]
    pub fn before_sha(&self) -> &str {
        self.spec.before_sha.as_deref().unwrap_or(NO_COMMIT)
    }

    /// The key of the snapshot that is the build's sources; `None`: they are elsewhere.
    #[must_use]
    pub fn sources_key(&self) -> Option<&str> {
        self.pipeline.as_ref().and_then(|pipeline| pipeline.sources_key.as_deref())
    }

    /// Where a runner that has come by `server` fetches from: this server, with the build's own token, or wherever its
    /// repository is. Without sources: a URL that no runner asks, since the variables then switch fetching off.
    #[must_use]
    pub fn repo_url(&self, server: Option<&BaseUrl>) -> String {
        let nowhere = || format!("http://baton.invalid/{}.git", slug(&self.build.project));
        if self.sources_key().is_some() {
            let path = format!("git/{}.git", path_in_url(Path::new(&self.build.project)));
            let login = |server: &BaseUrl| server.with_login(GIT_USER, self.token.reveal(), &path);
            return server.map_or_else(nowhere, login);
        }
        self.repo_url.clone().unwrap_or_else(nowhere)
    }

    /// How many commits of the history the runner fetches; 0: all. As in GitLab.
    #[must_use]
    pub fn depth(&self) -> u32 {
        let given = self.given_variables().into_iter().rev().find(|variable| variable.key == "GIT_DEPTH");
        given.and_then(|depth| depth.value.parse().ok()).unwrap_or(USUAL_DEPTH)
    }

    /// Longest run that the runner is told, in seconds.
    #[must_use]
    pub fn timeout_s(&self) -> i64 {
        self.runner.as_ref().map_or(self.spec.timeout_s, |runner| runner.timeout_s(self.spec.timeout_s))
    }

    /// What the build can be told of itself, by a server that its runner has reached at this URL.
    #[must_use]
    pub fn facts<'a>(&'a self, server: Option<&'a BaseUrl>) -> Facts<'a> {
        let build = &self.build;
        Facts {
            id: build.id,
            pipeline: self.pipeline.as_ref().map(|pipeline| PipelineFacts {
                id: pipeline.id,
                iid: pipeline.iid,
                source: pipeline.source,
                name: pipeline.name.as_deref(),
                created_at: pipeline.created_at,
            }),
            name: &build.name,
            stage: &build.stage,
            ref_: &build.ref_,
            is_tag: self.spec.is_tag,
            sha: self.sha(),
            before_sha: self.before_sha(),
            token: &self.token,
            repo_url: self.repo_url(server),
            has_sources: self.repo_url.is_some() || self.sources_key().is_some(),
            project_id: build.project_id,
            project: &build.project,
            started_at: build.started_at,
            timeout_s: self.timeout_s(),
            server,
            runner: self.runner.as_ref().map(|runner| RunnerFacts {
                id: runner.id.0,
                description: &runner.description,
                tags: &runner.tags,
            }),
        }
    }
}

/// Whom builds say they are to git. GitLab's name.
const GIT_USER: &str = "gitlab-ci-token";

/// GitLab's.
const USUAL_DEPTH: u32 = 20;

/// GitLab's "no commit".
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

//! Checks between jobs: stages, needs, dependencies, circles, `on_stop`.
//!
//! What must stay true: they look at all jobs, also at those that rules leave out; they stop at the first mistake, as
//! GitLab does; and the edges that they follow are bounded.

use super::keywords::{JobConfig, MatrixRow, NeedEntry};
use super::matrix::{Instance, filled};
use super::messages::{Finding, did_you_mean};
use super::variables::{Variables, sorted};
use super::yaml::Place;
use std::collections::{HashMap, HashSet};

/// Entries of `needs` and `dependencies` of a job.
const ENTRIES_MAX: usize = 1_000;
/// Needs of all jobs together.
const EDGES_MAX: usize = 500_000;

/// Where the stage of each job stands in the list.
pub(crate) fn stages(jobs: &[JobConfig], stages: &[String]) -> Result<Vec<usize>, Finding> {
    let index: HashMap<&str, usize> = stages.iter().enumerate().map(|(at, stage)| (stage.as_str(), at)).collect();
    let find = |job: &JobConfig| {
        let (stage, place) = match &job.stage {
            Some((stage, place)) => (stage.as_str(), *place),
            None => ("test", job.place),
        };
        index.get(stage).copied().ok_or_else(|| {
            let available = stages.join(", ");
            let words =
                format!("{} job: chosen stage {stage} does not exist; available stages are {available}", job.name);
            Finding::new(place, words).hint(did_you_mean(stage, stages.iter().map(String::as_str)))
        })
    };
    jobs.iter().map(find).collect()
}

/// Finds jobs by their name, and all parts of one by its name in the file.
pub(crate) struct Names<'i, 'a> {
    instances: &'i [Instance<'a>],
    by_name: HashMap<&'i str, Vec<usize>>,
}

impl<'i, 'a> Names<'i, 'a> {
    pub(crate) fn new(instances: &'i [Instance<'a>]) -> Names<'i, 'a> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, instance) in instances.iter().enumerate() {
            by_name.entry(&instance.config.name).or_default().push(at);
            if *instance.name != *instance.config.name {
                by_name.entry(&instance.name).or_default().push(at);
            }
        }
        Names { instances, by_name }
    }

    /// How many jobs there are.
    pub(crate) fn len(&self) -> usize {
        self.instances.len()
    }

    /// The job of a number.
    pub(crate) fn instance(&self, at: usize) -> Option<&Instance<'a>> {
        self.instances.get(at)
    }

    pub(crate) fn find(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The jobs that an entry of `needs` means to a job.
    pub(crate) fn needed(&self, need: &NeedEntry, of: &Instance<'_>) -> Vec<usize> {
        let name = filled(&need.job, &of.matrix);
        let found = self.find(&name);
        let Some(rows) = &need.matrix else { return found.to_vec() };
        let fits = |row: &MatrixRow, matrix: &Variables| {
            row.iter().all(|(key, values)| {
                matrix.get(key).is_some_and(|has| values.iter().any(|value| filled(value, &of.matrix) == has.value))
            })
        };
        let mut all = Vec::new();
        for row in rows {
            let part = |at: &&usize| self.instances.get(**at).is_some_and(|instance| fits(row, &instance.matrix));
            all.extend(found.iter().filter(part).copied());
        }
        all
    }

    fn hint(&self, name: &str) -> Option<String> {
        did_you_mean(name, self.by_name.keys().copied())
    }
}

/// Checks all jobs against each other.
pub(crate) fn check(names: &Names<'_, '_>) -> Result<(), Finding> {
    let mut edges = Vec::with_capacity(names.instances.len());
    let mut count = 0;
    let mut checked = HashSet::new();
    for instance in names.instances {
        if checked.insert(instance.config.name.as_str()) {
            check_dependencies(names, instance)?;
            check_on_stop(names, instance)?;
        }
        let needed = check_needs(names, instance, instance.config.needs.as_deref().unwrap_or_default())?;
        for needs in instance.config.rules.iter().flatten().filter_map(|rule| rule.needs.as_deref()) {
            count += check_needs(names, instance, needs)?.len();
        }
        count += needed.len();
        if count > EDGES_MAX {
            return Err(Finding::new(
                instance.config.place,
                format!("the jobs have more than {EDGES_MAX} needs together"),
            ));
        }
        edges.push(needed);
    }
    check_circles(names.instances, &edges)
}

fn check_needs(names: &Names<'_, '_>, of: &Instance<'_>, needs: &[NeedEntry]) -> Result<Vec<usize>, Finding> {
    let job = &of.config.name;
    if needs.len() > ENTRIES_MAX {
        let words = format!("{job}: one job can only need 50 others, but you have listed {}", needs.len());
        return Err(Finding::new(of.config.place, words));
    }
    let mut all = Vec::new();
    for need in needs {
        let found = names.needed(need, of);
        if found.is_empty() && !need.optional {
            let words = format!("{job} job: undefined need: {}", need.job);
            return Err(Finding::new(need.place, words).hint(names.hint(&need.job)));
        }
        let is_later = |at: &usize| names.instances.get(*at).is_some_and(|needed| needed.stage > of.stage);
        if found.iter().any(is_later) {
            let words = format!("{job} job: need {} is not defined in current or prior stages", need.job);
            return Err(Finding::new(need.place, words));
        }
        all.extend(found);
    }
    let mut seen = HashSet::new();
    let twice = needs.iter().find(|need| need.matrix.is_none() && !seen.insert(need.job.as_str()));
    if let Some(need) = twice {
        let words = format!("{job} has the following needs duplicated: {}.", need.job);
        return Err(Finding::new(need.place, words));
    }
    Ok(all)
}

fn check_dependencies(names: &Names<'_, '_>, of: &Instance<'_>) -> Result<(), Finding> {
    let job = &of.config.name;
    if of.config.dependencies.as_ref().is_some_and(|dependencies| dependencies.len() > ENTRIES_MAX) {
        let words = format!("jobs:{job} dependencies has too many entries (maximum {ENTRIES_MAX})");
        return Err(Finding::new(of.config.place, words));
    }
    for (name, place) in of.config.dependencies.iter().flatten() {
        let found = names.find(name);
        if found.is_empty() {
            let words = format!("{job} job: undefined dependency: {name}");
            return Err(Finding::new(*place, words).hint(names.hint(name)));
        }
        let is_earlier = |at: &usize| names.instances.get(*at).is_some_and(|other| other.stage < of.stage);
        let is_needed = of.config.needs.as_ref().map(|needs| needs.iter().any(|need| need.job == *name));
        match is_needed {
            Some(true) => {}
            Some(false) => {
                let words = format!("jobs:{job} dependencies the {name} should be part of needs");
                return Err(Finding::new(*place, words));
            }
            None if found.iter().all(is_earlier) => {}
            None => {
                let words = format!("{job} job: dependency {name} is not defined in current or prior stages");
                return Err(Finding::new(*place, words));
            }
        }
    }
    Ok(())
}

fn check_on_stop(names: &Names<'_, '_>, of: &Instance<'_>) -> Result<(), Finding> {
    let Some(environment) = &of.config.environment else { return Ok(()) };
    let Some(on_stop) = &environment.on_stop else { return Ok(()) };
    let job = &of.config.name;
    let wrong = |what: String| Err(Finding::new(environment.place, format!("{job} job: on_stop job {on_stop} {what}")));
    let Some(stop) = names.find(on_stop).first().and_then(|at| names.instances.get(*at)) else {
        return wrong("is not defined".to_owned());
    };
    match &stop.config.environment {
        None => wrong("does not have environment defined".to_owned()),
        Some(stop) if stop.name != environment.name => wrong("have different environment name".to_owned()),
        Some(stop) if stop.action.as_deref() != Some("stop") => wrong("needs to have action stop defined".to_owned()),
        Some(_) => Ok(()),
    }
}

fn check_circles(instances: &[Instance<'_>], edges: &[Vec<usize>]) -> Result<(), Finding> {
    let name = |at: usize| instances.get(at).map(|instance| &*instance.name).unwrap_or_default();
    let place = |at: usize| instances.get(at).map_or_else(Place::default, |instance| instance.config.place);
    let start = "The pipeline has circular dependencies:";
    if let Some((at, _)) = edges.iter().enumerate().find(|(at, needs)| needs.contains(at)) {
        return Err(Finding::new(place(at), format!("{start} self-dependency: {}", name(at))));
    }
    let Err(circle) = sorted(edges) else { return Ok(()) };
    let mut names: Vec<&str> = circle.iter().map(|&at| name(at)).collect();
    let words = format!("{start} topological sort failed: {names:?}");
    names.extend(names.first().copied());
    let first = circle.first().copied().unwrap_or_default();
    Err(Finding::new(place(first), words).hint(Some(names.join(" -> "))))
}

//! From a configuration whose shape is right to a pipeline.

use super::context::Context;
use super::keywords::{Global, JobConfig, NeedEntry, Rule, RuleWhen};
use super::matrix::{Instance, instances};
use super::messages::{Finding, Report};
use super::needs::{Names, check, stages};
use super::rules::Tester;
use super::surroundings::Surroundings;
use super::variables::{Scope, Variables, expand_all};
use super::work::{Parts, work};
use super::yaml::Place;
use super::{context::slug, only};
use crate::domain::pipeline::{Job, JobVariable, Need, Pipeline, Span, When};
use crate::domain::spec::AllowFailure;
use indexmap::IndexMap;
use std::borrow::Cow;

/// Jobs of a pipeline.
pub(crate) const JOBS_MAX: usize = 1_000;
/// Jobs that one may need.
const NEEDS_MAX: usize = 50;
/// Bytes of the variables and scripts of all jobs.
const JOBS_BYTES_MAX: usize = 128 << 20;

/// A job that is not in the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) name: String,
    pub(crate) stage: String,
    pub(crate) why: String,
    pub(crate) place: Place,
}

/// What came of it.
pub(crate) enum Assembled {
    Pipeline(Box<Pipeline>),
    Nothing(&'static str),
}

/// What a job's rules, or their absence, say.
struct Verdict<'a> {
    when: When,
    start_in: Option<&'a Span>,
    allow_failure: AllowFailure,
    variables: Option<&'a Variables>,
    needs: Option<&'a [NeedEntry]>,
    interruptible: Option<bool>,
}

/// A job that is in the pipeline.
struct Chosen<'i, 'a> {
    at: usize,
    instance: &'i Instance<'a>,
    predefined: IndexMap<String, String>,
    inherited: Cow<'i, Variables>,
    verdict: Verdict<'a>,
}

pub(crate) struct Assembly<'a> {
    pub(crate) global: &'a Global,
    pub(crate) context: &'a Context,
    pub(crate) outside: &'a dyn Surroundings,
    pub(crate) tester: &'a Tester<'a>,
    pub(crate) report: &'a mut Report,
    /// Jobs that are left out.
    pub(crate) out: Vec<Out>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn assemble(&mut self) -> Result<Assembled, Finding> {
        let global = self.global;
        let order = stages(&global.jobs, &global.stages)?;
        let all = instances(&global.jobs, &order)?;
        let names = Names::new(&all);
        check(&names)?;
        let Some(workflow) = self.workflow()? else {
            return Ok(Assembled::Nothing("Pipeline filtered out by workflow rules."));
        };
        let mut global_variables = global.variables.clone();
        for (key, value) in workflow.into_iter().flatten() {
            global_variables.insert(key.clone(), value.clone());
        }
        let mut chosen = Vec::new();
        for (at, instance) in all.iter().enumerate() {
            chosen.extend(self.choose(at, instance, &global_variables)?);
        }
        self.warn_of_duplicates();
        chosen.sort_by_key(|one| (one.instance.stage, one.at));
        let last = global.stages.len().saturating_sub(1);
        if !chosen.iter().any(|one| one.instance.stage != 0 && one.instance.stage != last) {
            return Ok(Assembled::Nothing(
                "Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being \
                 added to the pipeline.",
            ));
        }
        if chosen.len() > JOBS_MAX {
            let words = format!(
                "The number of jobs has exceeded the limit of {JOBS_MAX}. Try splitting the configuration \
                 with parent-child-pipelines"
            );
            return Err(Finding::new(chosen.first().map(|one| one.instance.config.place).unwrap_or_default(), words));
        }
        self.pipeline(&chosen, &names, &global_variables)
    }

    fn scope<'s>(&'s self, file: Vec<&'s Variables>, job: Option<&'s IndexMap<String, String>>) -> Scope<'s> {
        let predefined = job.into_iter().chain([&self.tester.predefined]).collect();
        Scope { given: &self.tester.given, file, predefined }
    }

    /// The variables of the rule that lets the pipeline through; `None`: it is not let through.
    fn workflow(&self) -> Result<Option<Option<&'a Variables>>, Finding> {
        let Some(rules) = &self.global.workflow.rules else { return Ok(Some(None)) };
        let scope = self.scope(vec![&self.global.variables], None);
        for rule in rules {
            if self.tester.holds(&rule.conditions, &scope, "workflow")? {
                return Ok((!rule.is_never()).then_some(Some(&rule.variables)));
            }
        }
        Ok(None)
    }

    /// The job, if rules let it in.
    fn choose<'i>(
        &mut self,
        at: usize,
        instance: &'i Instance<'a>,
        global: &'i Variables,
    ) -> Result<Option<Chosen<'i, 'a>>, Finding> {
        let config = instance.config;
        let predefined = self.job_variables(instance);
        let names = &config.inherit_variables;
        let inherited = if global.keys().all(|name| names.has(name)) {
            Cow::Borrowed(global)
        } else {
            let kept = global.iter().filter(|(name, _)| names.has(name));
            Cow::Owned(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        let scope = self.scope(vec![&instance.matrix, &config.variables, &inherited], Some(&predefined));
        let decision = match &config.rules {
            Some(rules) => self.by_rules(config, rules, &scope)?,
            None => {
                let has_rules = self.global.workflow.rules.is_some();
                match only::excluded(config, has_rules, self.context, self.tester, &scope)? {
                    Some(out) => Err(out),
                    None => Ok(verdict(config, None)),
                }
            }
        };
        match decision {
            Ok(verdict) => Ok(Some(Chosen { at, instance, predefined, inherited, verdict })),
            Err((why, place)) => {
                let stage = self.global.stages.get(instance.stage).cloned().unwrap_or_default();
                self.out.push(Out { name: instance.name.to_string(), stage, why, place });
                Ok(None)
            }
        }
    }

    fn by_rules(
        &self,
        config: &'a JobConfig,
        rules: &'a [Rule],
        scope: &Scope<'_>,
    ) -> Result<Result<Verdict<'a>, (String, Place)>, Finding> {
        for rule in rules {
            if self.tester.holds(&rule.conditions, scope, &config.name)? {
                if rule.is_never() {
                    return Ok(Err(("this rule says when: never".to_owned(), rule.conditions.place)));
                }
                return Ok(Ok(verdict(config, Some(rule))));
            }
        }
        let place = rules.first().map_or(config.place, |rule| rule.conditions.place);
        Ok(Err((format!("none of its {} rules holds", rules.len()), place)))
    }

    /// Variables that are known of a job before its rules are looked at.
    fn job_variables(&self, instance: &Instance<'_>) -> IndexMap<String, String> {
        let stage = self.global.stages.get(instance.stage).cloned().unwrap_or_default();
        let part = instance.part;
        let mut all = IndexMap::from([
            ("CI_JOB_NAME".to_owned(), instance.name.to_string()),
            ("CI_JOB_NAME_SLUG".to_owned(), slug(&instance.name)),
            ("CI_JOB_GROUP_NAME".to_owned(), instance.config.name.clone()),
            ("CI_JOB_STAGE".to_owned(), stage),
            ("CI_NODE_TOTAL".to_owned(), part.map_or(1, |part| part.total).to_string()),
        ]);
        if let Some(part) = part {
            all.insert("CI_NODE_INDEX".to_owned(), part.index.to_string());
        }
        all
    }

    /// GitLab's warning of jobs that are in pipelines of branches and of merge requests.
    fn warn_of_duplicates(&mut self) {
        if self.global.workflow.rules.is_some() {
            return;
        }
        for job in &self.global.jobs {
            let last = job.rules.as_ref().and_then(|rules| rules.last());
            let Some(last) = last.filter(|rule| rule.conditions.is_empty() && rule.when.is_some()) else { continue };
            if !last.is_never() {
                let words = format!(
                    "jobs:{} may allow multiple pipelines to run for a single action due to `rules:when` clause with no \
                     `workflow:rules`",
                    job.name
                );
                self.report.warn(Finding::new(last.conditions.place, words));
            }
        }
    }

    fn pipeline(
        &mut self,
        chosen: &[Chosen<'_, 'a>],
        names: &Names<'_, '_>,
        global: &Variables,
    ) -> Result<Assembled, Finding> {
        let mut uploads = vec![None; names.len()];
        for one in chosen {
            let config = one.instance.config;
            let artifacts = config.common.artifacts.as_ref().or_else(|| {
                let default = self.global.default.artifacts.as_ref();
                default.filter(|_| config.trigger.is_none() && config.inherit_default.has("artifacts"))
            });
            if let Some(slot) = uploads.get_mut(one.at) {
                *slot = Some(artifacts.is_some_and(super::keywords::Artifacts::has_archive));
            }
        }
        let mut jobs = Vec::with_capacity(chosen.len());
        let mut bytes = 0;
        for one in chosen {
            let job = self.job(one, names, &uploads)?;
            bytes += job.variables.iter().map(|variable| variable.key.len() + variable.value.len()).sum::<usize>();
            bytes += super::work::bytes(&job.work);
            if bytes > JOBS_BYTES_MAX {
                return Err(Finding::new(one.instance.config.place, "all jobs together are too big"));
            }
            jobs.push(job);
        }
        let variables = file_variables([global]);
        let name = self.global.workflow.name.as_ref().map(|name| self.expanded_name(name, &variables));
        Ok(Assembled::Pipeline(Box::new(Pipeline {
            name,
            source: self.context.source,
            variables,
            about_variables: self.global.about_variables.clone(),
            stages: self.global.stages.clone(),
            jobs,
        })))
    }

    fn expanded_name(&self, name: &str, file: &[JobVariable]) -> String {
        let mut variables = self.all_variables(&IndexMap::new(), file);
        variables.sort_by(|one, two| one.key.cmp(&two.key));
        // A circle is told of by the first job.
        let _ = expand_all(&mut variables);
        super::variables::expand(name, |name| super::work::value(&variables, name))
    }

    fn job(&mut self, one: &Chosen<'_, 'a>, names: &Names<'_, '_>, uploads: &[Option<bool>]) -> Result<Job, Finding> {
        let (config, verdict) = (one.instance.config, &one.verdict);
        let needs = verdict.needs.map(|needs| present_needs(one, needs, names, uploads)).transpose()?;
        let empty = Variables::new();
        let rule = verdict.variables.unwrap_or(&empty);
        let layers = [&*one.inherited, &config.variables, &one.instance.matrix, rule];
        let file = file_variables(layers);
        let mut variables = self.all_variables(&one.predefined, &file);
        let parts = Parts {
            config,
            default: &self.global.default,
            context: self.context,
            outside: self.outside,
            is_protected: self.tester.predefined.get("CI_COMMIT_REF_PROTECTED").is_some_and(|is| is == "true"),
            dependencies: dependencies(one, needs.as_deref(), names, uploads),
        };
        parts.add_variables(verdict.when, &mut variables);
        let environment = super::work::environment(config, &mut variables)
            .map_err(|words| Finding::new(config.place, format!("jobs:{}: {words}", one.instance.name)))?;
        variables.sort_by(|one, two| one.key.cmp(&two.key));
        expand_all(&mut variables)
            .map_err(|words| Finding::new(config.place, format!("jobs:{}: {words}", one.instance.name)))?;
        let value = |name: &str| super::work::value(&variables, name);
        let expanded = |text: &String| super::variables::expand(text, value);
        let work = work(&parts, verdict.allow_failure.clone(), self.report);
        let tags = parts.tags().iter().map(expanded).collect();
        let resource_group = config.resource_group.as_ref().map(expanded);
        Ok(Job {
            name: one.instance.name.to_string(),
            group: config.name.clone(),
            stage_index: one.instance.stage,
            stage: self.global.stages.get(one.instance.stage).cloned().unwrap_or_default(),
            when: verdict.when,
            start_in: verdict.start_in.cloned(),
            allow_failure: verdict.allow_failure.clone(),
            needs,
            uploads: uploads.get(one.at).copied().flatten().unwrap_or_default(),
            tags,
            environment,
            resource_group,
            coverage: config.coverage.clone(),
            interruptible: verdict.interruptible.or_else(|| parts.interruptible()),
            timeout_s: config.common.timeout_s,
            parallel: one.instance.part,
            manual_confirmation: config.manual_confirmation.clone(),
            variables,
            file_variables: file,
            work,
        })
    }

    /// Predefined, of the file, given: each name once, with the strongest value.
    fn all_variables(&self, job: &IndexMap<String, String>, file: &[JobVariable]) -> Vec<JobVariable> {
        let mut all: IndexMap<&str, JobVariable> = IndexMap::new();
        for (key, value) in self.tester.predefined.iter().chain(job) {
            all.insert(key, JobVariable::public(key, value));
        }
        for variable in file {
            all.insert(&variable.key, variable.clone());
        }
        for given in &self.context.given {
            let (key, value) = (given.key.clone(), given.value.clone());
            let variable = JobVariable { key, value, public: given.public, file: given.file, raw: given.raw };
            all.insert(&given.key, variable);
        }
        all.into_values().collect()
    }
}

/// What a rule says, else what the job says.
fn verdict<'a>(config: &'a JobConfig, rule: Option<&'a Rule>) -> Verdict<'a> {
    let rule_when = rule.and_then(|rule| rule.when).and_then(|when| match when {
        RuleWhen::Is(when) => Some(when),
        RuleWhen::Never => None,
    });
    let when = rule_when.or(config.when).unwrap_or_default();
    let by_job = config.allow_failure.clone().unwrap_or(AllowFailure::Any(config.when == Some(When::Manual)));
    Verdict {
        when,
        start_in: rule.and_then(|rule| rule.start_in.as_ref()).or(config.start_in.as_ref()),
        allow_failure: rule.and_then(|rule| rule.allow_failure).map_or(by_job, AllowFailure::Any),
        variables: rule.map(|rule| &rule.variables),
        needs: rule.and_then(|rule| rule.needs.as_deref()).or(config.needs.as_deref()),
        interruptible: rule.and_then(|rule| rule.interruptible),
    }
}

/// Variables of a file in layers, of which the last counts most.
fn file_variables<'v>(layers: impl IntoIterator<Item = &'v Variables>) -> Vec<JobVariable> {
    let mut all: IndexMap<&str, JobVariable> = IndexMap::new();
    for (key, variable) in layers.into_iter().flatten() {
        let raw = variable.is_raw;
        all.insert(key, JobVariable { raw, ..JobVariable::public(key, &variable.value) });
    }
    all.into_values().collect()
}

/// The needs of a job, of jobs that are in the pipeline.
fn present_needs(
    of: &Chosen<'_, '_>,
    needs: &[NeedEntry],
    names: &Names<'_, '_>,
    uploads: &[Option<bool>],
) -> Result<Vec<Need>, Finding> {
    let mut all: Vec<Need> = Vec::new();
    let job = &of.instance.name;
    for need in needs {
        for at in names.needed(need, of.instance) {
            let Some(needed) = names.instance(at) else { continue };
            let is_present = uploads.get(at).copied().flatten().is_some();
            let name = needed.name.to_string();
            if !is_present && !need.optional {
                let words = format!(
                    "'{job}' job needs '{name}' job, but '{name}' does not exist in the pipeline. This might be because \
                     of the only, except, or rules keywords. To need a job that sometimes does not exist in the \
                     pipeline, use needs:optional."
                );
                return Err(Finding::new(need.place, words));
            }
            if is_present && !all.iter().any(|known| known.job == name) {
                all.push(Need { job: name, artifacts: need.artifacts, optional: need.optional });
            }
        }
        if all.len() > NEEDS_MAX {
            let listed = needs.iter().map(|need| names.needed(need, of.instance).len()).sum::<usize>();
            let words = format!(
                "{job}: one job can only need {NEEDS_MAX} others, but you have listed {listed}. See needs keyword \
                 documentation for more details"
            );
            return Err(Finding::new(of.instance.config.place, words));
        }
    }
    Ok(all)
}

/// Whose artifacts a job downloads; `None`: those of all jobs of earlier stages.
fn dependencies(
    of: &Chosen<'_, '_>,
    needs: Option<&[Need]>,
    names: &Names<'_, '_>,
    uploads: &[Option<bool>],
) -> Option<Vec<String>> {
    let has_artifacts =
        |name: &&String| names.find(name).iter().any(|&at| uploads.get(at).copied().flatten() == Some(true));
    let listed = of.instance.config.dependencies.as_ref().map(|dependencies| {
        let found = dependencies.iter().flat_map(|(name, _)| names.find(name));
        found.filter_map(|&at| names.instance(at)).map(|instance| instance.name.to_string()).collect::<Vec<String>>()
    });
    match (needs, listed) {
        (None, None) => None,
        (None, Some(listed)) => Some(listed.iter().filter(has_artifacts).cloned().collect()),
        (Some(needs), listed) => {
            let wanted = needs.iter().filter(|need| need.artifacts).map(|need| &need.job);
            let wanted = wanted.filter(|name| listed.as_ref().is_none_or(|listed| listed.contains(name)));
            Some(wanted.filter(has_artifacts).cloned().collect())
        }
    }
}

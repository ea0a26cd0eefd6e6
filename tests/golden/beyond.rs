//! What the cases do not reach: files from elsewhere, children, inputs of the first file, hints and reasons.

use crate::checkout::Checkout;
use baton::domain::pipeline::{Pipeline, Source, Work};
use baton::gitlab_ci::context::{Context, Given};
use baton::gitlab_ci::surroundings::{Base, Changes, Elsewhere, Refusal, Surroundings, refusal};
use baton::gitlab_ci::yaml::{load, to_yaml};
use baton::gitlab_ci::{Compiled, Outcome, compile};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A checkout with other projects beside it, which notes what it was asked for.
#[derive(Default)]
struct Neighbours {
    checkout: Checkout,
    elsewhere: BTreeMap<String, String>,
    asked: RefCell<Vec<String>>,
}

fn key(file: Elsewhere<'_>) -> String {
    match file {
        Elsewhere::Project { project, reference, path } => format!("{project}@{}:{path}", reference.unwrap_or("HEAD")),
        Elsewhere::Component(name) => name.to_owned(),
        Elsewhere::Remote { url, integrity } => format!("{url} {}", integrity.unwrap_or("any")),
        Elsewhere::Template(name) => format!("template {name}"),
        Elsewhere::Artifact { job, path } => format!("{job}!{path}"),
    }
}

impl Surroundings for Neighbours {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.checkout.file(path)
    }

    fn paths(&self) -> Arc<Vec<String>> {
        self.checkout.paths()
    }

    fn changes(&self, base: Base<'_>) -> Changes {
        match base {
            Base::Pipeline => Changes::Paths(Arc::new(vec!["docs/a.md".to_owned()])),
            Base::Ref("main") => Changes::Paths(Arc::new(vec!["src/a.rs".to_owned()])),
            Base::Ref(_) => Changes::NoSuchRef,
        }
    }

    fn last_commits(&self, _paths: &[String]) -> Vec<String> {
        vec!["b".repeat(40), "a".repeat(40)]
    }

    fn elsewhere(&self, file: Elsewhere<'_>) -> Result<Vec<u8>, Refusal> {
        self.asked.borrow_mut().push(key(file));
        self.elsewhere.get(&key(file)).map(|text| text.clone().into_bytes()).ok_or_else(|| refusal(file))
    }
}

fn neighbours(files: &[(&str, &str)]) -> Neighbours {
    let elsewhere = files.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    Neighbours { elsewhere, ..Neighbours::default() }
}

#[track_caller]
fn pipeline(compiled: Compiled) -> Pipeline {
    match compiled.outcome {
        Outcome::Pipeline(pipeline) => *pipeline,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn made(content: &str, outside: &Neighbours) -> Pipeline {
    pipeline(compile(content.as_bytes(), &Context::default(), outside))
}

#[track_caller]
fn refused(content: &str, outside: &Neighbours) -> String {
    match compile(content.as_bytes(), &Context::default(), outside).outcome {
        Outcome::Refused(messages) => messages[0].to_string(),
        other => panic!("{other:?}"),
    }
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.jobs.iter().map(|job| job.name.as_str()).collect()
}

#[test]
fn a_file_of_another_project_includes_local_files_of_that_project() {
    let outside =
        neighbours(&[("g/p@v1:ci/a.yml", "include: /ci/b.yml\na: {script: x}"), ("g/p@v1:ci/b.yml", "b: {script: x}")]);
    let pipeline = made("include: {project: g/p, ref: v1, file: [/ci/a.yml]}", &outside);
    assert_eq!(names(&pipeline), ["b", "a"]);
}

#[test]
fn a_component_takes_inputs_and_includes_files_of_its_project() {
    let outside = neighbours(&[
        (
            "h/g/p/lint@1",
            "spec: {inputs: {stage: {default: test}}}\n---\ninclude: x.yml\nlint: {stage: '$[[ inputs.stage ]]', script: x}",
        ),
        ("g/p@1:x.yml", ".x: {script: y}"),
    ]);
    let pipeline = made("include: {component: h/g/p/lint@1, inputs: {stage: build}}", &outside);
    assert_eq!((names(&pipeline), pipeline.jobs[0].stage.as_str()), (vec!["lint"], "build"));
}

#[test]
fn a_remote_file_is_fetched_by_https_only_and_its_checksum_is_passed_on() {
    let outside = neighbours(&[("https://h/a.yml sha256-x", "a: {script: x}")]);
    let pipeline = made("include: {remote: 'https://h/a.yml', integrity: sha256-x}", &outside);
    assert_eq!(names(&pipeline), ["a"]);
    assert!(refused("include: 'http://h/a.yml'", &outside).contains("does not have a valid address"));
    assert!(refused("include: 'https://h/b.yml'", &outside).contains("--allow-remote"));
    assert_eq!(*outside.asked.borrow(), ["https://h/a.yml sha256-x", "https://h/b.yml any"]);
}

#[test]
fn a_file_that_is_included_twice_is_asked_for_once() {
    let outside = neighbours(&[("template T.yml", "spec: {inputs: {n: {}}}\n---\n'$[[ inputs.n ]]': {script: x}")]);
    let pipeline = made("include:\n- {template: T.yml, inputs: {n: a}}\n- {template: T.yml, inputs: {n: b}}", &outside);
    assert_eq!((names(&pipeline), outside.asked.borrow().len()), (vec!["a", "b"], 1));
}

#[test]
fn a_child_is_made_of_files_of_the_checkout_and_of_artifacts() {
    let mut outside = neighbours(&[("gen!out.yml", "c: {script: x}")]);
    let child = "spec: {inputs: {n: {type: number}}}\n---\nd: {script: x, parallel: '$[[ inputs.n ]]'}";
    outside.checkout.files.insert("child.yml".to_owned(), child.to_owned());
    let content = "gen: {stage: build, script: x, artifacts: {paths: [out.yml]}}\n\
        t:\n  variables: {V: 1}\n  trigger:\n    include:\n    - {artifact: out.yml, job: gen}\n    - {local: /child.yml, inputs: {n: 2}}\n    strategy: depend\n";
    let parent = made(content, &outside);
    let Work::Trigger(trigger) = &parent.jobs[1].work else { panic!("{:?}", parent.jobs[1]) };
    assert!(trigger.depends && trigger.forward_file_variables && !trigger.forward_given_variables);
    let context = Context { source: Source::ParentPipeline, ..Context::default() };
    let child = pipeline(compile(trigger.configuration().as_bytes(), &context, &outside));
    assert_eq!((names(&child), child.source), (vec!["c", "d 1/2", "d 2/2"], Source::ParentPipeline));
    assert!(refused("include: {artifact: no.yml, job: gen}", &outside).contains("no `no.yml`"));
}

#[test]
fn a_pipeline_of_another_project_is_refused_for_its_job_alone() {
    let compiled = compile(b"j: {script: x}\nt: {trigger: g/p}", &Context::default(), &Neighbours::default());
    assert_eq!(compiled.warnings.len(), 1, "{:?}", compiled.warnings);
    let pipeline = pipeline(compiled);
    assert!(matches!(&pipeline.jobs[1].work, Work::Refused { why } if why.contains("g/p")));
}

#[test]
fn a_job_with_tokens_runs_if_a_variable_is_given_in_their_place() {
    let content = b"j: {script: x, id_tokens: {T: {aud: a}}}";
    let without = pipeline(compile(content, &Context::default(), &Neighbours::default()));
    assert!(matches!(&without.jobs[0].work, Work::Refused { why } if why.contains("variable T")));
    let context = Context { given: vec![Given::public("T", "x")], ..Context::default() };
    let with = pipeline(compile(content, &context, &Neighbours::default()));
    assert!(matches!(&with.jobs[0].work, Work::Build(_)));
}

#[test]
fn inputs_of_the_first_file_have_the_types_that_it_asks_for() {
    let content = "spec: {inputs: {n: {type: number}, l: {type: array, default: []}, s: {default: abcdef}, m: {default: 'a b$X'}}}\n---\n\
        j: {parallel: '$[[ inputs.n ]]', tags: '$[[ inputs.l ]]', script: ['$[[ inputs.s | truncate(1, 2) ]]', \"$[[ inputs.m | expand_vars | posix_escape ]]\"]}";
    let inputs = [("n", "2"), ("l", "[a, b]")].map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let context = Context { inputs, given: vec![Given::public("X", "'")], ..Context::default() };
    let pipeline = pipeline(compile(content.as_bytes(), &context, &Neighbours::default()));
    assert_eq!(
        (names(&pipeline), &pipeline.jobs[0].tags),
        (vec!["j 1/2", "j 2/2"], &vec!["a".to_owned(), "b".to_owned()])
    );
    let Work::Build(spec) = &pipeline.jobs[0].work else { panic!() };
    assert_eq!(spec.script, ["bc", r"a\ b\'"]);
    let wrong = refused(content, &Neighbours::default());
    assert!(wrong.contains("`n` input: required value has not been provided"), "{wrong}");
}

#[test]
fn an_input_never_becomes_yaml() {
    let mut outside = Neighbours::default();
    let file = "spec: {inputs: {s: {}}}\n---\nj: {script: ['echo $[[ inputs.s ]]']}";
    outside.checkout.files.insert("a.yml".to_owned(), file.to_owned());
    let content = r#"include: {local: a.yml, inputs: {s: "x']\nevil: {script: [y]}\n#"}}"#;
    assert_eq!(names(&made(content, &outside)), ["j"]);
}

#[test]
fn needs_inside_of_a_matrix_name_their_own_part() {
    let content = "\
        b: {stage: build, script: x, parallel: {matrix: [{OS: [linux, mac]}]}}\n\
        t: {script: x, parallel: {matrix: [{OS: [linux, mac]}]}, needs: [{job: b, parallel: {matrix: [{OS: ['$[[ matrix.OS ]]']}]}}]}\n\
        d: {stage: deploy, script: x, parallel: {matrix: [{OS: [mac]}]}, needs: ['t: [$[[ matrix.OS ]]]']}";
    let pipeline = made(content, &Neighbours::default());
    let needs: Vec<&str> =
        pipeline.jobs.iter().flat_map(|job| job.needs.iter().flatten()).map(|need| need.job.as_str()).collect();
    assert_eq!(needs, ["b: [linux]", "b: [mac]", "t: [mac]"]);
}

#[test]
fn changes_are_compared_with_the_ref_that_a_rule_names() {
    let rule = |changes: &str| format!("k: {{script: x}}\nj: {{script: x, rules: [{{changes: {changes}}}]}}");
    let outside = Neighbours::default();
    assert_eq!(names(&made(&rule("['src/*']"), &outside)), ["k"]);
    assert_eq!(names(&made(&rule("{paths: ['src/*'], compare_to: $CI_DEFAULT_BRANCH}"), &outside)), ["k", "j"]);
    let message = refused(&rule("{paths: ['src/*'], compare_to: nowhere}"), &outside);
    assert!(message.contains("Failed to parse rule for j: rules:changes:compare_to is not a valid ref"), "{message}");
}

#[test]
fn a_job_that_is_left_out_names_the_rule_that_decided() {
    let content =
        "k: {script: x}\nj:\n  script: x\n  rules:\n    - if: $A\n    - if: $CI_COMMIT_BRANCH\n      when: never\n";
    let compiled = compile(content.as_bytes(), &Context::default(), &Neighbours::default());
    let out = &compiled.left_out[0];
    assert_eq!((out.name.as_str(), out.file.as_str(), out.line), ("j", ".gitlab-ci.yml", 6));
    assert_eq!(out.why, "this rule says when: never");
}

#[test]
fn the_merged_configuration_means_the_same_and_names_places() {
    let mut outside = Neighbours::default();
    outside.checkout.files.insert("a.yml".to_owned(), "\n.b: {script: [a, b], tags: [t]}\n".to_owned());
    let content = "include: a.yml\nj: {extends: .b, script: [!reference [.b, script], \"x\\ny\\n\"]}\n";
    let compiled = compile(content.as_bytes(), &Context::default(), &outside);
    let text = to_yaml(compiled.merged.as_ref().unwrap(), &compiled.files);
    assert!(text.contains("# a.yml:2\n.b:") && text.contains("# .gitlab-ci.yml:2\nj:"), "{text}");
    assert!(load(&text, 0).is_ok());
    assert_eq!(made(&text, &Neighbours::default()).jobs, pipeline(compiled).jobs);
}

#[test]
fn the_key_of_a_cache_comes_from_the_commits_of_its_files() {
    let pipeline =
        made("j: {script: x, cache: {key: {files: [a, b], prefix: $V}, paths: [p]}}", &Neighbours::default());
    let Work::Build(spec) = &pipeline.jobs[0].work else { panic!() };
    assert_eq!(spec.cache[0].key.as_deref(), Some("$V-a841f504717691301aa64219d24aeadeae77bb83-protected"));
}

#[test]
fn a_pattern_that_cannot_match_is_warned_of() {
    let content =
        "k: {script: x}\nj: {script: x, rules: [{exists: [/a, ./b]}, {if: '$CI_COMMIT_BRANCH =~ $CI_DEFAULT_BRANCH'}]}";
    let compiled = compile(content.as_bytes(), &Context::default(), &Neighbours::default());
    let words: Vec<&str> = compiled.warnings.iter().map(|warning| warning.words.as_str()).collect();
    assert!(words.iter().filter(|words| words.contains("matches nothing")).count() == 2, "{words:?}");
    assert!(words.iter().any(|words| words.contains("no pattern between slashes")), "{words:?}");
}

#[test]
fn what_has_no_effect_is_warned_of_once() {
    let content = "default: {timeout: 1h}\na: {script: docker login $CI_REGISTRY, pages: true}\nb: {script: echo $CI_REGISTRY, pages: true}";
    let compiled = compile(content.as_bytes(), &Context::default(), &Neighbours::default());
    let words: Vec<&str> = compiled.warnings.iter().map(|warning| warning.words.as_str()).collect();
    assert_eq!(words.len(), 3, "{words:?}");
    assert_eq!(pipeline(compiled).jobs[0].timeout_s, None);
}

//! Cases of whole configurations.

use crate::cases::Case;
use crate::checkout::Checkout;
use crate::fields;
use crate::kinds::same;
use baton::domain::pipeline::{Pipeline, Source};
use baton::gitlab_ci::context::{Context, Given};
use baton::gitlab_ci::messages::Message;
use baton::gitlab_ci::yaml::{Map, Node};
use baton::gitlab_ci::{Compiled, Outcome, compile};

/// What a case compiles to.
pub fn compiled(case: &Case) -> Compiled {
    let (content, checkout) = checkout(case);
    compile(content.as_bytes(), &context(case), &checkout)
}

pub fn check(case: &Case) -> Result<(), String> {
    let compiled = compiled(case);
    let expect = case.get("expect").and_then(Node::map).expect("a case expects something");
    if let Some(sentence) = expect.get("no_pipeline").and_then(Node::text) {
        return match &compiled.outcome {
            Outcome::Nothing(words) => same(words.as_str(), sentence),
            other => Err(format!("{other:?}")),
        };
    }
    if let Some(part) = expect.get("error").and_then(Node::text) {
        let message = refused(&compiled, part)?;
        return place_and_hint(message, expect);
    }
    if let Some(parts) = expect.get("errors").and_then(Node::list) {
        return parts.iter().try_for_each(|part| refused(&compiled, part.text().unwrap()).map(drop));
    }
    if let Some(part) = expect.get("warning").and_then(Node::text) {
        let warning = compiled.warnings.iter().find(|message| message.words.contains(part));
        place_and_hint(warning.ok_or(format!("no warning in {:?}", compiled.warnings))?, expect)?;
    }
    match &compiled.outcome {
        Outcome::Pipeline(pipeline) => jobs(&compiled, pipeline, expect),
        other => Err(format!("{other:?}")),
    }
}

fn jobs(compiled: &Compiled, pipeline: &Pipeline, expect: &Map) -> Result<(), String> {
    if let Some(stages) = expect.get("stages").and_then(Node::list) {
        same(
            pipeline.stages.iter().map(String::as_str).collect::<Vec<_>>(),
            stages.iter().filter_map(Node::text).collect(),
        )?;
    }
    if let Some(name) = expect.get("pipeline_name") {
        same(pipeline.name.as_deref(), name.text())?;
    }
    if let Some(count) = expect.get("job_count").and_then(Node::int) {
        same(pipeline.jobs.len() as i128, count)?;
    }
    let Some(jobs) = expect.get("jobs").and_then(Node::map) else { return Ok(()) };
    same(pipeline.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), jobs.keys().collect())?;
    for (job, (name, entry)) in pipeline.jobs.iter().zip(&jobs.0) {
        fields::check(compiled, pipeline, job, entry.node.map().unwrap()).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// The error that has these words.
fn refused<'c>(compiled: &'c Compiled, part: &str) -> Result<&'c Message, String> {
    match &compiled.outcome {
        Outcome::Refused(messages) => messages
            .iter()
            .find(|message| message.to_string().contains(part))
            .or_else(|| messages.iter().find(|message| same_parser_error(&message.words, part)))
            .ok_or_else(|| format!("no {part:?} in {messages:#?}")),
        other => Err(format!("not refused: {other:?}")),
    }
}

/// Errors of the parser have words of their own.
fn same_parser_error(words: &str, part: &str) -> bool {
    part.starts_with("mapping values") && words.contains("mapping values")
}

fn place_and_hint(message: &Message, expect: &Map) -> Result<(), String> {
    if let Some(line) = expect.get("line").and_then(Node::int) {
        same(i128::from(message.line), line).map_err(|why| format!("line {why}: {message}"))?;
    }
    if let Some(file) = expect.get("file").and_then(Node::text) {
        same(message.file.as_str(), file)?;
    }
    match expect.get("hint").and_then(Node::text) {
        Some(hint) if !message.hint.as_ref().is_some_and(|is| is.contains(hint)) => {
            Err(format!("no hint {hint}: {message}"))
        }
        _ => Ok(()),
    }
}

/// The text of the first file, and all files.
pub fn checkout(case: &Case) -> (String, Checkout) {
    let content = match case.get("yaml_repeat").and_then(Node::map) {
        Some(repeat) => repeated(repeat),
        None => case.text("yaml").to_owned(),
    };
    let mut checkout = Checkout::default();
    checkout.files.insert(".gitlab-ci.yml".to_owned(), content.clone());
    for (path, entry) in case.get("files").and_then(Node::map).into_iter().flat_map(|map| &map.0) {
        checkout.files.insert(path.to_string(), entry.node.text().unwrap().to_owned());
    }
    for path in case.get("tree").and_then(Node::list).into_iter().flatten().filter_map(Node::text) {
        checkout.files.entry(path.to_owned()).or_default();
    }
    let changed = case.get("changes").and_then(Node::list);
    checkout.changed = changed.map(|paths| paths.iter().filter_map(Node::text).map(str::to_owned).collect());
    (content, checkout)
}

fn repeated(repeat: &Map) -> String {
    let text = |key: &str| repeat.get(key).and_then(Node::text).unwrap_or_default();
    let count = repeat.get("n").and_then(Node::int).unwrap();
    let numbered = |text: &str, number: i128| text.replace("%i%", &number.to_string());
    let needs: Vec<String> = (1..=count).map(|number| numbered(text("need"), number)).collect();
    let mut all = text("head").replace("%needs%", &needs.join(", "));
    all.extend((1..=count).map(|number| numbered(text("each"), number)));
    all
}

pub fn context(case: &Case) -> Context {
    let mut context = Context::default();
    let Some(map) = case.get("context").and_then(Node::map) else { return context };
    let text = |key: &str| map.get(key).and_then(Node::text).map(str::to_owned);
    if let Some(source) = text("source") {
        context.source = Source::parse(&source).expect("a source");
    }
    if let Some(branch) = text("branch") {
        context.branch = Some(branch);
    }
    if let Some(tag) = text("tag") {
        context.branch = None;
        context.tag = Some(tag);
    }
    context.target = text("target");
    context.default_branch = text("default_branch").unwrap_or(context.default_branch);
    context.project = text("project").unwrap_or(context.project);
    for (key, entry) in map.get("variables").and_then(Node::map).into_iter().flat_map(|map| &map.0) {
        context.given.push(Given::public(key.to_string(), entry.node.scalar_text().unwrap()));
    }
    context
}

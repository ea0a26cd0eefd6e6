//! The largest configuration that one can make from what real projects have: 300 jobs behind a matrix of 200, and 40
//! files.

use crate::checkout::Checkout;
use baton::domain::pipeline::board::Board;
use baton::domain::state::Status;
use baton::gitlab_ci::context::Context;
use baton::gitlab_ci::{Outcome, compile};
use std::fmt::Write;
use std::time::Instant;

/// The first file, and the checkout with 39 more and 3,000 others.
fn configuration() -> (String, Checkout) {
    let mut checkout = Checkout { changed: Some(vec!["src/a.rs".to_owned()]), ..Checkout::default() };
    let mut main =
        "stages: [prepare, build, test, deploy]\nvariables: {ROOT: /srv, OUT: $ROOT/out}\ninclude:\n".to_owned();
    for file in 0..39 {
        writeln!(main, "  - {{local: ci/{file}.yml, inputs: {{name: n{file}}}}}").unwrap();
        let mut text = "spec: {inputs: {name: {}}}\n---\n".to_owned();
        writeln!(
            text,
            ".base{file}:\n  image: alpine:$V\n  tags: [docker, $OUT]\n  retry: 2\n  variables: {{V: '3', PKG: $OUT/p}}"
        )
        .unwrap();
        writeln!(text, "  cache: {{key: {{files: [Cargo.lock]}}, paths: [target/]}}").unwrap();
        writeln!(
            text,
            "  rules:\n    - {{if: '$CI_COMMIT_TAG =~ /^v\\d+/', when: never}}\n    - {{changes: ['**/*.{{rs,md}}']}}"
        )
        .unwrap();
        for job in 0..8 {
            writeln!(text, "'$[[ inputs.name ]]-{job}':\n  extends: .base{file}\n  stage: test").unwrap();
            writeln!(
                text,
                "  script:\n    - !reference [.setup, script]\n    - ['make $[[ inputs.name ]]', make check]"
            )
            .unwrap();
            writeln!(text, "  artifacts: {{paths: [out/], reports: {{junit: r.xml}}, expire_in: 1 week}}").unwrap();
        }
        checkout.files.insert(format!("ci/{file}.yml"), text);
    }
    let values: Vec<String> = (0..20).map(|value| format!("v{value}")).collect();
    writeln!(main, ".setup: {{script: [apt-get update, apt-get install -y make]}}").unwrap();
    let list = values.join(", ");
    writeln!(main, "matrix:\n  stage: build\n  script: make\n  parallel: {{matrix: [{{A: [{list}], B: [a, b, c, d, e, f, g, h, i, j]}}]}}").unwrap();
    (0..3_000).for_each(|at| drop(checkout.files.insert(format!("src/{at}/mod.rs"), String::new())));
    (main, checkout)
}

#[test]
fn the_largest_configuration_becomes_a_pipeline_that_runs_to_its_end() {
    let (content, checkout) = configuration();
    let start = Instant::now();
    let compiled = compile(content.as_bytes(), &Context::default(), &checkout);
    println!("compiled in {:?}", start.elapsed());
    let Outcome::Pipeline(pipeline) = compiled.outcome else { panic!("{:?}", compiled.outcome) };
    assert_eq!(pipeline.jobs.len(), 200 + 39 * 8);
    assert_eq!(pipeline.jobs[300].tags, ["docker", "/srv/out"]);
    let start = Instant::now();
    let mut board = Board::from(&*pipeline);
    let mut changes = board.start().len();
    for at in 0..pipeline.jobs.len() {
        changes += board.set(at, Status::Success, None).len();
    }
    println!("ran in {:?}, with {changes} changes", start.elapsed());
    assert_eq!(board.pipeline().0.as_str(), "success");
}

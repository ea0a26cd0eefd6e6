//! The largest configuration that one can make from what real projects have: 300 jobs behind a matrix of 200, and 40
//! files.

use crate::checkout::Checkout;
use crate::configuration::configuration;
use baton::domain::pipeline::board::Board;
use baton::domain::state::Status;
use baton::gitlab_ci::context::Context;
use baton::gitlab_ci::{Outcome, compile};
use std::time::Instant;

#[test]
fn the_largest_configuration_becomes_a_pipeline_that_runs_to_its_end() {
    let (content, files) = configuration();
    let changed = Some(vec!["src/a.rs".to_owned()]);
    let checkout = Checkout { files, changed };
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

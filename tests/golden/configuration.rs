//! The largest configuration that one can make from what real projects have: 300 jobs behind a matrix of 200, and 40 files.
//! The benchmark has it, too.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The first file, and all other files: 39 that it includes, and 3,000 others.
pub fn configuration() -> (String, BTreeMap<String, String>) {
    let mut files = BTreeMap::new();
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
        files.insert(format!("ci/{file}.yml"), text);
    }
    let values: Vec<String> = (0..20).map(|value| format!("v{value}")).collect();
    writeln!(main, ".setup: {{script: [apt-get update, apt-get install -y make]}}").unwrap();
    let list = values.join(", ");
    writeln!(main, "matrix:\n  stage: build\n  script: make\n  parallel: {{matrix: [{{A: [{list}], B: [a, b, c, d, e, f, g, h, i, j]}}]}}").unwrap();
    (0..3_000).for_each(|at| drop(files.insert(format!("src/{at}/mod.rs"), String::new())));
    (main, files)
}

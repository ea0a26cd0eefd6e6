//! Configurations that mean harm: nothing panics, nothing grows without bound.
//!
//! No test here judges time: what does not end, or takes all memory, is seen by whoever waits for it.

use crate::cases;
use crate::checkout::Checkout;
use crate::pipelines;
use crate::random::Random;
use baton::gitlab_ci::context::{Context, Given};
use baton::gitlab_ci::yaml::{NODES_MAX, load};
use baton::gitlab_ci::{Compiled, Outcome, compile};
use std::fmt::Write;

/// Variations of cases that are tried.
const ROUNDS: usize = 1_500;
/// Pieces that are put into texts.
const PIECES: [&str; 36] = [
    ":",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: *a",
    "!reference [",
    "!reference []",
    "$[[ inputs.x ]]",
    "$A",
    "${",
    "%A%",
    "'",
    "\"",
    "\n",
    "\t",
    "---\n",
    "null",
    "~",
    "0777",
    "1:30",
    "extends: ",
    "include: ",
    "rules: ",
    "needs: ",
    "parallel: 200",
    "when: manual",
    "#",
    "é",
    "\u{0}",
    "\u{feff}",
    "=~ /a(/",
];

fn compiled(content: &str, checkout: &Checkout) -> Compiled {
    let mut checkout = checkout.clone();
    checkout.files.insert(".gitlab-ci.yml".to_owned(), content.to_owned());
    compile(content.as_bytes(), &Context::default(), &checkout)
}

/// The first error.
#[track_caller]
fn refused(content: &str, files: &[(&str, String)]) -> String {
    let mut checkout = Checkout::default();
    checkout.files.extend(files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())));
    match compiled(content, &checkout).outcome {
        Outcome::Refused(messages) => messages[0].to_string(),
        Outcome::Pipeline(pipeline) => panic!("{} jobs", pipeline.jobs.len()),
        Outcome::Nothing(words) => panic!("{words}"),
    }
}

#[track_caller]
fn expect_too_big(content: &str) {
    let message = refused(content, &[]);
    assert!(message.contains("too big"), "{message}");
}

/// A text with something cut out, doubled, moved or put in.
fn mutated(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..1 + random.below(3) {
        let at = random.below(chars.len() + 1);
        let length = random.below(12).min(chars.len() - at);
        match random.below(5) {
            0 => drop(chars.drain(at..at + length)),
            1 => chars.splice(at..at, random.pick(&PIECES).chars()).for_each(drop),
            2 => {
                let part: Vec<char> = chars[at..at + length].to_vec();
                let to = random.below(chars.len() + 1);
                chars.splice(to..to, part).for_each(drop);
            }
            3 if at < chars.len() => chars[at] = char::from(random.below(128) as u8),
            _ => chars.truncate(at.max(chars.len() / 2)),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn no_variation_of_a_case_makes_it_panic() {
    let cases = cases::all();
    let cases: Vec<_> = cases.iter().filter(|case| matches!(case.kind(), "pipeline" | "states")).collect();
    let mut random = Random::new();
    let mut outcomes = [0; 3];
    for _ in 0..ROUNDS {
        let case = random.pick(&cases);
        let (content, mut checkout) = pipelines::checkout(case);
        let content = mutated(&content, &mut random);
        for text in checkout.files.values_mut() {
            if random.below(2) == 0 {
                *text = mutated(text, &mut random);
            }
        }
        let compiled = compile(content.as_bytes(), &pipelines::context(case), &checkout);
        let outcome = match compiled.outcome {
            Outcome::Pipeline(_) => 0,
            Outcome::Nothing(_) => 1,
            Outcome::Refused(messages) => {
                assert!(!messages.is_empty() && messages.len() <= 20, "{content}");
                assert!(messages.iter().all(|message| !message.file.is_empty()), "{messages:?} of {content}");
                2
            }
        };
        outcomes[outcome] += 1;
    }
    assert!(outcomes[0] > 0 && outcomes[2] > 0, "{outcomes:?}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut random = Random::new();
    for _ in 0..200 {
        let length = random.below(64);
        let bytes = random.bytes(length);
        let _ = compile(&bytes, &Context::default(), &Checkout::default());
    }
}

#[test]
fn aliases_that_double_are_counted_before_they_are_built() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    expect_too_big(&bomb);
    let mut merges = "a0: &a0 {k: v}\n".to_owned();
    for level in 1..60 {
        let before = level - 1;
        writeln!(merges, "a{level}: &a{level} {{l{level}: *a{before}, m: *a{before}, <<: *a{before}}}").unwrap();
    }
    expect_too_big(&merges);
    assert!(load("a: &a [*a]", 0).is_err());
}

#[test]
fn deep_nesting_is_refused_at_its_hundredth_level() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("{? [", "]}"), ("!reference [", "]")] {
        let text = format!("j: {{script: x}}\na: {}{}", open.repeat(100_000), close.repeat(100_000));
        assert!(load(&text, 0).is_err(), "{open}");
        assert!(!refused(&text, &[]).is_empty(), "{open}");
    }
    let aliases: String = (1..99).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)).collect();
    expect_too_big(&format!("a0: &a0 [[[[x]]]]\n{aliases}"));
}

#[test]
fn references_that_double_are_counted() {
    let mut text = ".a0: {script: [x, x, x, x, x, x, x, x, x, x]}\n".to_owned();
    for level in 1..10 {
        let list = vec![format!("!reference [.a{}, script]", level - 1); 20].join(", ");
        writeln!(text, ".a{level}: {{script: [{list}]}}").unwrap();
    }
    expect_too_big(&format!("{text}j: {{script: !reference [.a9, script]}}\n"));
    let mut deep = ".a0: {script: [x]}\n".to_owned();
    for level in 1..10 {
        let (open, close) = ("[".repeat(90), "]".repeat(90));
        writeln!(deep, ".a{level}: {{script: {open}!reference [.a{}, script]{close}}}", level - 1).unwrap();
    }
    let message = refused(&format!("{deep}j: {{script: !reference [.a9, script]}}\n"), &[]);
    assert!(message.contains("up to 10 levels deep"), "{message}");
}

#[test]
fn short_jobs_that_extend_a_long_one_are_counted() {
    let mut text = ".a:\n".to_owned();
    (0..20_000).for_each(|at| writeln!(text, "  k{at}: v").unwrap());
    (0..20_000).for_each(|at| writeln!(text, "j{at}: {{extends: .a, script: x}}").unwrap());
    expect_too_big(&text);
    let mut chain = ".a0: {script: x}\n".to_owned();
    (1..50_000).for_each(|at| writeln!(chain, ".a{at}: {{extends: .a{}}}", at - 1).unwrap());
    let message = refused(&format!("j: {{extends: .a49999}}\n{chain}"), &[]);
    assert!(message.contains("nesting too deep"), "{message}");
}

#[test]
fn includes_that_include_each_other_end_at_the_limit() {
    let twice = |path: &str| format!("include: [{path}, {path}]\n");
    let files = [("a.yml", twice("b.yml")), ("b.yml", twice("a.yml"))];
    let message = refused("include: a.yml\nj: {script: x}", &files);
    assert!(message.contains("Maximum of 150 nested includes") && message.contains("a.yml -> b.yml"), "{message}");
    let large = format!("# {}\n.x: y\n", "x".repeat(2 << 20));
    assert!(refused("include: a.yml", &[("a.yml", large)]).contains("too big"));
}

#[test]
fn includes_do_not_leave_the_checkout() {
    for path in ["../secret.yml", "a/../../secret.yml", "/../secret.yml", "..//secret.yml"] {
        let message = refused(&format!("include: {path}"), &[("../secret.yml", "j: {script: x}".to_owned())]);
        assert!(message.contains("does not exist"), "{message}");
    }
}

#[test]
fn files_of_two_mebibytes_are_read_or_refused() {
    let jobs: String = (0..60_000).map(|at| format!("j{at}: {{script: [x]}}\n")).collect();
    assert!(refused(&jobs, &[]).contains("exceeded the limit"));
    let keys: String = (0..150_000).map(|at| format!(" k{at}: {at}\n")).collect();
    let message = refused(&format!("j:\n script: x\n variables:\n{keys} "), &[]);
    assert!(!message.is_empty());
    let list = "- [a, b]\n".repeat(200_000);
    assert!(!refused(&format!(".l:\n{list}\n"), &[]).is_empty());
    let wrong: String = (0..50_000).map(|at| format!("j{at}: {{scirpt: [x]}}\n")).collect();
    assert!(!refused(&wrong, &[]).is_empty());
    assert!(load(&format!("a: [{}]", "x,".repeat(NODES_MAX + 1)), 0).is_err());
}

#[test]
fn needs_that_are_many_are_refused() {
    let mut text = String::new();
    (0..3_000).for_each(|at| writeln!(text, "j{at}: {{stage: build, script: x, parallel: 3}}").unwrap());
    let needs: Vec<String> = (0..3_000).map(|at| format!("j{at}")).collect();
    writeln!(text, ".n: &n [{}]", needs.join(", ")).unwrap();
    (0..300).for_each(|at| writeln!(text, "k{at}: {{script: x, needs: *n}}").unwrap());
    assert!(refused(&text, &[]).contains("one job can only need 50 others"));
}

#[test]
fn patterns_and_expressions_are_bounded() {
    let rule = |expression: &str| format!("j: {{script: x, rules: [{{if: '{expression}'}}]}}");
    for expression in [
        format!("$A =~ /{}/", "a{1000}".repeat(100)),
        format!("$A =~ /{}/", "(".repeat(5_000)),
        format!("$A =~ /{}/", "(a|".repeat(1_000)),
        format!("$A =~ /{}/", "x".repeat(100_000)),
        format!("{}$A", "!".repeat(200)),
        format!("{}$A{}", "(".repeat(60), ")".repeat(60)),
        vec!["$A"; 51].join(" && "),
        "$A ".repeat(50_000),
    ] {
        let message = refused(&rule(&expression), &[]);
        assert!(message.contains("invalid expression syntax"), "{message}");
    }
    let longest = vec!["$A"; 50].join(" && ");
    assert!(matches!(compiled(&rule(&longest), &Checkout::default()).outcome, Outcome::Nothing(_)));
    let globs = ["{a,b}".repeat(500), "**/".repeat(1_000), "[".repeat(4_000), "{".repeat(4_000), "*a".repeat(1_000)];
    let mut checkout = Checkout { changed: Some(vec!["a".repeat(2_000), "b/".repeat(900)]), ..Checkout::default() };
    checkout.files.insert("a/".repeat(1_000), String::new());
    for glob in globs {
        let text =
            format!("j: {{script: x, rules: [{{exists: ['{glob}']}}, {{changes: ['{glob}']}}]}}\nk: {{script: x}}");
        assert!(matches!(compiled(&text, &checkout).outcome, Outcome::Pipeline(_)));
    }
}

#[test]
fn values_that_double_by_variables_or_inputs_are_refused() {
    let mut variables = "variables:\n  V0: xxxxxxxxxxxxxxxx\n".to_owned();
    (1..100).for_each(|at| writeln!(variables, "  V{at}: $V{0}$V{0}", at - 1).unwrap());
    expect_too_big(&format!("{variables}j: {{script: x}}"));
    let block = "$[[ inputs.x ]]".repeat(1_000);
    let file = format!("spec: {{inputs: {{x: {{}}}}}}\n---\nj: {{script: ['{block}']}}");
    let main = format!("include: {{local: a.yml, inputs: {{x: '{}'}}}}", "y".repeat(100_000));
    assert!(refused(&main, &[("a.yml", file)]).contains("too big"));
}

#[test]
fn a_matrix_is_counted_before_it_is_built() {
    let values: Vec<String> = (0..100).map(|value| value.to_string()).collect();
    let row: Vec<String> = (0..50).map(|key| format!("K{key}: [{}]", values.join(", "))).collect();
    let text = format!("j: {{script: x, parallel: {{matrix: [{{{}}}]}}}}", row.join(", "));
    assert!(refused(&text, &[]).contains("generates too many jobs"));
    let text = "j: {script: x, parallel: 340282366920938463463374607431768211456}";
    assert!(refused(text, &[]).contains("should be an integer"));
}

#[test]
fn no_secret_is_in_a_message() {
    let given = Given { public: false, ..Given::public("SECRET", "hunter2") };
    let context = Context { given: vec![given], ..Context::default() };
    for content in ["include: '$SECRET.yml'", "include: 'https$SECRET.yml'", "include: {project: $SECRET, file: a.yml}"]
    {
        let compiled = compile(content.as_bytes(), &context, &Checkout::default());
        let Outcome::Refused(messages) = &compiled.outcome else { panic!("{:?}", compiled.outcome) };
        assert!(messages[0].to_string().contains("[MASKED]"), "{messages:?}");
        assert!(!format!("{compiled:?}").contains("hunter2"));
    }
    let compiled = compile(b"j: {script: x, variables: {A: '<$SECRET>'}}", &context, &Checkout::default());
    assert!(!format!("{compiled:?}").contains("hunter2"), "{compiled:?}");
}

#[test]
fn long_lists_that_many_jobs_take_over_are_counted() {
    let lines = "x, ".repeat(30_000);
    let jobs: String = (0..2_000).map(|at| format!("j{at}: {{extends: .s}}\n")).collect();
    expect_too_big(&format!(".s: {{script: [{lines}]}}\n{jobs}"));
    let jobs: String = (0..900).map(|at| format!("j{at}: {{script: x}}\n")).collect();
    expect_too_big(&format!("default: {{before_script: [{lines}]}}\n{jobs}"));
    let names: Vec<String> = (0..900).map(|at| format!("j{at}")).collect();
    let names = format!("{0}, {0}", names.join(", "));
    let jobs: String = (0..900).map(|at| format!("j{at}: {{stage: build, script: x}}\n")).collect();
    assert!(refused(&format!("{jobs}k: {{script: x, dependencies: [{names}]}}"), &[]).contains("too many entries"));
}

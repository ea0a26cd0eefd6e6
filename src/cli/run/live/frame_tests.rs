use super::*;
use crate::domain::build::BuildId;
use crate::domain::pipeline::When;

const NOW: Timestamp = Timestamp(1_000_000);

/// A job from words such as `unit 1/3, 0 failed laptop 90..60`: name, stage, state, runner, from and to how many seconds
/// ago it ran. `!` behind the state: it may fail.
fn job(id: i64, words: &str) -> JobRow {
    let (name, rest) = words.rsplit_once(", ").unwrap();
    let mut parts = rest.split(' ');
    let stage: usize = parts.next().unwrap().parse().unwrap();
    let state = parts.next().unwrap();
    let runner = parts.next().map(str::to_owned);
    let ago = |seconds: &str| seconds.parse::<i64>().ok().map(|seconds| Timestamp(NOW.0 - 1000 * seconds));
    let (from, to) = parts.next().and_then(|times| times.split_once("..")).unwrap_or(("", ""));
    JobRow {
        id: BuildId(id),
        name: name.to_owned(),
        stage: format!("s{stage}"),
        stage_index: Some(stage),
        status: Status::parse(state.trim_end_matches('!')).unwrap(),
        failure_allowed: state.ends_with('!'),
        failure_reason: None,
        failure_text: None,
        exit_code: None,
        when: When::OnSuccess,
        started_at: ago(from),
        finished_at: ago(to),
        runner,
        retried_by: None,
    }
}

fn jobs(all: &[&str]) -> Vec<JobRow> {
    all.iter().zip(1..).map(|(words, id)| job(id, words)).collect()
}

fn drawn(rows: &[JobRow], stages: &[&str], log: Option<(usize, &[&str])>, size: (usize, usize)) -> Vec<String> {
    let stages: Vec<String> = stages.iter().map(|&stage| stage.to_owned()).collect();
    let log = log.map(|(at, lines)| LogView { row: &rows[at], lines });
    let mut tally = crate::domain::pipeline::states::Tally::default();
    counting(rows).for_each(|row| tally.add(row.status, row.failure_allowed, 1));
    let view = View { id: PipelineId(7), state: tally.pipeline(), stages: &stages, rows, log };
    let (rows, columns) = size;
    frame(&view, Size { rows, columns }, NOW).into_iter().map(|line| line.text).collect()
}

#[track_caller]
fn check(rows: &[JobRow], stages: &[&str], log: Option<(usize, &[&str])>, size: (usize, usize), expected: &str) {
    let drawn = drawn(rows, stages, log, size);
    let expected: Vec<&str> = expected.trim_matches('\n').lines().collect();
    assert_eq!(drawn, expected, "\n{}\n", drawn.join("\n"));
}

const STAGES: [&str; 3] = ["build", "test", "deploy"];

fn usual() -> Vec<JobRow> {
    jobs(&[
        "compile, 0 success laptop 100..58",
        "docs, 0 failed! laptop 100..97",
        "unit: [linux, arm64, gcc-14], 1 running runner-of-the-team 58..",
        "größe 日本, 1 failed laptop 58..40",
        "lint, 1 pending",
        "deploy eu, 2 created",
        "deploy us, 2 created",
    ])
}

#[test]
fn a_pipeline_at_60_columns() {
    let log: &[&str] = &["$ make test", "a line that is longer than sixty columns and is therefore cut here", "end"];
    check(
        &usual(),
        &STAGES,
        Some((3, log)),
        (30, 60),
        r"
pipeline 7: running, 3 of 7 jobs ended, 1m 40s
build
  + compile                 success    laptop            42s
  ! docs                    failed     laptop             3s
test
  > unit: [lin..., gcc-14]  running    runne...team      58s
  x größe 日本              failed     laptop            18s
  : lint                    pending
deploy
    deploy eu               created
    deploy us               created
--- log of größe 日本, build 4, failed ---------------------
$ make test
a line that is longer than sixty columns and is therefore cu
end
",
    );
}

#[test]
fn a_pipeline_at_120_columns() {
    check(
        &usual(),
        &STAGES,
        None,
        (30, 120),
        r"
pipeline 7: running, 3 of 7 jobs ended, 1m 40s
build
  + compile                       success    laptop                        42s
  ! docs                          failed     laptop                         3s
test
  > unit: [linux, arm64, gcc-14]  running    runner-of-the-team            58s
  x größe 日本                    failed     laptop                        18s
  : lint                          pending
deploy
    deploy eu                     created
    deploy us                     created
",
    );
}

#[test]
fn a_low_terminal_folds_what_has_ended_then_what_has_not_begun_then_counts() {
    let rows = jobs(&[
        "a, 0 success r 90..60",
        "b, 0 success r 90..60",
        "c, 1 success r 60..50",
        "d, 1 running r 60..",
        "e, 1 pending",
        "f, 1 failed r 60..59",
        "g, 1 skipped",
        "h, 2 created",
        "i, 2 created",
    ]);
    let head = "pipeline 7: running, 5 of 9 jobs ended, 1m 30s\n";
    check(
        &rows,
        &STAGES,
        None,
        (12, 60),
        &format!(
            "{head}build   2 success
test
  + c         success    r                 10s
  > d         running    r                  1m
  : e         pending
  x f         failed     r                  1s
  ~ g         skipped
deploy
    h         created
    i         created"
        ),
    );
    check(
        &rows,
        &STAGES,
        None,
        (9, 60),
        &format!(
            "{head}build   2 success
test
  x f         failed     r                  1s
  > d         running    r                  1m
  : e         pending
    and 2 more: 1 success, 1 skipped
deploy  2 created"
        ),
    );
    check(
        &rows,
        &STAGES,
        None,
        (5, 60),
        &format!(
            "{head}build   2 success\ntest    1 pending, 1 running, 1 success, 1 failed, 1 skipped\ndeploy  2 created"
        ),
    );
    check(
        &rows,
        &STAGES,
        None,
        (4, 60),
        &format!("{head}test    1 pending, 1 running, 1 success, 1 failed, 1 skipped\nand 2 stages more"),
    );
    check(&rows, &STAGES, None, (1, 60), "");
}

#[test]
fn a_narrow_terminal_has_no_runners() {
    let rows = jobs(&["compile, 0 success laptop 100..58", "docs, 0 manual"]);
    let expected =
        "pipeline 7: manual, 1 of 2 jobs ended, 42\nbuild\n  + compile   success        42s\n  ? docs      manual";
    check(&rows, &STAGES, None, (9, 41), expected);
}

#[test]
fn a_job_that_was_made_again_is_not_drawn() {
    let mut rows = jobs(&["a, 0 failed r 9..8", "a, 0 running r 8.."]);
    rows[0].retried_by = Some(BuildId(2));
    let expected = "pipeline 7: running, 0 of 1 job ended, 8s\nbuild\n  > a         running    r                  8s";
    check(&rows, &STAGES, None, (9, 60), expected);
}

#[test]
fn whatever_the_pipeline_and_the_terminal_are_like_a_drawing_fits() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).unwrap()
    };
    let names = [
        "a",
        "日本語日本語日本語日本語",
        "e\u{301}x",
        "evil\u{202e}\x1b[2J",
        "long-long-long-long-long-long-long-name",
    ];
    for round in 0..2000 {
        let stages = 1 + below(30);
        let mut rows = Vec::new();
        for stage in 0..stages {
            for _ in 0..below(12) {
                let status = Status::ALL[below(10)];
                let allowed = if below(3) == 0 { "!" } else { "" };
                let words = format!("{}, {stage} {status}{allowed} {} 9..5", names[below(5)], names[below(5)]);
                rows.push(job(rows.len() as i64, &words));
            }
        }
        let lines = vec!["日本語 log line \u{301}"; below(50)];
        let log = (!rows.is_empty() && below(2) == 0).then_some((0, lines.as_slice()));
        let size = (below(60), below(150));
        let lines = drawn(&rows, &["日本", "test"], log, size);
        assert!(lines.len() < size.0.max(1), "round {round}: {} lines of {size:?}", lines.len());
        for line in &lines {
            assert!(line.width() <= size.1, "round {round}: {line:?} at {size:?}");
            assert!(!line.chars().any(crate::domain::text::foreign::is_dangerous), "round {round}: {line:?}");
        }
    }
}

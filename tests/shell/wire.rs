//! What a runner and a server say to each other: nothing of a log is lost or doubled, whatever answers are lost.

use super::fake::{Fake, Response, TOKEN, job, status};
use super::stand::{Stand, options, shown};
use baton::domain::token::Token;
use baton::error::Kind;
use baton::runner::{self, Ending, Stop};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// CRC-32 as the server reckons it.
fn checksum(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("crc32:{:08x}", crc.sum())
}

#[test]
fn a_job_is_claimed_told_and_ended_with_the_checksum_of_its_log() {
    let stand = Stand::start();
    let log = stand.run(job(7, &["echo hello", "exit 3"], json!({})));
    assert!(log.contains("\n$ echo hello\nhello\n$ exit 3\n"), "{log}");
    let known = stand.fake.job(7);
    assert_eq!(known.puts[0]["state"], "running");
    let end = known.end.unwrap();
    assert_eq!(
        (&end["state"], &end["failure_reason"], &end["exit_code"]),
        (&json!("failed"), &json!("script_failure"), &json!(3))
    );
    assert_eq!(end["checksum"], checksum(&known.log));
    assert_eq!(end["output"]["bytesize"], known.log.len());
    let requests = stand.fake.requests();
    let asked: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!((&asked["token"], &asked["info"]["executor"]), (&json!(TOKEN), &json!("shell")));
    assert!(asked["system_id"].as_str().unwrap().starts_with("s_"), "{asked}");
    for feature in ["upload_multiple_artifacts", "refspecs", "masking", "return_exit_code", "cancel_gracefully"] {
        assert_eq!(asked["info"]["features"][feature], true, "{feature}");
    }
}

#[test]
fn a_good_job_sends_neither_a_reason_nor_an_exit_code() {
    let stand = Stand::start();
    let log = stand.run(job(1, &["true"], json!({})));
    assert!(log.ends_with("\nJob succeeded\n"), "{log}");
    let end = stand.fake.job(1).end.unwrap();
    assert!(end.get("exit_code").is_none() && end.get("failure_reason").is_none(), "{end}");
}

#[test]
fn lines_have_times_and_streams_unless_the_job_does_not_want_them() {
    let stand = Stand::start();
    stand.run(job(1, &["echo out; echo err >&2"], json!({})));
    let log = String::from_utf8(stand.fake.job(1).log).unwrap();
    let has = |mark: &str, text: &str| {
        log.lines().any(|line| line.get(28..).is_some_and(|line| line.starts_with(mark) && line.contains(text)))
    };
    assert!(has("01O ", "out") && has("01E ", "err") && has("00O ", "section_start:"), "{log}");
    let variables = json!([{"key": "FF_TIMESTAMPS", "value": "false"}, {"key": "GIT_STRATEGY", "value": "none"}]);
    stand.run(job(2, &["echo out"], json!({"variables": variables, "features": {"trace_sections": false}})));
    let log = String::from_utf8(stand.fake.job(2).log).unwrap();
    assert!(log.contains("\nout\n") && !log.contains("section_"), "{log}");
}

#[test]
fn a_lost_answer_to_a_piece_of_the_log_doubles_nothing() {
    let stand = Stand::start();
    let count = Arc::new(AtomicUsize::new(0));
    let stored: Arc<Mutex<Vec<u8>>> = Arc::default();
    let own = Arc::clone(&stored);
    stand.fake.intercept(move |request| {
        if request.method != "PATCH" {
            return None;
        }
        let from: usize = request.headers["content-range"].split_once('-').unwrap().0.parse().unwrap();
        let mut stored = own.lock().unwrap();
        if from != stored.len() {
            return Some(Response { headers: vec![("Range".into(), format!("0-{}", stored.len()))], ..status(416) });
        }
        stored.extend_from_slice(&request.body);
        // Every second answer gets lost, in different ways.
        Some(match count.fetch_add(1, Ordering::Relaxed) % 4 {
            1 => status(502),
            3 => status(200),
            _ => status(202),
        })
    });
    stand.fake.queue(job(1, &["for i in $(seq 20); do echo line $i; sleep 0.05; done"], json!({})));
    let end = stand.fake.ended(1).end.unwrap();
    let stored = stored.lock().unwrap();
    assert_eq!(end["checksum"], checksum(&stored));
    assert_eq!(shown(&stored).matches("\nline 7\n").count(), 1);
}

#[test]
fn a_server_that_forgot_a_part_of_the_log_gets_it_again() {
    let stand = Stand::start();
    let is_forgotten = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&is_forgotten);
    stand.fake.intercept(move |request| {
        let is_one = request.method == "PATCH" && count.fetch_add(1, Ordering::Relaxed) == 1;
        // The server restarted from an old copy, which had less than it acknowledged.
        is_one.then(|| Response { headers: vec![("Range".into(), "0-0".into())], ..status(416) })
    });
    stand.fake.queue(job(1, &["echo one", "sleep 0.3", "echo two"], json!({})));
    let known = stand.fake.ended(1);
    assert!(is_forgotten.load(Ordering::Relaxed) > 2);
    assert_eq!(known.end.unwrap()["checksum"], checksum(&known.log));
}

#[test]
fn the_word_of_the_end_is_repeated_until_it_is_heard() {
    let stand = Stand::start();
    let answers = Arc::new(Mutex::new(vec![500, 202, 412, 409]));
    stand.fake.intercept(move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if request.method != "PUT" || body["state"] == "running" {
            return None;
        }
        let code = answers.lock().unwrap().pop()?;
        Some(Response { headers: vec![("X-GitLab-Trace-Update-Interval".into(), "1".into())], ..status(code) })
    });
    stand.run(job(1, &["echo x"], json!({})));
    let ends = stand.fake.requests().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(ends, 6, "one that it runs, and five that it has ended");
}

#[test]
fn a_job_that_the_server_has_given_up_does_not_begin() {
    let mut stand = Stand::start();
    stand.fake.queue(job(1, &["echo x > $HOME/ran"], json!({})));
    stand.fake.wish(1, "canceled");
    stand.fake.wait(1, "word", |known| !known.puts.is_empty());
    stand.run(job(2, &["echo two"], json!({})));
    stand.end(Ending::Drain).unwrap();
    assert!(stand.fake.job(1).log.is_empty() && !stand.dir.path().join("home/ran").exists());
}

#[test]
fn a_job_that_cannot_be_read_is_reported_as_failed() {
    let stand = Stand::start();
    let mut broken = job(1, &["true"], json!({}));
    broken["variables"] = json!("no list");
    stand.fake.queue(broken);
    let end = stand.fake.ended(1).end.unwrap();
    assert_eq!((&end["state"], &end["failure_reason"]), (&json!("failed"), &json!("runner_system_failure")));
}

#[test]
fn trouble_of_the_server_is_waited_for_and_a_refused_token_is_not() {
    let stand = Stand::start();
    let count = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&count);
    stand.fake.intercept(move |request| {
        let is_one = request.path.ends_with("request") && own.fetch_add(1, Ordering::Relaxed) < 2;
        is_one.then(|| status(503))
    });
    assert!(stand.run(job(1, &["true"], json!({}))).contains("Job succeeded"));
    assert!(count.load(Ordering::Relaxed) > 2);

    let mut stand = Stand::with(|options| options.token = Token::received("wrong").unwrap());
    let error = stand.join().unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
    assert!(!error.message.contains("wrong"), "{}", error.message);
}

#[test]
fn a_runner_whose_server_is_gone_ends_by_itself() {
    let mut stand = Stand::with(|options| options.gone_time_max = Some(Duration::from_millis(500)));
    stand.run(job(1, &["true"], json!({})));
    stand.fake.close();
    stand.fake.intercept(|_| Some(status(503)));
    let error = stand.join().unwrap_err();
    assert!(error.message.contains("does not answer"), "{}", error.message);
}

#[test]
fn a_runner_ends_after_as_many_jobs_as_it_is_told() {
    let mut stand = Stand::with(|options| options.jobs_max = Some(2));
    for id in 1..=3 {
        stand.fake.queue(job(id, &["true"], json!({})));
    }
    assert_eq!(stand.join().unwrap(), 2);
    assert!(stand.fake.job(2).end.is_some() && stand.fake.job(3).claimed_at.is_none());
}

#[test]
fn jobs_run_beside_each_other_each_in_its_own_folder() {
    let stand = Stand::with(|options| options.concurrent = 2);
    let wait = "for i in $(seq 600); do test -e $CI_BUILDS_DIR/met && exit 0; sleep 0.1; done; exit 1";
    stand.fake.queue(job(1, &["echo $CI_PROJECT_DIR $CI_CONCURRENT_ID", wait], json!({})));
    stand.fake.says(1, "seq 600");
    stand.fake.queue(job(2, &["echo $CI_PROJECT_DIR $CI_CONCURRENT_ID", "touch $CI_BUILDS_DIR/met"], json!({})));
    let (first, second) = (shown(&stand.fake.ended(1).log), shown(&stand.fake.ended(2).log));
    assert!(first.contains("/local/0/git/p 0\n") && first.contains("Job succeeded"), "{first}");
    assert!(second.contains("/local/1/git/p 1\n"), "{second}");
}

#[test]
fn a_held_question_does_not_hold_up_the_end() {
    let fake = Fake::start();
    let dir = tempfile::tempdir().unwrap();
    let is_asked = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&is_asked);
    fake.intercept(move |_| {
        own.store(1, Ordering::Release);
        // Longer than this test may take.
        std::thread::sleep(Duration::from_secs(40));
        None
    });
    let (stop, options) = (Stop::default(), options(&fake, dir.path()));
    let own = stop.clone();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(runner::serve(options, &own)));
    while is_asked.load(Ordering::Acquire) == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    stop.tell(Ending::Drain);
    assert_eq!(ended.recv_timeout(Duration::from_secs(30)).unwrap().unwrap(), 0);
}

#[test]
fn what_the_server_asks_for_and_the_shell_cannot_carry_is_told() {
    let stand = Stand::start();
    let variables = json!([
        {"key": "GIT_STRATEGY", "value": "none"}, {"key": "A;touch /tmp/x", "value": "1"}, {"key": "OK", "value": "a\u{0}b"}
    ]);
    let log = stand.run(job(1, &["echo \"[$OK]\""], json!({"variables": variables})));
    assert!(log.contains("\n[ab]\n") && log.contains("no shell takes \"A;touch /tmp/x\""), "{log}");
}

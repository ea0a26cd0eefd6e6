//! Files that go up and come down, over a network that fails.

use super::fake::{Response, job, status};
use super::stand::Stand;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn uploading(id: u64) -> Value {
    let artifacts = json!([{"name": "out", "paths": ["a.txt"], "expire_in": "7d", "artifact_type": "archive", "artifact_format": "zip"}]);
    job(id, &["echo content > a.txt"], json!({"artifacts": artifacts}))
}

/// How often files were sent, when the server answers with these statuses first.
fn uploads(answers: &[u16]) -> (usize, String) {
    let stand = Stand::start();
    let answers = Mutex::new(answers.to_vec());
    stand.fake.intercept(move |request| {
        let mut answers = answers.lock().unwrap();
        let is_upload = request.method == "POST" && request.path.ends_with("/artifacts");
        (is_upload && !answers.is_empty()).then(|| status(answers.remove(0)))
    });
    let log = stand.run(uploading(1));
    let count = stand.fake.requests().iter().filter(|request| request.path.ends_with("1/artifacts")).count();
    (count, log)
}

#[test]
fn an_upload_is_tried_again_unless_it_was_refused() {
    for (answers, count, is_good) in [
        (&[][..], 1, true),
        (&[500, 502], 3, true),
        (&[500, 500, 500], 3, false),
        (&[503, 503, 503, 503], 5, true),
        (&[403], 1, false),
        (&[413], 1, false),
    ] {
        let (tried, log) = uploads(answers);
        assert_eq!((tried, log.contains("Job succeeded")), (count, is_good), "{answers:?}: {log}");
        assert!(is_good || log.contains("Job failed: exit status 1"), "{log}");
    }
}

#[test]
fn an_upload_says_what_it_is() {
    let stand = Stand::start();
    let log = stand.run(uploading(1));
    assert!(log.contains("Uploading artifacts as \"archive\" to coordinator... 201 Created"), "{log}");
    let file = stand.fake.job(1).files[0].clone();
    assert_eq!(file.filename, "out.zip");
    for part in ["artifact_format=zip", "artifact_type=archive", "expire_in=7d"] {
        assert!(file.query.contains(part), "{}", file.query);
    }
}

fn downloading(id: u64, more: Value) -> Value {
    let dependencies = json!([{"id": 1, "name": "before", "token": "other", "artifacts_file": {"filename": "x.zip"}}]);
    let mut job = job(id, &["cat a.txt"], json!({"dependencies": dependencies}));
    for (key, value) in more.as_object().unwrap() {
        job[key] = value.clone();
    }
    job
}

#[test]
fn a_download_is_tried_again_unless_there_is_nothing() {
    for (code, count, text) in
        [(500, 3, "invalid response: 500"), (404, 1, "file does not exist"), (403, 1, "permission denied")]
    {
        let stand = Stand::start();
        stand.run(uploading(1));
        let tries = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&tries);
        stand.fake.intercept(move |request| {
            (request.method == "GET").then(|| {
                own.fetch_add(1, Ordering::Relaxed);
                status(code)
            })
        });
        let log = stand.run(downloading(2, json!({})));
        assert_eq!(tries.load(Ordering::Relaxed), count, "{log}");
        assert!(log.contains(text) && log.contains("Job failed: exit status 1") && !log.contains("$ cat"), "{log}");
    }
}

#[test]
fn a_download_that_is_cut_off_or_is_no_archive_changes_nothing() {
    let stand = Stand::start();
    stand.run(uploading(1));
    stand.fake.intercept(|request| {
        (request.method == "GET").then(|| Response { body: b"no archive".to_vec(), ..status(200) })
    });
    let log = stand.run(downloading(2, json!({})));
    assert!(log.contains("FATAL:") && log.contains("Job failed"), "{log}");
}

#[test]
fn a_redirection_to_a_storage_is_followed_without_the_token() {
    let stand = Stand::start();
    stand.run(uploading(1));
    let archive = stand.fake.job(1).files[0].bytes.clone();
    let url = stand.fake.url();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    stand.fake.intercept(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/storage") => {
            own.lock().unwrap().push(request.headers.contains_key("job-token"));
            Some(Response { body: archive.clone(), ..status(200) })
        }
        ("GET", _) => {
            Some(Response { headers: vec![("Location".into(), format!("{url}/storage?secret=1"))], ..status(302) })
        }
        _ => None,
    });
    let log = stand.run(downloading(2, json!({})));
    assert!(log.contains("\ncontent\n"), "{log}");
    assert_eq!(*seen.lock().unwrap(), [false]);
}

#[test]
fn an_unknown_cache_policy_fails_the_job_and_a_broken_cache_does_not() {
    let stand = Stand::start();
    let cache = |policy: &str| json!({"cache": [{"key": "k", "paths": ["c"], "policy": policy}]});
    let log = stand.run(job(1, &["mkdir c; echo x > c/f"], cache("pull-push")));
    assert!(log.contains("Created cache"), "{log}");
    let archive = stand.dir.path().join("cache/git/p/k/cache.zip");
    std::fs::write(&archive, "broken").unwrap();
    let log = stand.run(job(2, &["echo on"], cache("pull")));
    assert!(log.contains("Failed to extract cache") && log.contains("Job succeeded"), "{log}");
    let log = stand.run(job(3, &["echo on"], cache("odd")));
    assert!(log.contains("unknown cache policy odd") && !log.contains("\non\n"), "{log}");
}

#[test]
fn a_cache_cannot_be_led_elsewhere() {
    let stand = Stand::start();
    let victim = stand.dir.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    let cache = json!({"cache": [{"key": "../../../victim/$X", "paths": ["c"]}]});
    let link = format!("rm -rf {0}/cache/git; ln -s {1} {0}/cache/git", stand.dir.path().display(), victim.display());
    for (id, script) in [(1, link.as_str()), (2, "true")] {
        let log = stand.run(job(id, &["mkdir -p c; echo x > c/f", script], cache.clone()));
        assert!(log.contains("Created cache"), "{log}");
        assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0, "{log}");
    }
}

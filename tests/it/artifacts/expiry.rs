//! When artifacts go by themselves.

use super::*;

/// Row 65, and the words for durations.
#[test]
fn artifacts_expire_when_the_client_says() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let post = || Request::post(&path(&build)).build_token(&build.token);
    let file = || Part::file(NAME, b"content");
    for (words, seconds) in
        [("7 days", 604_800), ("7d", 604_800), ("2 hrs 20 min", 8400), ("3 weeks and 2 days", 1_987_200), ("90", 90)]
    {
        let in_query = post().query("expire_in", words).multipart(&[file()]);
        let in_field = post().multipart(&[Part::field("expire_in", words), file()]);
        for request in [in_query, in_field] {
            let before = Timestamp::now();
            let json = baton.send(request).expect(201).json();
            let after = Timestamp::now();
            let shown = baton.show(build.id).artifacts.unwrap().expire_at.expect("a time");
            let span = Duration::from_secs(seconds);
            assert!(before.plus(span) <= shown && shown <= after.plus(span), "{words}: {shown}");
            let text = json["artifacts_expire_at"].as_str().expect("a time").to_owned();
            let said = humantime::parse_rfc3339_weak(text.trim_end_matches('Z')).expect("RFC 3339");
            let said = said.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
            assert!((said - shown.0 / 1000).abs() <= 1, "{text} and {shown}");
        }
    }
}

/// Row 66 with an empty query, as runners send it, and "never".
#[test]
fn artifacts_without_an_end_stay() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for query in ["", "?", "?expire_in=", "?expire_in=0"] {
        let request = Request::post(&format!("{}{query}", path(&build))).build_token(&build.token);
        let json = baton.send(request.multipart(&[Part::file(NAME, b"content")])).expect(201).json();
        assert_eq!(json["artifacts_expire_at"], Value::Null, "{query}");
    }
}

/// Runners before 1.3 do not repeat it with the upload.
#[test]
fn expire_in_of_the_builds_options_holds_when_the_upload_says_nothing() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let spec = with_options(json!({"artifacts": {"paths": ["out/"], "expire_in": "1 week"}}));
    baton.queue(NewBuild { spec, ..new_build("demo") });
    let build = baton.claim(&runner);
    let json = baton.send(upload(&build, NAME, b"content")).expect(201).json();
    assert!(json["artifacts_expire_at"].is_string(), "{json}");
}

/// Rows 67 and 68: the site's default holds for those who say nothing; and what each of them says goes before it.
#[test]
fn artifacts_of_which_nobody_says_more_expire_as_the_server_says() {
    let day = Duration::from_secs(24 * 3600);
    let baton = Baton::with_limits(Limits { keep_artifacts: Some(30 * day), ..Limits::default() });
    baton.project("demo");
    let runner = baton.runner();
    for (own, query, days) in [
        (None, "", Some(30)),
        (None, "?", Some(30)),
        (None, "?expire_in=7d", Some(7)),
        (None, "?expire_in=", None),
        (None, "?expire_in=0", None),
        (None, "?expire_in=never", None),
        (Some("2 days"), "", Some(2)),
        (Some("2 days"), "?expire_in=1d", Some(1)),
        (Some("0"), "", None),
        (Some("never"), "", None),
        (Some("never"), "?expire_in=1d", Some(1)),
    ] {
        let mut artifacts = object(json!({"paths": ["out/"]}));
        artifacts.extend(own.map(|text| ("expire_in".to_owned(), json!(text))));
        baton.queue(NewBuild { spec: with_options(json!({"artifacts": artifacts})), ..new_build("demo") });
        let build = baton.claim(&runner);
        let before = Timestamp::now();
        let request = Request::post(&format!("{}{query}", path(&build))).build_token(&build.token);
        let json = baton.send(request.multipart(&[Part::file(NAME, b"content")])).expect(201).json();
        let after = Timestamp::now();
        let at = baton.show(build.id).artifacts.unwrap().expire_at;
        assert_eq!(json["artifacts_expire_at"].is_null(), days.is_none(), "{own:?} {query}: {json}");
        let as_said = match (at, days) {
            (Some(at), Some(days)) => before.plus(days * day) <= at && at <= after.plus(days * day),
            (at, days) => at.is_none() && days.is_none(),
        };
        assert!(as_said, "{own:?} {query}: {at:?}");
    }
}

#[test]
fn expired_artifacts_are_gone() {
    let baton = Baton::with_project();
    let (_, build) = with_artifacts(&baton);
    baton.database().execute("UPDATE artifacts SET expire_at = 1", []).unwrap();
    baton.send(download(&build)).expect_error(404);
    assert!(baton.show(build.id).artifacts.is_none());
}

//! The page, without a browser: who may see what, what strangers' text becomes, what is held, and what the buttons do.

mod artifacts;
mod log;
mod refusals;

use crate::harness::command::{baton, done, refused, text};
use crate::harness::*;
use baton::coordinator::NewPipeline;
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::domain::pipeline::{Job, Pipeline, When, Work};
use baton::domain::spec::BuildSpec;
use baton::domain::tags::Tags;
use baton::domain::time::Timestamp;
use baton::server::Config;
use baton::store::runners::NewRunner;
use baton::web::Access;

/// What no page may hold as it is.
const HOSTILE: &str = "<script>alert(1)</script>'\"&\u{202e}";

/// A browser that is signed in: what it sends with each request.
struct Browser<'s> {
    server: &'s Baton,
    cookie: String,
}

impl<'s> Browser<'s> {
    fn sign_in(server: &'s Baton, name: &str) -> Browser<'s> {
        let key = server.operator().make_login_key(name, Timestamp::now()).unwrap();
        let form = own(Request::post("/-/login")).form(&[("key", key.reveal()), ("to", "/-/jobs")]);
        let response = server.send(form).expect(303);
        assert_eq!(response.header("Location").unwrap(), "/-/jobs");
        let set = response.header("Set-Cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
            assert!(set.contains(part), "{set}");
        }
        Browser { server, cookie: set.split(';').next().unwrap().to_owned() }
    }

    fn send(&self, request: Request) -> Response {
        self.server.send(request.header("Cookie", &self.cookie))
    }

    fn page(&self, path: &str) -> String {
        self.send(visit(Request::get(path))).expect(200).text()
    }

    fn press(&self, path: &str) -> Response {
        self.send(own(Request::post(path)))
    }
}

/// A request as a browser on this machine sends it.
fn visit(request: Request) -> Request {
    request.header("Host", "127.0.0.1")
}

/// A form as a browser sends it from a page of this server.
fn own(request: Request) -> Request {
    visit(request).header("Sec-Fetch-Site", "same-origin")
}

fn job(name: &str, stage: usize, when: When) -> Job {
    Job {
        name: name.to_owned(),
        group: name.to_owned(),
        stage_index: stage,
        stage: ["build", "test"][stage].to_owned(),
        work: Work::Build(Box::new(BuildSpec::of_script("true"))),
        when,
        ..Job::default()
    }
}

/// Two stages, the second with a manual job.
fn pipeline(server: &Baton, project: &str) -> (i64, Vec<BuildId>) {
    let jobs =
        vec![job("make", 0, When::OnSuccess), job("test:unit", 1, When::OnSuccess), job("ship", 1, When::Manual)];
    let added = server.operator().add_pipeline(
        NewPipeline {
            project: project.to_owned(),
            pipeline: Pipeline { stages: vec!["build".to_owned(), "test".to_owned()], jobs, ..Pipeline::default() },
            ref_: "main".to_owned(),
            sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
            title: Some(format!("Title {HOSTILE}")),
            actor: Some("mira".to_owned()),
            ..NewPipeline::default()
        },
        Timestamp::now(),
    );
    let added = added.unwrap();
    (added.id.0, added.builds)
}

#[test]
fn commands_to_be_pasted_name_the_data_to_those_who_are_signed_in_alone() {
    let dir = tempfile::tempdir().unwrap();
    let program = "baton --data /srv/of/mira".to_owned();
    let config = Config { page: Access::Public, program, ..Config::local(dir.path().join("data")) };
    let server = Baton::start_with(dir, config);
    server.project("demo");
    let known = Browser::sign_in(&server, "mira");
    for (path, command) in [
        ("/", "run -- echo hello"),
        ("/-/runners", "runner add --token-only"),
        ("/-/pipelines", "run` in a checkout"),
        ("/demo", "run --project demo"),
    ] {
        let strangers = server.send(visit(Request::get(path))).expect(200).text();
        assert!(strangers.contains(&format!("baton {command}")) && !strangers.contains("/srv"), "{path}: {strangers}");
        assert!(known.page(path).contains(&format!("baton --data /srv/of/mira {command}")), "{path}");
    }
}

#[test]
fn every_path_is_for_those_who_may_and_for_nobody_else() {
    for access in [Access::Login, Access::Public] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { page: access, ..Config::local(dir.path().join("data")) };
        let server = Baton::start_with(dir, config);
        server.project("group/demo");
        let runner = server.runner();
        let (id, builds) = pipeline(&server, "group/demo");
        let known = Browser::sign_in(&server, "mira");
        let p = "/group/demo";
        let job = format!("{p}/-/jobs/{}", builds[0]);
        let pages = [
            "/".to_owned(),
            p.to_owned(),
            "/-/pipelines".to_owned(),
            "/-/jobs".to_owned(),
            "/-/runners".to_owned(),
            format!("/-/runners/{}", runner.id),
            "/-/search?q=nothing-of-that-name".to_owned(),
            format!("{p}/-/pipelines"),
            format!("{p}/-/pipelines?ref=main"),
            format!("{p}/-/pipelines/{id}"),
            format!("{p}/-/jobs"),
            job.clone(),
        ];
        let stranger = if access == Access::Login { 401 } else { 200 };
        for path in &pages {
            let seen = server.send(visit(Request::get(path))).expect(stranger);
            let headers = |response: &Response| {
                let policy = response.header("Content-Security-Policy").unwrap();
                assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
                assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
            };
            headers(&seen);
            assert!(!seen.text().contains("method=\"post\""), "{path}: a button for somebody who may not press it");
            let page = known.send(visit(Request::get(path))).expect(200);
            headers(&page);
            assert_eq!(
                page.header("Cache-Control"),
                Some(if path.contains("search") { "private, no-store" } else { "private, no-cache" })
            );
            // A name that may be a stranger's is told nothing.
            let rebound = known.send(Request::get(path).header("Host", "evil.example")).expect(421).text();
            assert!(!rebound.contains("make") && rebound.contains("--base-url"), "{rebound}");
        }
        for verb in ["play", "erase"] {
            server.send(visit(Request::get(&format!("{job}/{verb}")))).expect(401);
            known.send(visit(Request::get(&format!("{job}/{verb}")))).expect(200);
        }
        let acts = ["retry", "cancel", "play", "erase"].map(|verb| format!("{job}/{verb}"));
        let acts = acts.into_iter().chain(["retry", "cancel"].map(|verb| format!("{p}/-/pipelines/{id}/{verb}")));
        let runners = [format!("/-/runners/{}/pause", runner.id), "/-/runners".to_owned(), "/-/logout".to_owned()];
        for path in acts.chain(runners) {
            server.send(own(Request::post(&path))).expect(401);
            for forged in [
                visit(Request::post(&path)),
                visit(Request::post(&path)).header("Sec-Fetch-Site", "cross-site"),
                visit(Request::post(&path)).header("Sec-Fetch-Site", "same-site"),
                visit(Request::post(&path)).header("Origin", "http://evil.example"),
                visit(Request::post(&path)).header("Origin", "null"),
            ] {
                known.send(forged).expect(403);
            }
        }
        assert_eq!(server.status(builds[0]), Status::Pending, "nothing of that was done");
        let origin = format!("http://{}", server.address());
        known
            .send(
                Request::post(&format!("/-/runners/{}/pause", runner.id))
                    .header("Host", &server.address().to_string())
                    .header("Origin", &origin),
            )
            .expect(303);
        assert!(server.runner_row(runner.id.0).paused, "a browser without Sec-Fetch-Site says its origin");
        let badge = format!("{p}/badges/main/pipeline.svg");
        let key = server.operator().badge_key("group/demo").unwrap().unwrap();
        server.send(visit(Request::get(&badge))).expect(stranger);
        server.send(visit(Request::get(&badge)).query("key", "wrong")).expect(stranger);
        let svg = server.send(visit(Request::get(&badge)).query("key", &key)).expect(200);
        assert_eq!(svg.header("Content-Type"), Some("image/svg+xml"));
        assert!(svg.text().contains("pending"), "{}", svg.text());
        known.press("/-/logout").expect(303);
        known.send(visit(Request::get("/-/runners"))).expect(stranger);
        known.press("/-/logout").expect(401);
    }
    let dir = tempfile::tempdir().unwrap();
    let config = Config { page: Access::Off, ..Config::local(dir.path().join("data")) };
    let server = Baton::start_with(dir, config);
    for path in ["/", "/-/login", "/-/runners", "/demo", "/-/assets/x/style.css"] {
        server.send(visit(Request::get(path))).expect(404);
    }
}

/// `gitlab-runner register` gives none to a runner that `baton runner add` has made.
#[test]
fn a_runner_without_a_description_goes_by_its_number() {
    let server = Baton::with_project();
    let runner = server.runner_like(NewRunner { description: String::new(), ..new_runner() }, None);
    server.build();
    let build = server.claim(&runner);
    let browser = Browser::sign_in(&server, "mira");
    let link = "href=\"/-/runners/1\"";
    for path in ["/", "/-/runners", "/-/jobs", &format!("/demo/-/jobs/{}", build.id), "/-/runners/1"] {
        let page = browser.page(path);
        let after = if path == "/-/runners/1" { page.split("<h1>").nth(1) } else { page.split(link).nth(1) };
        let text = after.unwrap_or_else(|| panic!("{path}: {page}")).split("</").take(6).collect::<String>();
        assert!(text.contains("runner 1"), "{path}: {text}");
    }
}

#[test]
fn when_a_runner_was_last_heard_is_said_of_one_that_is_silent() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    let known = Browser::sign_in(&server, "mira");
    let page = || known.page(&format!("/demo/-/jobs/{}", build.id));
    // What is stored is up to a minute old.
    let heard = |minutes: i64| {
        let change = "UPDATE builds SET seen_at = ?1 WHERE id = ?2";
        server.database().execute(change, [Timestamp::now().0 - minutes * 60_000, build.id.0]).unwrap();
    };
    heard(1);
    assert!(!page().contains("Last heard"), "{}", page());
    heard(3);
    assert!(page().contains("Last heard"), "{}", page());
}

#[test]
fn no_stranger_makes_markup_and_each_page_leads_to_pages() {
    let server = Baton::start();
    let name = "we<b>ird & co";
    server.project(name);
    let word: String = HOSTILE.chars().filter(|c| !c.is_control() && *c != '\u{202e}').collect();
    let mut runner = new_runner();
    runner.description = format!("runner {word}");
    runner.tags = Tags::new(["<i>tag"]).unwrap();
    let runner = server.runner_like(runner, None);
    let (id, builds) = pipeline(&server, name);
    let hostile = NewBuild {
        name: format!("job {word}"),
        stage: format!("stage {word}"),
        ref_: "a<b>'\"&c".to_owned(),
        tags: Tags::new(["<b>no runner"]).unwrap(),
        ..new_build(name)
    };
    let odd = server.queue(hostile);
    let claimed = server.claim(&runner);
    server
        .append(
            &claimed,
            0,
            "plain\n<script>alert(2)</script> \u{1b}[31m<b>red</b>\n\u{1b}]8;;javascript:alert(3)\u{7}x\n",
        )
        .expect(202);
    let browser = Browser::sign_in(&server, "mi<b>ra");
    let mut seen = std::collections::BTreeSet::new();
    let mut to_see = vec![
        "/".to_owned(),
        format!("/-/jobs/{odd}"),
        format!("/-/pipelines/{id}"),
        "/-/search?q=%3Cscript%3E".to_owned(),
    ];
    to_see.extend(builds.iter().map(|id| format!("/-/jobs/{id}")));
    while let Some(path) = to_see.pop() {
        if !seen.insert(path.clone()) || seen.len() > 150 {
            continue;
        }
        let response = browser.send(visit(Request::get(&path)));
        if response.status == 303 {
            to_see.push(response.header("Location").unwrap().to_owned());
            continue;
        }
        let is_page = response.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html"));
        let page = response.expect(200).text();
        if !is_page {
            continue;
        }
        for tag in ["<script>", "<b>ird", "<b>'", "<i>tag", "<b>no", "<b>red", "mi<b>", "href=\"javascript", "\u{202e}"]
        {
            assert!(!page.contains(tag), "{path} has {tag}");
        }
        assert!(!page.contains("style=") && !page.contains(" onclick"), "{path} has what the policy forbids");
        let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let ours = links.filter(|link| link.starts_with('/') && !link.starts_with("/api/") && !link.contains("/raw"));
        to_see.extend(ours.map(|link| link.replace("&amp;", "&").split('#').next().unwrap().to_owned()));
    }
    assert!(seen.len() > 20, "{seen:?}");
    assert!(seen.iter().any(|path| path.contains("we%3Cb%3Eird%20&%20co")), "{seen:?}");
}

#[test]
fn buttons_do_what_the_command_line_does_and_say_who_pressed_them() {
    let server = Baton::start();
    server.project("demo");
    let runner = server.runner();
    let (id, builds) = pipeline(&server, "demo");
    let browser = Browser::sign_in(&server, "mira");
    let job = |id: BuildId| format!("/demo/-/jobs/{id}");
    // Twice does once.
    let refused = browser.press(&format!("{}/retry", job(builds[0]))).expect(409).text();
    assert!(refused.contains("is pending") && refused.contains("make"), "the same page, with the sentence: {refused}");
    browser.press(&format!("{}/cancel", job(builds[0]))).expect(303);
    assert_eq!(server.status(builds[0]), Status::Canceled);
    assert!(browser.press(&format!("{}/cancel", job(builds[0]))).expect(409).text().contains("has ended already"));
    let page = browser.page(&job(builds[0]));
    assert!(page.contains("Canceled") && page.contains(">mira<"), "{page}");
    let to = browser.press(&format!("{}/retry", job(builds[0]))).expect(303);
    let again = server.show(builds[0]).retried_by.unwrap();
    assert_eq!(to.header("Location"), Some(job(again).as_str()), "a retry leads to the new job");
    for _ in 0..2 {
        let claimed = server.claim(&runner);
        server.finish(&claimed, "success");
    }
    let ship = format!("{}/play", job(builds[2]));
    browser.press(&ship).expect(303);
    assert_eq!(server.status(builds[2]), Status::Pending);
    browser.press(&ship).expect(409);
    browser.press(&format!("/demo/-/pipelines/{id}/cancel")).expect(303);
    assert_eq!(server.status(builds[2]), Status::Canceled);
    browser.press(&format!("/demo/-/pipelines/{id}/cancel")).expect(409);
    browser.press(&format!("/demo/-/pipelines/{id}/retry")).expect(303);
    let erase = format!("{}/erase", job(builds[1]));
    assert!(browser.page(&erase).contains("removed for good"), "it asks first");
    browser.press(&erase).expect(303);
    assert!(server.show(builds[1]).erased_at.is_some());
    // Of another project, and of none.
    server.project("other");
    for path in [format!("/other/-/jobs/{}", builds[0]), format!("/demo/-/jobs/{}", 99), "/nobody".to_owned()] {
        browser.send(visit(Request::get(&path))).expect(404);
    }
    browser.press(&format!("/other/-/jobs/{}/retry", builds[2])).expect(404);
    assert!(browser.page(&format!("/-/jobs?status={}", "failed")).contains("No job is failed"));
    browser.send(visit(Request::get("/-/jobs?status=odd"))).expect(400);
    browser.send(visit(Request::get("/-/pipelines?source=odd"))).expect(400);
    let pause = format!("/-/runners/{}", runner.id);
    browser.press(&format!("{pause}/pause")).expect(303);
    browser.press(&format!("{pause}/pause")).expect(303);
    assert!(server.runner_row(runner.id.0).paused);
    browser.press(&format!("{pause}/resume")).expect(303);
    let made = browser.press("/-/runners").expect(200).text();
    let token = made.split("--token ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(token.starts_with("glrt-"), "{token}");
    server.send(Request::post("/api/v4/runners/verify").json(&serde_json::json!({"token": token}))).expect(200);
}

#[test]
fn a_page_is_asked_for_what_has_changed_and_held_while_nothing_has() {
    let server = Baton::start();
    server.project("demo");
    let id = server.build();
    let browser = Browser::sign_in(&server, "mira");
    let path = format!("/demo/-/jobs/{id}");
    let page = browser.page(&path);
    let token = page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let part = |token: &str, hold: &str| {
        visit(Request::get(&path))
            .query("part", "1")
            .query("v", token)
            .query("hold", hold)
            .header("Cookie", &browser.cookie)
    };
    let nothing = server.send(part(&token, "0")).expect(204);
    assert_eq!(nothing.header("X-Baton-Token"), Some(token.as_str()));
    // Held until something of it changes; what changes elsewhere is no news.
    let mut held = Connection::open(server.address());
    held.send_raw(&part(&token, "25").bytes());
    server.project("other");
    server.cancel(id);
    let news = held.read("GET").expect(200);
    let text = news.text();
    assert!(text.contains("data-part=\"top-head\"") && text.contains("canceled"), "{text}");
    assert!(text.contains("data-part=\"head\"") && text.contains("data-icon=\"cancel\""), "{text}");
    assert!(!text.contains("data-part=\"before\""), "only what differs: {text}");
    let next = news.header("X-Baton-Token").unwrap().to_owned();
    assert_ne!(next, token);
    server.send(part(&next, "0")).expect(204);
    let all = server.send(part("", "0")).expect(200).text();
    assert!(all.contains("data-part=\"facts\""), "whoever has nothing gets all");
    for odd in ["x", "..........", "a.b.c", &"9".repeat(5000)] {
        server.send(part(odd, "0")).expect(200);
    }
    server.send(visit(Request::get(&path)).query("part", "1")).expect(401);
    // The same page is not sent twice.
    let page = browser.send(visit(Request::get("/-/runners"))).expect(200);
    let etag = page.header("ETag").unwrap().to_owned();
    let again = browser.send(visit(Request::get("/-/runners")).header("If-None-Match", &etag));
    assert!([200, 304].contains(&again.status), "200 where the clock has moved on");
    let packed = browser.send(visit(Request::get("/-/runners")).header("Accept-Encoding", "br, gzip")).expect(200);
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
}

#[test]
fn a_server_that_stops_lets_readers_go_and_one_with_few_connections_holds_none() {
    let limits = baton::limits::Limits { connections_max: 8, ..Default::default() };
    let server = Baton::with_limits(limits);
    server.project("demo");
    let browser = Browser::sign_in(&server, "mira");
    let page = browser.page("/-/jobs");
    let token = page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let part = |hold: &str| {
        visit(Request::get("/-/jobs"))
            .query("part", "1")
            .query("v", &token)
            .query("hold", hold)
            .header("Cookie", &browser.cookie)
    };
    // Whichever comes first has the place.
    let (sender, answers) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let (sender, address, request) = (sender.clone(), server.address(), part("25"));
        std::thread::spawn(move || sender.send(Connection::open(address).send(&request)));
    }
    let refused = answers.recv().unwrap().expect(204);
    assert_eq!(refused.header("Retry-After"), Some("5"), "8 connections have one place for a reader");
    let token_of_runner = server.runner();
    assert!(server.ask(&token_of_runner).status >= 200, "a runner has its answer beside them");
    drop(server.stop());
    assert_eq!(answers.recv().unwrap().expect(204).header("Retry-After"), None);
}

#[test]
fn the_command_line_lets_people_in_and_out() {
    let server = Baton::start();
    let data = server.data();
    let link = done(&baton(data, &["page", "login", "--name", "jon"]));
    let link = link.trim();
    assert!(link.starts_with(&format!("http://{}/-/login?key=", server.address())), "{link}");
    let path = link.split_once("/-/").map(|(_, rest)| format!("/-/{rest}")).unwrap();
    // A preview uses nothing up.
    for _ in 0..2 {
        let asks = server.send(visit(Request::get(&path))).expect(200).text();
        assert!(asks.contains(">jon<") && asks.contains("method=\"post\""), "{asks}");
    }
    let key = path.split_once("key=").unwrap().1;
    let log_in = || server.send(own(Request::post("/-/login")).form(&[("key", key), ("to", "//evil.example")]));
    assert_eq!(log_in().expect(303).header("Location"), Some("/"));
    assert!(log_in().expect(403).text().contains("baton open"));
    server.send(visit(Request::post("/-/login")).form(&[("key", key)])).expect(403);
    let list = done(&baton(data, &["page", "list"]));
    assert!(list.contains("jon"), "{list}");
    let open = done(&baton(data, &["open", "/demo/-/pipelines", "--print"]));
    assert!(open.contains("&to=%2Fdemo%2F-%2Fpipelines"), "{open}");
    assert!(text(&baton(data, &["open", "//evil.example", "--print"]).stderr).contains("no path of the page"));
    assert!(refused(&baton(data, &["page", "logout", "mira"])).contains("nobody called \"mira\""));
    done(&baton(data, &["page", "logout", "jon"]));
    assert!(done(&baton(data, &["page", "list", "--json"])).is_empty());
    // Keys that are wrong are counted, and then none is looked at.
    let wrong: Vec<u16> = (0..12)
        .map(|n| server.send(visit(Request::get("/-/login")).query("key", &format!("wrong{n}"))).status)
        .collect();
    assert!(wrong.starts_with(&[403; 9]) && wrong.ends_with(&[429]), "{wrong:?}");
    let good = server.operator().make_login_key("mira", Timestamp::now()).unwrap();
    server.send(own(Request::post("/-/login")).form(&[("key", good.reveal())])).expect(429);
}

/// What a person sees, a program can have.
#[test]
fn each_fact_on_a_page_is_in_the_answer_of_the_api() {
    let server = Baton::start();
    server.project("demo");
    let mut new = new_runner();
    new.description = "workbench".to_owned();
    let runner = server.runner_like(new, None);
    let (id, builds) = pipeline(&server, "demo");
    let claimed = server.claim(&runner);
    server.append(&claimed, 0, "a line of the log\n").expect(202);
    server
        .send(
            Request::put(&format!("builds/{}", claimed.id))
                .json(&serde_json::json!({"token": claimed.token, "state": "failed"})),
        )
        .expect(200);
    let browser = Browser::sign_in(&server, "mira");
    let made = baton(server.data(), &["token", "add", "--name", "facts", "--token-only"]);
    let token = done(&made).trim().to_owned();
    let api = |path: &str| {
        let request = Request::get(&format!("/api/v4{path}")).header("PRIVATE-TOKEN", &token);
        server.send(request).expect(200).text()
    };
    let (first, second) = (builds[0], builds[1]);
    let sha = "0b3bce98";
    for (page, answers, facts) in [
        (
            format!("/demo/-/pipelines/{id}"),
            vec![format!("/projects/demo/pipelines/{id}"), format!("/projects/demo/pipelines/{id}/jobs")],
            vec!["failed", "Title", sha, "main", "mira", "make", "test:unit", "ship", "build", "test"],
        ),
        (
            format!("/demo/-/jobs/{first}"),
            vec![format!("/projects/demo/jobs/{first}"), format!("/projects/demo/jobs/{first}/trace")],
            vec!["failed", "make", sha, "main", "workbench", "build", "a line of the log", "Title"],
        ),
        (
            format!("/demo/-/jobs/{second}"),
            vec![format!("/projects/demo/jobs/{second}")],
            vec!["skipped", "test:unit", "main"],
        ),
        (
            "/-/runners".to_owned(),
            vec!["/runners/all".to_owned(), format!("/runners/{}", runner.id)],
            vec!["workbench", "online"],
        ),
    ] {
        let shown = browser.page(&page);
        let answer: String = answers.iter().map(|path| api(path)).collect();
        for fact in facts {
            assert!(shown.contains(fact), "{page} does not show {fact}");
            assert!(answer.contains(fact), "{answers:?} does not have {fact}, which {page} shows: {answer}");
        }
    }
}

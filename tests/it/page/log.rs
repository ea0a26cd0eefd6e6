//! A job's log on its page, and what the script asks for.

use super::{Browser, visit};
use crate::harness::*;
use baton::domain::build::{BuildId, NewBuild, Variable};

/// A log as runners of today write it: times, sections, colours, and many lines.
fn timed_log(lines: usize) -> String {
    let mut log = String::new();
    let mut line = |text: &str| log += &format!("2026-11-28T07:45:02.123456Z 01O {text}\n");
    line("Running with gitlab-runner <19.3.0>");
    line("section_start:100:get_sources\r\x1b[0K\x1b[36mGetting source\x1b[0m");
    (0..40).for_each(|n| line(&format!("object {n}")));
    line("section_end:102:get_sources\r\x1b[0Ksection_start:102:step_script\r\x1b[0KExecuting the script");
    (0..lines).for_each(|n| line(&format!("test {n} ... \x1b[32mok\x1b[0m")));
    line("test last ... \x1b[31mFAILED\x1b[0m");
    line("section_end:160:step_script\r\x1b[0K");
    log
}

fn path(id: BuildId, rest: &str) -> String {
    format!("/demo/-/jobs/{id}{rest}")
}

fn attribute<'t>(html: &'t str, name: &str) -> &'t str {
    html.split(&format!(" {name}=\"")).nth(1).expect(name).split('"').next().unwrap()
}

#[test]
fn a_log_is_shown_from_its_end_and_any_part_of_it_can_be_had() {
    let server = Baton::start();
    server.project("demo");
    let (_, build) = server.running();
    let browser = Browser::sign_in(&server, "mira");
    let waits = browser.page(&path(build.id, ""));
    assert!(
        waits.contains("Waits for the runner's first line.") && waits.contains("data-state=\"running\""),
        "{waits}"
    );
    let log = timed_log(5000);
    server.append(&build, 0, &log).expect(202);
    server.finish(&build, "failed");

    let page = browser.page(&path(build.id, ""));
    assert!(page.contains("<b class=\"num\">5,045</b> lines, ") && page.contains(", complete"), "{page}");
    assert!(page.contains("Running with gitlab-runner &lt;19.3.0&gt;"), "the begin, as far as no section: {page}");
    assert!(page.contains("<details class=\"sec\" data-folded data-from=\"3\" data-to=\"43\">"), "folded: {page}");
    assert!(!page.contains(">object 1<"), "what is folded is not sent");
    assert!(page.contains("<details class=\"sec cont\" open data-from=\"44\""), "the script is not folded: {page}");
    assert!(page.contains("<div class=\"gap\" data-from=\"43\" data-to=\"4545\">"), "{page}");
    assert!(page.contains("class=\"l err\" id=\"L5044\"") && page.contains("data-state=\"failed\""), "{page}");
    assert!(page.contains("#L5044\">First red line: 5,044</a>") && page.contains("test last ... FAILED"), "{page}");
    assert!(
        page.contains("<span class=\"cut-off\"><bdi>Get source</bdi></span><span class=\"num\">2 s</span>"),
        "{page}"
    );
    assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
    let around = browser.page(&path(build.id, "?line=1000"));
    assert!(around.contains("id=\"L1000\"") && around.contains("id=\"L760\"") && !around.contains("id=\"L5044\""));

    let ask = |rest: &str| browser.send(visit(Request::get(&path(build.id, rest))));
    let part = ask("/log?from=100&to=200").expect(200);
    let html = part.text();
    assert_eq!((attribute(&html, "data-from"), attribute(&html, "data-to")), ("100", "200"));
    assert_eq!(html.matches("<div class=\"l\"").count(), 101);
    let known = visit(Request::get(&path(build.id, "/log?from=100&to=200")));
    browser.send(known.header("If-None-Match", part.header("ETag").unwrap())).expect(304);
    assert_eq!(ask("/log?from=50&lines=2").expect(200).text().matches("<div class=\"l\"").count(), 2);
    let most = ask("/log?from=1&to=99999").expect(200).text();
    assert_eq!(most.matches("<div class=\"l\"").count(), 1998, "and two sections");
    // What is folded comes when it is asked for.
    let folded = ask("/log?from=3&to=42").expect(200).text();
    assert!(folded.contains(">object 1<") && folded.contains("<details class=\"sec cont\" open"), "{folded}");
    for odd in ["from=x", "from=-1", "from=9&to=3", "to=99999999999999999999999", "after=x"] {
        ask(&format!("/log?{odd}")).expect(400);
    }
    assert_eq!(attribute(&ask("/log?from=99999").expect(200).text(), "data-from"), "5045");

    let found = ask("/log/search?q=test+last").expect(200).text();
    assert!(found.contains("data-line=\"5044\"") && found.contains("<mark>test last</mark> ... FAILED"), "{found}");
    let many = ask("/log/search?q=ok").expect(200).text();
    assert_eq!((many.matches("data-line=").count(), attribute(&many, "data-next")), (200, "244"));
    let more = ask("/log/search?q=ok&from=5000").expect(200).text();
    assert!(more.matches("data-line=").count() == 44 && !more.contains("data-next="), "{more}");
    assert!(ask("/log/search?q=%3Cscript%3E").expect(200).text().contains("Nothing was found"));
    assert!(ask("/log/search?red=1").expect(200).text().contains("data-line=\"5044\""));
    for odd in ["", "?q=", "?q=%0a", &format!("?q={}", "x".repeat(300))] {
        ask(&format!("/log/search{odd}")).expect(400);
    }
}

#[test]
fn the_raw_log_is_its_bytes_in_a_sandbox() {
    let server = Baton::start();
    server.project("demo");
    let (_, build) = server.running();
    let browser = Browser::sign_in(&server, "mira");
    let log = timed_log(3) + &format!("<script>{}\n", "x".repeat(20_000));
    server.append(&build, 0, &log).expect(202);
    let ask = |query: &str| visit(Request::get(&path(build.id, &format!("/raw{query}"))));
    let raw = browser.send(ask("")).expect(200);
    assert_eq!(raw.text(), log);
    for (name, value) in [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Disposition", "inline"),
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(raw.header(name), Some(value));
    }
    let etag = raw.header("ETag").unwrap();
    browser.send(ask("").header("If-None-Match", etag)).expect(304);
    let part = browser.send(ask("").header("Range", "bytes=0-9")).expect(206);
    assert_eq!(
        (part.text(), part.header("Content-Range")),
        (log[..10].to_owned(), Some(&*format!("bytes 0-9/{}", log.len())))
    );
    browser.send(ask("").header("Range", "bytes=999999-")).expect(416);
    browser.send(ask("").header("Range", "bytes=0-9").header("If-Range", "\"other\"")).expect(200);
    let plain = browser.send(ask("?plain=1")).expect(200).text();
    assert!(plain.starts_with("Running with gitlab-runner <19.3.0>\nGetting source\nobject 0\n"), "{plain}");
    // What is too long for its row.
    let page = browser.page(&path(build.id, ""));
    let line = page.split("class=\"cut\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(
        browser.send(visit(Request::get(&line))).expect(200).text(),
        log.lines().last().unwrap().to_owned() + "\n"
    );
    browser.send(ask("?line=x")).expect(400);
    browser.send(visit(Request::get("/demo/-/jobs/99/raw"))).expect(404);
    for rest in ["/raw", "/log?from=1", "/log?after=0", "/log/search?q=x"] {
        server.send(visit(Request::get(&path(build.id, rest)))).expect(401);
    }
}

#[test]
fn what_has_come_is_told_when_it_comes_and_no_begin_of_a_secret() {
    let server = Baton::start();
    server.project("demo");
    let secret = Variable { public: false, ..Variable::public("KEY", "hidden-away-from-all") };
    server.queue(NewBuild { variables: vec![secret], ..new_build("demo") });
    let build = server.claim(&server.runner());
    let browser = Browser::sign_in(&server, "mira");
    server.append(&build, 0, "one\ntwo\n").expect(202);
    let page = browser.page(&path(build.id, ""));
    let page_token = attribute(&page, "data-live").to_owned();
    let (trace, offset) = (attribute(&page, "data-trace").to_owned(), attribute(&page, "data-offset").to_owned());
    assert_eq!((offset.as_str(), attribute(&page, "data-lines")), ("8", "2"));
    let ask = |offset: &str, token: &str, hold: &str| {
        let asked = format!("/log?after={offset}&trace={trace}&v={token}&hold={hold}");
        visit(Request::get(&path(build.id, &asked))).header("Cookie", &browser.cookie)
    };
    let now = server.send(ask(&offset, "", "0")).expect(204);
    let token = now.header("X-Baton-Token").unwrap().to_owned();
    assert_eq!(page_token.split('.').count(), token.split('.').count(), "the page's own");
    let mut held = Connection::open(server.address());
    held.send_raw(&ask(&offset, &token, "25").bytes());
    server.append(&build, 8, "three\nhidden-aw").expect(202);
    let news = held.read("GET").expect(200).text();
    assert!(news.contains("<span>three</span>") && !news.contains("hidden"), "{news}");
    assert_eq!((attribute(&news, "data-from"), attribute(&news, "data-to")), ("3", "3"));
    assert_eq!((attribute(&news, "data-offset"), attribute(&news, "data-trace")), ("14", &*trace));
    assert_eq!(browser.send(visit(Request::get(&path(build.id, "/raw")))).expect(200).text(), "one\ntwo\nthree\n");
    // With a letter at its end, it might be the begin of a token.
    server.append(&build, 23, "ay-from-all and on.").expect(202);
    let news = server.send(ask("14", &token, "0")).expect(200).text();
    assert!(!news.contains("hidden") && news.contains(" and on.</span>"), "{news}");
    assert_eq!(
        (attribute(&news, "data-from"), attribute(&news, "data-to"), attribute(&news, "data-offset")),
        ("4", "4", "14")
    );
    // The end is news, too.
    held.send_raw(&ask("14", &token, "25").bytes());
    held.read("GET").expect(200);
    server.finish(&build, "success");
    let end = server.send(ask("14", &token, "25")).expect(200).text();
    assert_eq!((attribute(&end, "data-state"), attribute(&end, "data-lines")), ("success", "4"));
}

#[test]
fn the_overview_shows_the_last_line_of_a_log_as_it_is_read() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    let browser = Browser::sign_in(&server, "mira");
    let log = timed_log(500);
    // Heads of lines are 32 bytes.
    let before = |line: &str| log.find(line).unwrap() - 32;
    let mut sent = 0;
    for (end, line) in
        [(before("test 3 "), "test 2"), (before("test 400 "), "test 399"), (log.len(), "test last ... FAILED")]
    {
        server.append(&build, sent, &log[sent..end]).expect(202);
        sent = end;
        let page = browser.page("/");
        let tail = page.split("class=\"tail cut-off\">").nth(1).unwrap().split("</div>").next().unwrap();
        assert!(tail.contains(line) && !tail.contains("01O") && !tail.contains("2026"), "{line}: {tail}");
    }
}

#[test]
fn those_who_come_at_once_to_a_long_log_all_see_it() {
    let server = Baton::start();
    server.project("demo");
    let (_, build) = server.running();
    let browser = Browser::sign_in(&server, "mira");
    server.append(&build, 0, &timed_log(40_000)).expect(202);
    let (page, line) = (path(build.id, ""), path(build.id, "/raw?line=40044"));
    let look = |path: &str| browser.send(visit(Request::get(path))).expect(200).text();
    std::thread::scope(|scope| {
        let pages: Vec<_> = (0..8).map(|_| scope.spawn(|| look(&page))).collect();
        let lines: Vec<_> = (0..4).map(|_| scope.spawn(|| look(&line))).collect();
        for page in pages {
            let page = page.join().unwrap();
            assert!(page.contains("id=\"L40044\"") && page.contains("class=\"cut-off\"><bdi>Get source"), "{page}");
        }
        for line in lines {
            assert!(line.join().unwrap().contains("test last ... \x1b[31mFAILED"));
        }
    });
}

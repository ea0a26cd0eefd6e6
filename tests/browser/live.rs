//! Pages that follow the server: in many tabs, over its restart, and below the path of a proxy.

use crate::checks::expect_quiet;
use crate::harness::browser::{Browser, Tab};
use crate::harness::*;
use crate::seen::*;
use crate::site::Site;
use baton::domain::base_url::BaseUrl;
use baton::domain::build::Status;
use baton::server::Config;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Requests that are held for a tab.
fn held(tab: &Tab) -> usize {
    let all = tab.transfers();
    all.iter().filter(|it| it.url.contains("hold=") && it.status.is_none() && !it.has_failed).count()
}

#[test]
fn six_tabs_are_live_one_after_another_and_a_restart_of_the_server_is_survived() {
    let Some((baton, browser)) = start() else { return };
    let (first, base) = (browser.tab(), url(&baton, ""));
    sign_in(&first, &baton, &base);
    let mut writer = Writer::of(&baton);
    writer.write(&numbered(1, 10));
    let page = job_url(&baton, &writer.build);
    let tabs: Vec<Tab> = std::iter::once(first).chain((1..6).map(|_| browser.tab())).collect();
    for tab in &tabs {
        tab.show();
        tab.open(&page);
        tab.wait(LIVE);
    }
    for (tab, line) in tabs.iter().zip(11..) {
        tab.show();
        writer.write(&numbered(line, line));
        tab.wait(&format!("document.getElementById('L{line}')"));
    }
    wait_until("the hidden tabs hold nothing", || tabs.iter().map(held).sum::<usize>() <= 1);
    // Six requests are all that a browser has at once to a host: this one gets through.
    tabs[0].show();
    // What came while it was hidden moves the page to the end.
    tabs[0].wait("document.getElementById('L16')");
    tabs[0].click("form[action$='/cancel'] button");
    tabs[0].wait("document.querySelector('h1').innerText.includes('canceled')");

    let tab = &tabs[0];
    tab.open(&url(&baton, "/"));
    tab.wait(LIVE);
    expect_quiet(tab, &base);
    let address = baton.address();
    let dir = baton.stop();
    tab.wait("document.querySelector('.live').innerText.startsWith('not live: no answer from the server for')");
    tab.screenshot("not-live");
    let config = Config { listen: address, ..Config::local(dir.path()) };
    let baton = Baton::start_with(dir, config);
    tab.wait(LIVE);
    let build = baton.build();
    tab.wait(&format!("document.querySelector('main').innerText.includes('#{build}')"));
}

fn wait_until(what: &str, mut has_come: impl FnMut() -> bool) {
    crate::harness::served::wait_for(what, || has_come().then_some(()));
}

#[test]
fn below_a_path_of_a_proxy_that_keeps_it_or_not_every_link_and_request_has_it() {
    let Some(browser) = Browser::start() else { return };
    for is_kept in [true, false] {
        let to = Arc::new(OnceLock::new());
        let proxy = Site::below("tools/baton", is_kept, Arc::clone(&to));
        let base = proxy.url("/tools/baton");
        let dir = tempfile::tempdir().unwrap();
        let config = Config { base_url: Some(BaseUrl::parse(&base).unwrap()), ..Config::local(dir.path()) };
        let baton = Baton::start_with(dir, config);
        to.set(baton.address()).unwrap();
        baton.project("demo");
        let tab = browser.tab();
        sign_in(&tab, &baton, &base);
        let mut writer = Writer::of(&baton);
        writer.write(&numbered(1, 1200));
        tab.wait("document.querySelector('main').innerText.includes('spinach')");
        tab.click("main a[href*='/jobs/']");
        tab.wait(&format!("document.readyState == 'complete' && {LIVE}"));
        writer.write(&numbered(1201, 1201));
        tab.wait("document.getElementById('L1201')");
        tab.value("location.hash = '#L5'");
        tab.wait("document.querySelector('#L5.on')");
        let elsewhere = format!(
            "[...document.querySelectorAll('a[href], form')].map(e => e.href || e.action).filter(url => !url.startsWith('{base}'))"
        );
        assert_eq!(tab.value(&elsewhere), serde_json::json!([]));
        tab.click("form[action$='/cancel'] button");
        tab.wait("document.querySelector('h1').innerText.includes('canceled')");
        assert_eq!(baton.status(writer.build.id), Status::Canceled);
        expect_quiet(&tab, &base);
        tab.close();
    }
}

/// A figure, and no judgement: the machine may be busy.
#[test]
fn a_new_line_comes_to_the_screen() {
    let Some((baton, browser)) = start() else { return };
    let (tab, mut writer) = watch(&baton, &browser, &numbered(1, 1000));
    tab.value(
        "window.seen = {}; new MutationObserver(() => requestAnimationFrame(() => {
            const last = [...document.querySelectorAll('#log .l[id]')].pop().id;
            window.seen[last] = window.seen[last] || Date.now(); }))
         .observe(document.querySelector('#log'), {childList: true, subtree: true}); 0",
    );
    let mut delays_ms: Vec<f64> = (1001..=1040)
        .map(|line| {
            writer.write(&numbered(line, line));
            let stored_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0;
            tab.wait(&format!("window.seen['L{line}']")).as_f64().unwrap() - stored_ms
        })
        .collect();
    delays_ms.sort_by(f64::total_cmp);
    eprintln!(
        "a new line is on the screen after {:.0} ms (median), {:.0} ms (95 of 100)",
        delays_ms[20], delays_ms[37]
    );
}

//! What one does on a page: by mouse, by keys, and without a script.

use crate::checks::{SIZES, expect_quiet};
use crate::harness::browser::Tab;
use crate::seen::*;
use baton::domain::build::{BuildId, Status};

/// Moves the focus on by the Tab key until a button with these words has it.
#[track_caller]
fn reach(tab: &Tab, words: &str) {
    for _ in 0..80 {
        tab.press(&["Tab"]);
        if tab.value("document.activeElement.innerText") == words {
            return;
        }
    }
    panic!("no way to {words:?} by keys");
}

/// The job that the page shows.
fn shown(tab: &Tab) -> BuildId {
    let path = tab.value("location.pathname");
    BuildId(path.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap())
}

#[test]
fn a_job_is_canceled_and_retried_by_mouse_and_by_keys() {
    let Some((baton, browser)) = start() else { return };
    let (tab, base) = (browser.tab(), url(&baton, ""));
    sign_in(&tab, &baton, &base);
    let writer = Writer::of(&baton);
    tab.open(&job_url(&baton, &writer.build));
    tab.wait(LIVE);
    tab.click("form[action$='/cancel'] button");
    tab.wait("document.querySelector('h1').innerText.includes('canceled')");
    assert_eq!(baton.status(writer.build.id), Status::Canceled);

    tab.click("form[action$='/retry'] button");
    tab.wait("document.querySelector('h1').innerText.includes('pending')");
    let second = shown(&tab);
    assert_ne!(second, writer.build.id);
    assert_eq!(baton.show(second).retry_of, Some(writer.build.id));

    reach(&tab, "Cancel");
    tab.press(&["Enter"]);
    tab.wait("document.querySelector('h1').innerText.includes('canceled')");
    assert_eq!(baton.status(second), Status::Canceled);
    reach(&tab, "Retry");
    tab.press(&["Enter"]);
    tab.wait("document.querySelector('h1').innerText.includes('pending')");
    assert_eq!(baton.show(shown(&tab)).retry_of, Some(second));

    tab.press(&["g", "r"]);
    tab.wait(&format!("location.pathname == '/-/runners' && {LIVE}"));
    tab.press(&["g", "o"]);
    tab.wait(&format!("location.pathname == '/' && {LIVE}"));
    tab.press(&["?"]);
    assert!(tab.text("dialog").contains("follow the log"));
    expect_quiet(&tab, &base);
}

#[test]
fn without_a_script_pages_are_read_and_buttons_pressed() {
    let Some((baton, browser)) = start() else { return };
    let (tab, base) = (browser.tab(), url(&baton, ""));
    tab.without_script();
    tab.size(SIZES[1].0, SIZES[1].1);
    sign_in(&tab, &baton, &base);
    let mut writer = Writer::of(&baton);
    writer.write(&numbered(1, 3000));
    writer.end("success");
    tab.open(&job_url(&baton, &writer.build));
    // The browser renders a piece of a log when it comes into view, which is later than the page is there.
    tab.wait("document.querySelector('#log').innerText.includes('line 3000 of the log')");
    assert!(tab.text("#zone").contains("UTC"));
    let hidden = "[...document.querySelectorAll('[data-act], .live')].filter(e => e.getClientRects().length).length";
    assert_eq!(tab.number(hidden), 0.0, "what needs the script is not there");
    tab.screenshot("log-without-script");
    tab.click("#log .gap a");
    tab.wait("!document.getElementById('L3000') && document.getElementById('L31')");

    let writer = Writer::of(&baton);
    tab.open(&job_url(&baton, &writer.build));
    tab.click("form[action$='/cancel'] button");
    tab.wait("document.querySelector('h1').innerText.includes('canceled')");
    assert_eq!(baton.status(writer.build.id), Status::Canceled);
    // A page of what runs loads itself again and again.
    let writer = Writer::of(&baton);
    tab.open(&job_url(&baton, &writer.build));
    writer.end("success");
    tab.wait("document.querySelector('h1').innerText.includes('passed')");
    expect_quiet(&tab, &base);
    let scripts = tab.transfers().into_iter().filter(|transfer| ["Fetch", "XHR"].contains(&transfer.kind.as_str()));
    assert_eq!(scripts.count(), 0);
}

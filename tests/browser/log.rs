//! A job's page: its log as it grows, and any line of it.

use crate::checks::expect_quiet;
use crate::harness::browser::Tab;
use crate::seen::*;
use crate::site::Site;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the end of the log is in view.
const AT_END: &str = "document.querySelector('#log').getBoundingClientRect().bottom <= innerHeight + 30";
const FOLLOWS: &str = "document.querySelector('[data-act=follow]').getAttribute('aria-pressed')";

fn lines_of(tab: &Tab) -> f64 {
    tab.number("document.querySelectorAll('#log .l').length")
}

/// The line in the middle of the window, and where it stands.
fn line_in_view(tab: &Tab) -> (String, f64) {
    let at = tab.value(
        "(line => [line.id, line.getBoundingClientRect().top])(document.elementFromPoint(300, 400).closest('.l[id]'))",
    );
    (at[0].as_str().unwrap().to_owned(), at[1].as_f64().unwrap())
}

#[track_caller]
fn wait_for_line(tab: &Tab, number: u64) {
    tab.wait(&format!("document.getElementById('L{number}')"));
}

/// A line that was gone to: it is marked, and in view.
#[track_caller]
fn wait_for_marked(tab: &Tab, number: u64) {
    tab.wait(&format!(
        "(line => line && line.matches('.on') && line.getBoundingClientRect().top > 0 && \
         line.getBoundingClientRect().bottom < innerHeight)(document.getElementById('L{number}'))"
    ));
}

#[test]
fn a_log_that_grows_is_followed_and_does_not_move_what_one_reads() {
    let Some((baton, browser)) = start() else { return };
    let (tab, base) = (browser.tab(), url(&baton, ""));
    sign_in(&tab, &baton, &base);
    let mut writer = Writer::of(&baton);
    writer.write(&numbered(1, 2000));
    tab.size(1280, 900);
    tab.forget();
    tab.open(&job_url(&baton, &writer.build));
    tab.wait(LIVE);
    assert!(lines_of(&tab) <= 550.0, "the first and the last lines, and no more: {}", lines_of(&tab));
    tab.wait(AT_END);
    assert_eq!(tab.value(FOLLOWS), "true");

    writer.write(&numbered(2001, 2004));
    writer.write("a line that ");
    wait_for_line(&tab, 2005);
    writer.write("ends later\n");
    tab.wait("document.getElementById('L2005').innerText.includes('a line that ends later')");
    assert_eq!(tab.number("document.querySelectorAll('#L2005').length"), 1.0);
    tab.wait(AT_END);

    tab.wheel(-3000);
    tab.wait(&format!("{FOLLOWS} == 'false'"));
    let (line, top) = line_in_view(&tab);
    writer.write(&numbered(2006, 2035));
    wait_for_line(&tab, 2035);
    let moved = tab.number(&format!("document.getElementById('{line}').getBoundingClientRect().top")) - top;
    assert!(moved.abs() < 2.0, "{line} has moved by {moved}");
    assert_eq!(tab.text(".newer"), "30 new lines");
    tab.screenshot_of_window("log-newer");
    tab.click(".newer");
    tab.wait(AT_END);
    assert_eq!(tab.value(FOLLOWS), "true");

    // As fast as a runner may send it.
    for patch in 0..50 {
        writer.write(&numbered(2036 + patch * 2000, 2035 + (patch + 1) * 2000));
    }
    wait_for_line(&tab, 102_035);
    tab.wait(AT_END);
    assert!(lines_of(&tab) < 12_500.0, "{} lines are on the page", lines_of(&tab));
    assert_eq!(tab.value("document.querySelector('#log').dataset.lines"), "102035");

    writer.end("success");
    tab.wait("document.querySelector('h1').innerText.includes('passed')");
    tab.wait("document.title.startsWith('✓')");
    expect_quiet(&tab, &base);
    let held =
        tab.transfers().into_iter().filter(|it| it.url.contains("hold=") && it.status.is_none() && !it.has_failed);
    assert!(held.count() <= 1, "one request is held");
}

#[test]
fn what_somebody_is_about_to_press_stays_under_the_pointer() {
    let Some((baton, browser)) = start() else { return };
    let (tab, mut writer) = watch(&baton, &browser, &numbered(1, 2000));
    tab.wait(AT_END);
    // However long the rest takes, the pointer has moved just now.
    tab.value("window.clock = Date.now; const now = Date.now(); Date.now = () => now");
    tab.hover("#L2000 > a");
    let place = "document.querySelector('#L2000 > a').getBoundingClientRect().top";
    let top = tab.number(place);
    writer.write(&numbered(2001, 2030));
    wait_for_line(&tab, 2030);
    let moved = tab.number(place) - top;
    assert!(moved.abs() < 2.0, "it has moved by {moved}");
    assert_eq!(tab.value(FOLLOWS), "true");
    tab.value("Date.now = window.clock");
    tab.wait(AT_END);
}

#[test]
fn any_line_of_a_log_is_found_shown_and_linked_to() {
    let Some((baton, browser)) = start() else { return };
    let (tab, base) = (browser.tab(), url(&baton, ""));
    sign_in(&tab, &baton, &base);
    let mut writer = Writer::of(&baton);
    writer.write("section_start:1500000000:get_sources\r\x1b[0K\x1b[0;mGetting the sources\x1b[0;m\n");
    writer.write(&numbered(2, 1500));
    writer.write("section_end:1500000005:get_sources\r\x1b[0K");
    writer.write(&numbered(1501, 5999));
    writer.write("\x1b[31;1mERROR: the needle is red\x1b[0;m\n");
    writer.write(&numbered(6001, 12_000));
    writer.end("failed");
    let page = job_url(&baton, &writer.build);
    tab.size(1280, 900);

    tab.open(&format!("{page}#L4000"));
    wait_for_marked(&tab, 4000);
    tab.value("location.hash = '#L3000'");
    wait_for_marked(&tab, 3000);
    // A gap tells what is missing and gives it.
    let before = lines_of(&tab);
    tab.click("#log .gap a");
    tab.wait(&format!("document.querySelectorAll('#log .l').length > {before}"));

    tab.open(&page);
    tab.wait(LIVE);
    assert_eq!(tab.value("document.getElementById('L6000')"), Value::Null);
    tab.press(&["n"]);
    wait_for_marked(&tab, 6000);
    tab.press(&["/"]);
    tab.type_text("line 77");
    tab.press(&["Enter"]);
    wait_for_marked(&tab, 77);
    assert_eq!(tab.text(".find output"), "1 of 111");
    tab.press(&["Enter"]);
    wait_for_marked(&tab, 770);
    tab.press(&["Escape"]);
    tab.press(&["N"]);
    wait_for_marked(&tab, 77);
    tab.click("#S1");
    tab.wait("!document.getElementById('S1').parentElement.open && !document.getElementById('L5').checkVisibility()");
    expect_quiet(&tab, &base);
}

/// A slow network, or a busy machine: the script runs when half of the page is there.
#[test]
fn a_page_that_is_still_on_its_way_is_not_acted_on() {
    let Some((baton, browser)) = start() else { return };
    let may_go_on = Arc::new(AtomicBool::new(true));
    // Its first section is there then, open, and without a line.
    let site = Site::stopping(baton.address(), "id=\"L2\"", Arc::clone(&may_go_on));
    let (tab, base) = (browser.tab(), site.url(""));
    sign_in(&tab, &baton, &base);
    let mut writer = Writer::of(&baton);
    writer.write("section_start:1500000000:step_script\r\x1b[0K\x1b[0;mRunning the script\x1b[0;m\n");
    writer.write(&numbered(2, 400));
    writer.end("failed");
    may_go_on.store(false, Ordering::SeqCst);
    let page = format!("{base}/demo/-/jobs/{}", writer.build.id);
    tab.value(&format!("void (location.href = '{page}')"));
    tab.wait("document.querySelector('details.sec[open] > summary')");
    tab.press(&["n", "f", "/", "Escape"]);
    tab.value("new Promise(then => setTimeout(then, 100)).then(() => true)");
    assert_eq!(tab.value("document.readyState"), "loading");
    assert_eq!(tab.number("document.querySelectorAll('.gap').length"), 0.0);
    // What the reader does until then is no less done.
    tab.value("document.querySelector('details.sec').open = false");
    may_go_on.store(true, Ordering::SeqCst);
    tab.wait(LIVE);
    assert_eq!((lines_of(&tab), tab.number("document.querySelectorAll('.gap').length")), (399.0, 0.0));
    tab.press(&["/"]);
    tab.type_text("line 77");
    tab.press(&["Enter"]);
    wait_for_marked(&tab, 77);
    expect_quiet(&tab, &base);
}

#[test]
fn what_is_said_of_a_section_grows_and_ends_with_it() {
    let Some((baton, browser)) = start() else { return };
    let begin = |at: u64, name: &str| format!("section_start:{at}:{name}\r\x1b[0K{name}\n");
    let end = |at: u64, name: &str| format!("section_end:{at}:{name}\r\x1b[0K");
    let log = begin(100, "outer") + "one\n" + &begin(101, "inner") + "two\n";
    let (tab, mut writer) = watch(&baton, &browser, &log);
    let said = |line: u64, note: &str| {
        tab.wait(&format!("document.querySelector('#S{line} > .num').innerText == '{note}'"));
    };
    said(1, "3 lines · running");
    said(3, "1 line · running");
    writer.write("three\nfour\n");
    said(1, "5 lines · running");
    said(3, "3 lines · running");
    writer.write(&(end(107, "inner") + &begin(107, "next")));
    said(3, "3 lines · 6s");
    writer.write("five\n");
    said(1, "7 lines · running");
    said(7, "1 line · running");
    writer.end("failed");
    said(1, "7 lines · did not end");
    assert_eq!(tab.number("document.querySelectorAll('#log summary').length"), 3.0, "each has one head");
}

/// As a runner of today begins one: its title continues the line of the mark.
#[test]
fn a_section_that_has_no_line_yet_is_not_asked_for_again_and_again() {
    let Some((baton, browser)) = start() else { return };
    let line = |text: &str| format!("2026-11-28T07:45:02.123456Z 00O{text}\n");
    let begin =
        |name: &str| line(&format!(" section_start:1500000000:{name}\r\x1b[0K")) + &line("+\x1b[36mIt begins\x1b[0m");
    let (tab, mut writer) = watch(&baton, &browser, &begin("prepare_script"));
    let heads = "document.querySelectorAll('#log summary').length";
    let asked = |tab: &Tab| tab.transfers().iter().filter(|transfer| transfer.url.contains("/log?from=")).count();
    let after_a_while = || tab.value("new Promise(then => setTimeout(then, 300)).then(() => true)");
    after_a_while();
    assert_eq!((tab.number(heads), asked(&tab)), (1.0, 0));
    writer.write(&(line(" text") + &line(" section_end:1500000001:prepare_script\r\x1b[0K") + &begin("empty")));
    writer.write(&line(" section_end:1500000001:empty\r\x1b[0K"));
    tab.wait(&format!("{heads} == 2 && document.querySelectorAll('#log .l').length == 1"));
    writer.end("success");
    tab.open(&job_url(&baton, &writer.build));
    tab.wait(LIVE);
    tab.click("summary[id=S5]");
    tab.wait("document.getElementById('S5').parentElement.open");
    after_a_while();
    assert!(tab.number(heads) == 2.0 && asked(&tab) <= 1, "{} heads, {} asked", tab.number(heads), asked(&tab));
    tab.click("summary[id=S1]");
    tab.wait("[...document.querySelectorAll('#log .l')].some(e => e.innerText.includes('text'))");
    assert_eq!(tab.number(heads), 2.0);
    expect_quiet(&tab, &url(&baton, ""));
}

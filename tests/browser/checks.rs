//! What must be true of every page, however it came about.

use crate::harness::browser::{Browser, Tab};
use crate::harness::skipped;
use crate::site::Site;
use serde_json::json;
use std::path::Path;

/// The sizes that every page is looked at in: a desk, and a small phone.
pub const SIZES: [(u32, u32); 2] = [(1280, 900), (360, 740)];

/// Nothing came from another place than `base`, and the console is empty.
#[track_caller]
pub fn expect_quiet(tab: &Tab, base: &str) {
    assert_eq!(tab.complaints(), Vec::<String>::new());
    let others: Vec<_> = tab.transfers().into_iter().filter(|transfer| !transfer.url.starts_with(base)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// axe-core, where `.ci/page-tools` has fetched it. `None`: it is not here, which has been said.
pub fn axe() -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe.min.js");
    let text = std::fs::read_to_string(file);
    if text.is_err() {
        skipped("no axe-core; .ci/page-tools fetches it");
    }
    text.ok()
}

/// What keeps people from the page that `tab` shows, as axe-core finds it: rule and element each.
#[track_caller]
pub fn barriers(tab: &Tab, axe: &str) -> Vec<String> {
    tab.value(&format!("(() => {{ if (!window.axe) {{ (0, eval)({}) }} }})()", json!(axe)));
    let run =
        "axe.run(document, {resultTypes: ['violations'], preload: false}).then(all => all.violations.flatMap(one =>
        one.nodes.map(node => one.id + ': ' + node.target.join(' ') + ' ' + node.html.slice(0, 120) +
        node.any.map(any => ' | ' + any.message).join(''))))";
    let found = tab.value(run);
    found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Looks at the page that `tab` shows, light and dark, wide and narrow; pictures of it are `NAME-...png`.
#[track_caller]
pub fn look_at(tab: &Tab, name: &str, axe: Option<&str>) {
    for (width, height) in SIZES {
        tab.size(width, height);
        for is_dark in [false, true] {
            tab.dark(is_dark);
            let name = format!("{name}-{width}-{}", if is_dark { "dark" } else { "light" });
            tab.screenshot(&name);
            assert_eq!(tab.overflow(), 0.0, "{name} is wider than its window");
            // A look takes seconds: each scheme once, and each width once.
            let axe = axe.filter(|_| is_dark == (width < SIZES[0].0));
            let found = axe.map_or_else(Vec::new, |axe| barriers(tab, axe));
            assert!(found.is_empty(), "{name}: {found:#?}");
        }
    }
}

#[test]
fn the_checks_find_what_is_wrong_with_a_page() {
    let Some(browser) = Browser::start() else { return };
    let page = |body: &str| {
        format!(
            "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><title>A page</title>{body}"
        )
    };
    let policy = "Content-Type: text/html\r\nContent-Security-Policy: default-src 'self'\r\n";
    let elsewhere = Site::of_pages(vec![("/far.js", "Content-Type: text/javascript\r\n", String::new())]);
    let far = format!("<script src={}></script>", elsewhere.url("/far.js"));
    let wide = "<main><h1>Wide</h1><pre>".to_owned() + &"0123456789".repeat(30) + "</pre></main>";
    let site = Site::of_pages(vec![
        ("/good", policy, page("<main><h1>Good</h1><p>Words</p></main>")),
        ("/inline", policy, page("<main><h1 style='color: red'>Red</h1></main>")),
        ("/far", "Content-Type: text/html\r\n", page(&far)),
        ("/wide", policy, page(&wide)),
        ("/mute", policy, page("<main><h1>Mute</h1><input></main>")),
        ("/icon", "Content-Type: text/html\r\n", page("<link rel=icon href='data:,'><main><h1>A</h1></main>")),
    ]);
    let tab = browser.tab();
    let visit = |path: &str| {
        tab.forget();
        tab.open(&site.url(path));
    };

    visit("/icon");
    expect_quiet(&tab, &site.url("/"));
    let transfers = tab.transfers();
    assert_eq!(transfers.len(), 1, "{transfers:#?}");
    assert_eq!((transfers[0].status, transfers[0].kind.as_str()), (Some(200), "Document"));
    assert!(transfers[0].bytes.is_some_and(|bytes| bytes > 100), "{transfers:#?}");

    visit("/inline");
    assert!(tab.complaints().iter().any(|said| said.contains("Content Security Policy")), "{:?}", tab.complaints());

    visit("/far");
    assert!(tab.transfers().iter().any(|transfer| transfer.url == elsewhere.url("/far.js")), "{:?}", tab.transfers());

    visit("/wide");
    tab.size(360, 740);
    assert!(tab.overflow() > 100.0);
    let axe = axe();
    visit("/good");
    look_at(&tab, "good", axe.as_deref());

    if let Some(axe) = axe {
        visit("/mute");
        let found = barriers(&tab, &axe);
        assert!(found.iter().any(|one| one.starts_with("label: input")), "{found:?}");
    }
}

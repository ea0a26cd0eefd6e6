//! Pages and keyset, to the letter, as GitLab's clients follow them.

use super::{Programs, Wanted, each, of_branch, token};
use crate::harness::*;
use baton::domain::access_token::AccessScope;
use baton::domain::base_url::BaseUrl;
use baton::server::Config;
use serde_json::Value;

/// The targets of a `Link` header, by their names, as gitbeaker cuts it.
fn links(response: &Response) -> Vec<(String, String)> {
    let Some(link) = response.header("Link") else { return vec![] };
    let cut = |part: &str| {
        let (url, rel) = part.split_once(">; rel=\"").unwrap_or_else(|| panic!("{part}"));
        (rel.strip_suffix('"').unwrap().to_owned(), url.strip_prefix('<').unwrap().to_owned())
    };
    link.split(", ").map(cut).collect()
}

fn link(response: &Response, rel: &str) -> Option<String> {
    links(response).into_iter().find(|(own, _)| own == rel).map(|(_, url)| url)
}

/// What the API has at the URL of a link.
fn follow(programs: &Programs, url: &str) -> Response {
    let path = url.strip_prefix("http://baton.test/api/v4/").unwrap_or_else(|| panic!("{url} is not absolute"));
    programs.get(path)
}

#[test]
fn pages_by_number_say_where_the_others_are() {
    let programs = Programs::start();
    for _ in 0..5 {
        programs.baton.build();
    }
    let secrets = format!("private_token={}&job_token=x&token=y", programs.token);
    let first =
        programs.get(&format!("projects/1/pipelines?per_page=2&ref=master&unknown=a%20b%3E&{secrets}")).expect(200);
    let names: Vec<String> = links(&first).into_iter().map(|(rel, _)| rel).collect();
    assert_eq!(names, ["next", "first", "last"]);
    let header = |response: &Response, name: &str| response.header(name).map(str::to_owned);
    for (name, value) in [
        ("X-Page", "1"),
        ("X-Per-Page", "2"),
        ("X-Next-Page", "2"),
        ("X-Prev-Page", ""),
        ("X-Total", "5"),
        ("X-Total-Pages", "3"),
    ] {
        assert_eq!(header(&first, name).as_deref(), Some(value), "{name}");
    }
    let next = link(&first, "next").unwrap();
    assert!(next.contains("ref=master") && next.contains("page=2") && next.contains("unknown=a+b%3E"), "{next}");
    assert!(!next.contains("token") && !next.contains(&programs.token), "a token is in a link: {next}");
    let (mut seen, mut page) = (each(&first.json(), "id"), next);
    let last = loop {
        let response = follow(&programs, &page).expect(200);
        seen.extend(each(&response.json(), "id"));
        match link(&response, "next") {
            Some(next) => page = next,
            None => break response,
        }
    };
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    assert_eq!(
        (header(&last, "X-Next-Page").as_deref(), header(&last, "X-Prev-Page").as_deref()),
        (Some(""), Some("2"))
    );
    // Beyond the end, and a list without entries: one page.
    assert_eq!(programs.json("projects/1/pipelines?page=9"), Value::Array(vec![]));
    let empty = programs.get("projects/1/pipelines?ref=nothing").expect(200);
    assert_eq!(
        (header(&empty, "X-Total").as_deref(), header(&empty, "X-Total-Pages").as_deref()),
        (Some("0"), Some("1"))
    );
    assert!(link(&empty, "last").is_some() && link(&empty, "next").is_none());
    for (wrong, status) in
        [("page=0", 400), ("page=x", 400), ("per_page=0", 400), ("page=60000", 405), ("pagination=keyset", 405)]
    {
        programs.get(&format!("projects/1/pipelines?{wrong}")).expect(status);
    }
    let far = programs.get("projects/1/jobs?page=1001&per_page=100").expect(405);
    assert!(far.text().contains("use keyset pagination"), "{}", far.text());
    // Jobs have no totals, but for those of a pipeline: like GitLab's.
    for (query, total, pages) in [("per_page=1", "1", "1"), ("scope=failed", "0", "1")] {
        let jobs = programs.get(&format!("projects/1/pipelines/1/jobs?{query}")).expect(200);
        assert_eq!((jobs.header("X-Total"), jobs.header("X-Total-Pages")), (Some(total), Some(pages)), "{query}");
    }
    let jobs = programs.get("projects/1/jobs?per_page=2").expect(200);
    assert_eq!((jobs.header("X-Total"), link(&jobs, "last")), (None, None));
    assert_eq!(each(&jobs.json(), "id"), [5, 4]);
    assert_eq!(each(&follow(&programs, &link(&jobs, "next").unwrap()).json(), "id"), [3, 2]);
}

#[test]
fn keyset_goes_on_behind_the_last_id_and_repeats_every_parameter() {
    let programs = Programs::start();
    for branch in ["a", "b", "a", "b", "a"] {
        of_branch(&programs.baton, branch, "spinach");
    }
    programs.baton.cancel(baton::domain::build::BuildId(3));
    let walk = |query: &str| {
        let (mut seen, mut path) = (Vec::new(), format!("projects/demo/jobs?pagination=keyset&per_page=2{query}"));
        loop {
            let response = programs.get(&path).expect(200);
            assert!(response.header("X-Page").is_none() && response.header("X-Total").is_none());
            seen.extend(each(&response.json(), "id"));
            let Some(next) = link(&response, "next") else { return seen };
            assert!(next.contains("cursor=") && next.contains("pagination=keyset"), "{next}");
            path = next.strip_prefix("http://baton.test/api/v4/").unwrap().to_owned();
        }
    };
    assert_eq!(walk(""), [5, 4, 3, 2, 1]);
    assert_eq!(walk("&order_by=id&sort=asc"), [1, 2, 3, 4, 5]);
    assert_eq!(walk("&scope%5B%5D=pending&scope[]=running"), [5, 4, 2, 1]);
    assert_eq!(walk("&scope[0]=canceled&scope[1]=preparing"), [3]);
    assert_eq!(walk("&scope=waiting_for_callback"), Vec::<Value>::new());
    assert_eq!(walk("&cursor=4"), [3, 2, 1]);
    programs.get("projects/demo/jobs?pagination=keyset&cursor=x").expect(400);
    programs.get("projects/demo/jobs?pagination=keyset&order_by=name").expect(400);
    let said = programs.get("projects/demo/jobs?scope[]=done").expect(400).json();
    assert_eq!(said["message"], "Scope contains invalid value(s)");
    let projects = programs.get("projects?pagination=keyset&order_by=id&per_page=1").expect(200);
    assert!(link(&projects, "next").is_none(), "there is one project");
}

#[test]
fn links_are_made_of_what_the_operator_says_wherever_a_client_asks() {
    let dir = tempfile::tempdir().unwrap();
    let base_url = Some(BaseUrl::parse("https://ci.example/baton").unwrap());
    let config = Config { base_url, ..Config::local(dir.path()) };
    let baton = Baton::start_with(dir, config);
    baton.project("demo");
    baton.build();
    let programs = Programs::with(baton);
    let list = programs.get("projects/demo/jobs?per_page=1").expect(200);
    let first = link(&list, "first").unwrap();
    assert_eq!(first, "https://ci.example/baton/api/v4/projects/demo/jobs?per_page=1&page=1");
    assert_eq!(list.json()[0]["web_url"], "https://ci.example/baton/demo/-/jobs/1");
    let request = Request::get("/api/v4/openapi.json").header("X-Forwarded-Proto", "http");
    let description = programs.ask(request, "").expect(200).json();
    assert_eq!(description["servers"][0]["url"], "https://ci.example/baton/api/v4");
}

#[test]
fn behind_a_proxy_the_scheme_is_what_it_says() {
    let programs = Programs::start();
    programs.baton.build();
    let all = token(
        &programs.baton,
        &Wanted { name: "other", scope: AccessScope::ReadApi, project: Some("demo"), life: None },
    );
    let request = Request::get("/api/v4/projects/demo/jobs/1").header("X-Forwarded-Proto", "https");
    let job = programs.ask(request, &all).expect(200).json();
    assert_eq!(job["web_url"], "https://baton.test/demo/-/jobs/1");
    assert_eq!(job["pipeline"]["web_url"], "https://baton.test/demo/-/pipelines/1");
}

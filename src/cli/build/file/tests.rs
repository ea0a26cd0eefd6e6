//! Lines that are read, and those that are refused.

use super::fields::FIELDS;
use super::*;
use crate::cli::show::print::BuildDocument;
use crate::cli::show::print::tests::report;
use crate::domain::build::Variable;
use crate::domain::junit::Summary;
use serde_json::json;

fn one(line: &Value) -> Result<Queued, String> {
    read(&mut line.to_string().as_bytes(), None).map(|mut lines| lines.remove(0).queued)
}

fn minimal(key: &str, value: Value) -> Value {
    let mut line = json!({"project": "p", "script": "true"});
    line[key] = value;
    line
}

#[test]
fn a_line_has_the_defaults_of_the_command_line() {
    let new = one(&json!({"project": "p", "script": ["a", "b"]})).unwrap().new;
    let words = (new.project.as_str(), new.name.as_str(), new.stage.as_str(), new.ref_.as_str());
    assert_eq!(words, ("p", "build", "test", "HEAD"));
    assert_eq!(new.spec.script, ["a", "b"]);
    assert!(new.sha.is_none() && !new.is_tag && new.allow_git_fetch && new.timeout_s.is_none());
}

#[test]
fn all_fields_are_read() {
    let queued = one(&json!({
        "project": "p", "name": "n", "stage": "s", "ref": "r", "sha": "0123456789", "before_sha": "9876543210",
        "tag": true, "repo_url": "/r", "commands": "x", "options": {"image": {"name": "i"}},
        "variables": [{"key": "A", "value": 5}, {"key": "S", "value": "s", "public": false, "file": true}],
        "tags": ["b", "a"], "needs": [3, "first", 4], "timeout": "2min", "allow_git_fetch": false,
    }))
    .unwrap();
    let new = queued.new;
    assert_eq!((new.sha.as_deref(), new.before_sha.as_deref()), (Some("0123456789"), Some("9876543210")));
    assert!(new.is_tag && !new.allow_git_fetch);
    assert_eq!((new.spec.image.unwrap().name, new.spec.script), ("i".to_owned(), vec!["x".to_owned()]));
    assert_eq!(new.variables[0], Variable::public("A", "5"));
    assert_eq!(new.variables[1], Variable { file: true, ..Variable::secret("S", "s") });
    assert_eq!(new.tags.join(","), "a,b");
    assert_eq!((new.needs, queued.needs_names), (vec![BuildId(3), BuildId(4)], vec!["first".to_owned()]));
    assert_eq!(new.timeout_s, Some(120));
    assert_eq!(one(&minimal("variables", json!({"B": true}))).unwrap().new.variables, [Variable::public("B", "true")]);
    assert_eq!(one(&minimal("timeout", json!(90))).unwrap().new.timeout_s, Some(90));
}

#[test]
fn what_build_add_has_options_for_has_the_same_words_here() {
    let new = one(&json!({
        "project": "p", "script": "x", "image": "alpine:3.5", "services": ["mysql", {"name": "redis"}],
        "artifacts": ["out/", "*.log"], "expire_in": "7d", "options": {"cache": {"key": "k"}},
        "variables": {"A": "1"}, "secrets": {"S": "s", "PIN": 1234},
    }))
    .unwrap()
    .new;
    let names: Vec<&str> = new.spec.services.iter().map(|service| service.image.name.as_str()).collect();
    assert_eq!((new.spec.image.unwrap().name.as_str(), names), ("alpine:3.5", vec!["mysql", "redis"]));
    assert_eq!((new.spec.artifacts[0].paths.len(), new.spec.artifacts[0].expire_in.as_deref()), (2, Some("7d")));
    assert_eq!(new.spec.cache[0].key.as_deref(), Some("k"));
    let variables = [Variable::public("A", "1"), Variable::secret("S", "s"), Variable::secret("PIN", "1234")];
    for variable in variables {
        assert!(new.variables.contains(&variable), "{variable:?}");
    }
    let kept = one(&minimal("expire_in", json!("7d"))).err().unwrap();
    assert!(kept.contains("\"artifacts\", which is missing"), "{kept}");
    let mut line = minimal("options", json!({"artifacts": {"paths": ["a"]}}));
    line["expire_in"] = json!("7d");
    assert_eq!(one(&line).unwrap().new.spec.artifacts[0].expire_in.as_deref(), Some("7d"));
}

#[test]
fn gitlabs_own_spellings_are_kept_whole() {
    let spec = one(&json!({
        "project": "p", "script": ["a", "b"], "image": {"name": "i", "entrypoint": [""], "pull_policy": ["always"]},
        "services": ["s", {"name": "t", "alias": "db", "command": ["run"], "variables": {"A": 1}}],
        "artifacts": {"paths": ["o"], "when": "always", "reports": {"junit": "j.xml", "dotenv": "e"}},
        "expire_in": "7d", "cache": [{"key": "a", "paths": ["x"]}, {"key": "b", "policy": "pull"}],
        "after_script": "bye", "hooks": {"pre_get_sources_script": ["h"]}, "retry": {"max": 2},
        "allow_failure": {"exit_codes": 3}, "dependencies": ["d"],
        "variables": [{"key": "A", "value": "$B", "expand": true}],
    }))
    .unwrap()
    .new;
    assert!(spec.variables[0].expand);
    let expected = json!({
        "script": ["a", "b"], "after_script": ["bye"], "hooks": {"pre_get_sources_script": ["h"]},
        "image": {"name": "i", "entrypoint": [""], "pull_policy": ["always"]},
        "services": [{"name": "s"}, {"name": "t", "alias": "db", "command": ["run"], "variables": [["A", "1"]]}],
        "artifacts": [
            {"paths": ["o"], "when": "always", "expire_in": "7d", "type": "archive", "format": "zip"},
            {"name": ".env", "paths": ["e"], "when": "always", "expire_in": "7d", "type": "dotenv", "format": "gzip"},
            {"name": "junit.xml", "paths": ["j.xml"], "when": "always", "expire_in": "7d", "type": "junit",
             "format": "gzip"},
        ],
        "cache": [{"key": "a", "paths": ["x"]}, {"key": "b", "paths": [], "policy": "pull"}],
        "retry": {"max": 2}, "allow_failure": {"exit_codes": [3]}, "dependencies": ["d"],
    });
    assert_eq!(serde_json::to_value(spec.spec).unwrap(), expected);
}

/// Each option of `build add` is a word here, but for those that name files of this machine.
#[test]
fn no_option_of_build_add_lacks_its_word() {
    use argh::ArgsInfo as _;
    let others = ["--help", "--from", "--json", "--script-file", "--secret-file"];
    for flag in crate::cli::build::add::Add::get_args_info().flags {
        let word = flag.long.trim_start_matches('-').replace('-', "_");
        let is_there = FIELDS.contains(&word.as_str()) || FIELDS.contains(&format!("{word}s").as_str());
        assert!(is_there != others.contains(&flag.long), "{}", flag.long);
    }
}

#[test]
fn a_shown_build_with_a_script_can_be_fed_back() {
    let mut shown = serde_json::to_value(BuildDocument::new(&report()).with_tests(Some(Summary::default()))).unwrap();
    shown["script"] = json!("true");
    let uploaded = json!([{"kind": "archive", "format": "zip", "filename": "a.zip", "size": 5, "sha256": "ab"}]);
    for artifacts in [json!([]), uploaded] {
        shown["artifacts"] = artifacts;
        let new = one(&shown).unwrap().new;
        assert_eq!((new.name.as_str(), new.needs, new.spec.artifacts.len()), ("test", vec![BuildId(3)], 0));
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said_without_its_values() {
    for (line, part) in [
        (json!({"script": "x"}), "\"project\" is missing"),
        (json!({"project": "p"}), "\"script\" is missing"),
        (json!({"project": "p", "script": " "}), "no commands"),
        (json!(["hunter2"]), "JSON object"),
        (json!("hunter2"), "JSON object"),
        (minimal("scirpt", json!("hunter2")), "did you mean \"script\"?"),
        (minimal("colour", json!("hunter2")), "there are project, name"),
        (minimal("commands", json!("hunter2")), "the same"),
        (minimal("script", json!([1])), "array of strings"),
        (minimal("name", json!(5)), "\"name\" must be a string"),
        (minimal("tag", json!("v1")), "\"tag\" must be true or false"),
        (minimal("tags", json!("a,b")), "\"tags\" must be an array"),
        (minimal("needs", json!([1.5])), "\"needs\""),
        (minimal("needs", json!(3)), "\"needs\""),
        (minimal("timeout", json!("soon")), "\"timeout\""),
        (minimal("timeout", json!(0)), "at least one second"),
        (minimal("options", json!([])), "\"options\" must be an object"),
        (minimal("options", json!({"artifacts": {"paths": "x"}})), "options.artifacts.paths"),
        (minimal("sha", json!("abc")), "at least 8"),
        (minimal("image", json!("foo bar")), "cannot be an image's name"),
        (minimal("image", json!(5)), "image must be a name"),
        (minimal("services", json!("mysql")), "services must be an array"),
        (minimal("artifacts", json!("out/")), "\"artifacts\" must be an array of paths"),
        (minimal("artifacts", json!({"path": ["hunter2"]})), "did you mean \"paths\"?"),
        (minimal("artifacts", json!({"reports": {"junti": "hunter2"}})), "did you mean \"junit\"?"),
        (minimal("cache", json!({"key": {"files": ["hunter2"]}})), "cache.key must be a string"),
        (minimal("retry", json!(3)), "from 0 to 2"),
        (minimal("allow_failure", json!("hunter2")), "true or false"),
        (minimal("after_script", json!({"hunter2": 1})), "after_script must be"),
        (minimal("secrets", json!(["hunter2"])), "\"secrets\" must be an object"),
        (minimal("secrets", json!({"K": ["hunter2"]})), "the secret \"K\" must be"),
        (minimal("secrets", json!({"CI_JOB_TOKEN": "hunter2"})), "CI_JOB_TOKEN is set for every build"),
        (
            json!({"project": "p", "script": "x", "image": "a", "options": {"image": "hunter2"}}),
            "\"image\" and options.image are the same",
        ),
        (minimal("variables", json!("hunter2")), "\"variables\""),
        (minimal("variables", json!(["K=hunter2"])), "variable 1: it must be an object"),
        (minimal("variables", json!([{"key": "K", "vlaue": "hunter2"}])), "\"value\" is missing"),
        (minimal("variables", json!([{"key": "K", "value": "x", "pubilc": "hunter2"}])), "did you mean \"public\"?"),
        (minimal("variables", json!([{"key": "K", "value": ["hunter2"]}])), "\"value\" must be"),
        (minimal("variables", json!([{"key": "K", "value": "x", "public": "hunter2"}])), "true or false"),
        (minimal("variables", json!({"K": ["hunter2"]})), "the variable \"K\""),
    ] {
        let message = one(&line).err().unwrap();
        assert!(message.starts_with("line 1: ") && message.contains(part), "{line}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn errors_count_every_line_of_the_file() {
    let good = "{\"project\":\"p\",\"script\":\"x\"}\n";
    let read_text =
        |text: &str| read(&mut text.as_bytes(), None).map(|lines| lines.iter().map(|l| l.number).collect::<Vec<_>>());
    assert_eq!(read_text(&format!("{good}\n \r\n{good}")), Ok(vec![1, 4]));
    assert_eq!(read_text(""), Ok(vec![]));
    for (text, begin) in [
        (format!("{good}\n{{\"project\": hunter2}}\n"), "line 3: it is not JSON (at character 13)"),
        (format!("{good}{{\"project\":"), "line 2: it is not JSON"),
        (format!("{good}{}", good.trim_end().repeat(2)), "line 2: it is not JSON"),
    ] {
        let message = read_text(&text).unwrap_err();
        assert!(message.starts_with(begin), "{message}");
    }
    let long = format!("{good}\"{}\"", "x".repeat(5 << 20));
    assert!(read_text(&long).unwrap_err().contains("line 2: it has more than 4194304 bytes"));
}

#[test]
fn the_project_of_the_command_line_is_for_lines_without_one() {
    let text = "{\"script\":\"x\"}\n{\"project\":\"q\",\"script\":\"x\"}";
    let lines = read(&mut text.as_bytes(), Some("p")).unwrap();
    let projects: Vec<&str> = lines.iter().map(|line| line.queued.new.project.as_str()).collect();
    assert_eq!(projects, ["p", "q"]);
}

#[test]
fn a_refusal_of_the_coordinator_names_the_line_and_not_the_place_in_the_list() {
    let message = |text: &str, kind, numbers: &[usize]| with_line(Error::new(kind, text), numbers).message;
    assert_eq!(message("build 2 of the list: no", Kind::Invalid, &[1, 4]), "line 4: no; nothing was queued");
    assert_eq!(message("no project", Kind::NotFound, &[3]), "line 3: no project; nothing was queued");
    assert_eq!(message("database: locked", Kind::Busy, &[3]), "database: locked");
}

//! Every command that the documentation shows is run, in the order in which it stands there, by a shell in an empty
//! directory, page for page. What a page shows of the answer is compared with it.
//!
//! The convention, for whoever writes documentation. Each block of code names its kind:
//!
//! | kind | |
//! | --- | --- |
//! | `sh` | a line that begins with `$ ` is a command; it goes on after a `\` at the end of the line, and to the end of a `<<'EOF'`. What follows is its answer, of which each line must be there: `...` stands for any text, as a line of its own for any lines. Times, durations and tokens may be others. Without an answer none is compared. A command must succeed, unless it ends in `# exits with N` |
//! | `sh`, without any `$ ` | commands of cargo, for a checkout: not run |
//! | `console` | commands that need another machine (systemd, Docker, root): not run, but what they call of `baton` must exist |
//! | others | no commands |
//!
//! `baton serve`, `baton runner start` and `gitlab-runner run` go on while the page does; a line `^C` ends the server. Ports are others than
//! those on the page. `gitlab-runner` is the machine's, if it is of version 16 or later, else [`runner`] plays it.

mod page;
mod runner;
mod shell;
mod usage;

use crate::harness::skipped;
use page::{Block, Page};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the documentation.
fn pages() -> Vec<Page> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("docs")).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files.insert(0, root().join("README.md"));
    files.iter().map(|file| Page::parse(name(file), &std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

fn name(file: &Path) -> &str {
    file.strip_prefix(root()).unwrap().to_str().unwrap()
}

/// Runs a page of the documentation; says how many commands that were.
#[track_caller]
fn run(name: &str, commands_min: usize) {
    let page = pages().into_iter().find(|page| page.name == name).expect("there is such a page");
    match shell::play(&page) {
        Ok(played) => {
            println!("{name}: {played} commands");
            assert!(played >= commands_min, "{name}: only {played} commands");
        }
        Err(shell::Stopped::Lacking(tool)) => skipped(&format!("{name} needs {tool}, which this machine lacks")),
        Err(shell::Stopped::Wrong(why)) => panic!("{why}"),
    }
}

#[test]
fn the_readme_does_what_it_says() {
    run("README.md", 4);
}

#[test]
fn the_tutorial_does_what_it_says() {
    run("docs/tutorial.md", 40);
}

#[test]
fn the_operators_guide_does_what_it_says() {
    run("docs/operating.md", 15);
}

#[test]
fn the_http_reference_does_what_it_says() {
    run("docs/http.md", 15);
}

#[test]
fn the_guide_to_the_page_does_what_it_says() {
    run("docs/page.md", 5);
}

#[test]
fn the_api_for_programs_does_what_its_page_says() {
    run("docs/api.md", 8);
}

#[test]
fn no_page_with_commands_is_left_out() {
    let source = include_str!("docs.rs");
    for page in pages().iter().filter(|page| page.commands() > 0) {
        assert!(source.contains(&format!("run(\"{}\"", page.name)), "no test runs {}", page.name);
    }
}

#[test]
fn what_cannot_be_run_here_calls_what_there_is() {
    let mut shown = 0;
    for page in pages() {
        for block in &page.blocks {
            match block {
                Block::Console(lines) => {
                    for (line, command) in lines {
                        println!("{}:{line}: not run: {command}", page.name);
                        usage::check(command).unwrap_or_else(|why| panic!("{}:{line}: {why}", page.name));
                        shown += 1;
                    }
                }
                Block::Checkout(lines) => {
                    for (line, command) in lines {
                        println!("{}:{line}: not run: {command}", page.name);
                        assert!(command.starts_with("cargo "), "{}:{line}: neither `$ ` nor cargo", page.name);
                        shown += 1;
                    }
                }
                Block::Run(_) | Block::Other => {}
            }
        }
    }
    println!("{shown} commands are shown and not run");
}

#[test]
fn the_examples_in_the_help_call_what_there_is() {
    let mut examples = 0;
    for path in usage::commands() {
        let help = usage::help(&path).unwrap();
        let lines = help.split_once("Examples:\n").expect("examples").1.lines();
        for line in lines.take_while(|line| line.starts_with("  ")) {
            usage::check(line).unwrap_or_else(|why| panic!("{path:?}: {line}: {why}"));
            examples += 1;
        }
    }
    assert!(examples > 40, "{examples}");
}

#[test]
fn the_readme_names_every_command_and_every_option() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let missing: Vec<String> = usage::commands()
        .into_iter()
        .flat_map(|path| usage::options(&path).into_iter().chain([path.join(" ")]).collect::<Vec<_>>())
        .filter(|word| !readme.contains(&format!("`{word}")) && !readme.contains(&format!("[{word}")))
        .filter(|word| !readme.contains(&format!(" {word}")))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_operators_guide_names_every_variable_and_every_metric_and_no_others() {
    let guide = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let variable =
        |option: &String| format!("BATON_{}", option.trim_start_matches('-').replace('-', "_").to_uppercase());
    let variables: Vec<String> = usage::options(&["serve".to_owned()]).iter().map(variable).collect();
    for name in &variables {
        assert!(guide.contains(&format!("`{name}`")), "{name} is not there");
    }
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page.name)).unwrap();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let is_variable = word.starts_with("BATON_") && word != "BATON_" && !word.starts_with("BATON_TEST_");
            // The last is there as one that is wrong.
            let is_known = ["BATON_DATA", "BATON_SEED", "BATON_RUNER_TIMEOUT"].contains(&word)
                || variables.iter().any(|name| name == word);
            assert!(!is_variable || is_known, "{}: there is no {word}", page.name);
        }
    }
    let server = crate::harness::Baton::start();
    let metrics = server.send(crate::harness::Request::get("/-/metrics")).expect(200).text();
    let families: Vec<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(families.len() > 20);
    for family in &families {
        assert!(guide.contains(&format!("`{family}`")), "{family} is not there");
    }
    for word in guide.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("baton_"))
    {
        let of = word.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        assert!(families.contains(&word) || families.contains(&of), "there is no metric {word}");
    }
}

#[test]
fn the_http_reference_names_every_path() {
    let page = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let reference = format!("{}{}", page("http.md"), page("api.md"));
    let missing: Vec<&str> = baton::api::routes().into_iter().filter(|route| !reference.contains(route)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    let guide = page("page.md");
    let missing: Vec<&str> = baton::web::routes().into_iter().filter(|route| !guide.contains(route)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let file = root().join(&page.name);
        let text = std::fs::read_to_string(&file).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            assert!(to.is_file(), "{}: no {target}", page.name);
            if anchor.is_empty() {
                // A picture, for one.
                continue;
            }
            let there = std::fs::read_to_string(&to).unwrap_or_else(|_| panic!("{}: no {target}", page.name));
            let headings = there.lines().filter(|line| line.starts_with('#')).map(page::anchor);
            assert!(headings.into_iter().any(|own| own == anchor), "{}: no {target}", page.name);
        }
    }
}

mod what_is_wrong_is_noticed {
    use super::*;

    #[track_caller]
    fn stopped(lines: &str, words: &[&str]) {
        let text = format!("# A page\n\n```sh\n{lines}\n```\n");
        let why = match Page::parse("page.md", &text).map(|page| shell::play(&page)) {
            Err(why) | Ok(Err(shell::Stopped::Wrong(why))) => why,
            Ok(Err(shell::Stopped::Lacking(tool))) => return skipped(&format!("this machine lacks {tool}")),
            Ok(Ok(count)) => panic!("{count} commands passed:\n{lines}"),
        };
        for word in words {
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn a_command_that_fails() {
        stopped("$ baton runner token\n$ baton project add", &["page.md:5", "name is missing", "exits with 2"]);
        stopped("$ baton projcet list", &["did you mean project?"]);
    }

    #[test]
    fn a_command_that_does_not_fail_as_it_should() {
        stopped("$ baton runner token    # exits with 1", &["exits with 0"]);
        stopped("$ baton project list", &["there is no data"]);
    }

    #[test]
    fn another_answer() {
        stopped("$ baton project add x\nproject 2 x, CI token ...", &["project 1 x"]);
        stopped("$ printf 'a\\nb\\n'\na", &["b"]);
        stopped("$ printf 'a\\nb\\n'\na\n...\nc", &["b"]);
        stopped("$ echo 'it took 5s'\nit took a 5s", &["it took 5s"]);
    }

    #[test]
    fn a_server_that_does_not_start() {
        stopped("$ baton serve --listen nowhere", &["nowhere"]);
        stopped("$ baton serve\n$ baton serve", &["already"]);
    }

    #[test]
    fn a_server_that_is_ended_and_does_not_run() {
        stopped("$ baton runner token\n^C", &["no server runs"]);
    }

    #[test]
    fn a_runner_that_is_not_let_in() {
        stopped(
            "$ baton serve\n$ gitlab-runner register --non-interactive --executor shell \\\n    \
             --url http://127.0.0.1:8080/ci --registration-token wrong",
            &["gitlab-runner register"],
        );
    }

    #[test]
    fn a_block_that_does_not_say_its_kind() {
        let page = |text: &str| Page::parse("page.md", text).err().unwrap_or_default();
        assert!(page("```\n$ ls\n```\n").contains("page.md:1"));
        assert!(page("```text\n$ ls\n```\n").contains("page.md:2"));
        assert!(page("```sh\nout\n$ ls\n```\n").contains("page.md:2"));
        assert!(page("```sh\n$ ls\n").contains("page.md:1"));
    }

    #[test]
    fn a_call_of_what_there_is_not() {
        for (command, word) in [
            ("sudo -u baton baton --data /var/lib/baton runner tokn", "tokn"),
            ("docker exec ci baton build list --limt 5", "--limt"),
            ("true && baton ls", "ls"),
            ("echo \"$(baton runner tken)\"", "tken"),
        ] {
            let why = usage::check(command).err().unwrap_or_default();
            assert!(why.contains(word), "{command}: {why}");
        }
        for command in [
            "systemctl start baton.socket",
            "sudo -u baton baton runner token",
            "docker build -t baton .",
            "docker run --name baton -p 80:80 baton",
            "docker exec baton baton build list > list 2>&1",
            "source <(baton completions bash)",
            "echo \"$(baton runner token)\" # baton nonsense",
        ] {
            assert_eq!(usage::check(command), Ok(()), "{command}");
        }
    }
}

//! Makes jobs of a `.gitlab-ci.yml` as far as the cases need it: what a server makes of it, and no more.

use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A job of the file, in the order in which it runs.
pub struct Planned {
    pub name: String,
    pub stage: usize,
    pub yaml: Value,
}

/// A repository with the case's files and one commit.
pub struct Repository {
    pub place: PathBuf,
    pub sha: String,
}

impl Repository {
    pub fn make(place: &Path, case: &Value) -> Repository {
        std::fs::create_dir_all(place).unwrap();
        let usual = json!({
            "README.md": "read me\n", "src/a.c": "a\n", "src/sub/b.c": "b\n", ".gitignore": "*.log\nbuild/\n"
        });
        let files = case.get("files").unwrap_or(&usual).as_object().unwrap();
        let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str().unwrap()));
        for (name, text) in files.chain([(".gitlab-ci.yml", case["yaml"].as_str().unwrap())]) {
            let path = place.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(place, &["init", "-q", "-b", "main"]);
        git(place, &["add", "-A", "-f"]);
        git(place, &["commit", "-q", "-m", "first"]);
        let sha = git(place, &["rev-parse", "HEAD"]);
        Repository { place: place.to_owned(), sha }
    }
}

pub fn git(place: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(place)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The jobs of a file.
pub fn plan(yaml: &str) -> Vec<Planned> {
    let file: Value = serde_yaml_ng::from_str(yaml).unwrap();
    let file = file.as_object().unwrap();
    let usual = json!(["build", "test", "deploy"]);
    let stages: Vec<&str> =
        file.get("stages").unwrap_or(&usual).as_array().unwrap().iter().map(|stage| stage.as_str().unwrap()).collect();
    let mut jobs: Vec<Planned> = file
        .iter()
        .filter(|(name, _)| !["stages", "variables"].contains(&name.as_str()) && !name.starts_with('.'))
        .map(|(name, yaml)| {
            let mut job = Map::new();
            if let Some(base) = yaml.get("extends") {
                job.extend(file[base.as_str().unwrap()].as_object().unwrap().clone());
            }
            job.extend(yaml.as_object().unwrap().clone());
            let mut variables = file.get("variables").and_then(Value::as_object).cloned().unwrap_or_default();
            variables.extend(job.get("variables").and_then(Value::as_object).cloned().unwrap_or_default());
            job.insert("variables".to_owned(), Value::Object(variables));
            let stage = job.get("stage").and_then(Value::as_str).unwrap_or("test");
            let stage = stages.iter().position(|name| *name == stage).unwrap();
            Planned { name: name.clone(), stage, yaml: Value::Object(job) }
        })
        .collect();
    jobs.sort_by_key(|job| job.stage);
    jobs
}

fn lines(yaml: &Value, name: &str) -> Vec<Value> {
    match yaml.get(name) {
        Some(Value::Array(lines)) => lines.iter().map(text).collect(),
        Some(line) => vec![text(line)],
        None => Vec::new(),
    }
}

/// YAML reads `true` and `1` as what they are.
fn text(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}

fn list(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Array(all)) => Value::Array(all.clone()),
        Some(one) => json!([one]),
        None => json!([]),
    }
}

fn variable(key: &str, value: &Value) -> Value {
    json!({"key": key, "value": text(value), "public": true, "masked": false})
}

impl Planned {
    /// The job as a runner gets it. `more` are variables, `dependencies` what it downloads.
    pub fn job(
        &self,
        id: u64,
        case: &Value,
        repository: &Repository,
        more: &[Value],
        dependencies: Vec<Value>,
    ) -> Value {
        let yaml = &self.yaml;
        let mut variables = vec![
            variable("CI", &json!("true")),
            variable("CI_JOB_NAME", &json!(self.name)),
            variable("CI_COMMIT_REF_NAME", &json!("main")),
        ];
        variables.extend(more.iter().cloned());
        for (key, value) in yaml["variables"].as_object().unwrap() {
            let is_raw = value.get("expand") == Some(&json!(false));
            let mut variable = variable(key, value.get("value").unwrap_or(value));
            variable["raw"] = json!(is_raw);
            variables.push(variable);
        }
        for (kind, flag) in [("file_variables", "file"), ("masked", "masked")] {
            for (key, value) in case.get(kind).and_then(Value::as_object).into_iter().flatten() {
                let mut variable = variable(key, value);
                variable[flag] = json!(true);
                variables.push(variable);
            }
        }
        let script = [lines(yaml, "before_script"), lines(yaml, "script")].concat();
        let mut steps = vec![json!({
            "name": "script", "script": script,
            "timeout": 3600, "when": "on_success", "allow_failure": false
        })];
        if yaml.get("after_script").is_some() {
            let script = lines(yaml, "after_script");
            steps.push(json!({"name": "after_script", "script": script, "when": "always", "allow_failure": true}));
        }
        let seconds = yaml
            .get("timeout")
            .map_or(300, |text| text.as_str().unwrap().split(' ').next().unwrap().parse::<i64>().unwrap());
        json!({
            "id": id, "token": format!("job-token-{id}"), "allow_git_fetch": true,
            "job_info": {"name": self.name, "stage": self.stage.to_string(), "project_id": 1, "project_name": "p"},
            "git_info": {
                "repo_url": format!("file://{}", repository.place.display()), "ref": "main", "sha": repository.sha,
                "before_sha": "0".repeat(40), "ref_type": "branch", "depth": 0,
                "refspecs": ["+refs/heads/main:refs/remotes/origin/main"]
            },
            "runner_info": {"timeout": seconds},
            "variables": variables, "steps": steps, "artifacts": self.artifacts(), "cache": self.cache(),
            "dependencies": dependencies, "image": null, "services": [], "credentials": [],
            "features": {"trace_sections": true, "failure_reasons": [
                "unknown_failure", "script_failure", "runner_system_failure", "job_execution_timeout",
                "runner_interrupted", "job_canceled"
            ]}
        })
    }

    fn artifacts(&self) -> Value {
        let Some(yaml) = self.yaml.get("artifacts") else { return Value::Null };
        let mut all = Vec::new();
        if yaml.get("paths").is_some() || yaml.get("untracked").is_some() {
            all.push(json!({
                "name": yaml.get("name"), "untracked": yaml.get("untracked"), "paths": list(yaml.get("paths")),
                "exclude": list(yaml.get("exclude")), "when": yaml.get("when"), "expire_in": null,
                "artifact_type": "archive", "artifact_format": "zip"
            }));
        }
        for (kind, paths) in yaml.get("reports").and_then(Value::as_object).into_iter().flatten() {
            let name = if kind == "dotenv" { ".env" } else { "junit.xml" };
            all.push(json!({
                "name": name, "paths": list(Some(paths)), "when": "always", "artifact_type": kind,
                "artifact_format": "gzip"
            }));
        }
        Value::Array(all)
    }

    fn cache(&self) -> Value {
        let Some(yaml) = self.yaml.get("cache") else { return json!([]) };
        json!([{
            "key": yaml.get("key"), "untracked": yaml.get("untracked"), "paths": list(yaml.get("paths")),
            "policy": yaml.get("policy").cloned().unwrap_or(json!("pull-push")), "when": yaml.get("when"),
            "fallback_keys": list(yaml.get("fallback_keys"))
        }])
    }

    /// Names of the jobs whose artifacts this one gets, of those that ran before.
    pub fn wants(&self, before: &[(String, usize)]) -> Vec<String> {
        let named = self.yaml.get("dependencies").or(self.yaml.get("needs"));
        match named {
            Some(names) => names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
            None => before.iter().filter(|(_, stage)| *stage < self.stage).map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Whether a failure with this status is none to the pipeline.
    pub fn allows(&self, exit_code: i64) -> bool {
        match self.yaml.get("allow_failure") {
            Some(Value::Bool(allows)) => *allows,
            Some(rule) => rule["exit_codes"].as_array().unwrap().contains(&json!(exit_code)),
            None => false,
        }
    }

    pub fn runs_always(&self) -> bool {
        self.yaml.get("when") == Some(&json!("always"))
    }
}

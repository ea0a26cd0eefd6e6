//! `artifacts`: the archive, and each report.

use super::Reader;
use super::tables::COVERAGE_REPORTS;
use crate::domain::keywords::reports::{Report, names};
use crate::domain::spec::{ArtifactFormat, ArtifactKind, ArtifactsSpec};
use crate::gitlab_ci::yaml::{Map, Node};

const KEYS: [&str; 10] =
    ["name", "untracked", "paths", "reports", "when", "expire_in", "expose_as", "exclude", "public", "access"];
const WHEN: [&str; 3] = ["on_success", "on_failure", "always"];

/// What a job uploads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Artifacts {
    pub(crate) uploads: Vec<ArtifactsSpec>,
}

impl Artifacts {
    /// Whether other jobs have something to download.
    pub(crate) fn has_archive(&self) -> bool {
        self.uploads.iter().any(|upload| upload.kind == ArtifactKind::default() || upload.kind.0 == "dotenv")
    }
}

impl Reader<'_> {
    pub(super) fn artifacts(&mut self, at: &str, node: &Node) -> Option<Artifacts> {
        let map = self.map(at, node, &KEYS)?;
        let list = |reader: &mut Self, key: &str| {
            map.set(key).and_then(|node| reader.strings(node, &format!("{at} {key} should be an array of strings")))
        };
        let name = self.text(at, map, "name");
        let untracked = self.bool(at, map, "untracked").unwrap_or_default();
        let paths = list(self, "paths").unwrap_or_default();
        let exclude = list(self, "exclude").unwrap_or_default();
        let when = self.choice(at, map, "when", &WHEN);
        let words = format!("{at} expire in should be a duration");
        let expire_in = map.set("expire_in").and_then(|node| self.keeping(node, &words));
        for key in ["expose_as", "public", "access"] {
            if let Some(node) = map.set(key) {
                self.without_effect(
                    &format!("artifacts:{key}"),
                    node.place,
                    "who may see a project sees its artifacts",
                );
            }
        }
        let mut uploads = Vec::new();
        if !paths.is_empty() || untracked {
            let (kind, format) = (ArtifactKind::default(), ArtifactFormat::Zip);
            let expire_in = expire_in.clone();
            uploads.push(ArtifactsSpec { name, untracked, paths, exclude, when, expire_in, kind, format });
        }
        if let Some(node) = map.set("reports") {
            self.reports(&format!("{at}:reports"), node, expire_in.as_ref(), &mut uploads);
        }
        Some(Artifacts { uploads })
    }

    fn reports(&mut self, at: &str, node: &Node, expire_in: Option<&String>, uploads: &mut Vec<ArtifactsSpec>) {
        let known = names().filter(|name| !COVERAGE_REPORTS.contains(name)).chain(["coverage_report"]);
        let known: Vec<&str> = known.collect();
        let Some(map) = self.map(at, node, &known) else { return };
        for (key, entry) in &map.0 {
            if entry.node.is_null() {
                continue;
            }
            if &**key == "coverage_report" {
                uploads.extend(self.coverage_report(&format!("{at}:coverage_report"), &entry.node, expire_in));
                continue;
            }
            let Some(report) = Report::of(key).filter(|_| known.contains(&&**key)) else { continue };
            let words = format!("{at} {key} should be an array of strings or a string");
            if let Some(paths) = self.string_or_strings(&entry.node, &words) {
                uploads.push(upload(key, report, paths, expire_in));
            }
        }
    }

    fn coverage_report(&mut self, at: &str, node: &Node, expire_in: Option<&String>) -> Option<ArtifactsSpec> {
        let map: &Map = self.map(at, node, &["coverage_format", "path"])?;
        let format = self.choice(at, map, "coverage_format", &COVERAGE_REPORTS);
        let path = self.text(at, map, "path");
        let (Some(format), Some(path)) = (format, path) else {
            if map.set("coverage_format").is_none() {
                self.error(node.place, format!("{at} coverage format can't be blank"));
            }
            if map.set("path").is_none() {
                self.error(node.place, format!("{at} path can't be blank"));
            }
            return None;
        };
        Some(upload(&format, Report::of(&format)?, vec![path], expire_in))
    }
}

fn upload(kind: &str, report: Report, paths: Vec<String>, expire_in: Option<&String>) -> ArtifactsSpec {
    ArtifactsSpec {
        name: Some(report.file_name.to_owned()),
        paths,
        when: Some("always".to_owned()),
        expire_in: expire_in.cloned(),
        kind: ArtifactKind(kind.to_owned()),
        format: report.format,
        ..ArtifactsSpec::default()
    }
}

//! `artifacts`: one keyword for the archive and for all reports of a build.

use super::fields::{Fields, Place, one_or_all_texts};
use super::reports::{Report, names};
use crate::domain::spec::{ArtifactKind, ArtifactsSpec};
use crate::domain::text::did_you_mean::nearest;
use crate::domain::text::duration::parse_keeping;
use serde_json::{Map, Value};

/// The uploads that `artifacts` asks for, the archive first, with what was left of the archive's fields. There is no
/// archive where reports alone are asked for.
///
/// # Errors
/// Says what is wrong, and where.
pub fn artifacts(place: &Place, value: Value) -> Result<(Vec<ArtifactsSpec>, Map<String, Value>), String> {
    let mut fields = Fields::of(place, value, "an object")?;
    let archive = ArtifactsSpec {
        name: fields.text("name")?,
        untracked: fields.flag("untracked")?,
        paths: fields.texts("paths")?,
        exclude: fields.texts("exclude")?,
        when: fields.word("when", &super::WHEN)?,
        expire_in: fields.text("expire_in")?,
        ..ArtifactsSpec::default()
    };
    if let Some(text) = &archive.expire_in {
        // Else the upload is refused, after the build's work is done.
        parse_keeping(text).map_err(|error| format!("{}.expire_in: {error}", place.path()))?;
    }
    let reports = match fields.any("reports") {
        None => Vec::new(),
        Some(value) => reports(&place.inner("reports"), value, archive.expire_in.as_deref())?,
    };
    let rest = fields.rest()?;
    if !reports.is_empty() && archive.paths.is_empty() && !archive.untracked {
        return Ok((reports, Map::new()));
    }
    Ok((std::iter::once(archive).chain(reports).collect(), rest))
}

/// The uploads of `reports`. They are made whatever came of the build, as in GitLab.
fn reports(place: &Place, value: Value, expire_in: Option<&str>) -> Result<Vec<ArtifactsSpec>, String> {
    let Value::Object(reports) = value else {
        return Err(format!("{} must be an object, as in {{\"junit\": \"report.xml\"}}", place.path()));
    };
    let mut all = Vec::with_capacity(reports.len());
    for (kind, paths) in reports {
        if paths.is_null() {
            continue;
        }
        let (kind, paths) = if kind == COVERAGE { coverage(place, paths)? } else { (kind, paths) };
        let report = Report::of(&kind).ok_or_else(|| unknown(place, &kind))?;
        let wrong = || format!("{}.{kind} must be a path, or an array of paths", place.path());
        all.push(ArtifactsSpec {
            name: Some(report.file_name.to_owned()),
            paths: one_or_all_texts(paths).ok_or_else(wrong)?,
            when: Some("always".to_owned()),
            expire_in: expire_in.map(str::to_owned),
            kind: ArtifactKind(kind),
            format: report.format,
            ..ArtifactsSpec::default()
        });
    }
    Ok(all)
}

/// The report whose kind is one of its fields.
const COVERAGE: &str = "coverage_report";

fn coverage(place: &Place, value: Value) -> Result<(String, Value), String> {
    let place = place.inner(COVERAGE);
    let mut fields = Fields::of(&place, value, "an object with `coverage_format` and `path`")?;
    let format = fields.word("coverage_format", &["cobertura", "jacoco"])?;
    let path = fields.text("path")?;
    fields.rest()?;
    match (format, path) {
        (Some(format), Some(path)) => Ok((format, path.into())),
        _ => Err(format!("{} must have `coverage_format` and `path`", place.path())),
    }
}

fn unknown(place: &Place, kind: &str) -> String {
    match nearest(kind, names()) {
        Some(near) => format!("{} has no kind {kind:?}; did you mean {near:?}?", place.path()),
        None => format!("{} has no kind {kind:?}", place.path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::spec::ArtifactFormat;
    use serde_json::json;

    fn read(value: Value) -> Result<Vec<ArtifactsSpec>, String> {
        artifacts(&Place::strict("artifacts"), value).map(|(all, _)| all)
    }

    #[test]
    fn the_archive_and_each_report_are_uploads_of_their_own() {
        let all = read(json!({
            "paths": ["out/"], "exclude": ["*.o"], "expire_in": "7d", "when": "on_failure", "untracked": true, "name": "n",
            "reports": {"junit": ["a.xml", "b.xml"], "dotenv": "build.env", "codequality": "q.json", "lsif": null},
        }))
        .unwrap();
        let kinds: Vec<_> = all.iter().map(|one| (one.kind.0.as_str(), one.format)).collect();
        assert_eq!(kinds[0], ("archive", ArtifactFormat::Zip));
        assert!(kinds.contains(&("junit", ArtifactFormat::Gzip)) && kinds.contains(&("dotenv", ArtifactFormat::Gzip)));
        assert!(kinds.contains(&("codequality", ArtifactFormat::Raw)) && kinds.len() == 4);
        let junit = all.iter().find(|one| one.kind.0 == "junit").unwrap();
        assert_eq!((junit.name.as_deref(), junit.when.as_deref()), (Some("junit.xml"), Some("always")));
        assert_eq!((junit.expire_in.as_deref(), junit.paths.len()), (Some("7d"), 2));
        assert_eq!((all[0].exclude.len(), all[0].untracked, all[0].name.as_deref()), (1, true, Some("n")));
    }

    #[test]
    fn reports_alone_make_no_archive() {
        let all =
            read(json!({"reports": {"coverage_report": {"coverage_format": "cobertura", "path": "c.xml"}}})).unwrap();
        assert_eq!((all.len(), all[0].kind.0.as_str(), all[0].format), (1, "cobertura", ArtifactFormat::Gzip));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (value, part) in [
            (json!({"expire_in": "soon"}), "artifacts.expire_in"),
            (json!({"when": "manual"}), "artifacts.when must be one of"),
            (json!({"path": ["x"]}), "did you mean \"paths\"?"),
            (json!({"reports": {"junti": "x"}}), "did you mean \"junit\"?"),
            (json!({"reports": {"junit": 5}}), "artifacts.reports.junit must be a path"),
            (json!({"reports": "junit.xml"}), "artifacts.reports must be an object"),
            (json!({"reports": {"coverage_report": {"path": "x"}}}), "`coverage_format` and `path`"),
        ] {
            let message = read(value.clone()).unwrap_err();
            assert!(message.contains(part), "{value}: {message}");
        }
    }
}

//! The kinds of reports that `artifacts:reports` knows, how each is packed, and the file's name.

use crate::domain::spec::ArtifactFormat::{self, Gzip, Raw, Zip};

/// How a kind of report is uploaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// How it is packed.
    pub format: ArtifactFormat,
    /// What the file is called, as GitLab calls it.
    pub file_name: &'static str,
}

/// Kind, packing and file name.
const REPORTS: [(&str, ArtifactFormat, &str); 28] = [
    ("junit", Gzip, "junit.xml"),
    ("dotenv", Gzip, ".env"),
    ("cobertura", Gzip, "cobertura-coverage.xml"),
    ("jacoco", Gzip, "jacoco-coverage.xml"),
    ("metrics", Gzip, "metrics.txt"),
    ("cyclonedx", Gzip, "gl-sbom.cdx.json"),
    ("annotations", Gzip, "gl-annotations.json"),
    ("repository_xray", Gzip, "gl-repository-xray.json"),
    ("codequality", Raw, "gl-code-quality-report.json"),
    ("accessibility", Raw, "gl-accessibility.json"),
    ("terraform", Raw, "tfplan.json"),
    ("performance", Raw, "performance.json"),
    ("browser_performance", Raw, "browser-performance.json"),
    ("load_performance", Raw, "load-performance.json"),
    ("sast", Raw, "gl-sast-report.json"),
    ("secret_detection", Raw, "gl-secret-detection-report.json"),
    ("dependency_scanning", Raw, "gl-dependency-scanning-report.json"),
    ("container_scanning", Raw, "gl-container-scanning-report.json"),
    ("cluster_image_scanning", Raw, "gl-cluster-image-scanning-report.json"),
    ("dast", Raw, "gl-dast-report.json"),
    ("license_scanning", Raw, "gl-license-scanning-report.json"),
    ("coverage_fuzzing", Raw, "gl-coverage-fuzzing.json"),
    ("api_fuzzing", Raw, "gl-api-fuzzing-report.json"),
    ("requirements", Raw, "requirements.json"),
    ("requirements_v2", Raw, "requirements_v2.json"),
    ("sarif", Raw, "gl-sarif-report.json"),
    ("lsif", Zip, "lsif.json"),
    ("scip", Zip, "index.scip"),
];

impl Report {
    /// That of this kind, if builds may ask for it.
    #[must_use]
    pub fn of(kind: &str) -> Option<Report> {
        REPORTS
            .iter()
            .find(|(known, ..)| *known == kind)
            .map(|(_, format, file_name)| Report { format: *format, file_name })
    }
}

/// All kinds.
pub fn names() -> impl Iterator<Item = &'static str> {
    REPORTS.iter().map(|(kind, ..)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_once_and_the_archive_is_none() {
        let all: std::collections::BTreeSet<&str> = names().collect();
        assert_eq!(all.len(), REPORTS.len());
        assert!(names().all(|kind| Report::of(kind).is_some_and(|report| !report.file_name.is_empty())));
        assert_eq!((Report::of("archive"), Report::of("metadata")), (None, None), "nobody asks for these");
    }
}

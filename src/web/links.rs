//! Where things are: paths below the base URL's.

use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What a segment of a path cannot hold as it is.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'\'');

/// Makes links.
#[derive(Clone, Debug)]
pub struct Links {
    base: String,
}

impl Links {
    /// Of a server whose base URL has this path.
    pub fn below(base: &str) -> Links {
        Links { base: base.to_owned() }
    }

    /// What each link begins with.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Something of the installation.
    pub fn site(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A project.
    pub fn project(&self, name: &str) -> String {
        format!("{}/{}", self.base, encoded(name))
    }

    /// Something of a project, or of the installation.
    pub fn of(&self, project: Option<&str>, rest: &str) -> String {
        match project {
            Some(name) => format!("{}/-/{rest}", self.project(name)),
            None => format!("{}/-/{rest}", self.base),
        }
    }

    /// A job.
    pub fn job(&self, project: &str, id: BuildId) -> String {
        self.of(Some(project), &format!("jobs/{id}"))
    }

    /// A pipeline.
    pub fn pipeline(&self, project: &str, id: PipelineId) -> String {
        self.of(Some(project), &format!("pipelines/{id}"))
    }

    /// The history of a branch.
    pub fn branch(&self, project: &str, ref_: &str) -> String {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("ref", ref_).finish();
        self.of(Some(project), &format!("pipelines?{query}"))
    }

    /// A runner.
    pub fn runner(&self, id: i64) -> String {
        format!("{}/-/runners/{id}", self.base)
    }
}

/// A path whose segments are encoded, its slashes not.
pub fn encoded(path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(segment).collect();
    segments.join("/")
}

/// One segment; `.` and `..` would be taken for directions.
fn segment(text: &str) -> String {
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        text => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

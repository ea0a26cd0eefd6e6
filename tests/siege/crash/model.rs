//! What runners and the operator know.

use baton::domain::build::{BuildId, Status};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// A build, as its runner and the operator know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    pub status: Status,
    pub runner: Option<i64>,
    pub trace: Vec<u8>,
    pub artifacts: Option<Vec<u8>>,
}

/// Whether the operator wants the build to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancel {
    No,
    /// The runner may have been told before the operator was.
    Asked,
    Done,
}

#[derive(Clone, Debug)]
pub struct Known {
    /// What was acknowledged.
    pub facts: Facts,
    /// What it is if the request without an answer was done.
    pub doubt: Option<Facts>,
    pub cancel: Cancel,
    /// Since the last check.
    pub changed: bool,
}

#[derive(Default)]
pub struct Model {
    builds: Mutex<BTreeMap<BuildId, Known>>,
    /// How often what was acknowledged, or left in doubt.
    counts: Mutex<BTreeMap<String, usize>>,
}

impl Facts {
    fn queued() -> Facts {
        Facts { status: Status::Pending, runner: None, trace: vec![], artifacts: None }
    }
}

impl Known {
    /// What the build may be: what was acknowledged, and what was not refused.
    pub fn possible(&self) -> Vec<Facts> {
        let acknowledged = self.facts.status;
        assert!(
            !(self.cancel == Cancel::Done && is_reported(acknowledged)),
            "canceled, and {acknowledged}: both acknowledged"
        );
        let mut possible: Vec<Facts> = [Some(self.facts.clone()), self.doubt.clone()].into_iter().flatten().collect();
        if self.cancel == Cancel::Done {
            // A report that met the cancel left its trace, as a canceled build's last words.
            possible.iter_mut().for_each(|facts| facts.status = Status::Canceled);
        }
        possible
    }
}

fn is_reported(status: Status) -> bool {
    matches!(status, Status::Success | Status::Failed)
}

impl Model {
    pub fn builds(&self) -> MutexGuard<'_, BTreeMap<BuildId, Known>> {
        self.builds.lock().expect("nobody panicked with the model in hand")
    }

    pub fn facts(&self, id: BuildId) -> Facts {
        self.builds()[&id].facts.clone()
    }

    /// The build is queued. Its runner may know it before the operator does.
    pub fn queued(&self, id: BuildId) {
        self.known(id, |_| ());
    }

    /// Changes what is known of a build.
    pub fn known<T>(&self, id: BuildId, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut builds = self.builds();
        let new = Known { facts: Facts::queued(), doubt: None, cancel: Cancel::No, changed: true };
        let known = builds.entry(id).or_insert(new);
        known.changed = true;
        change(known)
    }

    pub fn count(&self, what: &str) {
        *self.counts.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    pub fn summary(&self) -> String {
        format!("{} builds; {:?}", self.builds().len(), self.counts.lock().unwrap())
    }

    /// Fails if the test has not tested what it says.
    pub fn expect_a_mixed_load(&self) {
        let counts = self.counts.lock().unwrap();
        for what in [
            "register",
            "unregister",
            "claim",
            "patch",
            "whole log",
            "upload",
            "delete",
            "finish",
            "finish with a checksum",
        ] {
            assert!(counts.contains_key(what), "never: {what}: {counts:?}");
        }
        let doubts: usize = counts.iter().filter(|(what, _)| what.starts_with("in doubt")).map(|(_, n)| n).sum();
        assert!(doubts >= 50, "the kills met few requests: {counts:?}");
    }
}

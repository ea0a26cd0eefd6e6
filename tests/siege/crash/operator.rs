//! The operator, in a process of its own beside the server: queues builds, cancels and retries them.

use super::dice::Dice;
use super::model::{Cancel, Model};
use crate::harness::{add_project, new_build, queue};
use baton::coordinator::Coordinator;
use baton::domain::build::{BuildId, Status};
use baton::domain::time::Timestamp;
use baton::error::Kind;
use baton::limits::Limits;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// More builds than this do not wait.
const QUEUE_MAX: usize = 40;
/// Deeds of an operator who leaves the database to the server before that is killed.
const DEEDS: usize = 8;

pub struct Operator {
    data: PathBuf,
    dice: Dice,
    /// Whoever closes the database last empties the write-ahead log, also a dead server's: so in half of the lives the
    /// operator is gone before the kill, and the next server has to recover.
    pub hands_off_before_the_kill: bool,
}

impl Operator {
    pub fn new(data: &Path, dice: Dice) -> Operator {
        Operator { data: data.to_owned(), dice, hands_off_before_the_kill: false }
    }

    fn open(&self) -> Coordinator {
        Coordinator::open(&self.data, Limits::default()).unwrap()
    }

    /// Makes a project; returns the registration token.
    pub fn prepare(&self) -> String {
        add_project(&self.open(), "demo");
        self.open().registration_token(false).unwrap()
    }

    pub fn work(&mut self, model: &Model, over: &AtomicBool) {
        let coordinator = self.open();
        let mut deeds = 0;
        while !over.load(Ordering::Relaxed) {
            self.deed(model, &coordinator);
            deeds += 1;
            if self.hands_off_before_the_kill && deeds == DEEDS {
                return;
            }
            // People are slow.
            thread::sleep(Duration::from_millis(self.dice.below(4) as u64));
        }
    }

    fn deed(&mut self, model: &Model, coordinator: &Coordinator) {
        match self.dice.below(6) {
            0 => self.cancel(model, coordinator),
            1 => self.retry(model, coordinator),
            _ if with_status(model, Status::Pending).len() < QUEUE_MAX => {
                model.queued(queue(coordinator, new_build("demo")));
                model.count("queue");
            }
            _ => {}
        }
    }

    fn cancel(&mut self, model: &Model, coordinator: &Coordinator) {
        let status = self.dice.pick(&[Status::Pending, Status::Running]);
        let Some(id) = self.one_of(&with_status(model, status)) else { return };
        model.known(id, |known| known.cancel = Cancel::Asked);
        let cancel = match coordinator.cancel_build(id, Timestamp::now()) {
            Ok(_) => Cancel::Done,
            Err(error) if error.kind == Kind::Conflict => Cancel::No,
            Err(error) => panic!("{error}"),
        };
        model.known(id, |known| known.cancel = cancel);
        model.count(if cancel == Cancel::Done { "cancel" } else { "cancel too late" });
    }

    fn retry(&mut self, model: &Model, coordinator: &Coordinator) {
        let status = self.dice.pick(&[Status::Success, Status::Failed]);
        let Some(id) = self.one_of(&with_status(model, status)) else { return };
        model.queued(coordinator.retry_build(id, Timestamp::now()).unwrap());
        model.count("retry");
    }

    fn one_of(&mut self, ids: &[BuildId]) -> Option<BuildId> {
        (!ids.is_empty()).then(|| self.dice.pick(ids))
    }
}

fn with_status(model: &Model, status: Status) -> Vec<BuildId> {
    let builds = model.builds();
    let with_it = builds.iter().filter(|(_, known)| known.facts.status == status && known.cancel == Cancel::No);
    with_it.map(|(id, _)| *id).collect()
}

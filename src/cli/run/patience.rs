//! What is said of a build that no runner takes, to whoever waits for it.

use crate::cli::show::print;
use crate::cli::{Done, program};
use crate::coordinator::{Coordinator, is_served};
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use std::time::{Duration, Instant};

/// A build that no runner has taken for so long is worth a remark.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says why a build still waits, once, and once more if it goes on waiting after a server has come.
pub struct Patience {
    id: BuildId,
    since: Instant,
    told: Told,
}

#[derive(PartialEq, Eq)]
enum Told {
    Nothing,
    Unserved,
    All,
}

impl Patience {
    /// Begins now.
    pub fn new(id: BuildId) -> Patience {
        Patience { id, since: Instant::now(), told: Told::Nothing }
    }

    /// Looks at the build, which is in this state, and says what there is to be said.
    pub fn look(&mut self, coordinator: &Coordinator, status: Status) -> Done {
        if let Some(words) = self.words(coordinator, status)? {
            print::note(&words);
        }
        Ok(())
    }

    /// The same for those who say it themselves.
    pub fn words(&mut self, coordinator: &Coordinator, status: Status) -> Done<Option<String>> {
        let waits = matches!(status, Status::Created | Status::Pending);
        if !waits || self.told == Told::All || self.since.elapsed() < PATIENCE {
            return Ok(None);
        }
        // Next time after as much patience.
        self.since = Instant::now();
        if !is_served(coordinator.data())? {
            if self.told != Told::Nothing {
                return Ok(None);
            }
            self.told = Told::Unserved;
            let (id, program) = (self.id, program(coordinator.data()));
            let data = coordinator.data().display();
            let words = format!("build {id} still waits: no server runs on {data}; `{program} serve` starts one");
            return Ok(Some(words));
        }
        self.told = Told::All;
        let reason = coordinator.show_build(self.id, Timestamp::now())?.pending_reason.unwrap_or_default();
        let advice = if status == Status::Created {
            "`baton build list` shows how they are"
        } else if coordinator.list_runners()?.is_empty() {
            "`baton runner --help` shows the line that registers one, `baton runner token` the token for it"
        } else {
            "`baton runner list` shows the runners"
        };
        Ok(Some(format!("build {} still waits: {reason}; {advice}", self.id)))
    }
}

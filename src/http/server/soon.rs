//! Requests whose answers are on their way: of those that wait for the same commit, none keeps a thread.

use super::held::{Held, broken, guarded};
use super::{About, Connection, Shared, Task, lock};
use crate::http::message::{Answer, Finish, Soon};
use std::sync::{Arc, Mutex};

/// A request that was read to its end, and how it is to be answered.
pub(super) struct Asked {
    /// Carries the request.
    pub connection: Connection,
    /// Whether the connection may carry another request.
    pub keep: bool,
    pub about: About,
}

/// Where those meet that have the request and that have its answer.
#[derive(Default)]
struct Meeting {
    asked: Option<Asked>,
    finish: Option<Finish>,
}

impl Shared {
    /// Begins what the answer waits for. If it is there at once, it is given at once, and the connection comes back if
    /// it may carry another request; else another worker gives it.
    pub(super) fn answer_soon(self: &Arc<Self>, asked: Asked, soon: Soon) -> Option<Connection> {
        let meeting = Arc::new(Mutex::new(Meeting::default()));
        let take = {
            let (shared, meeting) = (Arc::clone(self), Arc::clone(&meeting));
            move |finish| {
                let asked = {
                    let mut meeting = lock(&meeting);
                    match meeting.asked.take() {
                        Some(asked) => asked,
                        None => return meeting.finish = Some(finish),
                    }
                };
                shared.work().soon -= 1;
                shared.queue(Task::Finish(asked, finish));
            }
        };
        soon.begin(take);
        let mut meeting = lock(&meeting);
        match meeting.finish.take() {
            Some(finish) => {
                drop(meeting);
                self.finish(asked, finish)
            }
            None => {
                self.work().soon += 1;
                meeting.asked = Some(asked);
                None
            }
        }
    }

    /// Answers a request. Returns the connection if it may carry another.
    pub(super) fn finish(self: &Arc<Self>, asked: Asked, finish: Finish) -> Option<Connection> {
        let Asked { mut connection, keep, about } = asked;
        let response = match guarded(finish) {
            Some(Answer::Later(later)) if self.may_hold() => {
                self.hold(Held { connection, later, keep, about });
                return None;
            }
            Some(answer) => guarded(|| answer.at_once()).unwrap_or_else(broken),
            None => broken(),
        };
        let request = connection.request.take()?;
        self.send(connection, request, response, about, keep)
    }
}

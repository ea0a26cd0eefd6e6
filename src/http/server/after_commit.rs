//! Requests whose answers are on their way: of those that wait for the same commit, none keeps a thread.

use super::connection::Connection;
use super::held::{HeldRequest, broken, guarded};
use super::{Asked, Shared, Task};
use crate::http::message::{AfterCommit, Answer, Finish, Response};
use crate::sync::lock;
use std::sync::{Arc, Mutex};

/// Where those meet that have the request and that have its answer.
#[derive(Default)]
struct Meeting {
    asked: Option<Asked>,
    finish: Option<Finish>,
}

impl Shared {
    /// Gives an answer now, or when it is there. Returns the connection if it may carry another request.
    pub(super) fn answer(self: &Arc<Self>, asked: Asked, answer: Answer) -> Option<Connection> {
        match answer {
            Answer::Held(answer) if self.may_hold() => {
                self.hold(HeldRequest { asked, answer });
                None
            }
            Answer::AfterCommit(after) => self.answer_after_commit(asked, after),
            answer @ (Answer::Now(_) | Answer::Held(_)) => self.send(asked, at_once(answer)),
        }
    }

    /// Begins what the answer waits for. If it is there at once, it is given at once, and the connection comes back if
    /// it may carry another request; else another worker gives it.
    fn answer_after_commit(self: &Arc<Self>, asked: Asked, after: AfterCommit) -> Option<Connection> {
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
                shared.work().uncommitted -= 1;
                shared.queue(Task::Finish(asked, finish));
            }
        };
        after.begin(take);
        let mut meeting = lock(&meeting);
        match meeting.finish.take() {
            Some(finish) => {
                drop(meeting);
                self.finish(asked, finish)
            }
            None => {
                self.work().uncommitted += 1;
                meeting.asked = Some(asked);
                None
            }
        }
    }

    /// Makes an answer and gives it. Returns the connection if it may carry another request.
    pub(super) fn finish(self: &Arc<Self>, asked: Asked, finish: Finish) -> Option<Connection> {
        self.answer(asked, guarded(finish).unwrap_or_else(|| broken().into()))
    }
}

/// The response, however long it takes.
pub(super) fn at_once(answer: Answer) -> Response {
    guarded(|| answer.at_once()).unwrap_or_else(broken)
}

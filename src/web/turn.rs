//! Answers that wait until the logs of others were gone through.
//!
//! What must stay true: who waits keeps no thread, and has an answer in the end.

use super::frame::SharedWeb;
use super::{Asked, Web};
use crate::coordinator::{OrSoon, Soon};
use crate::error::{Error, Kind, Result};
use crate::http::{Answer, Held, Response, Wake};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long somebody waits for others who have logs gone through.
const TURN_TIME: Duration = Duration::from_secs(10);

/// Makes an answer, or says whom to wait for. With `true` nobody waits any more.
type Make = Box<dyn Fn(&Web, &Asked, bool) -> Result<OrSoon<Response>> + Send>;

/// An answer that waits for its turn.
struct HeldTurn {
    web: SharedWeb,
    asked: Asked,
    make: Make,
    soon: Option<Soon>,
    until: Instant,
}

impl Held for HeldTurn {
    fn begin(&mut self, wake: Wake) {
        match self.soon.take() {
            Some(soon) => soon.when_ready(move || wake.wake()),
            None => wake.wake(),
        }
    }

    fn answer(&mut self, last: bool) -> Option<Response> {
        match (self.make)(&self.web, &self.asked, last) {
            Ok(OrSoon::There(response)) => Some(response),
            Ok(OrSoon::Soon(soon)) if !last => {
                self.soon = Some(soon);
                None
            }
            Ok(OrSoon::Soon(_)) => {
                let error = Error::new(Kind::Busy, "too many long logs are gone through; ask again in a minute");
                Some(self.web.failed(&self.asked, &error))
            }
            Err(error) => Some(self.web.failed(&self.asked, &error)),
        }
    }

    fn until(&self) -> Instant {
        self.until
    }
}

/// An answer now, or when those before it are ready.
pub fn in_turn(
    web: &SharedWeb,
    asked: &Asked,
    make: impl Fn(&Web, &Asked, bool) -> Result<OrSoon<Response>> + Send + 'static,
) -> Result<Answer> {
    Ok(match make(web, asked, false)? {
        OrSoon::There(response) => response.into(),
        OrSoon::Soon(soon) => {
            let (web, asked, until) = (Arc::clone(web), asked.clone(), Instant::now() + TURN_TIME);
            Answer::Held(Box::new(HeldTurn { web, asked, make: Box::new(make), soon: Some(soon), until }))
        }
    })
}

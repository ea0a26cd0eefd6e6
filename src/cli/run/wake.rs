//! When to look next at builds that are waited for: as soon as something is written to the data directory, by whichever
//! process, and else less and less often.
//!
//! What must stay true: it only says when to look; what has happened the database says. What is written is seen some
//! milliseconds later, when it is durable: so after a sign it is looked again soon, several times.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
#[cfg(target_os = "linux")]
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The first pause after a sign; each that follows is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Waits for signs.
pub struct Wake {
    #[cfg(target_os = "linux")]
    signs: Option<Inotify>,
    pause: Duration,
}

impl Wake {
    /// Of this data directory. Where the system gives no signs, it is looked now and then.
    #[cfg(target_os = "linux")]
    pub fn of(data: &Path) -> Wake {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let signs = Inotify::init(flags).and_then(|signs| {
            signs.add_watch(data, AddWatchFlags::IN_MODIFY)?;
            Ok(signs)
        });
        Wake { signs: signs.inspect_err(|errno| log::debug!("no signs of writes: {errno}")).ok(), pause: PAUSE_MIN }
    }

    /// Where the system gives no signs, it is looked now and then.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_data: &Path) -> Wake {
        Wake { pause: PAUSE_MIN }
    }

    /// Waits, at most so long, until it is time to look. Without a time there is more already.
    pub fn wait(&mut self, at_most: Duration) {
        if at_most.is_zero() {
            self.pause = PAUSE_MIN;
            return;
        }
        let pause = self.pause.min(at_most);
        if self.hears(pause) {
            self.pause = PAUSE_MIN;
            // Whoever writes without end is not looked at without end.
            thread::sleep(PAUSE_MIN);
        } else {
            self.pause = (pause * 2).min(at_most);
        }
    }

    /// Whether there is a sign within this time.
    #[cfg(target_os = "linux")]
    fn hears(&self, pause: Duration) -> bool {
        use std::os::fd::AsFd;
        let Some(signs) = &self.signs else {
            thread::sleep(pause);
            return false;
        };
        let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(signs.as_fd(), PollFlags::POLLIN)], timeout) {
            // What is read is only that there was something.
            Ok(count) => count > 0 && signs.read_events().is_ok(),
            Err(_) => {
                thread::sleep(pause);
                false
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn hears(&self, pause: Duration) -> bool {
        thread::sleep(pause);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_write_ends_the_wait_and_pauses_grow_to_what_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let mut wake = Wake::of(dir.path());
        let at_most = Duration::from_millis(4);
        for _ in 0..4 {
            wake.wait(at_most);
        }
        assert_eq!(wake.pause, at_most);
        wake.wait(Duration::ZERO);
        assert_eq!(wake.pause, PAUSE_MIN);
        if cfg!(target_os = "linux") {
            wake.pause = LONG;
            fs::write(dir.path().join("baton.db-wal"), "x").unwrap();
            wake.wait(LONG);
            assert_eq!(wake.pause, PAUSE_MIN, "the sign came");
        }
    }
}

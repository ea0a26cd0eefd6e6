//! SIGINT and SIGTERM as messages.

use super::{Done, Stop};
use nix::sys::signal::{SigSet, Signal};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// From now on these signals do nothing but call `act`, in a thread of its own. To be called before any other
/// thread starts, since threads inherit what is blocked.
pub fn each(mut act: impl FnMut(Signal) + Send + 'static) -> Done {
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(format!("cannot watch for signals: {error}"));
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block().map_err(|error| failed(&error))?;
    let wait = move || {
        while let Ok(signal) = set.wait() {
            act(signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(|error| failed(&error))?;
    Ok(())
}

/// The first signal arrives in the returned channel and is the command's to answer; the second ends the process
/// at once.
pub fn watch() -> Done<Receiver<Signal>> {
    let (sender, receiver) = channel();
    let mut is_first = true;
    each(move |signal| {
        if !is_first {
            std::process::exit(1);
        }
        is_first = false;
        // Nobody listens any more: the command is about to end.
        let _ = sender.send(signal);
    })?;
    Ok(receiver)
}

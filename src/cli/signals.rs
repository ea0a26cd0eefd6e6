//! Signals as messages.

use super::{Done, Stop};
use nix::sys::signal::{SigSet, Signal};
use std::{fs, thread};

/// From now on these signals do nothing but call `act`, in a thread of its own. To be called before any other
/// thread starts, since threads inherit what is blocked.
pub fn each(signals: &[Signal], mut act: impl FnMut(Signal) + Send + 'static) -> Done {
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(format!("cannot watch for signals: {error}"));
    let set: SigSet = signals.iter().copied().collect();
    set.thread_block().map_err(|error| failed(&error))?;
    let wait = move || {
        while let Ok(signal) = set.wait() {
            act(signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(|error| failed(&error))?;
    Ok(())
}

/// The signals that whoever started this process wants it to ignore, as `nohup` does with SIGHUP. None where the
/// system does not tell.
pub fn ignored() -> Vec<Signal> {
    ignored_by(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// The signals that a process ignores, by the text of its `/proc/PID/status`.
fn ignored_by(status: &str) -> Vec<Signal> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    Signal::iterator().filter(|&signal| mask >> (signal as i32 - 1) & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = "Name:\tbaton\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored_by(status), [Signal::SIGHUP, Signal::SIGPIPE]);
        assert_eq!(ignored_by(""), []);
        assert_eq!(ignored_by("SigIgn:\tx\n"), []);
    }
}

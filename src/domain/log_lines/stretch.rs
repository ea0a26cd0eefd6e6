//! Stretches of a log: many plain lines that are taken at once, since going through them one by one is what takes long.
//!
//! What must stay true: whoever takes a stretch knows afterwards what it would know had it taken the lines.

use super::{LineEnd, LineHead};
use crate::domain::line_times::{UNCUT_BYTES_MAX, head_of};
use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};

/// Bytes of a stretch at most.
const BYTES_MAX: usize = 64 << 10;

/// Shorter ones are not worth it.
const BYTES_MIN: usize = 512;

/// So many bytes go line by line where no stretch begins.
pub const REFUSED_BYTES: u64 = 4 << 10;

/// Lines that have an end, no return in them, and none so long that another could continue it.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// Where the first one begins.
    pub start: LineEnd,
    /// The lines, with what their runner put before them.
    pub bytes: &'a [u8],
    /// What stands before the last line that was timed.
    pub last_head: Option<LineHead>,
}

/// The stretch that `bytes` begin with, up to the first line that begins at `until` or behind it. `None`: there is none
/// that is worth it.
pub fn bytes_of(bytes: &[u8], until: u64) -> Option<&[u8]> {
    let window = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    let wanted = usize::try_from(until).ok().and_then(|until| window.get(until.saturating_sub(1)..));
    let end = match wanted {
        Some(behind) => window.len() - behind.len() + memchr(b'\n', behind)?,
        None => memrchr(b'\n', window)?,
    };
    let stretch = window.get(..=end).filter(|stretch| stretch.len() >= BYTES_MIN)?;
    // Each line then is shorter than two of these parts.
    let is_of_short_lines = || stretch.chunks(UNCUT_BYTES_MAX / 2).all(|part| memchr(b'\n', part).is_some());
    (memchr(b'\r', stretch).is_none() && is_of_short_lines()).then_some(stretch)
}

/// How many lines a stretch has.
pub fn count(stretch: &[u8]) -> u64 {
    memchr_iter(b'\n', stretch).count() as u64
}

/// The last head in a stretch of a log whose lines are timed.
pub fn last_head(stretch: &[u8]) -> Option<LineHead> {
    let begins = memrchr_iter(b'\n', stretch).skip(1).map(|end| end + 1).chain([0]);
    begins.filter_map(|begin| head_of(stretch.get(begin..)?)).next().map(|head| LineHead(*head))
}

//! What a runner and the keeper of a job say to each other, over two pipes.
//!
//! What must stay true: a frame is a letter, the number of the shell that it is about, its length, and so many bytes;
//! neither side takes one that is longer than [`FRAME_BYTES_MAX`]. A pipe's end is the sign that the other side is dead.

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// Longest frame: a script with all that it exports.
const FRAME_BYTES_MAX: u32 = 256 << 20;

/// What a shell is started with.
#[derive(Serialize, Deserialize)]
pub struct Start {
    /// The program, found in `PATH`.
    pub program: String,
    /// What stands behind its name.
    pub arguments: Vec<String>,
    /// Where it starts.
    pub folder: PathBuf,
    /// Its standard input.
    pub script: String,
}

/// How a shell has ended.
#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub enum End {
    /// With this status.
    Status(i32),
    /// By the signal of this number.
    Signal(i32),
}

/// A frame.
#[derive(Debug)]
pub struct Frame {
    /// What it is.
    pub kind: u8,
    /// Which shell it is about, counted from 1.
    pub shell: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

/// To the keeper: start a shell; the payload is a [`Start`].
pub const START: u8 = b'S';
/// To the keeper: ask the shell's group to end.
pub const ASK: u8 = b'T';
/// To the keeper: end the shell's group.
pub const KILL: u8 = b'K';
/// To the keeper: end everything that descends from the job.
pub const KILL_ALL: u8 = b'A';
/// To the keeper: the job has ended; stay as long as something of it lives.
pub const STAY: u8 = b'E';
/// To the keeper: end, and leave alone what lives.
pub const LEAVE: u8 = b'L';

/// From the keeper: standard output.
pub const OUT: u8 = b'O';
/// From the keeper: standard error.
pub const ERR: u8 = b'R';
/// From the keeper: one of the two has ended.
pub const PIPE_END: u8 = b'P';
/// From the keeper: the shell has ended; the payload is an [`End`].
pub const EXIT: u8 = b'X';
/// From the keeper: the shell cannot be started; the payload says why.
pub const FAILED: u8 = b'F';
/// From the keeper: the shell has ended, but somebody holds its output; the payload says who.
pub const HELD: u8 = b'H';

/// Writes a frame.
///
/// # Errors
/// When the other side is gone, or for a payload that is too long.
pub fn write(to: &mut impl Write, kind: u8, shell: u32, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|&length| length <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the script is too long"))?;
    let mut frame = Vec::with_capacity(payload.len() + 9);
    frame.push(kind);
    frame.extend_from_slice(&shell.to_be_bytes());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(payload);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads a frame.
///
/// # Errors
/// At the end, which comes between two frames or not, and for what is no frame.
pub fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut byte = [0; 1];
    from.read_exact(&mut byte)?;
    let [kind] = byte;
    let mut number = [0; 4];
    from.read_exact(&mut number)?;
    let shell = u32::from_be_bytes(number);
    from.read_exact(&mut number)?;
    let length = u32::from_be_bytes(number);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut payload = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut payload)?;
    if payload.len() as u64 != u64::from(length) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(Frame { kind, shell, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went_and_a_cut_one_is_an_error() {
        let mut bytes = Vec::new();
        write(&mut bytes, OUT, 7, b"text").unwrap();
        write(&mut bytes, EXIT, 8, b"").unwrap();
        let mut from = bytes.as_slice();
        let frame = read(&mut from).unwrap();
        assert_eq!((frame.kind, frame.shell, frame.payload.as_slice()), (OUT, 7, &b"text"[..]));
        assert_eq!(read(&mut from).unwrap().kind, EXIT);
        assert!(read(&mut from).is_err());
        for cut in 0..bytes.len() - 9 {
            assert!(read(&mut &bytes[..cut]).is_err(), "{cut}");
        }
        assert!(read(&mut &[OUT, 0, 0, 0, 1, 255, 255, 255, 255][..]).is_err());
    }
}

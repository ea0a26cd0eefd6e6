//! Files, copied as `cp` followed by `sync` does it.

use crate::report::median_latency;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Bytes that are read and written at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Copies a file and makes the copy durable.
pub fn copy(from: &Path, to: &Path) {
    let (mut from, mut to) = (File::open(from).unwrap(), File::create(to).unwrap());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut piece).unwrap();
        if count == 0 {
            return to.sync_all().unwrap();
        }
        to.write_all(&piece[..count]).unwrap();
    }
}

/// Makes durable what another process has written.
pub fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

/// Lets the disk finish what others have left to it.
pub fn settle() {
    let status = std::process::Command::new("sync").status().unwrap();
    assert!(status.success());
}

/// What a write of 4 KiB to the end of a file and its fdatasync take, in seconds.
pub fn sync_latency() -> f64 {
    let mut file = tempfile::tempfile().unwrap();
    median_latency(200, || {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    })
}

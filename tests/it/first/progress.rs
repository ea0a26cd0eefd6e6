//! What takes a while shows how far it is, to a person only.

use super::baton;
use crate::harness::terminal::Terminal;
use crate::harness::*;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const BYTES: usize = 48 << 20;

/// Takes it slowly at first, so that there is something to be seen.
#[test]
fn a_download_shows_how_far_it_is_on_a_terminal_and_nothing_off_it() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    server.send(upload(&build, "a.zip", &vec![7; BYTES])).expect(201);
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let words = ["build", "artifacts", &build.id.to_string(), "--output", pipe.to_str().unwrap()];
    let running = Terminal::new(24, 80).run(&mut baton(server.data(), &words));
    let mut reader = File::open(&pipe).unwrap();
    let mut piece = vec![0; 128 << 10];
    let mut got = 0;
    while !running.shown().contains("artifacts [") {
        reader.read_exact(&mut piece).expect("the bar is there before the last byte");
        got += piece.len();
        thread::sleep(Duration::from_millis(5));
    }
    got += std::io::copy(&mut reader, &mut std::io::sink()).unwrap() as usize;
    let (status, shown) = running.end();
    assert!(status.success() && got == BYTES);
    assert!(shown.contains(" of 48.0 MiB, ") && shown.contains("/s"), "{shown:?}");
    assert!(shown.ends_with("\r\x1b[K"), "the line goes when all is done: {shown:?}");

    let mut silent = baton(server.data(), &words).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = File::open(&pipe).unwrap();
    for _ in 0..8 {
        reader.read_exact(&mut piece).unwrap();
        thread::sleep(Duration::from_millis(80));
    }
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let mut said = String::new();
    silent.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(silent.wait().unwrap().success());
    assert_eq!(said, "");
}

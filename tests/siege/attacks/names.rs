//! File names that mean harm: to the disk of the server, and to whoever downloads.

use crate::harness::http::{BOUNDARY, Request, send};
use crate::harness::victim::Victim;
use crate::harness::{Claimed, Speech};
use std::fs;
use std::path::Path;

fn upload_named(speech: Speech, build: &Claimed, filename: &[u8]) -> Request {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"");
    let tail = format!("\"\r\nContent-Type: application/octet-stream\r\n\r\ncontent\r\n--{BOUNDARY}--\r\n");
    Request::post(&speech.path(build.id, "artifacts")).header(speech.header(), &build.token).body(
        &format!("multipart/form-data; boundary={BOUNDARY}"),
        [head.as_bytes(), filename, tail.as_bytes()].concat(),
    )
}

/// Every file below `dir`.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let of_entry = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => files(&entry.path()),
        false => vec![entry.path().to_string_lossy().into_owned()],
    };
    entries.flat_map(of_entry).collect()
}

/// A token or a quoted string (RFC 9110, 5.6), and what follows it.
fn plain_name(value: &str) -> (String, &str) {
    let Some(quoted) = value.strip_prefix('"') else {
        let (token, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
        return (token.to_owned(), rest);
    };
    let (mut name, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (name, &quoted[at + 1..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    panic!("a quoted string does not end: {value}");
}

/// What a client may make of the header: one line of visible ASCII, one `filename`, no directory in it.
#[track_caller]
fn expect_harmless(disposition: &str, shown: &str) {
    assert!(disposition.starts_with("attachment; filename="), "{shown}: {disposition}");
    assert!(disposition.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}: {disposition}");
    assert!(disposition.len() < 2000, "{shown}: {} bytes", disposition.len());
    let (name, rest) = plain_name(&disposition["attachment; filename=".len()..]);
    assert!(!name.contains(['/', '\\']) && !["", ".", ".."].contains(&name.as_str()), "{shown}: {disposition}");
    assert!(rest.is_empty() || rest.starts_with("; filename*=UTF-8''"), "{shown}: {disposition}");
    assert!(!rest[1.min(rest.len())..].contains([';', '"']), "{shown}: {disposition}");
}

#[test]
fn names_that_mean_harm_do_none() {
    let victim = Victim::start();
    let (_, build) = victim.running();
    let long = b"n".repeat(10 << 10);
    let percent: Vec<u8> = "ä".repeat(200).into_bytes();
    let names: [&[u8]; 26] = [
        b"../../x",
        b"..\\..\\x",
        b"/etc/cron.d/x",
        b"C:\\x",
        b".",
        b"..",
        b"/",
        b"",
        b" ",
        b"a\r\nX-Evil: yes",
        b"a\nX-Evil: yes",
        b"a\r\n\r\n<script>",
        b"a\rb",
        b"a\0.zip",
        b"a%0d%0aX-Evil: yes",
        b"%2e%2e%2fx",
        b"\xff\xfe\xfd",
        b"\xc3\x28",
        "\u{2028}\u{85}\u{202e}gpj.exe".as_bytes(),
        b"a\"; filename=\"b",
        b"a\\\"; filename=b",
        b"a; filename*=UTF-8''x",
        b"baton.db",
        b"\x1b[2Jx",
        &percent,
        &long,
    ];
    victim.withstands("names that mean harm", 24, |_| {
        let outside =
            |dir: &Path| files(dir).into_iter().filter(|file| !file.contains("/artifacts/")).collect::<Vec<_>>();
        let mut before = outside(&victim.data());
        for (name, speech) in names.iter().flat_map(|name| Speech::BOTH.map(|speech| (*name, speech))) {
            let shown = format!("{speech:?}: {}", String::from_utf8_lossy(name));
            let response = send(victim.address, &upload_named(speech, &build, name));
            assert!([201, 400, 413].contains(&response.status), "{shown:?}: {}", response.text());
            assert!(response.status == 201 || response.json()["message"].is_string());
            let downloaded = send(victim.address, &speech.download(&build));
            let found = downloaded.status == 200;
            assert!(found || response.status != 201, "{shown:?}: {}", downloaded.text());
            if found {
                assert_eq!(downloaded.header("X-Evil"), None, "{shown:?}");
                expect_harmless(downloaded.header("Content-Disposition").unwrap(), &shown);
                assert_eq!(downloaded.body, b"content");
            }
        }
        let mut after = outside(&victim.data());
        before.sort();
        after.sort();
        assert_eq!(before, after);
        assert_eq!(files(&victim.data().join("artifacts")).len(), 1);
    });
    assert!(!Path::new("/etc/cron.d/x").exists());
    assert!(!victim.log().contains('\u{1b}'), "a name reaches the operator's terminal");
}

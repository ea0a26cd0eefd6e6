//! The log of a job: lines of the runner and output of its shells, masked, with times, in one file.
//!
//! What must stay true: nothing reaches the file unmasked; the file is append only, so that any part of it can be sent
//! again; it has no name, and only this process can read it. The bytes are those of gitlab-runner 19.3.

use super::mask::{Decoding, Masking, Secrets};
use crate::domain::token::{hex, random};
use crate::sync::{lock, whole};
use flate2::Crc;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A line without its end is shown when it has so many bytes.
const LINE_BYTES_MAX: usize = 8 << 10;
/// What the runner itself may say beyond the log's limit.
const OWN_BYTES_MAX: u64 = 64 << 10;
/// Lines of the archiver are filled up to so many columns.
const COLUMNS: usize = 50;

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// The runner.
    Runner,
    /// A shell's standard output.
    Out,
    /// A shell's standard error.
    Err,
}

/// A job's log.
pub struct Log {
    inner: Mutex<Inner>,
    changed: Condvar,
    has_sections: bool,
}

struct Inner {
    file: File,
    bytes: u64,
    bytes_max: u64,
    crc: Crc,
    secrets: Secrets,
    streams: [Writing; 3],
    /// Whether the limit was passed, and said to be.
    is_full: bool,
    /// Whether nothing comes any more.
    is_over: bool,
    /// Why the file cannot be written any more.
    broken: Option<String>,
}

/// One stream on its way into the file.
struct Writing {
    masking: Masking,
    decoding: Decoding,
    stamping: Stamping,
}

impl Log {
    /// A log, in a file in `folder` that has no name. `bytes_max` bounds what shells write.
    pub fn new(
        folder: &Path,
        bytes_max: u64,
        secrets: Secrets,
        has_times: bool,
        has_sections: bool,
    ) -> io::Result<Log> {
        let file = nameless(folder)?;
        let writing = |mark| Writing {
            masking: Masking::default(),
            decoding: Decoding::default(),
            stamping: Stamping { mark, has_times, line: String::new(), is_continued: false },
        };
        let streams = [writing("00O"), writing("01O"), writing("01E")];
        let (crc, is_full, is_over, broken) = (Crc::new(), false, false, None);
        let inner = Inner { file, bytes: 0, bytes_max, crc, secrets, streams, is_full, is_over, broken };
        Ok(Log { inner: Mutex::new(inner), changed: Condvar::new(), has_sections })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Adds to a stream.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.lock().write(stream, bytes, SystemTime::now());
        self.changed.notify_all();
    }

    /// Ends the unfinished lines of the shells, of which nothing comes any more.
    pub fn end_of_shell(&self) {
        let mut inner = self.lock();
        for stream in [Stream::Out, Stream::Err] {
            inner.end(stream, SystemTime::now());
        }
        self.changed.notify_all();
    }

    /// Ends the log.
    pub fn end(&self) {
        self.end_of_shell();
        let mut inner = self.lock();
        inner.end(Stream::Runner, SystemTime::now());
        inner.is_over = true;
        self.changed.notify_all();
    }

    /// A plain line.
    pub fn plain(&self, text: &str) {
        self.write(Stream::Runner, format!("\x1b[0K{text}\x1b[0;m\n").as_bytes());
    }

    /// Begins a section.
    pub fn section_start(&self, name: &str) {
        self.mark("start", name);
    }

    /// Ends a section.
    pub fn section_end(&self, name: &str) {
        self.mark("end", name);
    }

    fn mark(&self, which: &str, name: &str) {
        if self.has_sections {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            self.write(Stream::Runner, format!("section_{which}:{seconds}:{name}\r\x1b[0K").as_bytes());
        }
    }

    /// The first line of a stage.
    pub fn heading(&self, text: &str) {
        self.write(Stream::Runner, format!("\x1b[0K\x1b[36;1m{text}\x1b[0;m\x1b[0;m\n").as_bytes());
    }

    /// A warning of the runner.
    pub fn warning(&self, text: &str) {
        self.write(Stream::Runner, format!("\x1b[0;33mWARNING: {text}\x1b[0;m\n").as_bytes());
    }

    /// What ended the job.
    pub fn error(&self, text: &str) {
        self.write(Stream::Runner, format!("\x1b[31;1mERROR: {text}\x1b[0;m\n").as_bytes());
    }

    /// The job went well.
    pub fn success(&self, text: &str) {
        self.write(Stream::Runner, format!("\x1b[32;1m{text}\x1b[0;m\n").as_bytes());
    }

    /// A notice of a stage.
    pub fn notice(&self, text: &str) {
        self.write(Stream::Out, format!("\x1b[32;1m{text}\x1b[0;m\n").as_bytes());
    }

    /// A warning of a stage's script.
    pub fn yellow(&self, text: &str) {
        self.write(Stream::Out, format!("\x1b[0;33m{text}\x1b[0;m\n").as_bytes());
    }

    /// A line of the archiver.
    pub fn archiver(&self, text: &str) {
        self.write(Stream::Err, format!("{text:COLUMNS$} \x1b[0;m\n").as_bytes());
    }

    /// A warning of the archiver.
    pub fn archiver_warning(&self, text: &str) {
        let text = format!("WARNING: {text}");
        self.write(Stream::Err, format!("\x1b[0;33m{text:COLUMNS$} \x1b[0;m\n").as_bytes());
    }

    /// An error of the archiver; `FATAL` if it ended by it.
    pub fn archiver_error(&self, kind: &str, text: &str) {
        let text = format!("{kind}: {text}");
        self.write(Stream::Err, format!("\x1b[31;1m{text:COLUMNS$} \x1b[0;m\n").as_bytes());
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Bytes of the whole log and their CRC-32.
    #[must_use]
    pub fn checksum(&self) -> (u64, u32) {
        let inner = self.lock();
        (inner.bytes, inner.crc.sum())
    }

    /// Waits until there are more than `bytes` bytes or the log is over, for `time` at most. Returns whether it is over.
    #[must_use]
    pub fn wait(&self, bytes: u64, time: Duration) -> bool {
        let inner = self.lock();
        let waits = |inner: &mut Inner| inner.bytes <= bytes && !inner.is_over;
        let (inner, _) = whole(self.changed.wait_timeout_while(inner, time, waits));
        inner.is_over
    }

    /// What stands from `from` on, at most `bytes_max` of it.
    pub fn read(&self, from: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let inner = self.lock();
        if let Some(broken) = &inner.broken {
            return Err(io::Error::other(broken.clone()));
        }
        let left = usize::try_from(inner.bytes.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(bytes_max)];
        inner.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }
}

impl Inner {
    fn write(&mut self, stream: Stream, bytes: &[u8], now: SystemTime) {
        if stream != Stream::Runner && self.is_full {
            return;
        }
        let mut out = String::new();
        if let Some(writing) = self.streams.get_mut(stream as usize) {
            let masked = writing.masking.feed(&self.secrets, bytes);
            let text = writing.decoding.feed(&masked);
            writing.stamping.write(&text, now, &mut out);
        }
        self.append(stream, &out, now);
    }

    fn end(&mut self, stream: Stream, now: SystemTime) {
        let mut out = String::new();
        if let Some(writing) = self.streams.get_mut(stream as usize) {
            let masked = writing.masking.finish(&self.secrets);
            let text = writing.decoding.feed(&masked) + writing.decoding.finish();
            writing.stamping.write(&text, now, &mut out);
            writing.stamping.end(&mut out);
        }
        self.append(stream, &out, now);
    }

    fn append(&mut self, stream: Stream, text: &str, now: SystemTime) {
        let room = self.bytes_max.saturating_sub(self.bytes);
        if stream == Stream::Runner {
            let room = self.bytes_max.saturating_add(OWN_BYTES_MAX).saturating_sub(self.bytes);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            self.put(prefix(text, room));
            return;
        }
        if self.is_full {
            return;
        }
        let fits = prefix(text, usize::try_from(room).unwrap_or(usize::MAX));
        // Whole lines: half of what stands before one would be taken for text.
        let lines = fits.rfind('\n').and_then(|end| fits.get(..=end)).unwrap_or("");
        let begin = if fits.len() == text.len() { text } else { lines };
        self.put(begin);
        if begin.len() == text.len() {
            return;
        }
        self.is_full = true;
        let max = self.bytes_max;
        let notice = format!(
            "\x1b[33;1mJob's log exceeded limit of {max} bytes.\n\
             Job execution will continue but no more output will be collected.\x1b[0;m\n"
        );
        self.write(Stream::Runner, notice.as_bytes(), now);
    }

    fn put(&mut self, text: &str) {
        if text.is_empty() || self.broken.is_some() {
            return;
        }
        match self.file.write_all_at(text.as_bytes(), self.bytes) {
            Ok(()) => {
                self.crc.update(text.as_bytes());
                self.bytes += text.len() as u64;
            }
            Err(error) => self.broken = Some(format!("the log cannot be kept: {error}")),
        }
    }
}

/// The longest beginning that has at most so many bytes.
#[must_use]
pub fn prefix(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// Puts the time, the stream and whether it continues a line before each line.
struct Stamping {
    /// The stream, as it stands in each line.
    mark: &'static str,
    has_times: bool,
    /// A line without its end, with what stands before it.
    line: String,
    /// Whether the next line continues the last one.
    is_continued: bool,
}

impl Stamping {
    fn write(&mut self, text: &str, now: SystemTime, out: &mut String) {
        if !self.has_times {
            out.push_str(text);
            return;
        }
        let mut rest = text;
        while let Some((line, after)) = rest.split_once('\n') {
            self.begin(now);
            self.line.push_str(line);
            self.flush(out);
            rest = after;
        }
        if rest.is_empty() {
            return;
        }
        self.begin(now);
        self.line.push_str(rest);
        // What has a carriage return shows how far something is: it is to be seen at once.
        if rest.contains('\r') || self.line.len() > LINE_BYTES_MAX {
            self.flush(out);
            self.is_continued = true;
        }
    }

    fn begin(&mut self, now: SystemTime) {
        if self.line.is_empty() {
            let time = humantime::format_rfc3339_micros(now);
            let continued = if std::mem::take(&mut self.is_continued) { '+' } else { ' ' };
            self.line = format!("{time} {}{continued}", self.mark);
        }
    }

    fn flush(&mut self, out: &mut String) {
        out.push_str(&self.line);
        out.push('\n');
        self.line.clear();
    }

    fn end(&mut self, out: &mut String) {
        if !self.line.is_empty() {
            self.flush(out);
        }
    }
}

/// A file in `folder` that has no name, so that it goes with its last reader.
pub fn nameless(folder: &Path) -> io::Result<File> {
    let name = random::<8>().map_err(|error| io::Error::other(error.to_string()))?;
    let path = folder.join(format!(".{}", hex(&name)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(bytes_max: u64, has_times: bool) -> (tempfile::TempDir, Log) {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(["masked-value"], &[]);
        let log = Log::new(dir.path(), bytes_max, secrets, has_times, true).unwrap();
        (dir, log)
    }

    fn text(log: &Log) -> String {
        String::from_utf8(log.read(0, usize::MAX).unwrap()).unwrap()
    }

    /// Without the times, which are checked to be some.
    fn without_times(text: &str) -> String {
        let lines = text.split_inclusive('\n').map(|line| {
            let (time, rest) = line.split_at(27);
            assert!(humantime::parse_rfc3339(time).is_ok(), "{line:?}");
            rest.strip_prefix(' ').unwrap()
        });
        lines.collect()
    }

    #[test]
    fn lines_have_the_bytes_of_a_real_runner() {
        let (_dir, log) = log(1 << 20, false);
        log.section_start("get_sources");
        log.heading("Getting");
        log.plain("on a host");
        log.archiver("Created cache");
        log.archiver_warning("nothing");
        log.archiver_error("FATAL", "gone");
        log.error("Job failed");
        let text = text(&log);
        let (mark, rest) = text.split_once("\x1b[0K").unwrap();
        assert!(mark.starts_with("section_start:") && mark.ends_with(":get_sources\r"), "{mark:?}");
        let expected = format!(
            "\x1b[0K\x1b[36;1mGetting\x1b[0;m\x1b[0;m\n\x1b[0Kon a host\x1b[0;m\n{:50} \x1b[0;m\n\
             \x1b[0;33m{:50} \x1b[0;m\n\x1b[31;1m{:50} \x1b[0;m\n\x1b[31;1mERROR: Job failed\x1b[0;m\n",
            "Created cache", "WARNING: nothing", "FATAL: gone"
        );
        assert_eq!(rest, expected);
    }

    #[test]
    fn times_and_streams_stand_before_each_line_and_a_cut_line_is_continued() {
        let (_dir, log) = log(1 << 20, true);
        log.write(Stream::Out, b"a\nb");
        log.write(Stream::Err, b"e\n");
        log.write(Stream::Out, b"c\n50%\r");
        log.write(Stream::Out, b"100%\n");
        log.write(Stream::Out, b"unfinished");
        log.section_start("x");
        log.heading("X");
        log.end();
        let text = without_times(&text(&log));
        let (first, rest) = text.split_once("00O section_start").unwrap();
        assert_eq!(first, "01O a\n01E e\n01O bc\n01O 50%\r\n01O+100%\n");
        assert!(rest.ends_with(":x\r\x1b[0K\n00O+\x1b[0K\x1b[36;1mX\x1b[0;m\x1b[0;m\n01O unfinished\n"), "{rest:?}");
    }

    #[test]
    fn a_long_line_is_shown_in_parts() {
        let (_dir, log) = log(1 << 20, true);
        log.write(Stream::Out, &[b'x'; 10_000]);
        log.write(Stream::Out, b"end\n");
        let text = without_times(&text(&log));
        assert!(text.starts_with("01O xxx") && text.ends_with("x\n01O+end\n"));
    }

    #[test]
    fn secrets_are_masked_in_each_stream_of_its_own_whatever_the_cuts() {
        let (_dir, log) = log(1 << 20, false);
        log.write(Stream::Out, b"ma");
        log.write(Stream::Err, b"x masked-value y\n");
        log.write(Stream::Out, b"sked-value\nma");
        log.plain("in masked-value");
        log.end();
        assert_eq!(text(&log), "x [MASKED] y\n[MASKED]\n\x1b[0Kin [MASKED]\x1b[0;m\nma");
    }

    #[test]
    fn the_checksum_and_the_parts_are_those_of_the_bytes() {
        let (_dir, log) = log(1 << 20, false);
        log.write(Stream::Out, b"123456789");
        assert_eq!(log.checksum(), (9, 0xcbf4_3926));
        assert_eq!(log.read(3, 4).unwrap(), b"4567");
        assert!(log.read(9, 4).unwrap().is_empty() && log.read(99, 4).unwrap().is_empty());
        assert!(!log.wait(8, Duration::from_secs(60)));
        log.end();
        assert!(log.wait(9, Duration::from_secs(60)));
    }

    #[test]
    fn a_job_that_prints_without_end_fills_no_disk_and_the_runner_can_still_speak() {
        let (_dir, log) = log(1000, false);
        for _ in 0..100 {
            log.write(Stream::Out, &[b'x'; 999]);
        }
        log.error("Job failed: exit status 1");
        let text = text(&log);
        assert!(text.len() < 1300, "{}", text.len());
        assert_eq!(text.matches("exceeded limit of 1000 bytes").count(), 1);
        assert!(text.ends_with("exit status 1\x1b[0;m\n"));
        for _ in 0..10_000 {
            log.plain("many lines");
        }
        assert!(log.bytes() <= 1000 + OWN_BYTES_MAX);
    }

    #[test]
    fn the_file_has_no_name() {
        let (dir, _log) = log(1000, false);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

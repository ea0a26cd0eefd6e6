//! The sections of a log: which there are, which of them are open at a line, and which a reader sees folded.
//!
//! What must stay true: whoever goes through a log again opens and closes the same sections as the one who listed them.

use super::log_lines::SectionMark;
use super::text::duration::format_duration;
use std::time::Duration;

/// Most sections of a log; more are not folded.
pub const SECTIONS_MAX: usize = 10_000;

/// How deep sections are in each other; deeper ones are not folded.
pub const DEPTH_MAX: usize = 8;

/// A section of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSection {
    /// As the runner or the script calls it.
    pub name: String,
    /// What stands behind its begin, without colours; maybe nothing.
    pub title: String,
    /// The line where it begins.
    pub line: u64,
    /// The line where it ends, which may be the begin of the next one; `None`: nothing has ended it.
    pub end_line: Option<u64>,
    /// Seconds since 1970.
    pub started_at: i64,
    /// Seconds since 1970.
    pub ended_at: Option<i64>,
    /// Whether it is to be folded, as the script says.
    pub is_collapsed: bool,
    /// Whether its duration is not to be shown.
    pub hides_duration: bool,
    /// How many are around it.
    pub depth: usize,
}

impl LogSection {
    /// Lines in it, when the log has `lines`.
    #[must_use]
    pub fn lines(&self, lines: u64) -> u64 {
        self.end_line.map_or(lines, |end| end.saturating_sub(1)).saturating_sub(self.line)
    }

    /// How long it took, in seconds, if it has ended and shows it.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        let seconds = self.ended_at?.checked_sub(self.started_at)?;
        u64::try_from(seconds).ok().filter(|_| !self.hides_duration)
    }

    /// What stands beside its title: how many lines it has, and how long it took or why nobody knows. The log has `lines`, and
    /// may grow if `is_open`.
    #[must_use]
    pub fn note(&self, lines: u64, is_open: bool) -> String {
        let lines = self.lines(lines);
        let mut note = format!("{lines} line{}", if lines == 1 { "" } else { "s" });
        if let Some(seconds) = self.seconds() {
            note.push_str(" · ");
            note.push_str(&format_duration(Duration::from_secs(seconds)));
        } else if self.end_line.is_none() {
            note.push_str(if is_open { " · running" } else { " · did not end" });
        }
        note
    }

    /// What a list calls it: the sections of runners have short titles, others their own.
    #[must_use]
    pub fn short_title(&self) -> &str {
        let name = self.name.as_str();
        let known = SHORT_TITLES.iter().find(|(own, _)| name == *own || is_numbered(name, own));
        let title = if self.title.is_empty() { name } else { &self.title };
        known.map_or(title, |(_, title)| title)
    }
}

/// The sections of runners 10.1 to 19.3.
const SHORT_TITLES: [(&str, &str); 16] = [
    ("prepare_executor", "Prepare executor"),
    ("prepare_script", "Prepare environment"),
    ("get_sources", "Get source"),
    ("clear_worktree", "Clear worktree"),
    ("restore_cache", "Restore cache"),
    ("download_artifacts", "Download artifacts"),
    ("build_script", "Script"),
    ("step_script", "Script"),
    ("after_script", "After script"),
    ("archive_cache", "Save cache"),
    ("archive_cache_on_failure", "Save cache"),
    ("upload_artifacts", "Upload artifacts"),
    ("upload_artifacts_on_success", "Upload artifacts"),
    ("upload_artifacts_on_failure", "Upload artifacts"),
    ("cleanup_file_variables", "Clean up"),
    ("cleanup", "Clean up"),
];

/// What comes behind a script, whatever came of it.
const EPILOGUE: [&str; 8] = [
    "after_script",
    "archive_cache",
    "archive_cache_on_failure",
    "upload_artifacts",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
    "cleanup_file_variables",
    "cleanup",
];

fn is_numbered(name: &str, own: &str) -> bool {
    let rest = name.strip_prefix(own).and_then(|rest| rest.strip_prefix('_'));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The sections that are open at a place, and how many have begun before it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct OpenSections {
    open: [u32; DEPTH_MAX],
    depth: usize,
    begun: u32,
}

impl OpenSections {
    /// At the begin of a log.
    pub const NONE: OpenSections = OpenSections { open: [0; DEPTH_MAX], depth: 0, begun: 0 };

    /// A section begins. Its place among all; `None`: it is one too many, and counts as text.
    pub fn start(&mut self) -> Option<u32> {
        let place = self.open.get_mut(self.depth).filter(|_| (self.begun as usize) < SECTIONS_MAX)?;
        *place = self.begun;
        self.depth += 1;
        self.begun += 1;
        Some(self.begun - 1)
    }

    /// The section of this name ends, if it is open, and with it all inside. Returns those, the outermost first.
    pub fn end(&mut self, name: &str, all: &[LogSection]) -> Vec<u32> {
        let is_it = |place: &u32| all.get(*place as usize).is_some_and(|section| section.name == name);
        let Some(depth) = self.all().iter().rposition(is_it) else { return Vec::new() };
        let ended = self.all().get(depth..).unwrap_or_default().to_vec();
        self.depth = depth;
        ended
    }

    /// Those that are open, the outermost first.
    #[must_use]
    pub fn all(&self) -> &[u32] {
        self.open.get(..self.depth).unwrap_or_default()
    }
}

/// What has become of a log's build, as far as folding goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// More may come.
    Open,
    /// It ended well.
    Good,
    /// It did not.
    Bad,
}

/// Which sections a reader sees folded: what has ended well but the script; of a build that failed, all but the one that
/// failed, and those around it.
pub struct Folds(Vec<bool>);

impl Folds {
    /// Decides for all.
    #[must_use]
    pub fn new(sections: &[LogSection], outcome: Outcome) -> Folds {
        let is_script = |section: &LogSection| matches!(section.name.as_str(), "build_script" | "step_script");
        let is_late = |section: &LogSection| EPILOGUE.iter().any(|own| section.name == *own);
        let failed = match outcome {
            Outcome::Bad => sections.iter().rposition(|section| section.depth == 0 && !is_late(section)),
            Outcome::Open | Outcome::Good => None,
        };
        let fold = |(place, section): (usize, &LogSection)| {
            let is_kept = is_script(section) || failed == Some(place);
            section.end_line.is_some() && (section.is_collapsed || !is_kept)
        };
        Folds(sections.iter().enumerate().map(fold).collect())
    }

    /// No section is folded.
    #[must_use]
    pub fn none() -> Folds {
        Folds(Vec::new())
    }

    /// Whether this one is folded.
    #[must_use]
    pub fn is_folded(&self, place: u32) -> bool {
        self.0.get(place as usize).copied().unwrap_or(false)
    }

    /// Unfolds what is around this line, which somebody wants to see.
    pub fn open(&mut self, sections: &[LogSection], line: u64) {
        for (is_folded, section) in self.0.iter_mut().zip(sections) {
            let is_around = section.line < line && section.end_line.is_none_or(|end| line < end);
            *is_folded &= !is_around;
        }
    }

    /// From which line on a log of `lines` has `rows` rows until its end, each folded section being one.
    #[must_use]
    pub fn tail(&self, sections: &[LogSection], lines: u64, rows: u64) -> u64 {
        let (mut hidden, mut covered) = (Vec::new(), 0);
        for (section, _) in sections.iter().zip(&self.0).filter(|(_, is_folded)| **is_folded) {
            let end = section.end_line.unwrap_or(section.line);
            if end > covered && end > section.line + 1 {
                hidden.push((section.line.max(covered) + 1, end));
                covered = end;
            }
        }
        let (mut end, mut wanted) = (lines + 1, rows);
        for (from, until) in hidden.into_iter().rev().filter(|(from, _)| *from <= lines) {
            let between = end.saturating_sub(until);
            if wanted <= between {
                break;
            }
            wanted -= between;
            end = from;
        }
        end.saturating_sub(wanted).max(1)
    }
}

/// What a section's begin says of it; its title follows.
pub fn section_of(mark: &SectionMark<'_>, line: u64, depth: usize) -> LogSection {
    LogSection {
        name: mark.name.to_owned(),
        title: String::new(),
        line,
        end_line: None,
        started_at: mark.second,
        ended_at: None,
        is_collapsed: mark.is_collapsed,
        hides_duration: mark.hides_duration,
        depth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, line: u64, end_line: Option<u64>, depth: usize) -> LogSection {
        let mark = SectionMark { is_start: true, second: 10, name, is_collapsed: false, hides_duration: false };
        LogSection { end_line, ended_at: end_line.map(|_| 75), ..section_of(&mark, line, depth) }
    }

    #[test]
    fn sections_nest_and_a_wrong_name_ends_nothing() {
        let names = ["a", "b", "c", "b", "d"];
        let all: Vec<LogSection> = names.iter().map(|name| section(name, 1, None, 0)).collect();
        let mut open = OpenSections::default();
        for place in 0..4 {
            assert_eq!(open.start(), Some(place));
        }
        assert!(open.end("d", &all).is_empty());
        assert_eq!(open.end("b", &all), [3]);
        assert_eq!((open.end("b", &all), open.all()), (vec![1, 2], &[0][..]));
        assert_eq!(open.start(), Some(4));
        assert_eq!((open.end("a", &all), open.all()), (vec![0, 4], &[][..]));
    }

    #[test]
    fn what_is_too_deep_or_too_many_is_no_section() {
        let mut open = OpenSections::default();
        let begun = (0..20).filter(|_| open.start().is_some()).count();
        assert_eq!(begun, DEPTH_MAX);
        let all: Vec<LogSection> = (0..20_000).map(|_| section("a", 1, None, 0)).collect();
        let mut count = begun;
        while !open.end("a", &all).is_empty() {
            count += usize::from(open.start().is_some());
            open.end("a", &all);
        }
        assert!(count <= SECTIONS_MAX);
    }

    #[test]
    fn a_list_has_short_titles_lines_and_durations() {
        for (name, title, short) in [
            ("step_script", "Executing \"step_script\"", "Script"),
            ("upload_artifacts_on_failure", "Uploading", "Upload artifacts"),
            ("archive_cache_2", "", "Save cache"),
            ("my_section", "Mine", "Mine"),
            ("my_section", "", "my_section"),
            ("step_script_x", "", "step_script_x"),
        ] {
            let one = LogSection { title: title.to_owned(), ..section(name, 61, Some(70), 0) };
            assert_eq!(one.short_title(), short);
            assert_eq!((one.lines(100), one.seconds()), (8, Some(65)));
        }
        let open = section("x", 61, None, 0);
        assert_eq!((open.lines(100), open.seconds()), (39, None));
        let shy = LogSection { hides_duration: true, ..section("x", 1, Some(1), 0) };
        assert_eq!((shy.lines(100), shy.seconds()), (0, None));
    }

    #[test]
    fn what_ended_is_folded_but_the_script_and_what_failed() {
        let all = [
            section("get_sources", 1, Some(10), 0),
            section("step_script", 10, Some(100), 0),
            section("mine", 20, Some(30), 1),
            section("after_script", 100, Some(110), 0),
            section("upload_artifacts_on_failure", 110, None, 0),
        ];
        let folded = |all: &[LogSection], outcome| Folds::new(all, outcome).0;
        assert_eq!(folded(&all, Outcome::Good), [true, false, true, true, false]);
        assert_eq!(folded(&all, Outcome::Bad), [true, false, true, true, false]);
        assert_eq!(folded(&all[..2], Outcome::Open), [true, false]);
        assert_eq!(folded(&all[..1], Outcome::Bad), [false], "this one failed");
        let mut folds = Folds::new(&all, Outcome::Good);
        folds.open(&all, 25);
        assert_eq!(folds.0, [true, false, false, true, false]);
        assert_eq!(Folds::new(&all, Outcome::Good).tail(&all, 120, 10), 111);
        // 11 behind, the begin of after_script in line 100, and so on.
        assert_eq!(Folds::new(&all, Outcome::Good).tail(&all, 120, 12), 100);
        assert_eq!(Folds::new(&all, Outcome::Good).tail(&all, 120, 82), 30);
        assert_eq!(Folds::new(&all, Outcome::Good).tail(&all, 120, 83), 20);
        assert_eq!(Folds::new(&all, Outcome::Good).tail(&all, 120, 500), 1);
        assert_eq!(Folds::new(&all, Outcome::Good).tail(&all, 50, 20), 31, "what is behind does not count");
        assert_eq!(Folds::none().tail(&all, 120, 100), 21);
        assert_eq!(Folds::none().tail(&[], 0, 100), 1);
    }
}

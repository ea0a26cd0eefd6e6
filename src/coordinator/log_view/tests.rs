use super::*;
use crate::domain::build::ProjectId;
use crate::domain::log_search::Needle;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::limits::Limits;
use crate::store::projects;
use crate::store::traces::tests::new_build;
use crate::store::traces::{Tail, of_build, replace, write};
use std::io::Read;
use std::sync::mpsc::channel;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp(1);

struct House {
    coordinator: Arc<Coordinator>,
    _dir: TempDir,
}

impl House {
    fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
        let add = |c: &rusqlite::Connection| projects::insert(c, "p", None, &Token::new_secret()?, 60, NOW).map(drop);
        coordinator.store.write(add).unwrap();
        House { coordinator: Arc::new(coordinator), _dir: dir }
    }

    fn build(&self) -> BuildId {
        let add =
            |c: &rusqlite::Connection| builds::insert(c, &new_build(), None, ProjectId(1), 60, Status::Pending, NOW);
        self.coordinator.store.write(add).unwrap()
    }

    fn append(&self, id: BuildId, data: &str) {
        let data = data.as_bytes().to_vec();
        let append = move |c: &rusqlite::Connection| {
            let trace = of_build(c, id)?;
            write(c, id, &trace, trace.size, &data, Tail::NONE)
        };
        self.coordinator.store.write(append).unwrap();
    }

    fn replace(&self, id: BuildId, data: &'static str) {
        self.coordinator.store.write(move |c| replace(c, id, data.as_bytes(), Tail::NONE)).unwrap();
    }

    fn facts(&self, id: BuildId) -> LogFacts {
        there(self.coordinator.log_facts(id).unwrap())
    }

    fn part(&self, id: BuildId, begin: LogBegin, rows: u64) -> LogPart {
        there(self.coordinator.log_part(id, begin, rows, "/p/-/jobs/1/raw").unwrap())
    }

    /// The numbers of the lines of a part.
    fn lines(&self, id: BuildId, begin: LogBegin, rows: u64) -> Vec<u64> {
        let html = self.part(id, begin, rows).piece.html;
        html.split("id=\"L").skip(1).map(|row| row.split('"').next().unwrap().parse().unwrap()).collect()
    }
}

fn there<T>(look: OrSoon<T>) -> T {
    match look {
        OrSoon::There(found) => found,
        OrSoon::Soon(_) => panic!("it is not there"),
    }
}

fn numbered(lines: std::ops::Range<u64>) -> String {
    lines.map(|line| format!("line {line}\n")).collect()
}

#[test]
fn any_part_of_a_growing_log_is_there() {
    let house = House::new();
    let id = house.build();
    assert_eq!((house.facts(id).stand.lines, house.part(id, LogBegin::Tail, 500).piece.html.as_str()), (0, ""));
    house.append(id, &numbered(1..3001));
    assert_eq!(house.lines(id, LogBegin::Tail, 500), (2501..=3000).collect::<Vec<_>>());
    assert_eq!(house.lines(id, LogBegin::Line(1000), 3), [1000, 1001, 1002]);
    assert_eq!(house.lines(id, LogBegin::Before(1000), 3), [997, 998, 999]);
    assert_eq!(house.lines(id, LogBegin::Lines(10, 12), 500), [10, 11, 12]);
    assert_eq!(house.lines(id, LogBegin::Around(1000), 5), [998, 999, 1000, 1001, 1002]);
    assert_eq!(house.lines(id, LogBegin::Around(1), 5), [1, 2, 3, 4, 5]);
    assert_eq!(house.lines(id, LogBegin::Line(9999), 5), [3000], "the last one");
    assert_eq!(house.lines(id, LogBegin::Line(1), 9999).len(), 2000);
    // What comes behind a part.
    let next = house.part(id, LogBegin::Tail, 500).piece.next;
    assert_eq!(house.lines(id, LogBegin::After(next.offset), 500), Vec::<u64>::new());
    house.append(id, "line 3001\nline 30");
    assert_eq!(house.lines(id, LogBegin::After(next.offset), 500), [3001, 3002]);
    let next = house.part(id, LogBegin::After(next.offset), 500).piece.next;
    assert_eq!(next.number, 3002);
    house.append(id, "02\n");
    let part = house.part(id, LogBegin::After(next.offset), 500);
    assert!(part.piece.html.contains(">line 3002<") && part.stand.is_open);
    // A flood is not sent whole.
    house.append(id, &numbered(3003..9001));
    assert_eq!(house.lines(id, LogBegin::After(next.offset), 500), (8501..=9000).collect::<Vec<_>>());
    assert_eq!(house.coordinator.log_indices.count(), 1);
    assert_eq!(house.coordinator.log_facts(BuildId(99)).err().unwrap().kind, Kind::NotFound);
}

#[test]
fn a_log_that_takes_anothers_place_is_another() {
    let house = House::new();
    let id = house.build();
    house.append(id, "one\n\x1b[31mred\x1b[0m\nthree\n");
    let before = house.facts(id);
    assert_eq!((before.stand.lines, before.first_red), (3, Some((2, "red".to_owned()))));
    let bytes = house.coordinator.log_bytes(id).unwrap();
    house.replace(id, "another\nsection_start:1:s\rTitle\n");
    let after = house.facts(id);
    assert_ne!(after.stand.number, before.stand.number);
    assert_eq!((after.stand.lines, after.first_red, after.sections.len()), (2, None, 1));
    assert!(bytes.read(0, u64::MAX).read_to_end(&mut Vec::new()).is_err(), "never a mixture");
    // What was known of the old one does no harm.
    assert_eq!(house.lines(id, LogBegin::After(18), 500), [2]);
    house.coordinator.store.write(move |c| traces::remove(c, id)).unwrap();
    let erased = house.facts(id).stand;
    assert_eq!((erased.number, erased.bytes, erased.lines), (0, 0, 0));
    assert_eq!(house.part(id, LogBegin::Around(7), 500).piece.html, "");
}

#[test]
fn the_third_that_goes_through_a_long_log_waits_without_a_thread() {
    let house = House::new();
    let id = house.build();
    house.append(id, &numbered(1..100_000));
    let indices = &house.coordinator.log_indices;
    let others = [Arc::default(), Arc::default()];
    let mut turns: Vec<_> = others.iter().map(|other| indices.begin(other, true).unwrap()).collect();
    let OrSoon::Soon(soon) = house.coordinator.log_facts(id).unwrap() else { panic!("too many at a time") };
    let (sender, woken) = channel();
    soon.when_ready(move || sender.send(()).unwrap());
    assert!(woken.try_recv().is_err());
    // A short one need not wait.
    let short = house.build();
    house.append(short, "short\n");
    assert_eq!(house.facts(short).stand.lines, 1);
    drop(turns.pop());
    woken.recv().unwrap();
    assert_eq!(house.facts(id).stand.lines, 99_999);
    // Known once, it is there for all.
    let _third = indices.begin(&Arc::default(), true).unwrap();
    assert_eq!(house.lines(id, LogBegin::Tail, 1), [99_999]);
    // Whoever comes too late to be woken is told at once.
    let OrSoon::Soon(soon) = house.coordinator.search_log(id, &Needle::parse("x").unwrap(), 1).unwrap() else {
        panic!()
    };
    drop(turns);
    let (sender, woken) = channel();
    soon.when_ready(move || sender.send(()).unwrap());
    woken.try_recv().unwrap();
}

#[test]
fn a_word_is_found_and_one_search_of_a_log_goes_on_at_a_time() {
    let house = House::new();
    let id = house.build();
    house.append(id, &numbered(1..1000));
    let needle = Needle::parse("Line 99".to_lowercase().as_str()).unwrap();
    let found = there(house.coordinator.search_log(id, &needle, 1).unwrap());
    assert_eq!((found.hits.len(), found.next_line), (11, None));
    let turn = house.coordinator.log_indices.begin_search(id).unwrap();
    assert!(matches!(house.coordinator.search_log(id, &needle, 1).unwrap(), OrSoon::Soon(_)));
    drop(turn);
    there(house.coordinator.search_log(id, &needle, 1).unwrap());
}

/// So long that another thread reads it.
#[test]
fn a_log_that_is_read_ahead_is_the_same() {
    let house = House::new();
    let id = house.build();
    let log = numbered(1..600_000) + "the \x1b[31mlast\x1b[0m\n";
    assert!(log.len() as u64 > 6 * READ_BYTES);
    house.append(id, &log);
    let facts = house.facts(id);
    assert_eq!((facts.stand.lines, facts.stand.bytes), (600_000, log.len() as u64));
    assert_eq!(facts.first_red, Some((600_000, "the last".to_owned())));
    let needle = Needle::parse("9999").unwrap();
    let mut found = Vec::new();
    let mut from = Some(1);
    while let Some(line) = from {
        let some = there(house.coordinator.search_log(id, &needle, line).unwrap());
        found.extend(some.hits.iter().map(|hit| hit.line));
        from = some.next_line;
    }
    assert_eq!(found, (1..600_000).filter(|line| line.to_string().contains("9999")).collect::<Vec<u64>>());
}

#[test]
fn red_lines_are_listed_from_any_line_on() {
    let house = House::new();
    let id = house.build();
    house.append(id, "a\n\x1b[31mb\x1b[0m\nc\n\x1b[31md\x1b[0m\n");
    let reds = |from, count_max| there(house.coordinator.log_reds(id, from, count_max).unwrap());
    assert_eq!([reds(1, 9), reds(2, 1), reds(3, 1)], [(vec![2, 4], false), (vec![2], true), (vec![4], false)]);
    assert_eq!(reds(5, 9), (vec![], false));
}

#[test]
fn only_so_many_indices_are_kept() {
    let house = House::new();
    for _ in 0..40 {
        let id = house.build();
        house.append(id, "text\n");
        assert_eq!(house.facts(id).stand.lines, 1);
    }
    assert_eq!(house.coordinator.log_indices.count(), 32);
    // Nor so much memory.
    for _ in 0..8 {
        let id = house.build();
        let sections = |n| format!("section_start:1:{n:0200}\r{n:0200}\nsection_end:1:{n:0200}\r\n");
        house.append(id, &(0..9_000).map(sections).collect::<String>());
        assert_eq!(house.facts(id).sections.len(), 9_000);
    }
    assert!(house.coordinator.log_indices.count() < 4, "{}", house.coordinator.log_indices.count());
}

#[test]
fn the_bytes_are_those_that_are_stored_or_the_text_of_them() {
    let house = House::new();
    let id = house.build();
    let log = format!("\x1b[31mred\x1b[0m\n{}", numbered(1..50_000));
    house.append(id, &log);
    let bytes = || house.coordinator.log_bytes(id).unwrap();
    let read = |mut from: Box<dyn Read>| {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(bytes().size(), log.len() as u64);
    assert!(read(Box::new(bytes().read(0, u64::MAX))) == log);
    assert_eq!(read(Box::new(bytes().read(5, 8))), "red");
    assert_eq!(read(Box::new(bytes().read(8, 8))), "");
    assert!(read(Box::new(bytes().read_plain())) == format!("red\n{}", numbered(1..50_000)));
}

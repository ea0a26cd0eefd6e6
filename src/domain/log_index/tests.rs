use super::super::log_lines::tests::log;
use super::*;

/// The next random number below the given one.
pub type Next<'a> = &'a mut dyn FnMut(u64) -> u64;

pub fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    }
}

pub fn seed() -> u64 {
    let given = std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

/// A log of a few hundred lines of every kind, some of them long enough for several marks.
pub fn random_log(next: Next<'_>) -> Vec<u8> {
    random_lines(next, 300, 30)
}

/// One of the same kinds, or of thousands of lines, most of which are plain.
pub fn random_long_log(next: Next<'_>) -> Vec<u8> {
    if next(4) == 0 { random_lines(next, 5000, 5) } else { random_log(next) }
}

/// Up to `lines` lines. One in `calm` begins many that are plain.
fn random_lines(next: Next<'_>, lines: u64, calm: u64) -> Vec<u8> {
    let (is_timed, mut is_calm) = (next(2) == 0, false);
    let mut out = Vec::new();
    for _ in 0..next(lines) {
        is_calm = if is_calm { next(300) > 0 } else { next(calm) == 0 };
        if is_timed && next(30) > 0 {
            let (sign, stream) = (if next(6) == 0 { '+' } else { ' ' }, if next(4) == 0 { "01E" } else { "01O" });
            out.extend(format!("2026-11-28T07:45:{:02}.123456Z {stream}{sign}", next(60)).bytes());
        }
        if is_calm {
            let colour = if next(2000) == 0 { 31 } else { 30 + next(10) / 2 * 2 };
            let text = ["plain text", "größe", "Some £ text", "\u{85}", "a\tb"]
                [usize::try_from(next(20)).unwrap().saturating_sub(15)];
            out.extend(format!("{text} \x1b[{colour}msome\x1b[{}m text\n", next(3)).bytes());
            continue;
        }
        for _ in 0..next(6) {
            let name = ["a", "b", "step_script", "c.d"][usize::try_from(next(4)).unwrap()];
            match next(12) {
                0 => out.extend(format!("section_start:{}:{name}\r\x1b[0K", next(100)).bytes()),
                1 => out.extend(format!("section_end:{}:{name}\r\x1b[0K", next(100)).bytes()),
                2 => out.extend(format!("\x1b[{}m", [0, 1, 31, 32, 91, 39][usize::try_from(next(6)).unwrap()]).bytes()),
                3 => out.extend(b"\r"),
                4 => out.extend(b"<b>&\xff\x1b[K"),
                5 if next(20) == 0 => out.extend(vec![b'x'; usize::try_from(next(200_000)).unwrap()]),
                6 => out.extend("größe ".bytes()),
                _ => out.extend(b"some text "),
            }
        }
        out.extend([&b"\n"[..], b"\n", b"\r\n"][usize::try_from(next(3)).unwrap()]);
    }
    out.truncate(out.len() - usize::try_from(next(3)).unwrap().min(out.len()));
    out
}

pub fn index_of(log: &[u8]) -> LogIndex {
    let mut index = LogIndex::default();
    index.push(log);
    index.finish();
    index
}

/// All that an index says.
fn said(index: &LogIndex) -> String {
    let marks: Vec<LogPlace> = index.known.marks.clone();
    let said = (marks, index.sections(), index.reds(), index.first_red(), index.lines(), index.first_second());
    format!("{said:?} {}", index.bytes())
}

#[test]
fn an_index_that_grew_is_the_one_that_was_made_at_once() {
    let seed = seed();
    let mut next = random(seed);
    for round in 0..150 {
        let log = random_long_log(&mut next);
        let mut grown = LogIndex::default();
        let (mut rest, step) = (&log[..], 1 + next(50_000));
        while !rest.is_empty() {
            let count = usize::try_from(1 + next(step)).unwrap().min(rest.len());
            grown.push(&rest[..count]);
            rest = &rest[count..];
        }
        grown.finish();
        assert!(said(&grown) == said(&index_of(&log)), "seed {seed}, round {round}");
        // Of so few bytes at a time, none are taken by stretches.
        let mut single = LogIndex::default();
        log.chunks(500).for_each(|part| single.push(part));
        single.finish();
        assert!(said(&grown) == said(&single), "seed {seed}, round {round}, line by line");
    }
}

#[test]
fn marks_are_where_counting_says() {
    let seed = seed();
    let mut next = random(seed ^ 1);
    for round in 0..100 {
        let log = random_log(&mut next);
        let index = index_of(&log);
        let feeds = log.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(index.lines(), feeds + u64::from(log.last().is_some_and(|byte| *byte != b'\n')), "seed {seed}");
        for mark in &index.known.marks {
            let before = &log[..usize::try_from(mark.offset).unwrap()];
            let count = before.iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(mark.line, count + 1, "seed {seed}, round {round}");
            assert!(before.last().is_none_or(|byte| *byte == b'\n'));
            // What is known there is what whoever read only that much knows.
            let mut begin = LogIndex::default();
            begin.push(before);
            begin.finish();
            assert_eq!((begin.known.parser.style, begin.known.open), (mark.style, mark.open), "seed {seed}, {round}");
        }
        for line in 1..index.lines() {
            let mark = index.before_line(line);
            assert!(mark.line <= line && index.before_offset(mark.offset) == mark);
        }
    }
}

#[test]
fn red_is_what_is_to_be_seen_in_red() {
    let index = index_of(
        b"plain\n\x1b[31m\x1b[0m\n\x1b[31m   \x1b[0m\n\x1b[31moh\r\x1b[0mfine\n\x1b[1;91mERROR\x1b[0m: it\nstill\n\x1b[38;5;160m\nx\n\x1b[m\ny\n",
    );
    assert_eq!(index.reds(), [5, 8]);
    assert_eq!(index.first_red(), Some((5, "ERROR: it")));
    assert_eq!(index_of(b"a\n").first_red(), None);
    let many = index_of(&b"\x1b[31mred\n".repeat(REDS_MAX + 5));
    assert_eq!(many.reds().len(), REDS_MAX);
}

#[test]
fn sections_have_titles_lines_and_times() {
    let log = log(concat!(
        "@00O section_start:100:get_sources\r\x1b[0K\n@00O+\x1b[36;1mGetting <source>\x1b[0m\n",
        "@01O text\n@01O no end\r\nsection_end:105:get_sources\rsection_start:105:mine[collapsed=true]\r\x1b[0KMine\n",
        "section_start:106:inner\rInner\nsection_end:107:nothing\r\nsection_end:108:mine\r\x1b[0Krest\n",
    ));
    let index = index_of(log.as_bytes());
    let said = |section: &LogSection| {
        let ends = (section.end_line, section.seconds(), section.depth, section.is_collapsed);
        (section.name.clone(), section.title.clone(), section.line, ends)
    };
    let sections: Vec<_> = index.sections().iter().map(said).collect();
    assert_eq!(
        sections,
        [
            ("get_sources".to_owned(), "Getting <source>".to_owned(), 1, (Some(5), Some(5), 0, false)),
            ("mine".to_owned(), "Mine".to_owned(), 5, (Some(8), Some(3), 0, true)),
            ("inner".to_owned(), "Inner".to_owned(), 6, (Some(8), Some(2), 1, false)),
        ]
    );
    assert!(index.is_timed() && index.first_second() == Some(1_795_851_902));
}

/// A hostile log costs no more than one of the same size.
#[test]
fn the_memory_is_bounded() {
    let section: Vec<u8> =
        (0..15_000).flat_map(|n| format!("section_start:1:{n}\r{}\n", "t".repeat(300)).into_bytes()).collect();
    let ends = (0..15_000).flat_map(|n| format!("section_start:1:s\r{n}\nsection_end:1:s\r\n").into_bytes()).collect();
    for log in [section, ends, b"\x1b[31mred\n".repeat(50_000), vec![b'x'; 5 << 20]] {
        let index = index_of(&log);
        assert!(index.memory_bytes() < 6 << 20, "{}", index.memory_bytes());
    }
    // Longer than as many marks as there may be at first.
    let (mut index, line) = (LogIndex::default(), [vec![b'x'; (60 << 10) - 1], b"\n".to_vec()].concat().repeat(16));
    let pushes = (MARKS_MAX as u64 * MARK_BYTES + (10 << 20)) / line.len() as u64;
    (0..pushes).for_each(|_| index.push(&line));
    assert!(index.known.marks.len() > MARKS_MAX / 3 && index.known.marks.len() <= MARKS_MAX);
    let far = index.lines() - 3;
    assert!(far - index.before_line(far).line < 10);
}

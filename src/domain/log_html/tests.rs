use super::super::log_index::tests::{index_of, random, random_log, seed};
use super::super::log_lines::tests::log;
use super::super::log_sections::{LogSection, Outcome};
use super::*;
use std::convert::Infallible;

const ALL: u64 = u64::MAX;

/// The log that the tests of the whole program show: what runner 12.10.3 sent.
const REAL: [&[u8]; 3] = [
    include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/gitlab-runner-12.10.3/03-patch-jobs-7-trace.http"
    )),
    include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/gitlab-runner-12.10.3/04-patch-jobs-7-trace.http"
    )),
    include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/gitlab-runner-12.10.3/07-patch-jobs-7-trace.http"
    )),
];

fn real_log() -> Vec<u8> {
    let body = |request: &&[u8]| {
        let head = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        request[head + 4..].to_vec()
    };
    REAL.iter().flat_map(body).collect()
}

fn piece(log: &[u8], begin: PieceBegin, rows_max: u64, folds: &Folds, read_bytes: u64) -> LogPiece {
    let index = index_of(log);
    let order = PieceOrder { begin, until: ALL, rows_max, folds, is_open: false, raw_link: "/demo/-/jobs/7/raw" };
    let read = |offset: u64, bytes: u64| {
        let rest = &log[usize::try_from(offset).unwrap().min(log.len())..];
        let count = usize::try_from(bytes.min(read_bytes)).unwrap().min(rest.len());
        Ok::<_, Infallible>(rest[..count].to_vec())
    };
    let Ok(piece) = write_piece(&index, &order, read);
    piece
}

fn whole(log: &[u8]) -> String {
    piece(log, PieceBegin::Line(1), ROWS_MAX, &Folds::none(), ALL).html
}

/// The rows of a part, without the sections around them.
fn rows(html: &str) -> Vec<String> {
    html.split("<div class=\"l").skip(1).map(|row| row.split_once("</div>").unwrap().0.to_owned()).collect()
}

#[test]
fn lines_are_rows_and_sections_can_be_folded() {
    let text = concat!(
        "@00O Running <with> a runner\n@00O section_start:100:get_sources\r\x1b[0K\n@00O+\x1b[36;1mGetting \"it\"\x1b[0m\n",
        "@01E warning\n@00O section_end:105:get_sources\r\x1b[0Ksection_start:105:step_script\r\x1b[0KScript\n",
        "@01O \x1b[31mFAILED\x1b[0m\n@01O no end\r\n@00O+section_end:110:step_script\r\x1b[0K\n@00O done\n",
    );
    let html = concat!(
        "<div class=\"l\" id=\"L1\"><a href=\"#L1\">1</a><time datetime=\"2026-11-28T07:45:02.123456Z\">0:00</time>",
        "<span>Running &lt;with&gt; a runner</span></div>",
        "<details class=\"sec\" open data-from=\"3\" data-to=\"5\"><summary id=\"S2\"><span id=\"L2\">2</span>",
        "<b>Getting &quot;it&quot;</b><i class=\"num\">2 lines · 5s</i></summary>",
        "<div class=\"l\" id=\"L4\"><a href=\"#L4\">4</a>",
        "<time datetime=\"2026-11-28T07:45:02.123456Z\" title=\"standard error\"></time><span>warning</span></div></details>",
        "<details class=\"sec\" open data-from=\"6\" data-to=\"8\"><summary id=\"S5\"><span id=\"L5\">5</span>",
        "<b>Script</b><i class=\"num\">2 lines · 5s</i></summary>",
        "<div class=\"l err\" id=\"L6\"><a href=\"#L6\">6</a><time datetime=\"2026-11-28T07:45:02.123456Z\"></time>",
        "<span><span class=\"f1\">FAILED</span></span></div>",
        "<div class=\"l\" id=\"L7\"><a href=\"#L7\">7</a><time datetime=\"2026-11-28T07:45:02.123456Z\"></time>",
        "<span>no end</span></div></details>",
        "<div class=\"l\" id=\"L9\"><a href=\"#L9\">9</a><time datetime=\"2026-11-28T07:45:02.123456Z\"></time>",
        "<span>done</span></div>",
    );
    assert_eq!(whole(log(text).as_bytes()), html);
    let (sections, log) = (index_of(log(text).as_bytes()), log(text));
    let folds = Folds::new(sections.sections(), Outcome::Good);
    let folded = piece(log.as_bytes(), PieceBegin::Line(1), 500, &folds, ALL).html;
    assert!(folded.contains("<details class=\"sec\" data-folded data-from=\"3\" data-to=\"5\">"), "{folded}");
    assert!(folded.contains("5s</i></summary></details><details") && !folded.contains("warning"), "{folded}");
    // Of a part in the middle of a section the section is known.
    let middle = piece(log.as_bytes(), PieceBegin::Line(6), 1, &Folds::none(), ALL);
    assert!(middle.html.starts_with("<details class=\"sec cont\" open data-from=\"6\""), "{}", middle.html);
    assert!(middle.html.ends_with("</span></div></details>"));
    assert_eq!((middle.from, middle.next.number), (6, 7));
}

#[test]
fn a_log_without_times_has_none_and_a_long_line_is_cut() {
    let html = whole(format!("a\n{}\nb", "x".repeat(20_000)).as_bytes());
    assert!(!html.contains("<time"));
    let link = "<a class=\"cut\" href=\"/demo/-/jobs/7/raw?line=2\">11.5 KiB more in the raw log</a></div>";
    assert!(html.contains(link), "{}", &html[8000..]);
    assert_eq!(rows(&html).len(), 3);
    assert_eq!(whole(b""), "");
}

/// Both what a runner of today and what an older one sends.
#[test]
fn the_log_of_a_real_runner_has_its_sections() {
    let log = real_log();
    let index = index_of(&log);
    let titles: Vec<&str> = index.sections().iter().map(LogSection::short_title).collect();
    let expected =
        ["Prepare executor", "Prepare environment", "Get source", "Restore cache", "Download artifacts", "Script"];
    assert_eq!(titles[..6], expected);
    assert!(index.sections().iter().all(|section| section.end_line.is_some()), "{:?}", index.sections());
    let html = whole(&log);
    assert!(html.contains("<b>Preparing the &quot;shell&quot; executor</b>"), "{html}");
    assert!(html.contains("<span class=\"f2 bo\">$ echo $SECRET_WORD</span>"), "{html}");
    assert!(html.contains(">line 6</span>") && !html.contains("section_") && !html.contains('\x1b'), "{html}");
}

/// As 19.3.0 sends them today, with times and with titles that continue the line of their mark, and as 1.11.5 did.
#[test]
fn logs_of_the_newest_and_of_an_old_runner_are_shown_without_what_is_for_terminals() {
    let today = include_bytes!("../../../tests/fixtures/logs/gitlab-runner-19.3.0.log");
    let old = include_bytes!("../../../tests/fixtures/logs/gitlab-runner-1.11.5.log");
    let index = index_of(today);
    let said = |section: &LogSection| (section.short_title().to_owned(), section.line, section.end_line);
    let sections: Vec<_> = index.sections().iter().map(said).collect();
    let section = |title: &str, line, end| (title.to_owned(), line, Some(end));
    assert_eq!(
        sections,
        [
            section("Prepare executor", 3, 6),
            section("Prepare environment", 6, 10),
            section("Get source", 10, 18),
            section("Download artifacts", 18, 24),
            section("Script", 24, 35),
            section("Clean up", 35, 38),
        ]
    );
    assert!(index.is_timed() && index.reds().is_empty() && index_of(old).sections().is_empty());
    for (log, lines) in [
        (&today[..], ["<b>Downloading artifacts</b>", "<span>LOUD HELLO</span>", "Job succeeded</span>"]),
        (old, ["<span>Running on vm...</span>", "<span>LOUD HELLO</span>", "Job succeeded</span>"]),
    ] {
        let html = whole(log);
        expect_whole_html(&html);
        for line in lines {
            assert!(html.contains(line), "{line}: {html}");
        }
        assert!(!html.contains("section_") && !html.contains("01O") && !html.contains(['\x1b', '\r']), "{html}");
    }
}

#[test]
fn a_line_looks_the_same_wherever_the_part_begins_and_the_log_is_cut() {
    let seed = seed();
    let mut next = random(seed ^ 2);
    for round in 0..20 {
        let log = random_log(&mut next);
        let all = piece(&log, PieceBegin::Line(1), ALL, &Folds::none(), ALL);
        expect_whole_html(&all.html);
        let expected = rows(&all.html);
        let count = index_of(&log).lines();
        for _ in 0..6 {
            let line = 1 + next(count.max(1));
            let some = piece(&log, PieceBegin::Line(line), ALL, &Folds::none(), 1 + next(300_000));
            expect_whole_html(&some.html);
            assert!(
                some.from <= line && expected.ends_with(&rows(&some.html)),
                "seed {seed}, round {round}, line {line}"
            );
        }
        // In parts, one behind the other.
        let (mut begin, mut found, step) = (PieceBegin::Line(1), Vec::new(), 1 + next(40));
        while !log.is_empty() {
            let some = piece(&log, begin, step, &Folds::none(), ALL);
            expect_whole_html(&some.html);
            found.extend(rows(&some.html));
            if some.next.number > count {
                assert_eq!(some.next.offset, log.len() as u64, "seed {seed}");
                break;
            }
            assert!(some.next.number > some.from, "seed {seed}, round {round}");
            begin = PieceBegin::Offset(some.next.offset);
        }
        assert!(found == expected, "seed {seed}, round {round}");
    }
}

/// A line without an end is not read again for each part of the log.
#[test]
fn of_a_very_long_line_only_the_begin_is_read() {
    let long = format!("\x1b[31m{}\x1b[0m\rsection_start:1:s\rsection_end:1:s\r", "x".repeat(20 << 20));
    let log = format!("first\n{long}\n{}", "last\n".repeat(3));
    let index = index_of(log.as_bytes());
    for (line, numbers) in [(1, [1, 2, 3]), (2, [2, 3, 4])] {
        let mut bytes_read = 0;
        let folds = Folds::none();
        let begin = PieceBegin::Line(line);
        let order = PieceOrder { begin, until: ALL, rows_max: 3, folds: &folds, is_open: false, raw_link: "" };
        let read = |offset: u64, bytes: u64| {
            let rest = &log.as_bytes()[usize::try_from(offset).unwrap()..];
            let piece = &rest[..rest.len().min(usize::try_from(bytes).unwrap())];
            bytes_read += piece.len();
            Ok::<_, Infallible>(piece.to_vec())
        };
        let Ok(some) = write_piece(&index, &order, read);
        assert!(bytes_read < 3 << 20, "{bytes_read}");
        expect_whole_html(&some.html);
        let found: Vec<String> = numbers.iter().map(|number| format!("id=\"L{number}\"")).collect();
        assert!(
            rows(&some.html).len() == 3 && found.iter().all(|id| some.html.contains(id.as_str())),
            "{}",
            &some.html[8000..]
        );
        assert!(some.html.contains("MiB more in the raw log") && some.html.contains("l err"));
    }
}

/// Every element that begins ends, inside of the one around it.
fn expect_whole_html(html: &str) {
    let mut open = Vec::new();
    for tag in html.split('<').skip(1) {
        let name = tag.split(['>', ' ']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{html}"),
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "{html}");
}

#[test]
fn what_is_folded_is_not_sent_and_the_rest_is() {
    let seed = seed();
    let mut next = random(seed ^ 3);
    for round in 0..60 {
        let log = random_log(&mut next);
        let index = index_of(&log);
        let folds = Folds::new(index.sections(), if next(2) == 0 { Outcome::Good } else { Outcome::Bad });
        let all = rows(&piece(&log, PieceBegin::Line(1), ALL, &Folds::none(), ALL).html);
        let shown = rows(&piece(&log, PieceBegin::Line(1), ALL, &folds, ALL).html);
        let number =
            |row: &str| row.split("href=\"#L").nth(1).unwrap().split('"').next().unwrap().parse::<u64>().unwrap();
        let is_hidden = |line: u64| {
            let mut folded = (0..).zip(index.sections()).filter(|(place, _)| folds.is_folded(*place));
            folded.any(|(_, section)| section.line < line && line < section.end_line.unwrap())
        };
        assert!(shown.iter().all(|row| !is_hidden(number(row))), "seed {seed}, round {round}");
        let borders: Vec<u64> =
            index.sections().iter().flat_map(|section| [section.line, section.end_line.unwrap_or(0)]).collect();
        let plain = |rows: &[String]| {
            let is_plain = |row: &&String| !is_hidden(number(row)) && !borders.contains(&number(row));
            rows.iter().filter(is_plain).cloned().collect::<Vec<_>>()
        };
        assert!(plain(&shown) == plain(&all), "seed {seed}, round {round}");
    }
}

#[test]
fn no_part_is_longer_than_allowed_whatever_the_log() {
    let letters: String =
        (0..8000).map(|n| format!("\x1b[38;5;{};48;5;{};1;2;3;4;9m\"", n % 200 + 16, n % 190 + 17)).collect();
    let sections: String = (0..9000).map(|n| format!("section_start:1:a\r{}section_end:1:a\r", n)).collect();
    for line in [letters, sections, "http://a ".repeat(900), "x".to_owned()] {
        let log = format!("{line}\n").repeat(40);
        let some = piece(log.as_bytes(), PieceBegin::Line(1), ALL, &Folds::none(), ALL);
        assert!(some.html.len() <= PIECE_BYTES_MAX && some.next.number > 1, "{}", some.html.len());
        expect_whole_html(&some.html);
    }
}

#[test]
fn a_row_without_an_end_comes_again() {
    let part = |log: &[u8], is_open| {
        let mut index = LogIndex::default();
        index.push(log);
        let folds = Folds::none();
        let order =
            PieceOrder { begin: PieceBegin::Line(1), until: ALL, rows_max: 500, folds: &folds, is_open, raw_link: "" };
        let read = |offset: u64, _: u64| Ok::<_, Infallible>(log[usize::try_from(offset).unwrap()..].to_vec());
        let Ok(piece) = write_piece(&index, &order, read);
        (rows(&piece.html).len(), piece.next.number, piece.next.offset)
    };
    assert_eq!(part(b"a\nb", true), (2, 2, 2));
    assert_eq!(part(b"a\nb", false), (2, 3, 3));
    assert_eq!(part(b"a\nb\n", true), (2, 3, 4));
    assert_eq!(part(log("@01O 50 %\r\n").as_bytes(), true), (1, 1, 0));
    // The title of a section that nobody knows yet.
    assert_eq!(part(b"a\nsection_start:1:x\rTi", true), (1, 2, 2));
}

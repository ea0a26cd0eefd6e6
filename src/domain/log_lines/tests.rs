use super::*;

pub const TIME: &str = "2026-11-28T07:45:02.123456Z ";

/// What is told, as one text: `3@17[text{+name}text]4@30`.
#[derive(Default)]
pub struct Told(String);

impl LineReader for Told {
    fn begin(&mut self, start: &LineStart) {
        let head = start.head.map_or("", |head| if head.is_error() { "E" } else { "O" });
        let loose = if start.is_loose { "~" } else { "" };
        self.0 += &format!("{}@{}{head}{loose}[", start.number, start.offset);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.0 += &String::from_utf8_lossy(bytes).replace('\r', "^M").replace('\x1b', "^[");
    }

    fn section(&mut self, mark: &SectionMark<'_>) {
        let (sign, options) = (if mark.is_start { '+' } else { '-' }, [mark.is_collapsed, mark.hides_duration]);
        let options = options.map(|is| if is { "!" } else { "" }).concat();
        self.0 += &format!("{{{sign}{}:{}{options}}}", mark.second, mark.name);
    }

    fn end(&mut self, end: &LineEnd) {
        self.0 += &format!("]{}@{} ", end.number, end.offset);
    }
}

fn told(pieces: &[&[u8]]) -> String {
    let (mut lines, mut told) = (LogLines::default(), Told::default());
    pieces.iter().for_each(|piece| lines.push(piece, &mut told));
    lines.finish(&mut told);
    assert_eq!(lines.bytes(), pieces.iter().map(|piece| piece.len() as u64).sum::<u64>());
    told.0
}

/// Logs, with `@` in place of the time.
pub const LOGS: &[(&str, &str)] = &[
    ("", ""),
    ("a\nb\r\n\nc", "1@0[a]2@2 2@2[b]3@5 3@5[]4@6 4@6[c]5@7 "),
    ("a\rb\r\r\n", "1@0[a^Mb^M]2@6 "),
    // Sections, also several in a line and behind text without an end.
    (
        "section_start:15:x\r\x1b[0K\x1b[36mTitle\ntext\nsection_end:17:x\r\x1b[0K",
        "1@0[{+15:x}^[[36mTitle]2@34 2@34[text]3@39 3@39[{-17:x}]4@60 ",
    ),
    (
        "no endsection_end:1:a.b-c_D\rsection_start:1:b[collapsed=true, hide_duration=true]\rB\n",
        "1@0[no end{-1:a.b-c_D}{+1:b!!}B]2@84 ",
    ),
    ("section_start:15:x\r\nT\n", "1@0[{+15:x}]2@20 2@20[T]3@22 "),
    (
        "section_start:15:x\nsection_start::x\r.\nsection_mid:1:x\r.\nsection_start:1:\r.\n",
        concat!(
            "1@0[section_start:15:x]2@19 2@19[section_start::x^M.]3@38 3@38[section_mid:1:x^M.]4@56 ",
            "4@56[section_start:1:^M.]5@75 "
        ),
    ),
    (
        "section_start:1:a[x\r\nsection_start:99999999999999999999:b\r.\n",
        "1@0[section_start:1:a[x]2@21 2@21[section_start:99999999999999999999:b^M.]3@60 ",
    ),
    // Times.
    ("@01O a\n@01E b\n@00O \n", "1@0O[a]2@34 2@34E[b]3@68 3@68O[]4@101 "),
    ("@01O 50 %\r\n@01O+100 %\r\n@01O+\n@01O end\n", "1@0O[50 %^M100 %^M]4@110 4@110O[end]5@146 "),
    ("@01O 50 %\r\n@01E oh\n@01O+100 %\n", "1@0O[50 %]2@38 2@38E[oh]3@73 3@73O~[100 %]4@111 "),
    ("@01O a\n@01O+b\n", "1@0O[a]2@34 2@34O~[b]3@68 "),
    ("@01O 50 %\r\nours\n@01O+b\n", "1@0O[50 %]2@38 2@38[ours]3@43 3@43O~[b]4@77 "),
    ("@00O section_start:15:x\r\x1b[0K\n@00O+\x1b[36mX\x1b[0m\n", "1@0O[{+15:x}^[[36mX^[[0m]3@99 "),
    ("x\n@01O a\n", "1@0[x]2@2 2@2[2026-11-28T07:45:02.123456Z 01O a]3@36 "),
    ("@01O a\n2026-11", "1@0O[a]2@34 2@34[2026-11]3@41 "),
];

pub fn log(text: &str) -> String {
    text.replace('@', TIME)
}

#[test]
fn lines_have_numbers_places_times_and_sections() {
    for (text, expected) in LOGS {
        assert_eq!(told(&[log(text).as_bytes()]), *expected, "{text:?}");
    }
}

#[test]
fn it_does_not_matter_where_a_log_is_cut() {
    for (text, expected) in LOGS {
        let log = log(text);
        for at in 0..=log.len() {
            let (begin, end) = log.as_bytes().split_at(at);
            assert_eq!(told(&[begin, end]), *expected, "{text:?} cut at {at}");
        }
        assert_eq!(told(&log.as_bytes().chunks(1).collect::<Vec<_>>()), *expected, "{text:?}");
    }
}

#[test]
fn long_lines_come_in_parts_that_cut_no_section() {
    for before in (PART_BYTES - 40..PART_BYTES + 3).chain([2 * PART_BYTES - 9, 100_000]) {
        let log = format!("{}section_end:15:build_script\r\x1b[0Krest\nnext\n", "x".repeat(before));
        let end = log.len() - 5;
        let expected =
            format!("1@0[{}{{-15:build_script}}rest]2@{end} 2@{end}[next]3@{} ", "x".repeat(before), end + 5);
        // An end of the mark that means nothing may come by itself.
        let told = |pieces: &[&[u8]]| told(pieces).replace("^[[0K", "");
        assert!(told(&[log.as_bytes()]) == expected, "{before}");
        for size in [1000, 4097, 65_536] {
            assert!(told(&log.as_bytes().chunks(size).collect::<Vec<_>>()) == expected, "{before}, {size}");
        }
    }
    let endless = vec![b'x'; 1 << 20];
    let (mut lines, mut told) = (LogLines::default(), Told::default());
    lines.push(&endless, &mut told);
    assert!(lines.memory_bytes() <= 2 * PART_BYTES);
    assert_eq!((lines.count(), lines.unfinished()), (1, LineEnd { number: 1, offset: 0 }));
}

#[test]
fn what_may_still_grow_is_known() {
    for (text, unfinished) in
        [("a\nb", (2, 2)), ("a\n", (2, 2)), ("@01O a\r\n", (1, 0)), ("@01O a\r\n@01O b\n", (3, 69))]
    {
        let mut lines = LogLines::default();
        lines.push(log(text).as_bytes(), &mut Told::default());
        let LineEnd { number, offset } = lines.unfinished();
        assert_eq!((number, offset), unfinished, "{text:?}");
    }
}

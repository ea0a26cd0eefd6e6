use super::html::{write_escaped, write_line};
use super::*;

/// A line, fed in these pieces, as HTML and as text, and the style behind it.
fn shown(pieces: &[&[u8]], style: Style) -> (String, String, Style) {
    let (mut parser, mut screen, mut html) = (Parser::new(style), Screen::default(), String::new());
    for piece in pieces {
        parser.feed(piece, &mut screen);
    }
    parser.end_line(&mut screen);
    write_line(&screen, &mut html);
    (html, screen.as_str().to_owned(), parser.style)
}

fn html(line: &[u8]) -> String {
    shown(&[line], Style::default()).0
}

const LINES: &[(&str, &str)] = &[
    ("", ""),
    ("plain text\tand a tab", "plain text\tand a tab"),
    ("größe 漢字 🦀", "größe 漢字 🦀"),
    ("<b>&\"'</b>", "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;"),
    // The sixteen colours, for text and ground.
    ("\x1b[31mred\x1b[0m plain", "<span class=\"f1\">red</span> plain"),
    ("\x1b[91;104mA\x1b[39mB\x1b[49mC", "<span class=\"f9 b12\">A</span><span class=\"b12\">B</span>C"),
    ("\x1b[32;1mok\x1b[0;m", "<span class=\"f2 bo\">ok</span>"),
    // 256 and true ones, in each form.
    ("\x1b[38;5;208mA", "<span class=\"x208\">A</span>"),
    ("\x1b[48;5;7mA", "<span class=\"b7\">A</span>"),
    ("\x1b[38;2;255;0;0;1mA", "<span class=\"x196 bo\">A</span>"),
    ("\x1b[38:5:208;4mA", "<span class=\"x208 un\">A</span>"),
    ("\x1b[38:2:255:0:0mA\x1b[48:2::0:0:95mB", "<span class=\"x196\">A</span><span class=\"x196 y17\">B</span>"),
    ("\x1b[38;5mA\x1b[38mB\x1b[38;5;999mC\x1b[38;2;1;2;300mD", "ABCD"),
    ("\x1b[58;5;9;1mA\x1b[58;2;1;2;3;22mB", "<span class=\"bo\">A</span>B"),
    // Attributes and their ends.
    ("\x1b[1;2;3;4;9mA\x1b[22;23;24;29mB", "<span class=\"bo di it un st9\">A</span>B"),
    ("\x1b[4:3mA\x1b[4:0mB\x1b[21mC", "<span class=\"un\">A</span>B<span class=\"un\">C</span>"),
    (
        "\x1b[7mA\x1b[31mB\x1b[42mC\x1b[27mD",
        concat!(
            "<span class=\"rv\">A</span><span class=\"b1\">B</span><span class=\"f2 b1\">C</span>",
            "<span class=\"f1 b2\">D</span>"
        ),
    ),
    ("\x1b[7;43mA", "<span class=\"f3 rv\">A</span>"),
    ("\x1b[mA\x1b[31m\x1b[mB\x1b[5;8;53;99;12345678901mC", "ABC"),
    // What is empty, or the same again, leaves no trace.
    ("\x1b[31m\x1b[32m\x1b[31mA\x1b[31mB", "<span class=\"f1\">AB</span>"),
    // Carriage returns: the last text that is to be seen stands.
    ("10 %\r50 %\r100 %", "100 %"),
    ("100 %\r", "100 %"),
    ("100 %\r   \r", "100 %"),
    ("working\r\x1b[Kdone", "done"),
    ("working\r\x1b[K", ""),
    ("working\r\x1b[2K", ""),
    ("working\r\x1b[1K", "working"),
    ("working\x1b[K\r", "working"),
    ("\x1b[31mred\r\x1b[32m", "<span class=\"f1\">red</span>"),
    // Backspaces.
    ("abc\x08\x08X", "aX"),
    ("\x08a\x08\x08\x08b", "b"),
    ("漢字\x08!", "漢!"),
    ("\x1b[31ma\x1b[32mbc\x08\x08\x08d", "<span class=\"f2\">d</span>"),
    // Everything else leaves nothing.
    ("\x1b[2J\x1b[1;1H\x1b[?25lA\x1b[>4;2mB\x1b[0 qC\x1b[1#mD", "ABCD"),
    ("\x1b]0;title\x07A\x1b]8;;http://x.example\x1b\\B\x1b]8;;\x1b\\C", "ABC"),
    ("\x1bPq#0;2;0;0;0\x1b\\A\x1b_apc\x1b\\B\x1bXsos\x1b\\C\x1b^pm\x1b\\D", "ABCD"),
    ("\x1b(BA\x1bMB\x1b=C\x1b#8D", "ABCD"),
    ("a\0b\x07c\x0bd\x0ce\x0ef\x7fg\u{85}h\u{9b}31mi", "abcdefgh31mi"),
    ("A\x1b[31\x18B\x1b]x\x1aC", "ABC"),
    ("A\x1b[3\x1b[32mB", "A<span class=\"f2\">B</span>"),
    ("A\x1b[\r31mB", "<span class=\"f1\">B</span>"),
    // Not ended by the line's end.
    ("A\x1b[31", "A"),
    ("A\x1b]0;title", "A"),
    ("A\x1b", "A"),
    // Links, and what is around them.
    (
        "see https://a.example/x?y=1&z=2.",
        concat!(
            "see <a href=\"https://a.example/x?y=1&amp;z=2\" rel=\"nofollow noopener noreferrer\">",
            "https://a.example/x?y=1&amp;z=2</a>."
        ),
    ),
    (
        "(http://a.example/b_(c))",
        "(<a href=\"http://a.example/b_(c))\" rel=\"nofollow noopener noreferrer\">http://a.example/b_(c))</a>",
    ),
    (
        "<http://a.example>",
        "&lt;<a href=\"http://a.example\" rel=\"nofollow noopener noreferrer\">http://a.example</a>&gt;",
    ),
    ("[http://[::1]:80/]", "[<a href=\"http://[::1]:80/]\" rel=\"nofollow noopener noreferrer\">http://[::1]:80/]</a>"),
    (
        "javascript://x ftp://x xhttp://x http:// https://. http://\u{202e}x",
        "javascript://x ftp://x xhttp://x http:// https://. http://\u{202e}x",
    ),
];

#[test]
fn a_line_is_shown_as_a_terminal_would() {
    for (line, expected) in LINES {
        assert_eq!(html(line.as_bytes()), *expected, "{line:?}");
    }
    for (line, expected) in [
        (&b"a\xffb"[..], "a\u{fffd}b"),
        (b"\xe6\xbc", "\u{fffd}"),
        (b"\xe6\xbc\x1b[0mx", "\u{fffd}x"),
        (b"\xe6\xbc\xe6\xbc\xa2", "\u{fffd}漢"),
        (b"\xc3\x28\x93quoted\x94", "\u{fffd}(\u{fffd}quoted\u{fffd}"),
    ] {
        assert_eq!(html(line), expected, "{line:?}");
    }
}

#[test]
fn it_does_not_matter_where_a_line_is_cut() {
    for (line, expected) in LINES {
        let bytes = line.as_bytes();
        for at in 0..=bytes.len() {
            let (begin, end) = bytes.split_at(at);
            assert_eq!(shown(&[begin, end], Style::default()).0, *expected, "{line:?} cut at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(shown(&single, Style::default()).0, *expected, "{line:?} cut everywhere");
    }
}

#[test]
fn a_style_goes_on_to_the_next_line_and_nothing_else_does() {
    let (_, _, style) = shown(&[b"\x1b[1;31mred\x1b[4"], Style::default());
    assert_eq!(shown(&[b"m more"], style).0, "<span class=\"f1 bo\">m more</span>");
    assert!(style.is_red() && !Style::default().is_red());
}

#[test]
fn a_long_line_is_cut_at_a_character_and_a_bar_of_any_length_is_not() {
    let show = |line: &str| {
        let (mut parser, mut screen) = (Parser::default(), Screen::default());
        parser.feed(line.as_bytes(), &mut screen);
        parser.end_line(&mut screen);
        (screen.as_str().len(), screen.cut_bytes())
    };
    assert_eq!(show(&"x".repeat(SHOWN_BYTES_MAX)), (SHOWN_BYTES_MAX, 0));
    assert_eq!(show(&"x".repeat(SHOWN_BYTES_MAX + 5)), (SHOWN_BYTES_MAX, 5));
    assert_eq!(show(&"漢".repeat(10_000)), (8190, 30_000 - 8190));
    let bar: String = (0..10_000).map(|n| format!("{n} of 10000\r")).collect();
    assert_eq!(show(&bar), ("9999 of 10000".len(), 0));
}

/// Bytes that are likely to mean something.
fn random_line(next: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
    let parts: [&[u8]; 24] = [
        b"\x1b[",
        b"\x1b]",
        b"\x1b",
        b"\x1bP",
        b"\x1b\\",
        b"\x07",
        b"m",
        b"K",
        b";",
        b":",
        b"31",
        b"0",
        b"2",
        b"\r",
        b"\x08",
        b"\t",
        b" ",
        "ä".as_bytes(),
        "漢".as_bytes(),
        b"\xe6\xbc",
        b"<script>",
        b"\"onclick='x'",
        b"http://x.example/<",
        b"\x18",
    ];
    let mut line = Vec::new();
    for _ in 0..next(30) {
        match next(4) {
            // Not the begin of C1 characters, which vte does not tell from bytes that are no UTF-8, and not the one of
            // them that ends some sequences there.
            0 => line.extend(Some(next(256).to_le_bytes()[0]).filter(|byte| !matches!(byte, b'\n' | 0x9c | 0xc2))),
            1 => line.extend((0..next(6)).map(|_| b'a' + next(26).to_le_bytes()[0])),
            _ => line.extend(parts[usize::try_from(next(24)).unwrap()]),
        }
    }
    line
}

/// What vte reads, with our rules for what stands of a line.
#[derive(Default)]
struct Oracle(Screen);

impl vte::Perform for Oracle {
    fn print(&mut self, c: char) {
        if c != '\x7f' {
            self.0.text(c.encode_utf8(&mut [0; 4]), Style::default());
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.0.text("\t", Style::default()),
            b'\r' => self.0.restart(),
            8 => self.0.back(),
            0x80.. => self.0.text("\u{fffd}", Style::default()),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], ignore: bool, action: char) {
        let first = params.iter().next().and_then(|param| param.first()).copied().unwrap_or(0);
        if action == 'K' && matches!(first, 0 | 2) && intermediates.is_empty() && !ignore {
            self.0.erase();
        }
    }
}

fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed | 1;
    move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    }
}

fn seed() -> u64 {
    let given = std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

#[test]
fn the_text_is_that_of_another_terminal_whatever_comes() {
    let seed = seed();
    let mut next = random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for round in 0..10_000 {
        let line = random_line(&mut next);
        let mut oracle = Oracle::default();
        let mut parser = vte::Parser::<1024>::new_with_size();
        parser.advance(&mut oracle, &line);
        // It waits for the rest of a character that is cut off.
        parser.advance(&mut oracle, b"\0");
        let cut = usize::try_from(next(line.len() as u64 + 1)).unwrap();
        let (begin, end) = line.split_at(cut);
        let (_, text, _) = shown(&[begin, end], Style::default());
        assert_eq!(text, oracle.0.as_str(), "seed {seed}, round {round}: {line:?}");
    }
}

#[test]
fn no_tag_and_no_attribute_is_the_builds() {
    let seed = seed();
    let mut next = random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 7);
    for round in 0..5_000 {
        let line = random_line(&mut next);
        let (html, text, _) = shown(&[&line], Style::default());
        let mut rest = html.as_str();
        let mut plain = String::new();
        while let Some((before, tag)) = rest.split_once('<') {
            plain.push_str(before);
            let (tag, after) = tag.split_once('>').unwrap();
            let is_ours = match tag.strip_prefix("a href=\"http") {
                Some(link) => link.ends_with("\" rel=\"nofollow noopener noreferrer") || link.ends_with("noreferrer\""),
                None => tag == "/a" || tag == "/span" || tag.starts_with("span class=\""),
            };
            assert!(is_ours && tag.matches('"').count() % 2 == 0, "seed {seed}, round {round}: {html}");
            rest = after;
        }
        plain.push_str(rest);
        let mut escaped = String::new();
        write_escaped(&text, &mut escaped);
        assert_eq!(plain, escaped, "seed {seed}, round {round}");
    }
}

/// Each costs what its bytes cost, however often something seems to begin in it.
#[test]
fn lines_made_to_be_slow_are_not() {
    for line in ["http://".repeat(20_000), ")".repeat(100_000), "http://x)".repeat(20_000), "\x1b[".repeat(100_000)] {
        for _ in 0..20 {
            assert!(html(line.as_bytes()).len() < 200_000);
        }
    }
}

use super::*;

#[test]
fn a_bare_number_has_no_unit_and_all_else_is_left_to_others() {
    for text in ["30", " 30 ", "2.5", "007", "99999999999999999999"] {
        assert!(check_unit(text).unwrap_err().contains("a unit is missing"), "{text:?}");
    }
    for text in ["30d", "30 s", "2w", "1:20:00", "never", "0", "0.0", "", "two days", "soon", "-3"] {
        assert_eq!(check_unit(text), Ok(()), "{text:?}");
    }
}
use std::hash::BuildHasher;

#[test]
fn what_is_kept_for_no_time_is_kept_for_ever() {
    for (text, seconds) in
        [("never", None), (" Never ", None), ("0", None), ("0 days", None), (" ", None), ("2d", Some(172_800))]
    {
        assert_eq!(parse_keeping(text), Ok(seconds.map(Duration::from_secs)), "{text:?}");
    }
    assert!(parse_keeping("never mind").is_err());
}

fn check(cases: &[(&str, u64)]) {
    for &(text, seconds) in cases {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text:?}");
    }
}

fn refuse(cases: &[&str], problem: Problem) {
    for text in cases {
        assert_eq!(parse_duration(text).map_err(|e| e.problem), Err(problem), "{text:?}");
    }
}

#[test]
fn texts_that_gitlab_documents_have_gitlabs_length() {
    check(&[
        ("7d", 604_800),
        ("7 days", 604_800),
        ("1 week", 604_800),
        ("3 mins 4 sec", 184),
        ("2 hrs 20 min", 8_400),
        ("2h20min", 8_400),
        ("two hours and twenty minutes", 8_400),
        ("6 mos 1 day", 6 * MONTH + DAY),
        ("47 yrs 6 mos and 4d", 47 * YEAR + 6 * MONTH + 4 * DAY),
        ("3 weeks and 2 days", 23 * DAY),
        ("3 weeks, plus 2 days", 23 * DAY),
        ("1:20", 80),
        ("4:01:01", 14_461),
        ("90", 90),
        ("2.5 hrs", 9_000),
        ("day", 86_400),
        ("minute 30s", 90),
        ("0", 0),
    ]);
}

#[test]
fn every_name_of_a_unit_is_known() {
    for (names, seconds) in [
        ("s sec secs second seconds", 1),
        ("m min mins minute minutes", 60),
        ("h hr hrs hour hours", 3_600),
        ("d dy day days", 86_400),
        ("w wk wks week weeks", 604_800),
        ("mo mos month months", 2_592_000),
        ("y yr yrs year years", 31_557_600),
    ] {
        for name in names.split(' ') {
            check(&[(&format!("2{name}"), 2 * seconds), (&format!("2 {name}"), 2 * seconds), (name, seconds)]);
        }
    }
}

#[test]
fn case_blanks_commas_and_joining_words_change_nothing() {
    check(&[
        ("2 HOURS AND 20 Minutes", 8_400),
        ("  2h\t20 min \n", 8_400),
        ("2h,20min", 8_400),
        ("2 hours with 20 minutes", 8_400),
        ("5 and seconds", 5),
        ("and day", 86_400),
    ]);
}

#[test]
fn number_words_join_as_in_english() {
    check(&[
        ("zero seconds", 0),
        ("twelve secs", 12),
        ("twenty five minutes", 1_500),
        ("twenty-five minutes", 1_500),
        ("ninety-nine s", 99),
        ("hundred seconds", 100),
        ("one hundred seconds", 100),
        ("two hundred and twenty five seconds", 225),
        ("two hundred five seconds", 205),
        ("twenty", 20),
    ]);
    refuse(
        &["five twenty minutes", "ten five minutes", "zero five s", "two 5 minutes", "5 two minutes"],
        Problem::NumberWithoutUnit,
    );
    refuse(&["hundred hundred s", "twenty zero s", "twenty five one s"], Problem::NumberWithoutUnit);
}

#[test]
fn a_bare_number_counts_seconds_only_at_the_end() {
    check(&[("1 hour 30", 3_630), ("090", 90), ("0 days", 0)]);
    refuse(&["30 1 hour", "20 and 5 minutes", "1,000 seconds", "2,5 hrs"], Problem::NumberWithoutUnit);
}

#[test]
fn a_unit_without_a_number_counts_once_only_in_front() {
    check(&[("week 1 day", 8 * DAY)]);
    refuse(&["2 hours minute", "day day"], Problem::UnitWithoutNumber);
}

#[test]
fn fractions_are_kept_to_the_millisecond() {
    for (text, millis) in [
        ("1.5", 1_500),
        (".5h", 1_800_000),
        ("0.0004", 0),
        ("0.0005s", 1),
        ("1.0009999999999999999999", 1_001),
        ("0.001 s 0.002 s", 3),
        ("1:20.25", 80_250),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text:?}");
    }
    refuse(&["5.", "1.2.3 h", ".", "2 hrs."], Problem::MalformedNumber);
}

#[test]
fn colons_count_from_the_right_up_to_years() {
    check(&[("0:90", 90), ("1 : 20", 80), ("1:00:00:00", DAY), ("1:0:0:0:0", MONTH), ("1:0:0:0:0:0", YEAR)]);
    refuse(&["1:0:0:0:0:0:0", ":", ":20", "1:", "1::2", "1:20 hours", "one:20", "1 2:3"], Problem::MalformedClock);
}

#[test]
fn what_is_outside_the_language_is_refused() {
    refuse(&["", "  ", ",", "and", " , plus "], Problem::Empty);
    refuse(&["never", "forever", "3 fortnights", "half a day", "1e5", "siebzig"], Problem::UnknownWord);
    refuse(&["-5 days", "-1", "5 - 3 days", "2-3 days", "1 day -2h"], Problem::Negative);
    refuse(&["5 days!", "+5", "5;", "\0", "\u{2212}5"], Problem::UnknownCharacter);
}

#[test]
fn the_bound_is_a_thousand_years() {
    check(&[("1000 years", DURATION_MAX.as_secs()), ("000000000000000000000001", 1)]);
    refuse(
        &["1001 years", "1000 years 1 s", "999999999999999 years", "9999999999999999", "99999999999999999999999"],
        Problem::TooLong,
    );
    refuse(&[&"9".repeat(DURATION_TEXT_BYTES_MAX)], Problem::TooLong);
    refuse(&["999999999999999y".repeat(16).as_str()], Problem::TooLong);
    refuse(&[&" ".repeat(DURATION_TEXT_BYTES_MAX + 1)], Problem::TextTooLong);
}

#[test]
fn an_error_says_what_is_wrong_and_shows_a_right_one() {
    let message = |text: &str| parse_duration(text).unwrap_err().to_string();
    assert_eq!(
        message("3 fortnights"),
        "the word \"fortnights\" is not known in a duration; \
         write for example \"7 days\", \"2h 30min\", \"1:20:00\" or \"90\" (seconds)"
    );
    assert!(message("").starts_with("the duration is empty; "));
    assert!(message("5\r\n\u{1b}").contains("\"\\u{1b}\""), "control characters are escaped");
    for text in ["z".repeat(256), "ü".repeat(500), "1 ".repeat(100), "9".repeat(200)] {
        let first = text.chars().next().unwrap();
        let quoted = message(&text).split('"').nth(1).unwrap().to_owned();
        assert!(quoted.chars().count() <= QUOTED_CHARS_MAX && quoted.starts_with(first), "{quoted}");
    }
}

#[test]
fn the_short_form_has_two_units_at_most() {
    for (seconds, text) in [
        (0, "0s"),
        (45, "45s"),
        (60, "1m"),
        (200, "3m 20s"),
        (3_600, "1h"),
        (3_605, "1h"),
        (7_500, "2h 5m"),
        (86_399, "23h 59m"),
        (3 * DAY + 4 * HOUR + 59 * MINUTE, "3d 4h"),
        (3 * DAY + 59 * MINUTE, "3d"),
        (400 * DAY, "400d"),
    ] {
        assert_eq!(format_duration(Duration::from_secs(seconds)), text);
    }
    assert_eq!(format_duration(Duration::from_millis(1_999)), "1s");
    assert!(format_duration(Duration::MAX).ends_with("d 7h"));
}

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("BATON_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| std::hash::RandomState::new().hash_one(0)).max(1)
}

#[test]
fn any_mixture_is_read_or_refused_without_a_panic() {
    let fragments = [
        "1",
        "20",
        "999999999999999",
        ".5",
        ".",
        ":",
        "-",
        ",",
        " ",
        "and",
        "day",
        "h",
        "yrs",
        "twenty",
        "five",
        "hundred",
        "zero",
        "never",
        "ü",
        "\u{2003}",
        "\0",
    ];
    let seed = seed();
    let mut random = Xorshift(seed);
    for _ in 0..20_000 {
        let text: String = (0..random.below(12)).map(|_| fragments[random.below(fragments.len())]).collect();
        let outcome = std::panic::catch_unwind(|| parse_duration(&text));
        match outcome {
            Ok(Ok(duration)) => {
                assert!(duration <= DURATION_MAX, "{text:?}, BATON_SEED={seed}")
            }
            Ok(Err(error)) => {
                assert!(error.to_string().len() < 500, "{text:?}, BATON_SEED={seed}")
            }
            Err(_) => panic!("{text:?} panics, BATON_SEED={seed}"),
        }
    }
}

#[test]
fn the_length_is_the_sum_of_the_parts() {
    let units = [("s", 1), ("min", 60), ("hrs", 3_600), ("d", 86_400), ("weeks", 604_800)];
    let seed = seed();
    let mut random = Xorshift(seed);
    for _ in 0..5_000 {
        let mut text = String::new();
        let mut seconds = 0;
        for _ in 0..=random.below(5) {
            let (name, size) = units[random.below(units.len())];
            let count = random.below(1_000);
            let joint = ["", " ", ", ", " and "][random.below(4)];
            text.push_str(&format!("{count}{name}{joint}"));
            seconds += count as u64 * size;
        }
        assert_eq!(parse_duration(&text), Ok(Duration::from_secs(seconds)), "{text:?}, BATON_SEED={seed}");
    }
}

//! What plain text means: Ruby's `ScalarScanner`.

use super::node::Yaml;

/// Classes that Ruby would make of a text, and that GitLab does not permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpermitted {
    Date,
    Time,
}

impl Unpermitted {
    pub(super) fn class(self) -> &'static str {
        match self {
            Unpermitted::Date => "Date",
            Unpermitted::Time => "Time",
        }
    }
}

/// The value of text that stands without quotes.
pub(super) fn plain(text: &str) -> Result<Yaml, Unpermitted> {
    let first = text.bytes().next();
    if !first.is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'-' | b'+' | b',' | b'_')) {
        return Ok(word(text));
    }
    if let Some(class) = date_or_time(text) {
        return Err(class);
    }
    let value = base_60(text).or_else(|| float(text)).or_else(|| integer(text)).or_else(|| special(text));
    Ok(value.unwrap_or_else(|| Yaml::Text(text.into())))
}

fn word(text: &str) -> Yaml {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if text.len() > 5 {
        return Yaml::Text(text.into());
    }
    if text.is_empty() || text == "~" || is(&["null"]) {
        Yaml::Null
    } else if is(&["yes", "true", "on"]) {
        Yaml::Bool(true)
    } else if is(&["no", "false", "off"]) {
        Yaml::Bool(false)
    } else {
        Yaml::Text(text.into())
    }
}

fn special(text: &str) -> Option<Yaml> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case(".inf") {
        return Some(Yaml::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    text.eq_ignore_ascii_case(".nan").then_some(Yaml::Float(f64::NAN))
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The rest behind `least` to `most` digits.
fn after_digits(text: &str, least: usize, most: usize) -> Option<&str> {
    let count = digits(text).min(most);
    if count < least { None } else { text.get(count..) }
}

/// `2020-01-31`, or that with a time of day.
fn date_or_time(text: &str) -> Option<Unpermitted> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let rest = after_digits(unsigned, 4, 4)?.strip_prefix('-')?;
    let (month, rest) = rest.split_at_checked(digits(rest).min(2))?;
    let rest = rest.strip_prefix('-')?;
    let (day, rest) = rest.split_at_checked(digits(rest).min(2))?;
    let (month, day): (u32, u32) = (month.parse().ok()?, day.parse().ok()?);
    if rest.is_empty() {
        return (unsigned == text && month <= 12 && day <= 31).then_some(Unpermitted::Date);
    }
    let time = rest.strip_prefix(['T', 't']).or_else(|| rest.starts_with(' ').then(|| rest.trim_start()))?;
    let rest = after_digits(time, 1, 2)?.strip_prefix(':')?;
    let rest = after_digits(rest, 2, 2)?.strip_prefix(':')?;
    let rest = after_digits(rest, 2, 2)?;
    let rest = rest.strip_prefix('.').map_or(rest, |rest| rest.get(digits(rest)..).unwrap_or_default()).trim_start();
    let is_zone = rest.is_empty() || rest == "Z" || {
        let offset = rest.strip_prefix(['+', '-']).and_then(|rest| after_digits(rest, 1, 2));
        offset.is_some_and(|rest| {
            let minutes = rest.strip_prefix(':').unwrap_or(rest);
            minutes.is_empty() || after_digits(minutes, 2, 2) == Some("")
        })
    };
    is_zone.then_some(Unpermitted::Time)
}

/// `1:30` is 5400, `12:30:45` is 45045.
fn base_60(text: &str) -> Option<Yaml> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let parts: Vec<&str> = unsigned.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let (hours, rest) = parts.split_first()?;
    let is_number = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    if !is_number(hours) {
        return None;
    }
    let hours: i128 = hours.replace('_', "").parse().ok()?;
    let mut sum = hours.checked_mul(3600)?;
    for (part, weight) in rest.iter().zip([60, 1]) {
        let is_part = (1..=2).contains(&part.len()) && digits(part) == part.len();
        let value: i128 = part.parse().ok().filter(|&value: &i128| is_part && value < 60)?;
        sum = sum.checked_add(value * weight)?;
    }
    Some(Yaml::Int(if is_negative { -sum } else { sum }))
}

/// `1.5`, `.5`, `1_000.5e+3`; a number without a point is none.
fn float(text: &str) -> Option<Yaml> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = unsigned.split_once('.')?;
    let is_whole = whole.is_empty()
        || whole.starts_with(|c: char| c.is_ascii_digit())
            && whole.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b','));
    let (fraction, exponent) = rest.split_at_checked(digits(rest))?;
    let is_exponent = exponent.is_empty() || {
        let power = exponent.strip_prefix(['e', 'E']).and_then(|rest| rest.strip_prefix(['+', '-']));
        power.is_some_and(|power| !power.is_empty() && digits(power) == power.len())
    };
    if !is_whole || !is_exponent || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    text.replace([',', '_'], "").parse().ok().map(Yaml::Float)
}

/// Decimal, `0777`, `0x1F`, `0b11`, with `_` and `,` between digits.
fn integer(text: &str) -> Option<Yaml> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let clean = |digits: &str| digits.replace(['_', ','], "");
    let value = if let Some(rest) = unsigned.strip_prefix("0b") {
        i128::from_str_radix(&clean(rest), 2).ok()?
    } else if let Some(rest) = unsigned.strip_prefix("0x") {
        i128::from_str_radix(&clean(rest), 16).ok()?
    } else if let Some(rest) = unsigned.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        if rest.starts_with(['+', '-']) {
            return None;
        }
        i128::from_str_radix(&clean(rest), 8).ok()?
    } else if unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.ends_with(|c: char| c.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b','))
        && !unsigned.as_bytes().windows(2).any(|pair| pair.iter().all(|byte| matches!(byte, b'_' | b',')))
    {
        clean(unsigned).parse().ok()?
    } else {
        return None;
    };
    Some(Yaml::Int(if is_negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        format!("{:?}", plain(text))
    }

    #[test]
    fn text_that_only_looks_like_a_number_stays_text() {
        for text in
            ["08", "0o17", "1e3", "3.14.15", "1__0", "1_", "_1", ".", "-", "1:60", "1:2:3:4", "0b2", "0x", "+-1"]
        {
            assert_eq!(shown(text), format!("Ok(Text({text:?}))"), "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_ruby() {
        for (text, number) in [("-0777", -511), ("+5", 5), ("1,000", 1000), ("0x_1F", 31), ("-1:30", -5400), ("0", 0)] {
            assert_eq!(shown(text), format!("Ok(Int({number}))"), "{text}");
        }
        assert_eq!(shown("-.inf"), "Ok(Float(-inf))");
        assert_eq!(shown("1."), "Ok(Float(1.0))");
    }

    #[test]
    fn dates_and_times_are_not_permitted() {
        assert_eq!(plain("2020-1-3").unwrap_err(), Unpermitted::Date);
        for text in ["2020-01-31 10:00:00", "2020-01-31T10:00:00Z", "2020-01-31 10:00:00.5 +02:00"] {
            assert_eq!(plain(text).unwrap_err(), Unpermitted::Time, "{text}");
        }
        assert_eq!(shown("2020-01-31x"), "Ok(Text(\"2020-01-31x\"))");
    }
}

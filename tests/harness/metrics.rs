//! A strict reader of Prometheus' text format, version 0.0.4: it fails at whatever the format does not allow.

use std::collections::{BTreeMap, BTreeSet, HashSet};

type Labels = BTreeMap<String, String>;

/// All samples of one answer.
pub struct Metrics {
    samples: Vec<(String, Labels, f64)>,
    /// Type by the family's name.
    pub kinds: BTreeMap<String, String>,
}

impl Metrics {
    #[track_caller]
    pub fn parse(text: &str) -> Metrics {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut metrics = Metrics { samples: vec![], kinds: BTreeMap::new() };
        let (mut family, mut helped, mut series) = (String::new(), String::new(), HashSet::new());
        for line in text.lines() {
            assert!(!line.is_empty() && line.trim() == line && !line.chars().any(char::is_control), "{line:?}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(help.ends_with('.') && !help.replace("\\\\", "").replace("\\n", "").contains('\\'), "{line}");
                assert!(is_name(name) && !metrics.kinds.contains_key(name), "{line}");
                helped = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(name, helped, "TYPE stands below HELP");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(metrics.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice");
                family = name.to_owned();
            } else {
                let (name, labels, value) = sample(line);
                let suffixes: &[&str] =
                    if metrics.kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                let belongs = suffixes.iter().any(|suffix| name == format!("{family}{suffix}"));
                assert!(belongs, "{line} stands among the samples of {family}");
                assert!(series.insert((name.clone(), labels.clone())), "{line} is there twice");
                metrics.samples.push((name, labels, value));
            }
        }
        metrics.check_values();
        metrics
    }

    fn check_values(&self) {
        for (family, kind) in &self.kinds {
            let of = |suffix: &str| {
                let name = format!("{family}{suffix}");
                self.samples.iter().filter(move |(own, _, _)| *own == name)
            };
            if kind != "histogram" {
                let names: BTreeSet<Vec<&String>> = of("").map(|(_, labels, _)| labels.keys().collect()).collect();
                assert!(names.len() <= 1, "{family} has different labels: {names:?}");
                assert!(
                    of("").all(|(_, _, value)| value.is_finite() && (kind == "gauge" || *value >= 0.0)),
                    "{family}"
                );
                continue;
            }
            let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for (_, labels, value) in of("_bucket") {
                let mut labels = labels.clone();
                let bound = labels.remove("le").expect("a bucket's bound");
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                buckets.entry(labels).or_default().push((bound, *value));
            }
            let counts: BTreeMap<Labels, f64> =
                of("_count").map(|(_, labels, value)| (labels.clone(), *value)).collect();
            let sums: BTreeSet<&Labels> = of("_sum").map(|(_, labels, _)| labels).collect();
            assert!(sums.iter().copied().eq(counts.keys()) && counts.keys().eq(buckets.keys()), "{family}");
            for (labels, buckets) in buckets {
                assert!(
                    buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1),
                    "{family} {buckets:?}"
                );
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, counts[&labels])), "{family}");
            }
        }
    }

    /// The value of this sample, which there must be.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = self.samples.iter().find(|(own, its, _)| own == name && *its == labels);
        found.unwrap_or_else(|| panic!("there is no {name} {labels:?}")).2
    }

    /// The values of all samples of this name together.
    pub fn sum(&self, name: &str) -> f64 {
        self.samples.iter().filter(|(own, _, _)| own == name).map(|(_, _, value)| value).sum()
    }

    /// The same of those with this route.
    pub fn sum_of(&self, name: &str, route: &str) -> f64 {
        let is_on = |labels: &Labels| labels.get("route").is_some_and(|own| own == route);
        self.samples.iter().filter(|(own, labels, _)| own == name && is_on(labels)).map(|it| it.2).sum()
    }

    /// Every pair of a label and its value.
    pub fn labels(&self) -> BTreeSet<(&str, &str)> {
        self.samples.iter().flat_map(|(_, labels, _)| labels.iter().map(|(a, b)| (a.as_str(), b.as_str()))).collect()
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }
}

fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// `name{label="value",...} number`
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            inner = after.strip_prefix(',').expect(line);
        }
    }
    let number = rest.strip_prefix(' ').expect(line);
    assert!(!number.contains(' '), "{line}");
    (name.to_owned(), labels, number.parse().expect(line))
}

/// The text up to the quote that ends it, and what stands behind that.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next().expect("a quote at the end").1 {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next().expect("an escaped character").1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("\\{c} is no escape"),
            }),
            c => value.push(c),
        }
    }
}

//! From the events of a parser to values.

use super::node::{Entry, Map, Node, Place, Yaml};
use super::scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 2 << 20;
/// Values of a document, with each alias counted as what it stands for.
pub const NODES_MAX: usize = 1_000_000;
/// Levels of a document, with each alias counted as what it stands for.
pub const DEPTH_MAX: usize = 100;

/// The documents of a file that count: at most two.
pub struct Documents {
    /// In order; a file without content has none.
    pub documents: Vec<Node>,
    /// Each key that is written twice: the key, its first and its last place.
    pub twice: Vec<(String, Place, Place)>,
    /// Values in all of them.
    pub nodes: usize,
}

/// Why a file is no YAML that GitLab reads.
#[derive(Debug)]
pub struct LoadError {
    /// Where.
    pub place: Place,
    /// GitLab's words, or the parser's.
    pub words: String,
}

/// What a value weighs when it is repeated.
#[derive(Clone)]
struct Weighed {
    node: Node,
    nodes: usize,
    depth: usize,
}

struct Loader<'a> {
    text: &'a str,
    file: u32,
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Weighed>,
    twice: Vec<(String, Place, Place)>,
    nodes: usize,
}

/// Reads a file: its first document, and a second one behind it.
///
/// # Errors
///
/// Text that is no YAML, or beyond the bounds.
pub fn load(text: &str, file: u32) -> Result<Documents, LoadError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = Place { file, line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        return Err(LoadError { place: start, words: "The parsed YAML is too big".to_owned() });
    }
    let events = Parser::new_from_str(text);
    let mut loader = Loader { text, file, events, anchors: HashMap::new(), twice: Vec::new(), nodes: 0 };
    let mut documents = Vec::new();
    while documents.len() < 2 {
        let (event, _) = loader.next()?;
        match event {
            Event::DocumentStart(_) => {
                let (event, span) = loader.next()?;
                documents.push(loader.value(event, span, 1)?.node);
            }
            Event::StreamEnd => break,
            Event::DocumentEnd => loader.anchors.clear(),
            Event::Nothing
            | Event::StreamStart
            | Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => {}
        }
    }
    if documents.len() == 1 && documents.iter().all(Node::is_null) && !text.contains("---") {
        documents.clear();
    }
    Ok(Documents { documents, twice: loader.twice, nodes: loader.nodes })
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), LoadError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file, line: number(span.start.line()), column: number(span.start.col() + 1) }
    }

    fn error(&self, span: Span, words: &str) -> LoadError {
        LoadError { place: self.place(span), words: words.to_owned() }
    }

    /// The parser's error; the commonest ones in the words of the parser that GitLab uses.
    fn scan_error(&self, error: &ScanError) -> LoadError {
        let mark = error.marker();
        let line = self.text.lines().nth(mark.line().saturating_sub(1)).unwrap_or_default();
        let (last, lines) = self.text.lines().fold(("", 0), |(_, count), line| (line, count + 1));
        let place = if mark.line() > lines {
            Place { file: self.file, line: number(lines.max(1)), column: number(last.chars().count() + 1) }
        } else {
            Place { file: self.file, line: number(mark.line()), column: number(mark.col() + 1) }
        };
        let info = error.info();
        let words = if info.contains("unknown anchor") {
            let rest: String = line.chars().skip(mark.col()).collect();
            let name = rest.trim_start_matches(['*', ' ']);
            let end = name.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(name.len());
            format!("Unknown alias: {}", name.get(..end).unwrap_or_default())
        } else if info.contains("tab") {
            "found character that cannot start any token".to_owned()
        } else if info.contains("while parsing a flow sequence") || info.contains("unclosed bracket '['") {
            "did not find expected ',' or ']' while parsing a flow sequence".to_owned()
        } else if info.contains("while parsing a flow mapping") || info.contains("unclosed bracket '{'") {
            "did not find expected ',' or '}' while parsing a flow mapping".to_owned()
        } else if info.contains("while parsing a block mapping") {
            "did not find expected key while parsing a block mapping".to_owned()
        } else {
            info.to_owned()
        };
        LoadError { place, words: format!("{words} at line {} column {}", place.line, place.column) }
    }

    /// Counts values before they are built.
    fn count(&mut self, nodes: usize, depth: usize, span: Span) -> Result<(), LoadError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX || depth > DEPTH_MAX {
            return Err(self.error(span, "The parsed YAML is too big"));
        }
        Ok(())
    }

    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Weighed, LoadError> {
        let (anchor, weighed) = match event {
            Event::Alias(id) => {
                let Some(known) = self.anchors.get(&id).cloned() else {
                    return Err(self.error(span, "Recursive alias: it stands inside of what it names"));
                };
                self.count(known.nodes, depth + known.depth - 1, span)?;
                return Ok(known);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, depth, span)?;
                let yaml = self.scalar(&text, style, tag.as_deref(), span)?;
                (anchor, Weighed { node: Node::new(yaml, self.place(span)), nodes: 1, depth: 1 })
            }
            Event::SequenceStart(anchor, tag) => (anchor, self.list(tag.as_deref(), span, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(span, depth)?),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(self.error(span, "did not find expected node content")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, weighed.clone());
        }
        Ok(weighed)
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Yaml, LoadError> {
        let is_text = tag.is_some_and(|tag| (tag.is_yaml_core_schema() && tag.suffix == "str") || tag.suffix == "!");
        if is_text || !matches!(style, ScalarStyle::Plain) {
            return Ok(Yaml::Text(text.into()));
        }
        scalar::plain(text).map_err(|unpermitted| {
            self.error(span, &format!("Tried to load unspecified class: {}", unpermitted.class()))
        })
    }

    fn list(&mut self, tag: Option<&Tag>, span: Span, depth: usize) -> Result<Weighed, LoadError> {
        self.count(1, depth, span)?;
        let mut list = Vec::new();
        let (mut nodes, mut deepest) = (1, 0);
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let entry = self.value(event, at, depth + 1)?;
            nodes += entry.nodes;
            deepest = deepest.max(entry.depth);
            list.push(entry.node);
        }
        let is_reference = tag.is_some_and(|tag| tag.handle == "!" && tag.suffix == "reference");
        let list = Arc::new(list);
        let yaml = if is_reference { Yaml::Reference(list) } else { Yaml::List(list) };
        Ok(Weighed { node: Node::new(yaml, self.place(span)), nodes, depth: deepest + 1 })
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Weighed, LoadError> {
        self.count(1, depth, span)?;
        let mut map = Map::default();
        let (mut nodes, mut deepest) = (1, 0);
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.value(event, at, depth + 1)?;
            let (event, value_at) = self.next()?;
            let is_alias = matches!(event, Event::Alias(_));
            let value = self.value(event, value_at, depth + 1)?;
            nodes += key.nodes + value.nodes;
            deepest = deepest.max(key.depth).max(value.depth);
            let is_merge = key.node.text() == Some("<<");
            if !(is_merge && self.merge(&mut map, &value.node, is_alias, at)?) {
                self.insert(&mut map, &key.node, value.node, self.place(at));
            }
        }
        let node = Node::new(Yaml::Map(Arc::new(map)), self.place(span));
        Ok(Weighed { node, nodes, depth: deepest + 1 })
    }

    fn insert(&mut self, map: &mut Map, key: &Node, node: Node, place: Place) {
        let is_text = key.text().is_some();
        let key: Arc<str> =
            if let Yaml::Text(text) = &key.yaml { text.clone() } else { key.scalar_text().unwrap_or_default().into() };
        let entry = Entry { place, is_text, is_own: true, node };
        if let Some(old) = map.0.insert(key.clone(), entry)
            && old.is_own
        {
            self.twice.push((key.to_string(), old.place, place));
        }
    }

    /// Takes the entries of a mapping, or of a list of mappings of which the first counts most. Whether it did.
    fn merge(&mut self, into: &mut Map, from: &Node, is_alias: bool, span: Span) -> Result<bool, LoadError> {
        let maps: Vec<&Map> = match &from.yaml {
            Yaml::Map(map) => vec![map],
            Yaml::List(list) if !is_alias && list.iter().all(|node| node.map().is_some()) => {
                list.iter().rev().filter_map(Node::map).collect()
            }
            Yaml::List(_)
            | Yaml::Null
            | Yaml::Bool(_)
            | Yaml::Int(_)
            | Yaml::Float(_)
            | Yaml::Text(_)
            | Yaml::Reference(_) => return Ok(false),
        };
        for map in maps {
            self.count(map.0.len(), 1, span)?;
            for (key, entry) in &map.0 {
                into.0.insert(key.clone(), Entry { is_own: false, ..entry.clone() });
            }
        }
        Ok(true)
    }
}

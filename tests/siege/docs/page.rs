//! What a page of the documentation shows, by the convention of the parent module.

/// A page.
pub struct Page {
    /// Its path in the repository.
    pub name: String,
    pub blocks: Vec<Block>,
}

/// A block of code.
pub enum Block {
    /// Commands that are run.
    Run(Vec<Step>),
    /// Commands for a checkout, each with the number of its line.
    Checkout(Vec<(usize, String)>),
    /// Commands that cannot be run here, each with the number of its line.
    Console(Vec<(usize, String)>),
    /// No commands.
    Other,
}

/// A command with its answer, or the end of the server.
pub enum Step {
    Command(Command),
    Interrupt { line: usize },
}

/// A command as it is shown.
pub struct Command {
    /// The number of its line.
    pub line: usize,
    pub text: String,
    /// What is shown of its answer; nothing: it is not compared.
    pub answer: Vec<String>,
    /// The status that it must end with.
    pub status: i32,
}

const PROMPT: &str = "$ ";
const STATUS: &str = "# exits with ";

impl Page {
    /// Reads a page; the error names the line that is against the convention.
    pub fn parse(name: &str, text: &str) -> Result<Page, String> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, &str, Vec<&str>)> = None;
        for (index, line) in text.lines().enumerate() {
            match (open.as_mut(), line.strip_prefix("```")) {
                (None, None) => {}
                (None, Some(kind)) => open = Some((index + 1, kind.trim(), Vec::new())),
                (Some((_, _, lines)), None) => lines.push(line),
                (Some((start, kind, lines)), Some(_)) => {
                    blocks.push(block(*start, kind, lines).map_err(|(line, why)| format!("{name}:{line}: {why}"))?);
                    open = None;
                }
            }
        }
        match open {
            Some((start, ..)) => Err(format!("{name}:{start}: the block has no end")),
            None => Ok(Page { name: name.to_owned(), blocks }),
        }
    }

    /// What is run of it.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Run(steps) => steps.as_slice(),
            Block::Checkout(_) | Block::Console(_) | Block::Other => &[],
        })
    }

    /// How many commands are run.
    pub fn commands(&self) -> usize {
        self.steps().filter(|step| matches!(step, Step::Command(_))).count()
    }
}

/// The block whose first line has this number; its content begins behind it.
fn block(start: usize, kind: &str, lines: &[&str]) -> Result<Block, (usize, String)> {
    let numbered: Vec<(usize, &str)> =
        lines.iter().enumerate().map(|(index, line)| (start + 1 + index, *line)).collect();
    let is_prompted = lines.iter().any(|line| line.starts_with(PROMPT) || *line == "^C");
    match kind {
        "" => Err((start, "the block does not say its kind".to_owned())),
        "sh" if is_prompted => steps(&numbered).map(Block::Run),
        "sh" => Ok(Block::Checkout(numbered.iter().map(|&(line, text)| (line, text.to_owned())).collect())),
        "console" => Ok(Block::Console(
            joined(&numbered)
                .into_iter()
                .filter_map(|(line, text)| Some((line, prompted(&text)?.to_owned())))
                .collect(),
        )),
        _ => match numbered.iter().find(|(_, line)| line.starts_with(PROMPT)) {
            Some((line, _)) => Err((*line, "a command in a block that has none by its kind".to_owned())),
            None => Ok(Block::Other),
        },
    }
}

fn prompted(line: &str) -> Option<&str> {
    line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "))
}

/// The lines, with those joined that end in a backslash.
fn joined(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for &(number, line) in lines {
        match all.last_mut().filter(|_| goes_on) {
            Some((_, text)) => text.push_str(line.trim_start()),
            None => all.push((number, line.to_owned())),
        }
        goes_on = line.ends_with('\\');
        if let Some((_, text)) = all.last_mut().filter(|_| goes_on) {
            text.pop();
        }
    }
    all
}

fn steps(lines: &[(usize, &str)]) -> Result<Vec<Step>, (usize, String)> {
    let mut steps = Vec::new();
    let mut rest = lines.iter();
    while let Some(&(line, text)) = rest.next() {
        if text == "^C" {
            steps.push(Step::Interrupt { line });
            continue;
        }
        let Some(begin) = text.strip_prefix(PROMPT) else {
            match steps.last_mut() {
                Some(Step::Command(command)) => command.answer.push(text.to_owned()),
                _ => return Err((line, "an answer without a command".to_owned())),
            }
            continue;
        };
        let mut whole = begin.to_owned();
        let mut last = begin;
        let document_end = begin.split_once("<<'").and_then(|(_, rest)| rest.split('\'').next());
        while if document_end.is_some() { document_end != Some(last) } else { last.ends_with('\\') } {
            let Some(&(_, more)) = rest.next() else { return Err((line, "the command has no end".to_owned())) };
            whole = format!("{whole}\n{more}");
            last = more;
        }
        let status = match whole.split_once(STATUS) {
            None => 0,
            Some((_, number)) => number.trim().parse().map_err(|_| (line, "no status".to_owned()))?,
        };
        steps.push(Step::Command(Command { line, text: whole, answer: Vec::new(), status }));
    }
    Ok(steps)
}

/// What a link to a heading is called.
pub fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Whether `answer` is what is shown: see the convention.
pub fn is_shown(shown: &[String], answer: &[String]) -> bool {
    let shown: Vec<String> = shown.iter().map(|line| shape(line)).collect();
    let answer: Vec<String> = answer.iter().map(|line| shape(line)).collect();
    lines_match(&shown, &answer)
}

fn lines_match(shown: &[String], answer: &[String]) -> bool {
    match (shown.split_first(), answer.split_first()) {
        (None, answer) => answer.is_none(),
        (Some((first, rest)), _) if first == "..." => {
            (0..=answer.len()).any(|skipped| lines_match(rest, &answer[skipped..]))
        }
        (Some((first, rest)), Some((line, others))) => line_matches(first, line) && lines_match(rest, others),
        (Some(_), None) => false,
    }
}

fn line_matches(shown: &str, line: &str) -> bool {
    match shown.split_once("...") {
        None => shown == line,
        Some((begin, rest)) => line.strip_prefix(begin).is_some_and(|after| {
            let ends = after.char_indices().map(|(at, _)| at).chain([after.len()]);
            ends.into_iter().any(|at| line_matches(rest, &after[at..]))
        }),
    }
}

/// A line without what is another one each time: times, durations, tokens, and how wide the columns are.
fn shape(line: &str) -> String {
    let mut words: Vec<&str> = line.split_whitespace().map(kind).collect();
    words.dedup_by(|one, other| one == other && *one == DURATION);
    words.join(" ")
}

const DURATION: &str = "<duration>";

fn kind(word: &str) -> &str {
    let bare = word.trim_end_matches([',', ':', ';']);
    let is_time = bare.len() >= 19 && bare.as_bytes()[4] == b'-' && bare.contains('T') && bare.contains(':');
    let unit = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_duration = unit.len() < bare.len() && ["ms", "s", "m", "h", "d"].contains(&unit);
    let is_random =
        bare.len() >= 20 && bare.bytes().all(|c| c.is_ascii_alphanumeric()) && bare.bytes().any(|c| c.is_ascii_digit());
    match (is_time, is_duration, is_random) {
        (true, ..) => "<time>",
        (_, true, _) => DURATION,
        (.., true) => "<token>",
        _ => word,
    }
}

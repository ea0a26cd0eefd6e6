//! `baton build list --watch`: what becomes of the builds. It ends with the process: there is nothing to be put in order.

use crate::cli::Done;
use crate::cli::show::cells::{self, Size, fitting};
use crate::cli::show::{print, terminal};
use crate::coordinator::BuildReport;
use crate::domain::build::{BuildId, Status};
use crate::domain::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;
use std::{io, thread};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows the builds that `look` finds, newest first, again and again.
pub fn run(look: impl Fn() -> Done<Vec<BuildReport>>, json: bool) -> Done {
    let is_drawn = !json && terminal::is_drawable(&io::stdout());
    let mut known = HashMap::new();
    let mut is_first = true;
    loop {
        let list = look()?;
        if is_drawn {
            print::out(&drawing(&print::builds_text(&list), cells::size(), is_first))?;
        } else {
            print_all(&changed(&list, &mut known), json)?;
        }
        is_first = false;
        thread::sleep(PAUSE);
    }
}

/// The builds that are new or in another state than before, oldest first. `known` is what is known afterwards.
fn changed<'a>(list: &'a [BuildReport], known: &mut HashMap<BuildId, Status>) -> Vec<&'a BuildReport> {
    let before = std::mem::take(known);
    known.extend(list.iter().map(|report| (report.build.id, report.build.status)));
    list.iter().rev().filter(|report| before.get(&report.build.id) != Some(&report.build.status)).collect()
}

fn print_all(list: &[&BuildReport], json: bool) -> Done {
    if json {
        return print::json_lines(list.iter().map(|report| print::BuildDocument::new(report)));
    }
    let now = print::short_time(Some(Timestamp::now()));
    let line = |report: &&BuildReport| {
        let [id, project, name, ref_, status, _, took, remark] = print::build_row(report);
        format!("{now}  build {id}  {project}  {name}  {ref_}  {status}  {took}  {remark}").trim_end().to_owned() + "\n"
    };
    print::out(&list.iter().map(line).collect::<String>())
}

/// What draws as much of the text as a terminal of so many rows and columns holds, over what is there.
fn drawing(text: &str, size: Size, is_first: bool) -> String {
    let mut drawing = if is_first { "\x1b[2J\x1b[H" } else { "\x1b[H" }.to_owned();
    // The last row stays free for the cursor.
    for line in text.lines().take(size.rows.saturating_sub(1)) {
        drawing.push_str(fitting(line, size.columns));
        drawing.push_str("\x1b[K\n");
    }
    drawing + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_no_larger_than_the_terminal_and_leaves_nothing_of_the_last_one() {
        let text = "größe\n1234567\nthird\nfourth\n";
        assert_eq!(drawing(text, Size { rows: 3, columns: 5 }, true), "\x1b[2J\x1b[Hgröße\x1b[K\n12345\x1b[K\n\x1b[J");
        assert_eq!(drawing("a\n", Size { rows: 24, columns: 80 }, false), "\x1b[Ha\x1b[K\n\x1b[J");
        assert_eq!(drawing(text, Size { rows: 0, columns: 0 }, false), "\x1b[H\x1b[J");
    }
}

//! A job's log, as far as it is on its page.

use super::{Asked, Web, words};
use crate::coordinator::JobView;
use crate::domain::build::BuildId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use maud::{Markup, html};

/// The log of a job's page.
pub fn panel(web: &Web, _: &Asked, view: &JobView, _: Timestamp) -> Result<Markup> {
    let (end, _) = web.coordinator.read_trace_end(view.report.build.id, 64 << 10)?;
    let text = String::from_utf8_lossy(&end);
    Ok(
        html! { section class="panel" aria-label="Log" { div class="log" tabindex="0" { @for line in text.lines() { div { (words::cleaned(line)) } } } } },
    )
}

/// Number and text of the first red line of a log.
pub fn first_red(_: &Web, _: BuildId) -> Option<(u64, String)> {
    None
}

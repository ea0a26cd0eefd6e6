//! Why a pipeline has no jobs: what is wrong with its configuration.
//!
//! What must stay true: what is wrong is said to whoever may look; the lines of the file are shown to those who are signed in
//! alone, since nothing is known of what stands in them.

use super::icons;
use super::states;
use super::words::{cleaned, count, foreign};
use crate::coordinator::PipelineReport;
use crate::domain::pipeline::states::PipelineState;
use crate::gitlab_ci::excerpt::Line;
use crate::gitlab_ci::messages::Message;
use maud::{Markup, html};

/// That it was refused, in a line.
pub fn note() -> Markup {
    html! {
        p class="note fail" {
            span class="st fail" { (icons::silent(states::of_pipeline(PipelineState::Failed, false))) "Configuration refused" }
            span { "Nothing runs until it is mended: the next pipeline reads it anew." }
        }
    }
}

/// What is wrong, each with its place.
pub fn panel(report: &PipelineReport, may_see_lines: bool) -> Markup {
    html! {
        section class="panel" aria-labelledby="h-refused" {
            header { h2 id="h-refused" { "What is wrong" } span class="dim" { (count(report.refusal.len() as u64, "error")) } }
            @for message in &report.refusal { (one(message, may_see_lines)) }
        }
    }
}

fn one(message: &Message, may_see_lines: bool) -> Markup {
    html! {
        div class="wrong" {
            p {
                @if !message.file.is_empty() { b class="mono" { (foreign(&message.file)) ":" (message.line) ":" (message.column) } " " }
                (foreign(&message.words))
                @if let Some(hint) = &message.hint {  " " span class="dim" { "(" (foreign(hint)) ")" } }
            }
            @if may_see_lines && !message.around.is_empty() {
                div class="log" role="group" aria-label={ "Lines of " (cleaned(&message.file)) } {
                    @for line in &message.around { (shown(message, line)) }
                }
            }
        }
    }
}

/// A line of the file; the one that is meant has a mark, which is read out, too.
fn shown(message: &Message, line: &Line) -> Markup {
    let is_meant = message.is_about(line);
    html! {
        div class={ "l" @if is_meant { " err" } } {
            span { @if is_meant { "▸" span class="sr" { "this line: " } } }
            i { (line.number) }
            span { (foreign(&line.text.replace('\t', "    "))) }
        }
    }
}

//! Badges: a small picture that says how a branch stands.

use super::Visit;
use crate::coordinator::PipelinesOf;
use crate::domain::pipeline::states::PipelineState;
use crate::domain::token::hex;
use crate::error::{Error, Kind, Result};
use crate::http::{Answer, Body, Response};
use maud::html;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// Widest left side that may be asked for, in pixels, as GitLab has it.
const KEY_WIDTH_MAX: usize = 512;
/// Longest text of the left side, in letters, as GitLab has it.
const KEY_LETTERS_MAX: usize = 64;

/// `GET /PROJECT/badges/BRANCH/pipeline.svg`. Whoever is not signed in needs `?key=`, unless everybody may look.
pub fn answer(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let (web, asked, places) = (visit.web, visit.asked, visit.places);
    let path = places.texts.first().copied().unwrap_or_default();
    let branch = path.strip_suffix("/pipeline.svg").ok_or_else(|| Error::not_found(""))?;
    let branch = percent_decode_str(branch).decode_utf8_lossy().into_owned();
    let project = asked.project.clone().unwrap_or_default();
    let may_look = asked.reader.may_look() || {
        let key = asked.parameter("key").unwrap_or_default();
        web.coordinator.badge_key(&project)?.is_some_and(|own| Sha256::digest(&own) == Sha256::digest(&key))
    };
    if !may_look {
        return Ok(Response::words(
            401,
            "this badge needs the key of its project, which the page of the project shows",
        )
        .into());
    }
    let is_passed_over = |state: PipelineState| {
        asked.parameter("ignore_skipped").is_some_and(|it| it == "true") && state == PipelineState::Skipped
    };
    let of = PipelinesOf { project: Some(project), ref_: Some(branch), ..PipelinesOf::default() };
    let newest = match web.coordinator.page_of_pipelines(&of) {
        Ok(page) => page.lines.into_iter().map(|line| line.report.state()).find(|state| !is_passed_over(*state)),
        Err(error) if error.kind == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    let key = asked.parameter("key_text").unwrap_or_else(|| "pipeline".to_owned());
    let key: String = key.chars().take(KEY_LETTERS_MAX).collect();
    let width = asked.parameter("key_width").and_then(|text| text.parse().ok()).filter(|width| *width <= KEY_WIDTH_MAX);
    let svg = drawn(&super::words::cleaned(&key), width, newest);
    let etag = format!("\"{}\"", hex(Sha256::digest(&svg).get(..8).unwrap_or_default()));
    let response = if visit.request.headers.get("If-None-Match") == Some(etag.as_str()) {
        Response::empty(304)
    } else {
        Response::new(200, Body::Bytes(svg.into_bytes())).with("Content-Type", "image/svg+xml")
    };
    let response =
        response.with("ETag", etag).with("Cache-Control", "no-cache").with("X-Content-Type-Options", "nosniff");
    Ok(response.with("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'").into())
}

/// The word, its colour, and the mark beside it.
fn said(state: Option<PipelineState>) -> (&'static str, &'static str, &'static str) {
    match state {
        Some(PipelineState::Success) => ("passed", "#0a7650", "✓"),
        Some(PipelineState::Failed) => ("failed", "#bd2f16", "✗"),
        Some(PipelineState::Running) => ("running", "#1a5fc4", "▶"),
        Some(PipelineState::Pending | PipelineState::Created | PipelineState::WaitingForResource) => {
            ("pending", "#85590a", "…")
        }
        Some(PipelineState::Scheduled) => ("scheduled", "#85590a", "…"),
        Some(PipelineState::Canceled) => ("canceled", "#656970", "⊘"),
        Some(PipelineState::Skipped) => ("skipped", "#656970", "»"),
        Some(PipelineState::Manual) => ("manual", "#6a3da8", "▷"),
        None => ("unknown", "#656970", "?"),
    }
}

/// About how wide a text is in Verdana of 11 pixels: of each letter's class the widest.
fn width_of(text: &str) -> usize {
    let tenths = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '!' | '|' | '\'' | ' ' => 42,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' | '/' => 50,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 107,
        'A'..='Z' => 82,
        ' '..='~' => 70,
        _ => 110,
    };
    text.chars().map(tenths).sum::<usize>().div_ceil(10)
}

fn drawn(key: &str, key_width: Option<usize>, state: Option<PipelineState>) -> String {
    let (word, colour, mark) = said(state);
    let value = format!("{mark} {word}");
    let left = key_width.unwrap_or_else(|| width_of(key) + 12);
    let right = width_of(&value) + 12;
    let whole = left + right;
    let label = format!("{key}: {word}");
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(whole) height="20" role="img" aria-label=(label) {
            title { (label) }
            clipPath id="r" { rect width=(whole) height="20" rx="3" {} }
            g clip-path="url(#r)" {
                rect width=(left) height="20" fill="#45494f" {}
                rect x=(left) width=(right) height="20" fill=(colour) {}
            }
            g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" {
                text x=(left / 2) y="14" { (key) }
                text x=(left + right / 2) y="14" { (value) }
            }
        }
    }
    .into_string()
}

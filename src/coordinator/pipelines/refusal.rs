//! Why a pipeline's configuration was refused, as its row keeps it.
//!
//! What must stay true: it is never more than [`REFUSAL_BYTES_MAX`]. The first messages have the lines around them; then come
//! some without; the rest is not kept. Who asked was told all of them.

use crate::domain::pipeline::PipelineId;
use crate::error::Result;
use crate::gitlab_ci::messages::Message;
use crate::limits::REFUSAL_BYTES_MAX;
use crate::store::pipelines;
use rusqlite::Connection;

/// What a row keeps of these messages; `None`: there are none.
pub fn stored(messages: &[Message]) -> Result<Option<String>> {
    if messages.is_empty() {
        return Ok(None);
    }
    let mut kept: Vec<Message> = Vec::with_capacity(messages.len());
    // The brackets around all of them.
    let mut bytes = 2;
    for message in messages {
        let short = Message { around: Vec::new(), ..message.clone() };
        for message in [message, &short] {
            let size = serde_json::to_string(message)?.len() + 1;
            if bytes + size <= REFUSAL_BYTES_MAX {
                bytes += size;
                kept.push(message.clone());
                break;
            }
        }
    }
    Ok(Some(serde_json::to_string(&kept)?))
}

/// What is wrong with a pipeline's configuration; empty: it was taken.
pub fn of_pipeline(c: &Connection, id: PipelineId) -> Result<Vec<Message>> {
    let stored = pipelines::refusal(c, id)?;
    Ok(stored.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitlab_ci::excerpt::Line;

    fn message(chars: usize, lines: u32) -> Message {
        let line = |number| Line { number, text: "\u{1f980}".repeat(200) };
        let words = "\0".repeat(chars);
        Message {
            file: "f".repeat(chars),
            line: 1,
            column: 1,
            around: (1..=lines).map(line).collect(),
            words,
            hint: None,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_begins_with_whole_messages() {
        assert_eq!(stored(&[]).unwrap(), None);
        let few = vec![message(10, 7), message(10, 1)];
        let back: Vec<Message> = serde_json::from_str(&stored(&few).unwrap().unwrap()).unwrap();
        assert_eq!(back, few);
        // As many and as long as the compiler makes them, with characters that JSON makes longest.
        let many = vec![message(2_003, 7); 20];
        let text = stored(&many).unwrap().unwrap();
        assert!(text.len() <= REFUSAL_BYTES_MAX, "{}", text.len());
        let back: Vec<Message> = serde_json::from_str(&text).unwrap();
        assert_eq!((back[0].around.len(), back.last().unwrap().words.len()), (7, 2_003));
    }
}

//! What the values of single headers mean. Each parser takes any text, and none trusts it.

pub mod content_range;
pub mod disposition;
pub mod range;
pub mod validators;

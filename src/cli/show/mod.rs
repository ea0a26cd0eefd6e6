//! What people and programs read: tables, progress, the lines of the log, quoted words.

pub(super) mod around;
pub(super) mod cells;
pub(super) mod job;
pub(super) mod log_line;
pub(super) mod logger;
pub(super) mod plain;
pub(super) mod print;
pub(super) mod progress;
pub(super) mod tail;
pub(super) mod terminal;

//! Words that people type: arguments, settings of the environment, secrets, and what is made from the definitions of all
//! commands.

pub(super) mod arguments;
pub(super) mod commands;
pub(super) mod completions;
pub(super) mod man;
pub(super) mod secrets;
pub(super) mod settings;

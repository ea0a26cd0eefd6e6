//! Types and pure rules: no HTTP, no SQL, no clock, no files.

pub mod asker;
pub mod base_url;
pub mod build;
pub mod by_itself;
pub mod end;
pub mod file_url;
pub mod filename;
pub mod git_names;
pub mod keywords;
pub mod masking;
pub mod options;
pub mod pending;
pub mod repo_url;
pub mod reserved;
pub mod runner;
pub mod script;
pub mod secret;
pub mod spec;
pub mod stand;
pub mod tags;
pub mod text;
pub mod time;
pub mod token;
pub mod variables;

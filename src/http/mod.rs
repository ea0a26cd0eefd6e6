//! HTTP, without a word about builds: requests and responses as values, and the server that carries them.
//!
//! Handlers take a [`Request`] and return an [`Answer`]; they run without sockets.

pub mod body;
pub mod budget;
pub mod gate;
pub mod headers;
pub mod message;
pub mod multipart;
pub mod params;
pub mod peers;
pub mod record;
pub mod router;
pub mod server;
pub mod slow_clients;
pub(crate) mod sockets;
pub mod traffic;
pub mod wire;

pub use message::{AfterCommit, Answer, Body, Held, Method, Note, Request, Response, Stream, Wake};

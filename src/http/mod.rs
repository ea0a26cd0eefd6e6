//! HTTP, without a word about builds: requests and responses as values, and the server that carries them.
//!
//! `server/` alone knows tiny_http. Handlers take a [`Request`] and return an [`Answer`]; they run without
//! sockets.

pub mod budget;
pub mod gate;
pub mod message;
pub mod multipart;
pub mod params;
pub mod peers;
pub mod record;
pub mod server;
pub(crate) mod sockets;
pub mod traffic;
mod watch;
pub mod wire;

pub use message::{Answer, Body, Later, Method, Note, Request, Response, Soon, Wake};

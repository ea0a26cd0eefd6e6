//! TLS before the HTTP server. This folder alone knows rustls.
//!
//! Everything in `http/` relies on looking at the bytes of a request in the kernel's buffer before anything is spent on
//! them, which ciphertext does not allow. So TLS ends in a relay of its own: one thread that accepts clients, shakes
//! hands with them, and carries their bytes to the HTTP server, which listens on a port of the loopback interface
//! then, and never learns of TLS.
//!
//! What must stay true: whatever a client does to one side, the other side learns of it as it would without a relay:
//! an end as an end, a stop as a stop, slowness as slowness. So all limits of the HTTP server hold for clients of TLS,
//! and the relay needs few of its own. Absent on purpose: certificates of clients, several names, HTTP/2.

mod certificate;
mod client;
mod link;
mod relay;

pub use certificate::{Certificate, Files};
pub use client::speak_unverified;
pub use relay::Relay;

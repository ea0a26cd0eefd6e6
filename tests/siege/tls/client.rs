//! Certificates that tests make for themselves, and clients that trust them.

use crate::harness::http::{self, Connection};
use crate::harness::*;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A TLS client's connection, on which requests go as on any other.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost`, and its key, in files.
pub struct Pair {
    pub files: baton::tls::Files,
    pub pem: String,
}

impl Pair {
    /// Makes a new one in `dir`, in the place of the last one.
    pub fn new(dir: &Path) -> Pair {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = baton::tls::Files { certificate: dir.join("cert.pem"), key: dir.join("key.pem") };
        let pem = made.cert.pem();
        fs::write(&files.certificate, &pem).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        Pair { files, pem }
    }
}

/// Who trusts one certificate, and speaks one version of TLS.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    pub fn in_pair(pair: &Pair) -> Trust {
        Trust::with_versions(pair, rustls::ALL_VERSIONS)
    }

    pub fn with_versions(pair: &Pair, versions: &[&'static SupportedProtocolVersion]) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pair.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Trust(Arc::new(config))
    }

    /// The same, and asks for this protocol.
    pub fn with_protocol(&self, name: &[u8]) -> Trust {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![name.to_vec()];
        Trust(Arc::new(config))
    }

    /// The begin of a connection; no byte of TLS was sent on it yet.
    pub fn open(&self, address: SocketAddr) -> Stream {
        self.over(http::connect(address))
    }

    /// The same over any connection.
    pub fn over<S: Read + Write>(&self, stream: S) -> StreamOwned<ClientConnection, S> {
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.0), name).unwrap(), stream)
    }

    /// Whether the server at `address` holds what is trusted.
    pub fn shakes_hands(&self, address: SocketAddr) -> io::Result<()> {
        let mut stream = self.open(address);
        stream.conn.complete_io(&mut stream.sock).map(drop)
    }

    pub fn connect(&self, address: SocketAddr) -> Connection<Stream> {
        Connection::over(self.open(address), address)
    }

    /// Sends a request over a connection of its own.
    pub fn send(&self, address: SocketAddr, request: &Request) -> Response {
        let mut connection = self.connect(address);
        connection.send_raw(&request.bytes());
        connection.read(request.method())
    }
}

/// Sends these bytes, and says that they have gone.
pub fn say(stream: &mut Stream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    stream.flush().unwrap();
}

/// Says in TLS that nothing more will be sent.
pub fn end_in_order(stream: &mut Stream) {
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).unwrap();
    }
}

/// Ends the connection below TLS, as whoever sits between the two could.
pub fn cut(stream: &mut Stream) {
    stream.sock.shutdown(Shutdown::Write).unwrap();
}

/// All that comes, and whether the server has ended it in order.
pub fn rest(stream: &mut Stream) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let ended = stream.read_to_end(&mut all);
    (all, ended.is_ok())
}

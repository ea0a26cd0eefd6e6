//! What the server shows to its clients: a certificate and its key, from PEM files.

use crate::error::{Error, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Far more than any chain of certificates has, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, and after it those that lead to one that clients know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate with its key, ready for handshakes.
#[derive(Clone)]
pub struct Certificate(pub(super) Arc<ServerConfig>);

impl Files {
    /// What there is to say against the rights on the key's file: who else can read it can pretend to be the server.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let mode = std::fs::metadata(&self.key).ok()?.permissions().mode();
        // A group of its own is how packages share keys (`ssl-cert`).
        (mode & 0o004 != 0).then(|| {
            let key = self.key.display();
            format!(
                "every user of this machine can read the private key {key} ({:03o}): `chmod o= {key}`",
                mode & 0o777
            )
        })
    }

    /// Reads both, and finds out whether they belong together.
    ///
    /// # Errors
    /// If they cannot be used; the sentence names the file, and nothing of what the key's holds.
    pub fn load(&self) -> Result<Certificate> {
        let wrong = |path: &Path, why: &dyn std::fmt::Display| Error::invalid(format!("{}: {why}", path.display()));
        let pem = read(&self.certificate)
            .map_err(|error| wrong(&self.certificate, &format!("it cannot be read: {error}")))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong(&self.certificate, &"it is not PEM, or damaged"))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, &"it has no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
        }
        let pem = read(&self.key).map_err(|error| wrong(&self.key, &format!("it cannot be read: {error}")))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            wrong(&self.key, &"it has no private key in PEM without a password (-----BEGIN PRIVATE KEY-----)")
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| {
                let files = format!("{} and {}", self.certificate.display(), self.key.display());
                Error::invalid(format!("{files} cannot be used together: {error}"))
            })?;
        // The only protocol that is spoken behind it; a client of another one learns that at once.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate(Arc::new(config)))
    }
}

impl Certificate {
    /// Speaks TLS over `stream` as the server, in the caller's thread. The handshake comes with the first read, the
    /// word that nothing follows when the result is dropped.
    ///
    /// # Errors
    /// What rustls says.
    pub fn speak(&self, stream: TcpStream) -> std::io::Result<Spoken> {
        let connection = ServerConnection::new(Arc::clone(&self.0)).map_err(std::io::Error::other)?;
        Ok(Spoken(StreamOwned::new(connection, stream)))
    }
}

/// A connection with TLS.
pub struct Spoken(StreamOwned<ServerConnection, TcpStream>);

impl Read for Spoken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Spoken {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        self.0.conn.send_close_notify();
        // Whoever has left does not miss it.
        let _ = self.0.flush();
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

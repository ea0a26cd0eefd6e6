//! Whom a runner trusts when it calls a server by TLS: the certificates that the system has, or those that
//! `SSL_CERT_FILE` names.

use crate::error::{Error, Kind};
use rustls::crypto::ring;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Where systems keep the certificates that they trust.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// What trusts the system's certificates.
///
/// # Errors
/// If there are none.
pub fn of_system() -> Result<TlsConfig, Error> {
    let chosen = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let places = chosen.clone().into_iter().chain(BUNDLES.map(PathBuf::from).into_iter().filter(|_| chosen.is_none()));
    let bundle = places.into_iter().find_map(|place| fs::read(place).ok()).unwrap_or_default();
    let certificates: Vec<_> = parse_pem(&bundle)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let text = "no certificate is trusted here; SSL_CERT_FILE names a file of those that are";
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

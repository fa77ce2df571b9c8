//! A certificate authority for tests: real chains for servers that listen on loopback under any name,
//! and the wrong ones (expired, another name) that a client must refuse.
//!
//! Left to others: revocation, client certificates of a production PKI, anything that outlives a test.
#![expect(clippy::expect_used, reason = "a test cannot go on without its certificates")]

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

const NEVER_FAILS: &str = "the parameters are right, and the system has randomness";

/// A root that nobody trusts but who is given [`ca_pem`](Self::ca_pem).
///
/// ```
/// use vault_testkit::tls::TestCa;
///
/// let ca = TestCa::new();
/// let certificate = ca.issue(&["vault.example", "127.0.0.1"]);
/// let server = certificate.server_config(&[b"h2", b"http/1.1"]);
/// assert_eq!(server.alpn_protocols.len(), 2);
/// assert!(ca.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// ```
pub struct TestCa {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl TestCa {
    /// A new root with a new key (ECDSA P-256), valid from 2020 to 2099 whatever clock a test has.
    ///
    /// # Panics
    /// If the system has no randomness; so do all methods that make a key.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect(NEVER_FAILS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate().expect(NEVER_FAILS);
        // Two roots of one name would be taken for each other, until a signature fails.
        let number =
            key.public_key_raw().iter().fold(0_u32, |n, byte| n.rotate_left(5) ^ u32::from(*byte));
        let name = format!("vaultkit test root {number:08x}");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect(NEVER_FAILS);
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// The root certificate, as clients take their roots.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The root certificate in DER.
    #[must_use]
    pub fn ca_der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A server's certificate for DNS names (`*.` allowed) and IP addresses, valid until 2099.
    ///
    /// # Panics
    /// For a name that no certificate can hold.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> ServerCert {
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, 2099)
    }

    /// The same, but it expired in 2021.
    ///
    /// # Panics
    /// As [`issue`](Self::issue).
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> ServerCert {
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, 2021)
    }

    /// A client's certificate for `name`, which is its common name too.
    ///
    /// # Panics
    /// As [`issue`](Self::issue).
    #[must_use]
    pub fn issue_client(&self, name: &str) -> ServerCert {
        self.sign(&[name], ExtendedKeyUsagePurpose::ClientAuth, 2099)
    }

    /// A client's TLS that trusts this root alone and offers `alpn`.
    ///
    /// # Panics
    /// Never: the root is a certificate.
    #[must_use]
    pub fn client_config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der()).expect(NEVER_FAILS);
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect(NEVER_FAILS)
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }

    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, until: i32) -> ServerCert {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect(NEVER_FAILS);
        let certificate = params.signed_by(&key, &self.issuer).expect(NEVER_FAILS);
        ServerCert { certificate, root: self.certificate.clone(), key }
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestCa([REDACTED])")
    }
}

/// A certificate, its root and its private key.
pub struct ServerCert {
    certificate: rcgen::Certificate,
    root: rcgen::Certificate,
    key: KeyPair,
}

impl ServerCert {
    /// The certificate and its root, as servers take them.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        format!("{}{}", self.certificate.pem(), self.root.pem())
    }

    /// The certificate and its root in DER.
    #[must_use]
    pub fn chain_der(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone(), self.root.der().clone()]
    }

    /// The private key (PKCS#8).
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key (PKCS#8, DER).
    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// A server's TLS (1.2 and 1.3) with this certificate, which speaks `alpn`.
    ///
    /// # Panics
    /// Never: certificate and key belong together.
    #[must_use]
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect(NEVER_FAILS)
                .with_no_client_auth()
                .with_single_cert(self.chain_der(), self.key_der())
                .expect(NEVER_FAILS);
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }
}

impl fmt::Debug for ServerCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCert([REDACTED])")
    }
}

fn protocols(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

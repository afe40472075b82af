//! TLS for probes: with the system's roots, or with any certificate at all.

use crate::model::CheckDefinition;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore, SignatureScheme,
};
use std::io;
use std::sync::{Arc, LazyLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The certificates that this machine trusts, read once.
static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a trusted certificate of this machine could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

/// What a check asks of TLS.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    skip_verify: bool,
    server_name: String,
    protocols: Vec<Vec<u8>>,
}

impl Wish {
    /// `protocols` are offered by ALPN.
    pub(super) fn of(definition: &CheckDefinition, protocols: &[&[u8]]) -> Wish {
        Wish {
            skip_verify: definition.tls_skip_verify,
            server_name: definition.tls_server_name.to_string(),
            protocols: protocols.iter().map(|p| p.to_vec()).collect(),
        }
    }

    fn config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = if self.skip_verify {
            let anyone = Arc::new(Anyone(algorithms(&provider)));
            versions.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        } else {
            versions.with_root_certificates(ROOTS.clone()).with_no_client_auth()
        };
        config.alpn_protocols = self.protocols.clone();
        Ok(config)
    }
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

/// The handshake on a connection; the error is in Go's words where it has any.
pub(super) async fn wrap(stream: TcpStream, host: &str, wish: &Wish) -> Result<TlsStream<TcpStream>, String> {
    let config = wish.config().map_err(|e| format!("tls: {e}"))?;
    let name = if wish.server_name.is_empty() { host } else { &wish.server_name };
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("tls: {name:?} is no server name"))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| say(&error))
}

fn say(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => super::go::reason(error),
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "tls: first record does not look like a TLS handshake".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "x509: certificate has expired or is not yet valid".to_owned()
        }
        Some(other) => format!("tls: {other}"),
    }
}

/// Takes any certificate, but the other side has to have its key.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

//! TLS to an agent: whom to trust, and what to show of oneself.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What flags and environment say about TLS.
pub(super) struct TlsFiles {
    pub(super) ca_file: Option<String>,
    pub(super) ca_path: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    /// The name that the agent's certificate must be of, if not that of the address.
    pub(super) server_name: Option<String>,
    /// Whether the agent's certificate is looked at.
    pub(super) verify: bool,
}

/// A way to speak TLS to the agent.
pub(super) struct Tls {
    connector: TlsConnector,
    server_name: Option<String>,
}

impl Tls {
    /// # Errors
    /// Files that cannot be used, by name.
    pub(super) fn new(files: &TlsFiles) -> Result<Tls, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = if files.verify {
            builder.with_root_certificates(roots(files)?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        };
        let config = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(Path::new(cert))?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{key}: {e}"))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| format!("{cert}: {e}"))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("both client cert and client key must be provided".to_owned()),
        };
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), server_name: files.server_name.clone() })
    }

    /// The handshake; the error is a reason to print.
    pub(super) async fn connect(&self, authority: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let host = match &self.server_name {
            Some(name) => name.as_str(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|e| e.to_string())?;
        self.connector.connect(name, stream).await.map_err(|e| e.to_string())
    }
}

/// The certificates to trust: those given, else those of the machine.
fn roots(files: &TlsFiles) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let mut trust = |path: &Path| {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok::<(), String>(())
    };
    match (&files.ca_file, &files.ca_path) {
        (Some(file), _) => trust(Path::new(file))?,
        (None, Some(directory)) => {
            let entries = std::fs::read_dir(directory).map_err(|e| format!("{directory}: {e}"))?;
            for entry in entries {
                let path = entry.map_err(|e| format!("{directory}: {e}"))?.path();
                if path.is_file() {
                    trust(&path)?;
                }
            }
        }
        (None, None) => {
            // Those of the machine that cannot be read are as good as absent.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |e: rustls::pki_types::pem::Error| format!("{}: {e}", path.display());
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// Takes any certificate, for `CONSUL_HTTP_SSL_VERIFY=false`; the signatures of the handshake must still be right.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! TLS as libpq's `sslmode` means it, by rustls with one provider (ring), and channel binding.
//! Source: PostgreSQL documentation, "SSL Support" of libpq; RFC 5929 for `tls-server-end-point`.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::der::Decode;

use super::WireError;
use super::socket::Stream;
use crate::config::{Endpoint, Host, RootCert, SslMode};

/// Turns a plain socket into an encrypted one.
pub(super) async fn upgrade(
    stream: Stream,
    endpoint: &Endpoint,
) -> Result<TlsStream<Stream>, WireError> {
    let connector = TlsConnector::from(Arc::new(client_config(endpoint)?));
    let name = ServerName::try_from(host(endpoint).to_owned())
        .map_err(|error| WireError::Tls(error.to_string()))?;
    connector
        .connect(name, stream)
        .await
        .map_err(|error| WireError::Tls(plain_words(&error, endpoint)))
}

/// The same for a server that isn't PostgreSQL: its certificate has to be made out to `host`, and signed by whom `trust` names.
pub(super) async fn verified(
    stream: Stream,
    host: &str,
    trust: &RootCert,
) -> Result<TlsStream<Stream>, WireError> {
    let broken = |error: Error| WireError::Tls(error.to_string());
    let provider = Arc::new(provider::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .with_root_certificates(roots(Some(trust))?)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| WireError::Tls(error.to_string()))?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    connected.map_err(|error| WireError::Tls(in_words(&error, host)))
}

fn host(endpoint: &Endpoint) -> &str {
    match &endpoint.host {
        Host::Tcp(name) => name,
        Host::Unix(_) => "localhost",
    }
}

fn plain_words(error: &std::io::Error, endpoint: &Endpoint) -> String {
    in_words(error, host(endpoint))
}

fn in_words(error: &std::io::Error, host: &str) -> String {
    let rustls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match rustls {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{error}; the server's CA is not known: name its file with sslrootcert=")
        }
        // A CA that was made anew under its old name: found by the name, but it didn't sign this.
        Some(Error::InvalidCertificate(CertificateError::BadSignature)) => {
            format!(
                "{error}; another CA of the same name signed the server's certificate: name the right file with sslrootcert="
            )
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            format!("{error}; the certificate is for another host than {host}")
        }
        _ => error.to_string(),
    }
}

fn client_config(endpoint: &Endpoint) -> Result<ClientConfig, WireError> {
    let provider = Arc::new(provider::default_provider());
    let broken = |error: Error| WireError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(broken)?;
    let lenient = |chain| {
        Arc::new(Lenient {
            chain,
            provider: provider.clone(),
        })
    };
    let chain = || web_pki(endpoint, provider.clone());
    let config = match verification(endpoint) {
        Verification::ChainAndName => builder.with_webpki_verifier(chain()?),
        Verification::Chain => builder
            .dangerous()
            .with_custom_certificate_verifier(lenient(Some(chain()?))),
        Verification::None => builder
            .dangerous()
            .with_custom_certificate_verifier(lenient(None)),
    };
    Ok(config.with_no_client_auth())
}

enum Verification {
    None,
    Chain,
    ChainAndName,
}

/// A root file makes every mode verify the chain, as libpq does.
fn verification(endpoint: &Endpoint) -> Verification {
    match (endpoint.ssl_mode, &endpoint.ssl_root_cert) {
        (SslMode::VerifyFull, _) | (_, Some(RootCert::System)) => Verification::ChainAndName,
        (SslMode::VerifyCa, _) | (_, Some(RootCert::File(_))) => Verification::Chain,
        _ => Verification::None,
    }
}

fn web_pki(
    endpoint: &Endpoint,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, WireError> {
    let roots = Arc::new(roots(endpoint.ssl_root_cert.as_ref())?);
    WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|error| WireError::Tls(error.to_string()))
}

fn roots(source: Option<&RootCert>) -> Result<RootCertStore, WireError> {
    let mut store = RootCertStore::empty();
    let certificates = match source {
        Some(RootCert::File(file)) => pem_file(file)?,
        Some(RootCert::System) | None => rustls_native_certs::load_native_certs().certs,
    };
    // Some systems' stores hold certificates that nobody can parse; the others still count.
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        let place = match source {
            Some(RootCert::File(file)) => file.display().to_string(),
            Some(RootCert::System) | None => "the system's store".to_owned(),
        };
        return Err(WireError::Tls(format!(
            "no usable CA certificate in {place}"
        )));
    }
    Ok(store)
}

fn pem_file(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, WireError> {
    let broken = |error: rustls::pki_types::pem::Error| {
        WireError::Tls(format!("{}: {error}", file.display()))
    };
    CertificateDer::pem_file_iter(file)
        .map_err(broken)?
        .collect::<Result<_, _>>()
        .map_err(broken)
}

/// The hash of the server's certificate that SCRAM binds to; none where RFC 5929 defines none.
pub(super) fn server_end_point(stream: &TlsStream<Stream>) -> Option<Vec<u8>> {
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates()?.first()?;
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    // RFC 5929: the hash of the signature, but MD5 and SHA-1 are replaced by SHA-256.
    let algorithm = match parsed.signature_algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &ring::digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &ring::digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &ring::digest::SHA512,
        _ => return None,
    };
    Some(
        ring::digest::digest(algorithm, certificate)
            .as_ref()
            .to_vec(),
    )
}

/// Checks less than a browser would: with `chain`, somebody whom the CA knows, whatever the name
/// (`verify-ca`); without it anybody (`require`). Signatures are checked always.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match verifier.verify_server_cert(end, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

//! The one HTTP client: TLS with ring, trust roots of this machine, proxies of the settings, ten redirects within HTTP. Knows
//! nothing of what is downloaded.

use super::Settings;
use crate::error::{Error, Kind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where distributions keep the bundle of trusted certificates: Debian and Ubuntu, Fedora and RHEL, openSUSE,
/// Alpine and Arch, RHEL's older name.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// How many redirects are followed before an answer counts as a loop.
const REDIRECTS: usize = 10;

/// The client for `settings`.
///
/// # Errors
/// [`Kind::Usage`] when a proxy's URL or a named certificate file cannot be used.
pub(super) fn make(settings: &Settings) -> Result<reqwest::Client> {
    let failed = |error: reqwest::Error| Error::new(Kind::Usage, "HTTP client", super::trouble::chain(&error));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("snpforge/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls(settings)?)
        // The library's own look at the process environment is turned off: proxies come from the settings.
        .no_proxy()
        .http1_only()
        .connect_timeout(settings.connect)
        .redirect(reqwest::redirect::Policy::custom(redirect))
        .pool_max_idle_per_host(settings.at_once);
    let except = settings.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
    let wrong = |url: &str, error: reqwest::Error| {
        Error::new(Kind::Usage, format!("proxy `{}`", super::trouble::shown(url)), super::trouble::chain(&error))
            .remedy("write http_proxy and https_proxy as http://HOST:PORT")
    };
    if let Some(url) = &settings.http_proxy {
        let proxy = reqwest::Proxy::http(url).map_err(|error| wrong(url, error))?;
        builder = builder.proxy(proxy.no_proxy(except.clone()));
    }
    if let Some(url) = &settings.https_proxy {
        let proxy = reqwest::Proxy::https(url).map_err(|error| wrong(url, error))?;
        builder = builder.proxy(proxy.no_proxy(except));
    }
    builder.build().map_err(failed)
}

/// Follows what stays within HTTP and comes to an end. An error here is the trouble in words.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    match attempt.url().scheme() {
        "http" | "https" if attempt.previous().len() > REDIRECTS => attempt.error("redirects without end"),
        "http" | "https" => attempt.follow(),
        other => {
            let words = elsewhere(other);
            attempt.error(words)
        }
    }
}

/// The trouble with a redirect out of HTTP: a mirror must not choose files of this machine.
pub(super) fn elsewhere(scheme: &str) -> String {
    format!("redirects to `{scheme}:`, which is not followed")
}

fn tls(settings: &Settings) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Usage, "TLS", error))?
        .with_root_certificates(roots(settings)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The trusted certificates. A machine without any can still use http and file URLs: there the digests decide.
fn roots(settings: &Settings) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(named(settings)?);
    Ok(roots)
}

/// The certificates that are trusted here, in DER, for other clients than this one.
///
/// # Errors
/// [`Kind::Usage`] when a named certificate file cannot be used.
pub(crate) fn trusted(settings: &Settings) -> Result<Vec<Vec<u8>>> {
    let usable = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    Ok(named(settings)?.into_iter().filter(usable).map(|certificate| certificate.to_vec()).collect())
}

/// The certificates of the settings, else of this machine, usable or not.
fn named(settings: &Settings) -> Result<Vec<CertificateDer<'static>>> {
    if settings.cert_file.is_none() && settings.cert_dir.is_none() {
        let bundle = BUNDLES.map(Path::new).into_iter().find(|path| path.is_file());
        return bundle.map_or(Ok(Vec::new()), certificates);
    }
    let mut found = settings.cert_file.as_deref().map_or(Ok(Vec::new()), certificates)?;
    for file in settings.cert_dir.iter().flat_map(|folder| files_of(folder)) {
        // Such folders also hold links that dangle and files that are no certificates.
        found.extend(certificates(&file).unwrap_or_default());
    }
    Ok(found)
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error: rustls::pki_types::pem::Error| {
        Error::new(Kind::Usage, file.display(), format!("holds no certificates: {error}"))
            .remedy("set SSL_CERT_FILE to a PEM file, or unset it")
    };
    CertificateDer::pem_file_iter(file).map_err(failed)?.collect::<std::result::Result<_, _>>().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_certificate_file_and_a_strange_proxy_are_named() {
        let settings = Settings { cert_file: Some("/nowhere.pem".into()), ..Settings::default() };
        let error = make(&settings).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Usage, "/nowhere.pem"));
        let settings = Settings { http_proxy: Some("::".into()), ..Settings::default() };
        assert!(make(&settings).unwrap_err().to_string().contains("proxy `::`"));
    }

    #[test]
    fn roots_come_from_the_folder_when_one_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let settings = Settings { cert_dir: Some(empty.path().into()), ..Settings::default() };
        assert!(roots(&settings).unwrap().is_empty());
    }
}

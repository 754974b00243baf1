//! How the registry library reaches a registry: TLS or plain HTTP, whom it trusts, through which proxy, how long it waits.
//! All of it from the settings: the library looks at nothing of this machine by itself. Knows nothing of what is asked for.

use super::is_loopback;
use crate::error::{Error, Kind, Result};
use crate::fetch::{Settings, chain, trusted};
use oci_client::Client;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};

/// Hosts that no proxy is asked for, whatever the environment says.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";
/// All hosts, by name and by number.
const EVERYWHERE: &str = "*,0.0.0.0/0,::/0";

/// The library's client for one registry.
///
/// # Errors
/// [`Kind::Usage`] when a proxy's URL or a named certificate file cannot be used.
pub(super) fn to(registry: &str, settings: &Settings) -> Result<Client> {
    // The library takes the one of the process; a second call changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(configuration(registry, settings)?).map_err(|error| {
        Error::new(Kind::Usage, "registry client", chain(&error))
            .remedy("check http_proxy and https_proxy; install ca-certificates or set SSL_CERT_FILE")
    })
}

fn configuration(registry: &str, settings: &Settings) -> Result<ClientConfig> {
    let certificate = |data| Certificate { encoding: CertificateEncoding::Der, data };
    let (http_proxy, https_proxy) = (settings.http_proxy.clone(), settings.https_proxy.clone());
    let no_proxy = settings.no_proxy.iter().map(String::as_str).chain([LOOPBACK]).collect::<Vec<_>>().join(",");
    // Without any proxy the library would look at the process environment by itself.
    let none = http_proxy.is_none() && https_proxy.is_none();
    Ok(ClientConfig {
        protocol: if is_loopback(registry) { ClientProtocol::Http } else { ClientProtocol::Https },
        tls_certs_only: trusted(settings)?.into_iter().map(certificate).collect(),
        platform_resolver: None,
        read_timeout: Some(settings.idle),
        connect_timeout: Some(settings.connect),
        user_agent: concat!("snpforge/", env!("CARGO_PKG_VERSION")),
        http_proxy: if none { Some("http://127.0.0.1:9".into()) } else { http_proxy },
        https_proxy,
        no_proxy: Some(if none { EVERYWHERE.into() } else { no_proxy }),
        ..ClientConfig::default()
    })
}

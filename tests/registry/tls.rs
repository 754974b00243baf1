//! A registry that is not on loopback: asked by TLS and through the proxy, whose part and whose registry's part this stand-in
//! plays both.

use crate::desk::{Desk, holds};
use crate::image::{NAME, define, jammy, lock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// The lines of a request's head, or nothing when the client is gone.
fn head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// A proxy's URL, behind which every host is a registry with these files and the certificate of registry.example; and what
/// it was asked for.
fn proxy(files: BTreeMap<String, Vec<u8>>) -> (String, Arc<Mutex<Vec<String>>>) {
    let certificate = CertificateDer::from_pem_file(fixture("registry.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("registry-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let inside = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (config, seen, files) = (Arc::clone(&config), Arc::clone(&inside), files.clone());
            std::thread::spawn(move || {
                let Some(lines) = head(&mut BufReader::new(stream.try_clone().unwrap())) else { return };
                seen.lock().unwrap().push(lines[0].clone());
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let connection = rustls::ServerConnection::new(config).unwrap();
                let mut tls = BufReader::new(rustls::StreamOwned::new(connection, stream));
                while let Some(lines) = head(&mut tls) {
                    seen.lock().unwrap().push(lines[0].clone());
                    let path = lines[0].split(' ').nth(1).unwrap().trim_start_matches('/');
                    let (status, body) = files.get(path).map_or((404, &[][..]), |bytes| (200, bytes));
                    let head = format!("HTTP/1.1 {status} Any\r\nContent-Length: {}\r\n\r\n", body.len());
                    let _gone = tls.get_mut().write_all(&[head.as_bytes(), body].concat());
                }
            });
        }
    });
    (url, seen)
}

pub fn by_tls_through_the_proxy() {
    let mut desk = Desk::new();
    let image = jammy(b"no shell\n");
    let (url, seen) = proxy(image.files().into_iter().collect());
    desk.environment.insert("https_proxy", url);
    define(&desk, &format!("registry.example/{NAME}@{}", image.digest()));
    // Nobody trusts the certificate, and nothing is asked by anything else than TLS.
    let said = desk.said("one", &["lock", "--image", "b"], 6);
    holds(&said, &["registry.example", "certificate", "SSL_CERT_FILE"]);
    assert_eq!(*seen.lock().unwrap(), ["CONNECT registry.example:443 HTTP/1.1"], "distrust is not retried");
    desk.environment.insert("SSL_CERT_FILE", fixture("registry.pem").display().to_string());
    desk.said("one", &["lock", "--image", "b"], 0);
    assert_eq!(lock(&desk).base.unwrap().manifest.sha256.oci(), image.digest());
    let asked = seen.lock().unwrap().clone();
    assert!(asked.contains(&format!("GET /v2/{NAME}/manifests/{} HTTP/1.1", image.digest())), "{asked:?}");
    // Another host with this certificate.
    define(&desk, &format!("other.example/{NAME}@{}", image.digest()));
    holds(&desk.said("two", &["lock", "--image", "b"], 6), &["other.example", "certificate"]);
}

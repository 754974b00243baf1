//! A server with TLS whose certificate changes. Both certificates are of `tests/fixtures/tls`.

use crate::table::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub struct Https {
    address: SocketAddr,
    certificate: Arc<Mutex<&'static str>>,
}

const GOOD: &str = "certificate.pem";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn config(certificate: &str) -> Arc<rustls::ServerConfig> {
    let certificate = CertificateDer::from_pem_file(fixture(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

impl Https {
    /// Serves `body`, whatever is asked for, one answer per connection.
    pub fn start(body: Vec<u8>) -> Https {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let https = Https { address: listener.local_addr().unwrap(), certificate: Arc::new(Mutex::new(GOOD)) };
        let current = Arc::clone(&https.certificate);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = config(*current.lock().unwrap());
                let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
                // A client that distrusts the certificate is gone by now.
                if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    let head =
                        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        https
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A file in `folder` with what this machine trusts: the good certificate, and one whose time is over.
    pub fn trusted(&self, folder: &Path) -> String {
        let all = [GOOD, "expired.pem"].map(|name| std::fs::read(fixture(name)).unwrap()).concat();
        let path = folder.join("trusted.pem");
        std::fs::write(&path, all).unwrap();
        path.display().to_string()
    }

    pub fn spoil(&self, fault: Tls) {
        *self.certificate.lock().unwrap() = match fault {
            Tls::Expired => "expired.pem",
            Tls::Unknown => "unknown.pem",
        };
    }

    pub fn mend(&self) {
        *self.certificate.lock().unwrap() = GOOD;
    }
}

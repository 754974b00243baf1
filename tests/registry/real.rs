//! Debian's docker-registry, and images pushed to it by plain HTTP.

use crate::image::{Image, NAME};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "/usr/bin/docker-registry";

/// A running registry with a folder of its own; it stops when dropped.
pub struct Registry {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one, or says why there is none.
    pub fn start() -> Result<Self, String> {
        if !std::path::Path::new(PROGRAM).is_file() {
            return Err(format!("{PROGRAM} is missing (package docker-registry)"));
        }
        let folder = tempfile::tempdir().unwrap();
        // Free now; whoever takes it meanwhile is seen by the registry not starting.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg(folder.path().join("config.yml")).env_clear().stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut registry = Registry { child, address, folder };
        for _ in 0..200 {
            if TcpStream::connect(&registry.address).is_ok() {
                return Ok(registry);
            }
            if registry.child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(registry.folder.path().join("log")).unwrap();
        panic!("docker-registry does not start: {log}");
    }

    pub fn host(&self) -> &str {
        &self.address
    }

    /// Pushes an image under no tag; its reference.
    pub fn push(&self, image: &Image) -> String {
        for (digest, bytes) in &image.blobs {
            let (status, headers, _) = self.ask("POST", &format!("/v2/{NAME}/blobs/uploads/"), "", b"");
            assert_eq!(status, 202, "{headers}");
            let location = headers.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
            let path = location.strip_prefix(&format!("http://{}", self.address)).unwrap_or(location);
            let with = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{with}digest={digest}");
            let (status, headers, body) = self.ask("PUT", &path, "application/octet-stream", bytes);
            assert_eq!(status, 201, "{headers}\n{body}");
        }
        self.push_manifest(crate::image::MANIFEST, &image.digest(), &image.manifest)
    }

    pub fn push_manifest(&self, media_type: &str, digest: &str, bytes: &[u8]) -> String {
        let (status, headers, body) = self.ask("PUT", &format!("/v2/{NAME}/manifests/{digest}"), media_type, bytes);
        assert_eq!(status, 201, "{headers}\n{body}");
        format!("{}/{NAME}@{digest}", self.address)
    }

    fn ask(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).replace('\r', "");
        let (head, body) = answer.split_once("\n\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

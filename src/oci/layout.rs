//! The one tar that is an OCI image layout and a docker archive at once: Docker 20.10 reads manifest.json, Podman and
//! skopeo read index.json, and all give the image the same id. Streams the layer; keeps nothing in memory.

use super::Image;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::tarball::{Attributes, Writer};
use serde_json::json;
use std::fs::File;
use std::io::Write;

/// Writes the image to `out`. Equal images give equal bytes.
///
/// # Errors
/// [`Kind::Io`] when the layer cannot be read or `out` not written.
pub fn write(image: &Image, out: &mut dyn Write) -> Result<()> {
    let layer = File::open(&image.layer).map_err(|error| Error::io(&image.layer, "open", error))?;
    let blob = |digest: &Digest| format!("blobs/sha256/{digest}");
    let (config, manifest) = (Digest::of(&image.config), Digest::of(&image.manifest));
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest.oci(),
            "size": image.manifest.len(),
            "annotations": {
                "io.containerd.image.name": image.reference,
                "org.opencontainers.image.ref.name": image.reference,
            },
        }],
    });
    let archive = json!([{
        "Config": blob(&config), "RepoTags": [image.reference], "Layers": [blob(&image.diff_id)],
    }]);
    let mut tar = Writer::new(out);
    let plain = Attributes { mode: 0o644, mtime: 0, owner: 0 };
    let folder = Attributes { mode: 0o755, ..plain };
    let mut written = || -> std::io::Result<()> {
        tar.folder(b"blobs", folder)?;
        tar.folder(b"blobs/sha256", folder)?;
        for (digest, bytes) in [(config, &image.config), (manifest, &image.manifest)] {
            tar.file(blob(&digest).as_bytes(), plain, bytes.len() as u64, &mut bytes.as_slice())?;
        }
        tar.file(blob(&image.diff_id).as_bytes(), plain, image.layer_size, &mut &layer)?;
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        for (name, value) in [("index.json", &index), ("manifest.json", &archive), ("oci-layout", &layout)] {
            let text = value.to_string();
            tar.file(name.as_bytes(), plain, text.len() as u64, &mut text.as_bytes())?;
        }
        Ok(())
    };
    let finished = written().and_then(|()| tar.finish().map(drop));
    finished.map_err(|error| Error::new(Kind::Io, format!("image {}", image.reference), &error).because(error))
}

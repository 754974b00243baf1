//! The one tar that is an OCI image layout and a docker archive at once: Docker 20.10 reads manifest.json, Podman and
//! skopeo read index.json, and all give the image the same id. Streams the layer; keeps nothing in memory.
//!
//! Plain and gzip layers load everywhere. Docker 20.10 cannot read a zstd layer (`invalid tar header`); Docker 23 and
//! Podman can.

use super::Image;
use super::image::{Blob, descriptor, json, manifest};
use crate::compress::{self, Format};
use crate::digest::{Digest, HashReader, HashWriter};
use crate::error::{Error, Kind, Result};
use crate::tarball::{Attributes, Writer};
use oci_spec::image::{ImageIndexBuilder, MediaType, OciLayoutBuilder};
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};

/// Writes the image with its plain layer to `out`. Equal images give equal bytes.
///
/// # Errors
/// [`Kind::Io`] when the layer cannot be read or `out` not written, [`Kind::Trust`] when the layer's file is not what
/// its digest says.
pub fn write(image: &Image, out: &mut dyn Write) -> Result<()> {
    let mut layer = File::open(&image.layer).map_err(|error| Error::io(&image.layer, "open", error))?;
    let blob = Blob { format: Format::Plain, digest: image.diff_id, size: image.layer_size };
    write_as(image, &blob, &mut layer, out)
}

/// Compresses a layer for [`write_as`]; the bytes do not depend on `workers`.
///
/// # Errors
/// [`Kind::Io`] when reading or writing fails or `format` is only read here (xz).
pub fn pack(format: Format, layer: &mut dyn Read, out: &mut dyn Write, workers: usize) -> Result<Blob> {
    let mut hashed = HashWriter::new(out);
    let failed = |error: io::Error| Error::new(Kind::Io, "image layer", format!("cannot compress: {error}"));
    compress::compress(format, layer, &mut hashed, workers).map_err(failed)?;
    let (_, digest, size) = hashed.finish();
    Ok(Blob { format, digest, size })
}

/// Writes the image to `out` with its layer stored as `blob`, whose bytes `layer` gives.
///
/// # Errors
/// As [`write()`].
pub fn write_as(image: &Image, blob: &Blob, layer: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
    let manifest = manifest(&image.config, blob)?;
    let config_digest = Digest::of(&image.config);
    let manifest_digest = Digest::of(&manifest);
    let mut tar = Tar { image, inner: Writer::new(out) };
    tar.text("oci-layout", &json(&layout()?)?)?;
    tar.text("index.json", &index(image, &manifest)?)?;
    let archive =
        [Archive { config: path(&config_digest), repo_tags: [&image.reference], layers: [path(&blob.digest)] }];
    tar.text("manifest.json", &json(&archive)?)?;
    tar.folder("blobs")?;
    tar.folder("blobs/sha256")?;
    tar.text(&path(&config_digest), &image.config)?;
    tar.text(&path(&manifest_digest), &manifest)?;
    let mut checked = HashReader::new(layer);
    tar.file(&path(&blob.digest), blob.size, &mut checked)?;
    let found = checked.finish();
    if found != blob.digest {
        return Err(Error::new(
            Kind::Trust,
            image.layer.display(),
            format!("was damaged: its bytes have sha256 {found}"),
        )
        .remedy("remove it from the store and run the command again"));
    }
    tar.finish()
}

/// Where a blob lies in a layout.
fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn layout() -> Result<oci_spec::image::OciLayout> {
    let failed = |error| Error::new(Kind::Document, "OCI image", error);
    OciLayoutBuilder::default().image_layout_version("1.0.0").build().map_err(failed)
}

/// The layout's index. Podman takes the name from containerd's annotation, others only know the layout's own.
fn index(image: &Image, manifest: &[u8]) -> Result<Vec<u8>> {
    let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    let annotations: HashMap<String, String> =
        names.into_iter().map(|name| (name.to_owned(), image.reference.clone())).collect();
    let mut entry = descriptor(MediaType::ImageManifest, manifest.len() as u64, &Digest::of(manifest))?;
    entry.set_annotations(Some(annotations));
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([entry])
        .build()
        .map_err(|error| Error::new(Kind::Document, "OCI image", error))?;
    json(&index)
}

/// One image of a docker archive's manifest.json.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Archive<'a> {
    config: String,
    repo_tags: [&'a str; 1],
    layers: [String; 1],
}

/// The tar with this module's errors and attributes: nobody's times and owners matter in a layout.
struct Tar<'a, 'b> {
    image: &'a Image,
    inner: Writer<&'b mut dyn Write>,
}

const FILE: Attributes = Attributes { mode: 0o644, mtime: 0, owner: 0 };

impl Tar<'_, '_> {
    fn folder(&mut self, path: &str) -> Result<()> {
        let attributes = Attributes { mode: 0o755, ..FILE };
        self.inner.folder(path.as_bytes(), attributes).map_err(|error| failed(self.image, error))
    }

    fn text(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let mut bytes = content;
        self.file(path, content.len() as u64, &mut bytes)
    }

    fn file(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<()> {
        self.inner.file(path.as_bytes(), FILE, size, content).map_err(|error| failed(self.image, error))
    }

    fn finish(self) -> Result<()> {
        self.inner.finish().map(drop).map_err(|error| failed(self.image, error))
    }
}

fn failed(image: &Image, error: io::Error) -> Error {
    Error::new(Kind::Io, format!("image {}", image.reference), &error).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::Epoch;
    use crate::oci::image::{Description, describe};
    use crate::oci::layer::Layer;

    const LAYER: &[u8] = b"the bytes of a layer, as far as this module knows";

    /// An image whose layer's file holds `content`, which should be [`LAYER`].
    fn sample(content: &[u8]) -> (tempfile::NamedTempFile, Image) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let description = Description {
            reference: "localhost/snpforge/x:1",
            architecture: "amd64",
            epoch: Epoch(1_757_152_953),
            title: "x",
            summary: "sample",
            lock: Digest::of(b"lock"),
            path: "/usr/bin",
        };
        let layer = Layer { diff_id: Digest::of(LAYER), size: LAYER.len() as u64, entries: 1 };
        let image = describe(&layer, file.path(), &description).unwrap();
        (file, image)
    }

    fn written(image: &Image) -> Vec<u8> {
        let mut tar = Vec::new();
        write(image, &mut tar).unwrap();
        tar
    }

    /// The members of a layout by name.
    fn members(tar: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn golden_bytes_wherever_the_layer_lies() {
        // A change here is harmless for identities, but belongs under "Changes the product's bytes" in CHANGELOG.md.
        let tars = [sample(LAYER), sample(LAYER)].map(|(_file, image)| written(&image));
        assert_eq!(tars[0], tars[1]);
        assert_eq!(
            Digest::of(&tars[0]).to_string(),
            "0791b1ea7a640248c40619ab4fd129aaded479ef38d0f8359d5dbd2c892feb67"
        );
    }

    #[test]
    fn both_indexes_lead_to_the_same_blobs() {
        let (_file, image) = sample(LAYER);
        for format in [Format::Plain, Format::Gzip, Format::Zstd] {
            let mut stored = Vec::new();
            let blob = pack(format, &mut &LAYER[..], &mut stored, 2).unwrap();
            let mut tar = Vec::new();
            write_as(&image, &blob, &mut stored.as_slice(), &mut tar).unwrap();
            let members = members(&tar);
            let value = |name: &str| serde_json::from_slice::<serde_json::Value>(&members[name]).unwrap();
            let at = |digest: &serde_json::Value| format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));
            let archive = &value("manifest.json")[0];
            let manifest = value(&at(&value("index.json")["manifests"][0]["digest"]));
            assert_eq!(archive["Config"], at(&manifest["config"]["digest"]), "{format:?}");
            assert_eq!(archive["Layers"], serde_json::json!([at(&manifest["layers"][0]["digest"])]), "{format:?}");
            assert_eq!(archive["RepoTags"], serde_json::json!(["localhost/snpforge/x:1"]));
            assert_eq!(members[archive["Config"].as_str().unwrap()], image.config);
            assert_eq!(manifest["layers"][0]["size"], stored.len());
            for (name, content) in members.iter().filter(|(name, content)| name.len() > 64 && !content.is_empty()) {
                assert!(name.ends_with(&Digest::of(content).to_string()), "{name} has another digest");
            }
        }
    }

    #[test]
    fn the_plain_manifest_is_the_images_own() {
        let (_file, image) = sample(LAYER);
        let name = format!("blobs/sha256/{}", Digest::of(&image.manifest));
        assert_eq!(members(&written(&image))[&name], image.manifest);
    }

    #[test]
    fn a_layer_that_changed_on_the_disk_is_noticed() {
        let mut damaged = LAYER.to_vec();
        damaged[3] ^= 1;
        let (_file, image) = sample(&damaged);
        assert_eq!(write(&image, &mut io::sink()).unwrap_err().kind(), Kind::Trust);
        let (_file, image) = sample(&LAYER[1..]);
        assert_eq!(write(&image, &mut io::sink()).unwrap_err().kind(), Kind::Io);
        let (_file, image) = sample(LAYER);
        let gone = Image { layer: "/nonexistent/layer".into(), ..image };
        assert!(write(&gone, &mut io::sink()).unwrap_err().to_string().contains("/nonexistent/layer"));
    }
}

//! The two documents of an image: configuration and manifest, as canonical JSON.
//!
//! The types are oci-spec's. Their labels and annotations are hash maps, so nothing here is serialised directly: all
//! goes through [`document::canonical`], which sorts. Its line end is cut off: blobs are the bare JSON, as other
//! tools write it.

use super::Image;
use super::layer::Layer;
use crate::compress::Format;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::document;
use crate::error::{Error, Kind, Result};
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, HistoryBuilder, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, Os,
    RootFsBuilder, Sha256Digest,
};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

/// The label that holds the digest of the lock an image was made from.
pub const LOCK_LABEL: &str = "io.snpforge.lock";

/// What an image says of itself, besides its layer.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Fully qualified name with tag.
    pub reference: &'a str,
    /// The packages' architecture, in Debian's words.
    pub architecture: &'a str,
    /// The date of everything in it.
    pub epoch: Epoch,
    /// The definition's name.
    pub title: &'a str,
    /// The definition's one line for people.
    pub summary: &'a str,
    /// Digest of the lock.
    pub lock: Digest,
    /// PATH of containers that are started by hand; builds set their own.
    pub path: &'a str,
}

/// A layer as it is stored or sent: compressed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// How it is compressed.
    pub format: Format,
    /// Digest of the stored bytes; for a plain layer its diff_id.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// The image of one layer, which lies at `file`.
///
/// # Errors
/// [`Kind::Document`] for an architecture without an OCI name here or an epoch beyond the calendar.
pub fn describe(layer: &Layer, file: &Path, description: &Description<'_>) -> Result<Image> {
    let config = configuration(&layer.diff_id, description)?;
    let blob = Blob { format: Format::Plain, digest: layer.diff_id, size: layer.size };
    Ok(Image {
        reference: description.reference.to_owned(),
        diff_id: layer.diff_id,
        layer: file.to_owned(),
        layer_size: layer.size,
        manifest: manifest(&config, &blob)?,
        config,
    })
}

/// The manifest of an image whose layer is stored as `blob`.
///
/// # Errors
/// [`Kind::Document`] for a format that OCI has no media type for.
pub fn manifest(config: &[u8], blob: &Blob) -> Result<Vec<u8>> {
    let media_type = match blob.format {
        Format::Plain => MediaType::ImageLayer,
        Format::Gzip => MediaType::ImageLayerGzip,
        Format::Zstd => MediaType::ImageLayerZstd,
        Format::Xz | Format::Bzip2 => return Err(failed("layers are compressed with gzip or zstd, or not at all")),
    };
    let config = descriptor(MediaType::ImageConfig, config.len() as u64, &Digest::of(config))?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers([descriptor(media_type, blob.size, &blob.digest)?])
        .build()
        .map_err(failed)?;
    json(&manifest)
}

fn configuration(diff_id: &Digest, description: &Description<'_>) -> Result<Vec<u8>> {
    let created = description.epoch.rfc3339()?;
    let labels: HashMap<String, String> = [
        ("org.opencontainers.image.created", created.clone()),
        ("org.opencontainers.image.title", description.title.to_owned()),
        ("org.opencontainers.image.description", description.summary.to_owned()),
        (LOCK_LABEL, description.lock.oci()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let config =
        ConfigBuilder::default().env([format!("PATH={}", description.path)]).labels(labels).build().map_err(failed)?;
    let history = HistoryBuilder::default()
        .created(created.clone())
        .created_by(format!("snpforge image build {}", description.title))
        .build()
        .map_err(failed)?;
    let rootfs = RootFsBuilder::default().typ("layers").diff_ids([diff_id.oci()]).build().map_err(failed)?;
    let configuration = ImageConfigurationBuilder::default()
        .created(created)
        .architecture(architecture(description.architecture)?)
        .os(Os::Linux)
        .config(config)
        .rootfs(rootfs)
        .history([history])
        .build()
        .map_err(failed)?;
    json(&configuration)
}

/// OCI takes Go's names of architectures.
fn architecture(debian: &str) -> Result<Arch> {
    match debian {
        "amd64" => Ok(Arch::Amd64),
        "arm64" => Ok(Arch::ARM64),
        other => Err(Error::new(Kind::Document, "image definition", format!("archive.architecture is `{other}`"))
            .remedy("write amd64 or arm64")),
    }
}

pub(super) fn descriptor(media_type: MediaType, size: u64, digest: &Digest) -> Result<Descriptor> {
    let digest = Sha256Digest::from_str(&digest.to_string()).map_err(failed)?;
    Ok(Descriptor::new(media_type, size, digest))
}

/// Canonical JSON without the line end.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = document::canonical(value)?;
    bytes.pop();
    Ok(bytes)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Document, "OCI image", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(architecture: &str) -> Result<Image> {
        let layer = Layer { diff_id: Digest::of(b"layer"), size: 5, entries: 1 };
        let description = Description {
            reference: "localhost/snpforge/x:1",
            architecture,
            epoch: Epoch(1_757_152_953),
            title: "x",
            summary: "a \"quoted\" line",
            lock: Digest::of(b"lock"),
            path: "/usr/bin",
        };
        describe(&layer, Path::new("/store/layer"), &description)
    }

    #[test]
    fn golden_configuration() {
        // A change here changes every image's id: it belongs under "Changes the product's bytes" in CHANGELOG.md.
        let expected = concat!(
            r#"{"architecture":"amd64","config":{"Env":["PATH=/usr/bin"],"Labels":{"#,
            r#""io.snpforge.lock":"sha256:0c030586945fe504b604ecc2e875c38ede400cd5cd73da9730302162e6b02c6f","#,
            r#""org.opencontainers.image.created":"2025-09-06T10:02:33Z","#,
            r#""org.opencontainers.image.description":"a \"quoted\" line","#,
            r#""org.opencontainers.image.title":"x"}},"created":"2025-09-06T10:02:33Z","#,
            r#""history":[{"created":"2025-09-06T10:02:33Z","created_by":"snpforge image build x"}],"#,
            r#""os":"linux","rootfs":{"diff_ids":["#,
            r#""sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85"],"type":"layers"}}"#
        );
        assert_eq!(String::from_utf8(sample("amd64").unwrap().config).unwrap(), expected);
    }

    #[test]
    fn golden_manifest() {
        let manifest = String::from_utf8(sample("amd64").unwrap().manifest).unwrap();
        let expected = concat!(
            r#"{"config":{"digest":"sha256:eded19474529ea028689ba289af5cba05cd6d1e2fdd9a8eef6b3876625db9849","#,
            r#""mediaType":"application/vnd.oci.image.config.v1+json","size":562},"layers":[{"digest":"#,
            r#""sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85","#,
            r#""mediaType":"application/vnd.oci.image.layer.v1.tar","size":5}],"#,
            r#""mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#
        );
        assert_eq!(manifest, expected);
    }

    #[test]
    fn many_serialisations_one_text() {
        // Labels are a hash map with a seed of its own in each: sorted or different.
        let first = sample("amd64").unwrap();
        assert!((0..50).all(|_| sample("amd64").unwrap() == first));
    }

    #[test]
    fn an_unknown_architecture_is_named() {
        let error = sample("m68k").unwrap_err();
        assert!(error.kind() == Kind::Document && error.to_string().contains("`m68k`"), "{error}");
    }
}

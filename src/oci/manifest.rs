//! Manifests and configurations that others wrote: what of them a base needs, and what is refused. Only the fields that
//! matter are read, so that nothing in the others can be a reason to refuse. Pure text to value; knows no registry.

use super::LAYER_MAX;
use crate::compress::Format;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::reference::Reference;
use serde::Deserialize;

/// Bytes of the largest manifest or configuration: what registries accept.
pub const DOCUMENT_MAX: u64 = 4 << 20;
/// Layers of one image: what engines can mount.
const LAYERS_MAX: usize = 127;

/// The media types of manifests and indexes, OCI's and Docker's.
pub const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A blob as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
    /// What it is.
    pub media_type: String,
}

/// The manifest of one platform's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Named,
    /// The layers, the lowest first.
    pub layers: Vec<Named>,
}

/// What a configuration says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// When it was made, if it says so.
    pub created: Option<Epoch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct RawConfig {
    os: String,
    architecture: String,
    created: Option<String>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Vec<String>,
}

/// Reads the manifest of `image`.
///
/// # Errors
/// [`Kind::Document`] for an index, naming the manifest for linux/amd64 to write instead, and for what is no manifest;
/// [`Kind::Trust`] for layers that are not taken.
pub fn manifest(image: &Reference, bytes: &[u8]) -> Result<Manifest> {
    let raw: RawManifest = json(image, "manifest", bytes)?;
    if let Some(manifests) = &raw.manifests {
        return Err(index(image, manifests));
    }
    let (Some(config), Some(layers), 2) = (raw.config, raw.layers, raw.schema_version) else {
        let kind = raw.media_type.unwrap_or_else(|| format!("schema version {}", raw.schema_version));
        return Err(unusable(image, format!("is no image manifest (it is {kind})")));
    };
    if layers.is_empty() || layers.len() > LAYERS_MAX {
        return Err(unusable(image, format!("has {} layers; 1 to {LAYERS_MAX} can be read", layers.len())));
    }
    Ok(Manifest {
        config: named(image, config)?,
        layers: layers.into_iter().map(|layer| checked(image, layer)).collect::<Result<_>>()?,
    })
}

/// Reads the configuration of `image`, which must be for linux/amd64 and have `layers` layers.
///
/// # Errors
/// [`Kind::Document`] for another platform, [`Kind::Trust`] for one that does not fit the manifest.
pub fn config(image: &Reference, bytes: &[u8], layers: usize) -> Result<Config> {
    let raw: RawConfig = json(image, "configuration", bytes)?;
    if (raw.os.as_str(), raw.architecture.as_str()) != PLATFORM {
        let cause = format!("is for {}/{}, builders are for linux/amd64", raw.os, raw.architecture);
        return Err(unusable(image, cause));
    }
    let diff_ids = raw.rootfs.diff_ids.iter().map(|text| digest(image, text)).collect::<Result<Vec<_>>>()?;
    if diff_ids.len() != layers {
        let cause = format!("its configuration names {} layers, its manifest {layers}", diff_ids.len());
        return Err(Error::new(Kind::Trust, format!("base image {image}"), cause).remedy(super::base::REMEDY));
    }
    Ok(Config { diff_ids, created: raw.created.as_deref().and_then(Epoch::parse_rfc3339) })
}

/// How a layer of this media type is packed; nothing for a type that is not known.
pub fn packing(media_type: &str) -> Option<Format> {
    Some(match media_type {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => Format::Plain,
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Format::Gzip
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            Format::Zstd
        }
        _ => return None,
    })
}

/// What builders run on.
const PLATFORM: (&str, &str) = ("linux", "amd64");

/// An index is no identity: it changes when attestations are pushed again.
fn index(image: &Reference, manifests: &[RawDescriptor]) -> Error {
    let ours = |one: &&RawDescriptor| {
        one.platform.as_ref().is_some_and(|platform| (platform.os.as_str(), platform.architecture.as_str()) == PLATFORM)
    };
    let found: Vec<Digest> = manifests.iter().filter(ours).filter_map(|one| one.digest.parse().ok()).collect();
    let error = Error::new(
        Kind::Document,
        format!("base image {image}"),
        "its digest is that of an index of several platforms, not of an image",
    );
    match found.as_slice() {
        [] => error.remedy("the index names no image for linux/amd64: choose another one"),
        [first, ..] => error.remedy(format!("write base.image = \"{}\", its image for linux/amd64", image.with(first))),
    }
}

fn named(image: &Reference, raw: RawDescriptor) -> Result<Named> {
    Ok(Named { sha256: digest(image, &raw.digest)?, size: raw.size, media_type: raw.media_type })
}

fn checked(image: &Reference, raw: RawDescriptor) -> Result<Named> {
    let refused = |cause: String| {
        Error::new(Kind::Trust, format!("layer {} of base image {image}", raw.digest), cause)
            .remedy("name an image whose layers are tars, plain or packed with gzip or zstd, in its own registry")
    };
    if !raw.urls.is_empty() || raw.media_type.contains("nondistributable") || raw.media_type.contains("foreign") {
        return Err(refused("is a foreign layer, to be had from elsewhere than the image".into()));
    }
    if raw.size > LAYER_MAX {
        return Err(refused(format!("has {} bytes, more than {LAYER_MAX}", raw.size)));
    }
    if packing(&raw.media_type).is_none() {
        return Err(refused(format!("is of media type `{}`, which is not known", raw.media_type.escape_debug())));
    }
    named(image, raw)
}

fn digest(image: &Reference, text: &str) -> Result<Digest> {
    let digest = text.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
    digest.ok_or_else(|| unusable(image, format!("names `{}`, which is no SHA-256", text.escape_debug())))
}

fn json<'de, T: Deserialize<'de>>(image: &Reference, what: &str, bytes: &'de [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| unusable(image, format!("its {what} cannot be understood: {error}")))
}

fn unusable(image: &Reference, cause: String) -> Error {
    Error::new(Kind::Document, format!("base image {image}"), cause)
        .remedy("write the digest of an image manifest for linux/amd64 in base.image")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Reference {
        format!("h.example/a@{}", Digest::of(b"").oci()).parse().unwrap()
    }

    fn layer(media_type: &str, more: &str) -> Result<Manifest> {
        let digest = Digest::of(b"x").oci();
        let config = format!(r#"{{"mediaType":"c","digest":"{digest}","size":2}}"#);
        let text = format!(
            r#"{{"schemaVersion":2,"config":{config},"layers":[{{"mediaType":"{media_type}","digest":"{digest}","size":1{more}}}]}}"#
        );
        manifest(&image(), text.as_bytes())
    }

    #[test]
    fn known_layers_only() {
        let made = layer("application/vnd.oci.image.layer.v1.tar+zstd", "").unwrap();
        assert_eq!((made.config.size, made.layers[0].size), (2, 1));
        for (media_type, more, cause) in [
            ("application/vnd.oci.image.layer.v1.tar+lzip", "", "which is not known"),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "", "foreign"),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", "", "foreign"),
            ("application/vnd.oci.image.layer.v1.tar", r#","urls":["http://h/x"]"#, "foreign"),
        ] {
            let error = layer(media_type, more).unwrap_err();
            assert_eq!(error.kind(), Kind::Trust);
            assert!(error.cause().contains(cause), "{error}");
            assert!(error.object().contains(&Digest::of(b"x").oci()), "{error}");
        }
    }

    #[test]
    fn an_index_names_what_to_write() {
        let (arm, amd) = (Digest::of(b"arm"), Digest::of(b"amd"));
        let entry = |digest: &Digest, architecture: &str| {
            format!(
                r#"{{"mediaType":"m","digest":"{}","size":1,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
                digest.oci()
            )
        };
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, entry(&arm, "arm64"), entry(&amd, "amd64"));
        let error = manifest(&image(), text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Kind::Document);
        assert!(error.remedy_text().unwrap().contains(&format!("h.example/a@{}", amd.oci())), "{error:?}");
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entry(&arm, "arm64"));
        assert!(manifest(&image(), text.as_bytes()).unwrap_err().remedy_text().unwrap().contains("no image for"));
        for text in ["{}", "[]", r#"{"schemaVersion":1}"#, r#"{"schemaVersion":2,"config":null,"layers":[]}"#] {
            assert_eq!(manifest(&image(), text.as_bytes()).unwrap_err().kind(), Kind::Document, "{text}");
        }
    }

    #[test]
    fn a_configuration_must_be_for_this_platform_and_these_layers() {
        let text = |architecture: &str, created: &str| {
            let diff_id = Digest::of(b"d").oci();
            format!(
                r#"{{"os":"linux","architecture":"{architecture}","created":"{created}","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
            )
        };
        let read = |architecture, created, layers| config(&image(), text(architecture, created).as_bytes(), layers);
        assert_eq!(read("amd64", "2024-01-02T03:04:05.678Z", 1).unwrap().created, Some(Epoch(1_704_164_645)));
        assert_eq!(read("amd64", "0001-01-01T00:00:00Z", 1).unwrap().created, None);
        let error = read("arm64", "", 1).unwrap_err();
        assert!(error.kind() == Kind::Document && error.cause().contains("linux/arm64"), "{error}");
        assert_eq!(read("amd64", "", 2).unwrap_err().kind(), Kind::Trust);
    }
}

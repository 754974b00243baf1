//! Small signed archives for tests: keys, package indexes and InRelease files from paragraphs of fields, in memory or
//! in a folder that any HTTP server on loopback can serve. Included by unit tests and integration tests alike, so it
//! uses no module of the project: what it makes is an independent check of what reads it.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test says what went wrong by panicking")]

use pgp::composed::{ArmorOptions, CleartextSignedMessage, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PubKeyInner, PublicKey, PublicSubkey, RevocationCode, SecretKey, SecretSubkey, Signature,
    SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{
    Duration, KeyDetails, KeyVersion, Password, PlainSecretParams, PublicParams, SecretParams, SignedUser, SigningKey,
    Tag, Timestamp,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// The time at which all keys and signatures are made unless a test says otherwise: 2026-01-01 00:00 UTC.
pub const MADE: u32 = 1_767_225_600;

/// One day in seconds.
pub const DAY: u32 = 86_400;

/// How a key differs from a good one that never ends.
#[derive(Clone, Debug, Default)]
pub struct KeyTraits {
    /// Seconds from [`MADE`] to its end.
    pub life: Option<u32>,
    /// Whether its owner revoked it.
    pub revoked: bool,
    /// Whether a subkey signs instead of the primary key.
    pub subkey: bool,
    /// Whether that subkey was revoked.
    pub subkey_revoked: bool,
    /// Seconds from [`MADE`] to the subkey's end.
    pub subkey_life: Option<u32>,
    /// Leaves out the subkey's own consent to its primary key.
    pub without_consent: bool,
}

/// A key pair that signs archives. Equal seeds make equal keys.
pub struct Signer {
    primary: SecretKey,
    subkey: Option<SecretSubkey>,
    certificate: SignedPublicKey,
}

impl Signer {
    /// A good key.
    pub fn new(seed: u8) -> Self {
        Self::with(seed, &KeyTraits::default())
    }

    /// A key with traits.
    pub fn with(seed: u8, traits: &KeyTraits) -> Self {
        let (public, secret) = pair(seed);
        let public = PublicKey::from_inner(public).unwrap();
        let primary = SecretKey::new(public.clone(), secret).unwrap();
        let id = UserId::from_str(Default::default(), format!("Test archive {seed} <archive@example.org>")).unwrap();

        let mut packets = vec![flags(|flags| {
            flags.set_certify(true);
            flags.set_sign(true);
        })];
        packets.extend(traits.life.map(ends));
        let config = config(&primary, SignatureType::CertPositive, packets);
        let own = config.sign_certification(&primary, &public, &Password::empty(), Tag::UserId, &id).unwrap();

        let mut revocations = Vec::new();
        if traits.revoked {
            let config = self::config(&primary, SignatureType::KeyRevocation, vec![retired()]);
            revocations.push(config.sign_key(&primary, &Password::empty(), &public).unwrap());
        }
        let bound = traits.subkey.then(|| bind(seed.wrapping_add(128), &primary, &public, traits));
        let (subkey, public_subkeys) =
            bound.map_or((None, Vec::new()), |(secret, public)| (Some(secret), vec![public]));
        let details = SignedKeyDetails::new(revocations, Vec::new(), vec![SignedUser::new(id, vec![own])], Vec::new());
        Signer { primary, subkey, certificate: SignedPublicKey::new(public, details, public_subkeys) }
    }

    /// Fingerprint of the primary key, 40 upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.certificate.fingerprint())
    }

    /// The certificate as a binary keyring.
    pub fn keyring(&self) -> Vec<u8> {
        self.certificate.to_bytes().unwrap()
    }

    /// The certificate as an armoured keyring.
    pub fn armoured(&self) -> String {
        self.certificate.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The text as a cleartext signed message, signed at [`MADE`].
    pub fn sign(&self, text: &str) -> String {
        sign_all(&[self], text, MADE)
    }

    fn signature(&self, text: &str, at: u32) -> Signature {
        let key: &dyn SigningKey = match &self.subkey {
            Some(subkey) => subkey,
            None => &self.primary,
        };
        let key = Box::new(key);
        let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha256);
        config.hashed_subpackets = dated(&key, at);
        config.sign(&key, &Password::empty(), text.as_bytes()).unwrap()
    }
}

/// A message signed by several keys at a time, in order.
pub fn sign_all(signers: &[&Signer], text: &str, at: u32) -> String {
    // RFC 9580, section 7.2: the line end before the signature is not signed.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let message = CleartextSignedMessage::new_many(text, |signed| {
        Ok(signers.iter().map(|signer| signer.signature(signed, at)).collect())
    });
    message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
}

/// An Ed25519 key pair from a seed.
fn pair(seed: u8) -> (PubKeyInner, SecretParams) {
    let mode = pgp::crypto::ed25519::Mode::EdDSALegacy;
    let secret = pgp::crypto::ed25519::SecretKey::try_from_bytes([seed; 32], mode).unwrap();
    let public = PublicParams::EdDSALegacy((&secret).into());
    let algorithm = PublicKeyAlgorithm::EdDSALegacy;
    let inner = PubKeyInner::new(KeyVersion::V4, algorithm, Timestamp::from_secs(MADE), None, public).unwrap();
    (inner, SecretParams::Plain(PlainSecretParams::EdDSALegacy(pgp::crypto::eddsa_legacy::SecretKey::Ed25519(secret))))
}

fn bind(seed: u8, primary: &SecretKey, public: &PublicKey, traits: &KeyTraits) -> (SecretSubkey, SignedPublicSubKey) {
    let (inner, secret) = pair(seed);
    let subkey = PublicSubkey::from_inner(inner).unwrap();
    let secret = SecretSubkey::new(subkey.clone(), secret).unwrap();
    let mut packets = vec![flags(|flags| flags.set_sign(true))];
    packets.extend(traits.subkey_life.map(ends));
    if !traits.without_consent {
        let back = config(&secret, SignatureType::KeyBinding, Vec::new());
        let back = back.sign_primary_key_binding(&secret, &subkey, &Password::empty(), public).unwrap();
        packets.push(SubpacketData::EmbeddedSignature(Box::new(back)));
    }
    let binding = config(primary, SignatureType::SubkeyBinding, packets);
    let mut signatures = vec![binding.sign_subkey_binding(primary, public, &Password::empty(), &subkey).unwrap()];
    if traits.subkey_revoked {
        let config = config(primary, SignatureType::SubkeyRevocation, vec![retired()]);
        signatures.push(config.sign_subkey_binding(primary, public, &Password::empty(), &subkey).unwrap());
    }
    (secret, SignedPublicSubKey::new(subkey, signatures))
}

fn flags(set: impl Fn(&mut KeyFlags)) -> SubpacketData {
    let mut flags = KeyFlags::default();
    set(&mut flags);
    SubpacketData::KeyFlags(flags)
}

fn ends(life: u32) -> SubpacketData {
    SubpacketData::KeyExpirationTime(Duration::from_secs(life))
}

fn retired() -> SubpacketData {
    SubpacketData::RevocationReason(RevocationCode::KeyRetired, bytes::Bytes::new())
}

fn dated(key: &impl KeyDetails, at: u32) -> Vec<Subpacket> {
    let data = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(at)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
        SubpacketData::IssuerKeyId(key.legacy_key_id()),
    ];
    data.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect()
}

fn config(key: &impl SigningKey, kind: SignatureType, more: Vec<SubpacketData>) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = dated(key, MADE);
    config.hashed_subpackets.extend(more.into_iter().map(|data| Subpacket::regular(data).unwrap()));
    config
}

/// A package archive in memory: files by path below its base URL.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Every file, indexes and InRelease included.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A suite to be written into an [`Archive`].
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its code name.
    pub codename: String,
    /// What its InRelease calls it and its folder is called, if it is a pocket of Ubuntu's: those share the code name.
    pub pocket: Option<String>,
    /// The paragraphs of `main/binary-amd64/Packages`.
    pub packages: Vec<String>,
    /// The paragraphs of `universe/binary-amd64/Packages`; without any there is no such component.
    pub universe: Vec<String>,
    /// The paragraphs of `main/source/Sources`.
    pub sources: Vec<String>,
    /// The date of its InRelease.
    pub date: u32,
    /// Valid-Until, if any.
    pub valid_until: Option<u32>,
    /// Whether indexes are also kept by digest, and InRelease says so.
    pub by_hash: bool,
    /// The form in which indexes are kept: `xz` or `gz`.
    pub form: &'static str,
}

impl Suite {
    /// An empty suite of [`MADE`], kept by digest.
    pub fn new(codename: &str) -> Self {
        Suite {
            codename: codename.into(),
            pocket: None,
            packages: Vec::new(),
            universe: Vec::new(),
            sources: Vec::new(),
            date: MADE,
            valid_until: None,
            by_hash: true,
            form: "xz",
        }
    }

    /// The name of its folder below `dists/`.
    fn folder(&self) -> &str {
        self.pocket.as_ref().unwrap_or(&self.codename)
    }
}

impl Archive {
    /// Puts a binary package's bytes into the pool and gives its paragraph for [`Suite::packages`]: `fields` are lines
    /// such as `Depends: libc6`; name, version, architecture (amd64), path, size and digest are added.
    pub fn package(&mut self, name: &str, version: &str, fields: &str, deb: &[u8]) -> String {
        let file = version.rsplit(':').next().unwrap();
        let path = format!("pool/main/{name}/{name}_{file}_amd64.deb");
        let digest = sha256(deb);
        let size = deb.len();
        self.files.insert(path.clone(), deb.to_vec());
        let fields = if fields.is_empty() { String::new() } else { format!("{}\n", fields.trim_end()) };
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}Filename: {path}\nSize: {size}\nSHA256: {digest}\n"
        )
    }

    /// Puts a source package into the pool, makes its .dsc and gives its paragraph for [`Suite::sources`]. `files` are
    /// names and bytes.
    pub fn source(&mut self, name: &str, version: &str, format: &str, files: &[(&str, &[u8])]) -> String {
        let directory = format!("pool/main/{name}");
        let mut sums: String = files.iter().map(|(file, bytes)| sum_line(bytes, file)).collect();
        let dsc = format!("Format: {format}\nSource: {name}\nVersion: {version}\nChecksums-Sha256:\n{sums}");
        let file = version.rsplit(':').next().unwrap();
        let dsc_name = format!("{name}_{file}.dsc");
        sums.push_str(&sum_line(dsc.as_bytes(), &dsc_name));
        for (file, bytes) in files {
            self.files.insert(format!("{directory}/{file}"), bytes.to_vec());
        }
        self.files.insert(format!("{directory}/{dsc_name}"), dsc.into_bytes());
        format!("Package: {name}\nVersion: {version}\nDirectory: {directory}\nChecksums-Sha256:\n{sums}")
    }

    /// Writes a suite's indexes and its InRelease, signed at the suite's date.
    pub fn publish(&mut self, suite: &Suite, signers: &[&Signer]) {
        let text = self.indexes(suite);
        let path = format!("dists/{}/InRelease", suite.folder());
        self.files.insert(path, sign_all(signers, &text, suite.date).into_bytes());
    }

    /// Writes a suite's indexes and gives the text of its Release file, unsigned.
    pub fn indexes(&mut self, suite: &Suite) -> String {
        let folder = format!("dists/{}", suite.folder());
        let mut sums = String::new();
        let mut indexes =
            vec![("main/binary-amd64/Packages", &suite.packages), ("main/source/Sources", &suite.sources)];
        indexes.extend((!suite.universe.is_empty()).then_some(("universe/binary-amd64/Packages", &suite.universe)));
        for (place, paragraphs) in indexes {
            let plain = paragraphs.join("\n").into_bytes();
            let packed = pack(suite.form, &plain);
            let path = format!("{place}.{}", suite.form);
            sums.push_str(&sum_line(&plain, place));
            sums.push_str(&sum_line(&packed, &path));
            if suite.by_hash {
                let parent = path.rsplit_once('/').unwrap().0;
                self.files.insert(format!("{folder}/{parent}/by-hash/SHA256/{}", sha256(&packed)), packed.clone());
            }
            self.files.insert(format!("{folder}/{path}"), packed);
        }
        let until = suite.valid_until.map(|until| format!("Valid-Until: {}\n", date(until))).unwrap_or_default();
        let by_hash = if suite.by_hash { "Acquire-By-Hash: yes\n" } else { "" };
        let universe = if suite.universe.is_empty() { "" } else { " universe" };
        format!(
            "Origin: Test\nSuite: {}\nCodename: {}\nDate: {}\n{until}{by_hash}Architectures: amd64\n\
             Components: main{universe}\nSHA256:\n{sums}",
            suite.pocket.as_deref().unwrap_or("test"),
            suite.codename,
            date(suite.date)
        )
    }

    /// Writes all files below a folder.
    pub fn write(&self, folder: &Path) {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn sum_line(bytes: &[u8], path: &str) -> String {
    format!(" {} {} {path}\n", sha256(bytes), bytes.len())
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// A date as archives write it.
pub fn date(seconds: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(seconds)).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

fn pack(form: &str, bytes: &[u8]) -> Vec<u8> {
    match form {
        "xz" => {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "gz" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        other => panic!("indexes of form {other}"),
    }
}

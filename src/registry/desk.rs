//! One registry while it is asked about one image: who asks, what is asked, and how often. Knows nothing of what an error
//! means beyond whether asking again may help, and nothing of what becomes of the bytes.

use super::blob;
use super::credentials::{self, Credentials};
use super::trouble::{About, Trouble};
use super::{Wanted, transport};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::Result;
use crate::fetch::Settings;
use crate::oci::manifest::{ACCEPTED, DOCUMENT_MAX};
use crate::reference::Reference;
use crate::store::Store;
use oci_client::RegistryOperation;
use oci_client::client::{AsLayerDescriptor, LayerDescriptor};
use oci_client::secrets::RegistryAuth;

/// Attempts at one thing.
const TRIES: u32 = 4;

/// One registry while it is asked about one image.
pub(super) struct Desk<'a> {
    client: oci_client::Client,
    auth: RegistryAuth,
    name: oci_client::Reference,
    about: About<'a>,
    settings: &'a Settings,
}

impl<'a> Desk<'a> {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] when the settings or the files of credentials cannot be used.
    pub(super) fn new(image: &'a Reference, settings: &'a Settings, environment: &Environment) -> Result<Self> {
        let client = transport::to(image.registry(), settings)?;
        let auth = match credentials::of(environment, image.registry())? {
            None => RegistryAuth::Anonymous,
            Some(Credentials::Basic(name, password)) => RegistryAuth::Basic(name, password),
            Some(Credentials::Token(token)) => RegistryAuth::Bearer(token),
        };
        // Without the tag: it is never asked for.
        let name = oci_client::Reference::with_digest(
            image.registry().to_owned(),
            image.repository().to_owned(),
            image.digest().oci(),
        );
        let about = About { image, is_anonymous: matches!(auth, RegistryAuth::Anonymous) };
        Ok(Desk { client, auth, name, about, settings })
    }

    /// The first question, which gets the token if one is wanted. A registry that does not answer it is not asked again.
    pub(super) async fn knock(&self) -> Result<()> {
        let first = async || {
            let asked = self.client.auth(&self.name, &self.auth, RegistryOperation::Pull);
            match tokio::time::timeout(self.settings.first_answer, asked).await {
                Ok(Ok(token)) if !token.as_deref().is_none_or(credentials::is_token) => {
                    Err(self.about.lied("a token that no header can carry".into()).into())
                }
                Ok(answer) => answer.map(drop).map_err(|error| self.about.trouble(error)),
                Err(_) => Err(self.about.unavailable("does not answer in time").into()),
            }
        };
        self.patiently(first).await
    }

    /// The image's manifest. The library takes an answer in whole before anybody can look at its length.
    pub(super) async fn manifest(&self) -> Result<Vec<u8>> {
        let attempt = async || {
            let answer = self.client.pull_manifest_raw(&self.name, &self.auth, &ACCEPTED).await;
            let (bytes, _) = answer.map_err(|error| self.about.trouble(error))?;
            let found = Digest::of(&bytes);
            if found != self.about.image.digest() || bytes.len() as u64 > DOCUMENT_MAX {
                return Err(self.about.lied(format!("{} bytes with sha256 {found}", bytes.len())).into());
            }
            Ok(bytes.to_vec())
        };
        self.patiently(attempt).await
    }

    /// Brings one blob into the store. Only the registry itself is asked, no other URL that a manifest may name.
    pub(super) async fn blob(&self, blob: &Wanted, store: &Store, tell: &dyn Fn(u64)) -> Result<()> {
        let digest = blob.sha256.oci();
        let attempt = async || {
            let answer = self.client.pull_blob_stream(&self.name, AsDigest(&digest)).await;
            let stream = answer.map_err(|error| self.about.trouble(error))?;
            blob::keep(stream, blob, self.about, store, tell).await
        };
        self.patiently(attempt).await
    }

    /// Tries a few times, as long as that may help.
    async fn patiently<T>(&self, attempt: impl AsyncFn() -> std::result::Result<T, Trouble>) -> Result<T> {
        let mut wait = self.settings.backoff;
        for _ in 1..TRIES {
            match attempt().await {
                Err(Trouble { again: true, .. }) => {}
                done => return done.map_err(|trouble| trouble.error),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        attempt().await.map_err(|trouble| trouble.error)
    }
}

/// A blob by nothing but its digest.
struct AsDigest<'a>(&'a str);

impl AsLayerDescriptor for AsDigest<'_> {
    fn as_layer_descriptor(&self) -> LayerDescriptor<'_> {
        LayerDescriptor { digest: self.0, urls: &None }
    }
}

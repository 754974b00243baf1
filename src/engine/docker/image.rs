//! The builder's image in the engine: put there when it is not there yet, and never used before its root layers were
//! compared with what the lock says. Names and ids prove nothing: anybody who may use the engine can move a name, and
//! an id is the digest of different documents on different stores.

use super::{Docker, stream};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::oci::{Image, layout};
use bollard::errors::Error as Foreign;
use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt;

/// An image as the engine has it.
pub(super) struct Found {
    /// The engine's own id.
    pub id: String,
    /// Its root layers, lowest first.
    pub layers: Vec<Digest>,
}

impl Docker {
    /// Streams the image to the engine.
    pub(super) fn sent(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        let client = self.link.client.clone();
        let request = |body| async move {
            let options = ImportImageOptionsBuilder::default().quiet(true).build();
            let mut answers = Box::pin(client.import_image_stream(options, body, None));
            while let Some(answer) = answers.next().await {
                answer?;
            }
            Ok(())
        };
        stream::send(&self.link, "load the image", cancel, request, &mut |out| layout::write(image, out))
    }

    /// The image under its name, if the engine has one.
    pub(super) fn found(&self, image: &Image) -> Result<Option<Found>> {
        let call = async {
            match self.link.client.inspect_image(&image.reference).await {
                Err(Foreign::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
                other => other.map(Some),
            }
        };
        let Some(told) = self.link.ask("describe the image", call)? else { return Ok(None) };
        let layers = told.root_fs.and_then(|root| root.layers).unwrap_or_default();
        let layers = layers.iter().map(|layer| layer.parse()).collect::<Result<_>>()?;
        Ok(Some(Found { id: told.id.unwrap_or_default(), layers }))
    }

    /// The engine's id of the image, after its root layers were compared with what the lock says.
    pub(super) fn identified(&self, image: &Image) -> Result<String> {
        let cure = format!("load it again: `snpforge image load --engine {}`", self.flavour.name());
        let Some(found) = self.found(image)? else {
            let object = format!("image {}", image.reference);
            return Err(
                Error::new(Kind::Engine, object, format!("is not in the engine at {}", self.link.address)).remedy(cure)
            );
        };
        if found.layers != [image.diff_id] {
            let there: Vec<String> = found.layers.iter().map(Digest::oci).collect();
            let cause = format!("its root layers are [{}], the lock says [{}]", there.join(", "), image.diff_id.oci());
            return Err(Error::new(Kind::Trust, format!("image {}", image.reference), cause).remedy(cure));
        }
        Ok(found.id)
    }
}

//! Docker and Podman, both through the Docker API. The files of this folder are the only ones that name bollard, and
//! nothing of bollard leaves them. Blocking: not to be called from asynchronous code.

mod image;
mod link;
mod members;
mod run;
mod service;
mod settings;
mod stream;
mod trouble;

pub use link::Timeouts;
pub use service::Flavour;

use super::discover::Endpoint;
use super::owner::Owner;
use super::{ContainerId, Engine, Info, LABEL_BUILD, LABEL_OWNER, Outcome, Spec, Take, contract, inside};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::oci::Image;
use bollard::body_try_stream;
use bollard::errors::Error as Foreign;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use link::Link;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// A name that a container keeps when the user asked for that; `reap` leaves it alone.
const KEPT: &str = "snpforge-kept-";

/// Containers this process has made, for their names.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A Docker or Podman service.
pub struct Docker {
    link: Link,
    flavour: Flavour,
    version: String,
    owner: Owner,
    /// Images in whose containers the contract was seen to hold.
    sound: Mutex<BTreeSet<String>>,
    /// The image of each container of this run, for [`Engine::enter`].
    images: Mutex<BTreeMap<ContainerId, String>>,
}

impl Docker {
    /// Connects to the service at `endpoint` and asks who it is.
    ///
    /// # Errors
    /// [`Kind::Engine`] when nothing answers in time, or it cannot run Linux containers; [`Kind::Usage`] when the
    /// address is of an unknown kind.
    pub fn connect(endpoint: &Endpoint, timeouts: Timeouts) -> Result<Self> {
        let link = Link::open(endpoint, timeouts)?;
        let version = link.ask("tell its version", link.client.version())?;
        if let Some(os) = version.os.as_deref().filter(|os| *os != "linux") {
            return Err(Error::new(
                Kind::Engine,
                format!("engine at {}", link.address),
                format!("runs {os} containers"),
            )
            .remedy("switch it to Linux containers, or use --engine embedded on Linux"));
        }
        Ok(Docker {
            link,
            flavour: Flavour::of(&version),
            version: version.version.unwrap_or_default(),
            owner: Owner::this_process()?,
            sound: Mutex::default(),
            images: Mutex::default(),
        })
    }

    /// Whether it is Docker or Podman that answers.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    fn container_name(&self, spec: &Spec) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let name: String = spec.name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
        let run = Digest::of(self.owner.to_string().as_bytes()).short();
        format!("snpforge-{name}-{run}-{}", MADE.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates a container of the image with the engine's own id `image`.
    fn made(&self, image: &str, spec: &Spec) -> Result<ContainerId> {
        let request = settings::request(image, spec, &self.owner);
        let options = CreateContainerOptionsBuilder::default().name(&self.container_name(spec)).build();
        let call = self.link.client.create_container(Some(options), request);
        Ok(ContainerId(self.link.ask("create a container", call)?.id))
    }

    /// Refuses an engine that adds something of its own to its containers. One look per image and run is enough: such
    /// settings belong to the service or to the image.
    fn looked_inside(&self, image: &str) -> Result<()> {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if sound.contains(image) {
            return Ok(());
        }
        let id = self.made(image, &inside::look())?;
        let mut seen = Vec::new();
        let outcome = self.run(&id, &mut seen, &Cancel::new());
        let removed = self.remove(&id);
        outcome?;
        removed?;
        let broken = inside::broken_rules(&String::from_utf8_lossy(&seen));
        if !broken.is_empty() {
            let cause = format!("its containers break the build contract: {}", broken.join("; "));
            return Err(Error::new(Kind::Engine, format!("engine at {}", self.link.address), cause).remedy(
                "take such settings out of its configuration (containers.conf, mounts.conf, daemon.json), \
                         or use --engine embedded",
            ));
        }
        sound.insert(image.to_owned());
        Ok(())
    }

    /// After an interruption nothing is left to wait for: the container goes at once. Should that fail, the interruption
    /// stays the answer; who made the container removes it again, and hears of it then.
    fn removed_if_interrupted<T>(&self, id: &ContainerId, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind() == Kind::Interrupted
        {
            drop(self.remove(id));
        }
        result
    }
}

impl Engine for Docker {
    fn info(&self) -> Result<Info> {
        let told = self.link.ask("describe itself", self.link.client.info())?;
        let rootless = service::rootless(&self.link.address, &told);
        Ok(Info {
            name: self.flavour.name().to_owned(),
            version: self.version.clone(),
            address: self.link.address.clone(),
            rootless,
            limits: service::limits(&told, rootless),
        })
    }

    fn load(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        if self.found(image)?.is_some_and(|found| found.layers == [image.diff_id]) {
            return Ok(());
        }
        self.sent(image, cancel)?;
        self.identified(image).map(drop)
    }

    fn layers(&self, image: &Image) -> Result<Vec<Digest>> {
        Ok(self.found(image)?.map(|found| found.layers).unwrap_or_default())
    }

    fn create(&self, image: &Image, spec: &Spec) -> Result<ContainerId> {
        let found = self.identified(image)?;
        self.looked_inside(&found)?;
        let id = self.made(&found, spec)?;
        if let Ok(mut images) = self.images.lock() {
            images.insert(id.clone(), image.reference.clone());
        }
        Ok(id)
    }

    fn upload(&self, id: &ContainerId, tar: &mut (dyn Read + Send), cancel: &Cancel) -> Result<()> {
        let (client, container) = (self.link.client.clone(), id.0.clone());
        let request = |body| async move {
            let options = UploadToContainerOptionsBuilder::default().path(contract::SRC).build();
            client.upload_to_container(&container, Some(options), body_try_stream(body)).await
        };
        let sent = stream::send(&self.link, "take the sources", cancel, request, &mut |out| {
            std::io::copy(tar, out).map(drop).map_err(|error| {
                Error::new(Kind::Io, "sources for the build", format!("cannot be read: {error}")).because(error)
            })
        });
        self.removed_if_interrupted(id, sent)
    }

    fn run(&self, id: &ContainerId, log: &mut (dyn Write + Send), cancel: &Cancel) -> Result<Outcome> {
        let outcome = run::follow(self, &id.0, log, cancel);
        self.removed_if_interrupted(id, outcome)
    }

    fn download(&self, id: &ContainerId, take: &mut Take<'_>, cancel: &Cancel) -> Result<()> {
        let options = DownloadFromContainerOptionsBuilder::default().path(contract::OUT).build();
        let pieces = self.link.client.download_from_container(&id.0, Some(options));
        let mut incoming = stream::Incoming::new(&self.link, "hand out the products", cancel, pieces);
        let handed = members::hand_out(&mut incoming, take);
        let result = incoming.failure.take().map_or(handed, Err);
        drop(incoming);
        self.removed_if_interrupted(id, result)
    }

    fn remove(&self, id: &ContainerId) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let call = async {
            match self.link.client.remove_container(&id.0, Some(options)).await {
                // Gone already, or being removed by somebody else.
                Err(Foreign::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
                other => other,
            }
        };
        self.link.ask("remove the container", call)
    }

    fn keep(&self, id: &ContainerId) -> Result<()> {
        let name = format!("{KEPT}{}", id.0.get(..12).unwrap_or(&id.0));
        let options = RenameContainerOptionsBuilder::default().name(&name).build();
        self.link.ask("keep the container", self.link.client.rename_container(&id.0, options))
    }

    fn reap(&self) -> Result<usize> {
        let filters = HashMap::from([("label".to_owned(), vec![LABEL_BUILD.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = || self.link.client.list_containers(Some(options.clone()));
        let all = self.link.runtime.block_on(self.link.settled("list its containers", list))?;
        let mut removed = 0;
        for container in all {
            let kept = container.names.iter().flatten().any(|name| name.trim_start_matches('/').starts_with(KEPT));
            let label = container.labels.as_ref().and_then(|labels| labels.get(LABEL_OWNER));
            let gone = label
                .and_then(|label| Owner::parse(label))
                .is_some_and(|owner| owner.is_gone(&self.owner, Path::new("/proc")));
            if let Some(id) = container.id.filter(|_| gone && !kept) {
                self.remove(&ContainerId(id))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn enter(&self, id: &ContainerId) -> String {
        let image = self.images.lock().ok().and_then(|images| images.get(id).cloned());
        let host = if self.flavour == Flavour::Docker { "--host" } else { "--url" };
        let words = [
            self.flavour.name(),
            host,
            &self.link.address,
            "run --rm -it --network none --volumes-from",
            &id.0,
            "--entrypoint /bin/sh",
            image.as_deref().unwrap_or("IMAGE"),
        ];
        words.join(" ")
    }
}

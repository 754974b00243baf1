//! `image build|list|export|load`.

use super::locked;
use super::session::Session;
use crate::cli::{Choice, Compress, EngineArgs, Image};
use crate::terminal;
use serde::Serialize;
use snpforge::build::locking::Lock as _;
use snpforge::build::{Borders, fetch, image as making};
use snpforge::compress::Format;
use snpforge::engine::{Engine, Info};
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::ImageLock;
use snpforge::oci;
use snpforge::project::Project;
use snpforge::store::{Store, files};
use std::fs::File;
use std::path::Path;

/// Runs one of the image commands.
///
/// # Errors
/// Whatever it fails with.
pub fn run(command: &Image, session: &Session) -> Result<()> {
    match command {
        Image::Build { name, locked, offline } => session.with(*offline, |borders| {
            let image = made(name, *locked, borders)?;
            terminal::line(format!("{}  {}  {} bytes", image.reference, image.diff_id.oci(), image.layer_size));
            Ok(())
        }),
        Image::List { json } => list(*json, &session.project()?, session.place().map(Store::at).as_ref()),
        Image::Export { name, file, compress } => {
            session.with(false, |borders| export(name, &session.folder.join(file), *compress, borders))
        }
        Image::Load { name, engine } => session.with(false, |borders| {
            let (engine, info) = keeper(name, engine, session, borders)?;
            let image = made(name, false, borders)?;
            engine.load(&image, borders.cancel)?;
            terminal::line(format!("{} is in {} at {}", image.reference, info.name, info.address));
            Ok(())
        }),
    }
}

/// An engine that keeps images, for whoever comes after this process.
fn keeper(
    image: &str,
    arguments: &EngineArgs,
    session: &Session,
    borders: &Borders<'_>,
) -> Result<(Box<dyn Engine>, Info)> {
    let none = || {
        Error::new(Kind::Usage, "`image load`", "is for Docker and Podman: the embedded sandbox keeps no images")
            .remedy(format!(
                "`snpforge image export {image} FILE` writes it for another machine; `snpforge build` needs no image \
                 loaded, on any engine"
            ))
    };
    if arguments.engine == Choice::Embedded {
        return Err(none());
    }
    let engine = session.engine(arguments, borders.store)?;
    let info = engine.info()?;
    if info.name == "embedded" { Err(none()) } else { Ok((engine, info)) }
}

fn made(name: &str, locked: bool, borders: &Borders<'_>) -> Result<oci::Image> {
    let lock: ImageLock = locked::current(name, locked, borders)?;
    let definition = borders.project.image(name)?;
    if !borders.store.contains(&lock.diff_id) {
        fetch::image(&definition, &lock, borders)?;
    }
    making::build(name, &definition, &lock, borders)
}

fn export(name: &str, file: &Path, compress: Compress, borders: &Borders<'_>) -> Result<()> {
    let image = made(name, false, borders)?;
    let format = match compress {
        Compress::None => Format::Plain,
        Compress::Gzip => Format::Gzip,
        Compress::Zstd => Format::Zstd,
    };
    let mut whole = files::Whole::create(file)?;
    write(&image, format, borders, &mut whole)?;
    whole.keep()?;
    let path = file.display();
    terminal::line(format!(
        "wrote {path} ({}); `docker load -i {path}` or `podman load -i {path}` takes it",
        image.reference
    ));
    Ok(())
}

fn write(image: &oci::Image, format: Format, borders: &Borders<'_>, out: &mut dyn std::io::Write) -> Result<()> {
    if format == Format::Plain {
        return oci::layout::write(image, out);
    }
    let open = |path: &Path| File::open(path).map_err(|error| Error::io(path, "open", error));
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let scratch = borders.store.scratch()?;
    let path = scratch.path().join("layer");
    let mut packed = files::Whole::create(&path)?;
    let blob = oci::layout::pack(format, &mut open(&image.layer)?, &mut packed, workers)?;
    packed.keep()?;
    oci::layout::write_as(image, &blob, &mut open(&path)?, out)
}

/// What `image list` tells of one image.
#[derive(Serialize)]
struct Listed {
    name: String,
    summary: String,
    locked: bool,
    fits: bool,
    packages: usize,
    /// The image below the packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    diff_id: Option<String>,
    in_store: bool,
}

fn list(json: bool, project: &Project, store: Option<&Store>) -> Result<()> {
    let all = project.images()?.iter().map(|name| listed(name, project, store)).collect::<Result<Vec<_>>>()?;
    if json {
        return terminal::json(&all);
    }
    for one in all {
        let state = match (one.locked, one.fits, one.in_store) {
            (false, ..) => "not locked",
            (true, false, _) => "lock does not fit",
            (true, true, false) => "locked",
            (true, true, true) => "in the store",
        };
        let diff_id = one.diff_id.unwrap_or_default();
        let base = one.base.map_or_else(String::new, |base| format!("\n  base {base}"));
        terminal::line(format!("{}  {state}  {} packages  {diff_id}{base}\n  {}", one.name, one.packages, one.summary));
    }
    Ok(())
}

fn listed(name: &str, project: &Project, store: Option<&Store>) -> Result<Listed> {
    let definition = project.image(name)?;
    let lock = project.image_lock(name, true)?;
    let fits = lock.as_ref().map_or(Ok(false), |lock| lock.fits(name, project))?;
    Ok(Listed {
        name: name.to_owned(),
        summary: definition.summary,
        base: definition.base.map(|base| base.image.to_string()),
        locked: lock.is_some(),
        fits,
        packages: lock.as_ref().map_or(0, |lock| lock.package.len()),
        in_store: lock.as_ref().zip(store).is_some_and(|(lock, store)| store.contains(&lock.diff_id)),
        diff_id: lock.map(|lock| lock.diff_id.oci()),
    })
}

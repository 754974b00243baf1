//! The modules that a kernel needs to see virtio and SATA, if they are not built in, in the order of loading.

use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::io::Read;

/// Those which a built-in driver makes needless are simply not there.
const WANTED: &[&str] = &["virtio_pci", "virtio_scsi", "sd_mod", "sr_mod", "ahci", "virtio_net", "af_packet"];

/// Name and content of each module; what one depends on comes before it.
pub fn in_order(modules: &BTreeMap<String, Vec<u8>>) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let by_name: BTreeMap<String, (&str, &[u8])> =
        modules.iter().map(|(path, bytes)| (name(path), (path.as_str(), bytes.as_slice()))).collect();
    let mut order = Vec::new();
    for wanted in WANTED {
        add(wanted, &by_name, &mut order)?;
    }
    Ok(order)
}

fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn add(
    wanted: &str,
    by_name: &BTreeMap<String, (&str, &[u8])>,
    order: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failed> {
    let known = order.iter().any(|(name, _)| name == wanted);
    let Some((path, bytes)) = by_name.get(wanted).filter(|_| !known) else { return Ok(()) };
    let plain = decompressed(path, bytes)?;
    for other in depends(&plain) {
        add(&other, by_name, order)?;
    }
    order.push((wanted.to_owned(), plain));
    Ok(())
}

fn decompressed(path: &str, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut plain = Vec::new();
    if path.ends_with(".xz") {
        liblzma::read::XzDecoder::new(bytes).read_to_end(&mut plain)?;
    } else if path.ends_with(".zst") {
        zstd::Decoder::new(bytes)?.read_to_end(&mut plain)?;
    } else if path.ends_with(".ko") {
        plain.extend(bytes);
    } else {
        return Err(format!("{path} is compressed in a way this test does not know").into());
    }
    Ok(plain)
}

/// The text `depends=a,b` of a module's .modinfo.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value: Vec<u8> = module[at + KEY.len()..].iter().copied().take_while(|byte| *byte != 0).collect();
    let value = String::from_utf8_lossy(&value).into_owned();
    value.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

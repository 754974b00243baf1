//! One blob on its way into the store: counted while it comes, hashed again by the store, gone if it is another one. Knows
//! nothing of how it was asked for.

use super::Wanted;
use super::trouble::{About, Trouble};
use crate::error::{Error, Kind};
use crate::fetch::chain;
use crate::store::Store;
use futures_util::{Stream, StreamExt};
use oci_client::errors::DigestError;
use std::io::{self, Write};

/// Bytes between two reports of progress.
const STEP: u64 = 1 << 20;

/// Keeps what comes, and calls `tell` with how much it is so far.
pub(super) async fn keep(
    mut stream: impl Stream<Item = io::Result<impl AsRef<[u8]>>> + Unpin,
    blob: &Wanted,
    about: About<'_>,
    store: &Store,
    tell: &dyn Fn(u64),
) -> Result<(), Trouble> {
    let digest = blob.sha256.oci();
    let mut writer = store.writer()?;
    let (mut received, mut told) = (0, 0);
    while let Some(bytes) = stream.next().await {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            // The library compares the digest at the end.
            Err(error) if received == blob.size && is_other(&error) => {
                return Err(about.lied(format!("other bytes for {digest}")).into());
            }
            Err(error) => {
                let cause =
                    format!("the connection was cut after {received} of {} bytes: {}", blob.size, chain(&error));
                return Err(Trouble { error: about.unavailable(&cause), again: true });
            }
        };
        let bytes = bytes.as_ref();
        received += bytes.len() as u64;
        if received > blob.size {
            return Err(about.lied(format!("more than {} bytes for {digest}", blob.size)).into());
        }
        writer.write_all(bytes).map_err(|error| Error::io(store.root(), "write in", error))?;
        if received - told >= STEP {
            tell(received);
            told = received;
        }
    }
    if received != blob.size {
        return Err(about.lied(format!("{received} bytes, not {}, for {digest}", blob.size)).into());
    }
    let committed = writer.commit(Some(&blob.sha256));
    committed.map(drop).map_err(|error| match error.kind() {
        Kind::Trust => about.lied(format!("other bytes for {digest}")).into(),
        _ => error.into(),
    })
}

/// Whether an I/O error only carries that the digest was another one.
fn is_other(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<DigestError>())
}

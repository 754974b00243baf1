//! The wish to stop, shared by everything that may take long. Set by a signal, looked at everywhere.

use crate::error::{Error, Kind, Result};

/// A token that many hold and one cancels: `is_cancelled()` for loops, `cancelled().await` for waits.
pub use tokio_util::sync::CancellationToken as Cancel;

/// An error when the user asked to stop, for loops between two steps.
///
/// # Errors
/// [`Kind::Interrupted`] naming what was stopped.
pub fn check(cancel: &Cancel, what: &str) -> Result<()> {
    if cancel.is_cancelled() {
        return Err(Error::new(Kind::Interrupted, what, "interrupted"));
    }
    Ok(())
}

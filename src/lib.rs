//! snpforge builds releases of the AMD SEV-SNP stack from pinned sources in a sealed, pinned container.
//! (The map is written by the lead at the end; floors as in tests/layers.rs.)

pub mod cancel;
pub mod component;
pub mod compress;
pub mod containerfile;
pub mod date;
pub mod definition;
pub mod digest;
pub mod document;
pub mod engine;
pub mod environment;
pub mod error;
pub mod fetch;
pub mod lock;
pub mod mirror;
pub mod oci;
pub mod release;
pub mod report;
pub mod source;
pub mod store;
pub mod tarball;
pub mod tree;

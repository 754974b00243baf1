//! Tars in both directions. [`Writer`] makes every one that leaves this tool. `walk` reads those of packages and of images'
//! layers, which others made: it hands out normalised [`Member`]s and refuses what could write outside a root, so that no
//! reader has to think of it again. Knows neither packages nor images: what is theirs they say in a `Dialect`.
//!
//! Within: `write`; `read` (the walk), `member` (what it hands out), `dialect` (what differs, and the words for what is
//! refused), `name` (paths and targets of links), `long` (names that stand in members of their own), `seen` (what the members
//! so far leave room for); `whole`, for who reads a tar of this tool or an engine, whose end matters.

mod dialect;
mod long;
mod member;
mod name;
mod read;
mod seen;
mod whole;
mod write;

pub(crate) use dialect::Dialect;
pub use member::{Body, Member};
pub(crate) use name::parents;
pub(crate) use read::walk;
pub(crate) use whole::Whole;
pub use write::{Attributes, Writer};

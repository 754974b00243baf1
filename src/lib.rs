//! snpforge builds releases of the AMD SEV-SNP stack (kernels, QEMU, OVMF) from pinned sources in a sealed, pinned
//! container: same inputs, same bytes, on Docker, on Podman or in a sandbox of its own.
//!
//! # The line
//!
//! `Release + Lock --plan--> Plan --fetch--> Sources --image--> Builders --run--> Finished --collect--> Artifacts
//! --pack--> Packed --sign--> Signed`
//!
//! [`build::build`] is this line up to the bundle; [`verify::sign`] is its end, when whoever signs wants it. Each arrow is
//! one function in one module of [`build`], and only it can make its result. `plan` is pure; only [`build::locking`] and
//! [`build::fetch`] use the network ([`fetch`], [`registry`], git).
//!
//! # Words
//!
//! - **release file**: `releases/NAME.toml`, what a person writes ([`release`]); **lock**: what it was resolved to
//!   ([`lock`]).
//! - **image**: the builder's root file system, a pure function of its lock, the same `diff_id` on every engine
//!   ([`definition`], [`oci`]).
//! - **base**: an image of a registry, by the digest of its manifest, whose files fill in what the packages of an image do
//!   not hold ([`definition::Base`], [`oci::base`], [`registry`]).
//! - **compatibility**: which versions of the parts fit together and what their users must know, as data of the project
//!   ([`compatibility`]); a lock that breaks a rule is neither written nor built.
//! - **engine**: Docker, Podman or the embedded sandbox ([`engine`]).
//! - **component**: kernel-host, kernel-guest, qemu, ovmf ([`component`]); **artifact**: one file that its build put in
//!   /out ([`build::cache::Artifact`]).
//! - **action key**: the digest of all that may influence a component's bytes ([`build::plan::Inputs`]); **run record**:
//!   what really ran, beside the products and never inside ([`build::cache::RunRecord`]).
//! - **profile**: how much the kernels hold, lean or server ([`component::Profile`]); **fragment**: a file of kernel
//!   options, each a wish that the recipe checks against what came of it (`images/kernel/config`).
//! - **product**: a component's tarball; **bundle**: `snp-release-<DATE>`, all of them with scripts, recipe and manifest
//!   ([`build::pack`]).
//! - **store**: blobs by SHA-256 and action results by key ([`store`]).
//! - **sums**: `SHA256SUMS` files ([`sums`]). The outer one, beside a release's folder, is what is signed; signatures stand
//!   beside it, never inside, so signing changes no byte of a release ([`sign`], [`verify`]).
//!
//! # Floors
//!
//! Imports go down only; `tests/layers.rs` enforces it.
//!
//! | floor | modules | knows |
//! |---|---|---|
//! | 5 surface | `main`, `cli`, `commands`, `terminal` (the binary) | clap, indicatif; the only printing, wall clock, environment |
//! | 4 the line | [`build`], [`verify`] | everything below |
//! | 3 borders | [`engine`], [`source`], [`archive`], [`fetch`], [`mirror`], [`project`], [`registry`], [`sign`], [`store`], [`tree`] | one foreign thing each |
//! | 2 bytes | [`tarball`], [`compress`], [`deb`], [`oci`], [`firmware`] | `Read` and `Write`, no paths of this machine |
//! | 1 documents | [`release`], [`definition`], [`reference`](mod@reference), [`lock`], [`compatibility`], [`containerfile`], [`difference`], [`sums`], [`document`] | text to value and back |
//! | 0 words | [`digest`], [`date`], [`component`], [`error`], [`report`], [`environment`], [`cancel`], [`heap`], [`shell`] | std, libc, serde, sha2 |
//!
//! # The build contract, equal on every engine
//!
//! - /src holds the sources and the recipe: root-owned files of mode 0644 and 0755 (in the unprivileged sandbox a
//!   read-only mount), unwritable for the build. /build (the build's own) and /out (its products) belong to uid 1000,
//!   which the build runs as. All three are gone with the container. The root is read-only; /tmp is a tmpfs that allows
//!   programs.
//! - Environment: [`engine::contract::ENVIRONMENT`], the Containerfile's ENV, SOURCE_DATE_EPOCH and the component's
//!   parameters, all part of the key. JOBS is passed and is no input.
//! - No network but `lo`, no capability, no new privileges, a fixed host name, explicit limits.
//! - Files cross the border as tar streams; what comes back is accepted only if it is an expected regular file, and gets
//!   its header from [`tarball`].
//! - Before a build the engine's root layers must equal the lock's `diff_id`. The sandbox compares its unpacked root with
//!   the layer, entry by entry; Docker and Podman are asked for `RootFS.Layers`.
//!
//! What is true on Docker 20.10 and Podman 4.3, by trying: a volume takes uploads although the root is read-only, as long
//! as the volume itself is not; anonymous volumes copy their owner from the layer; Podman copies the host's /etc/hosts in
//! and Docker its resolv.conf, so /dev/null is bound over these; an end of the log is no end of the
//! run, and Podman answers a wait by looking four times a second, so it is asked last.
//!
//! # Where to change what
//!
//! A component's parameters and files: [`build::plan`]; its commands: `images/<family>/`. A kernel option: a fragment. What
//! is in the bundle: [`build::pack::bundle`]; its scripts: `images/bundle/`. What is in the image:
//! `images/*.toml`; how a layer is normalised: [`oci::layer`]; how a base is flattened: [`oci::base`]; what is refused in
//! the tars of both: [`tarball`]. A new kind of source: one file in [`source`]. A new engine: the trait in [`engine`]. A
//! new command: `cli` and one file in `commands`. What fits together: `releases/known/compatibility.toml`. What `diff`,
//! `notes` and `lock --update` show: [`difference`].

pub mod archive;
pub mod build;
pub mod cancel;
pub mod compatibility;
pub mod component;
pub mod compress;
pub mod containerfile;
pub mod date;
pub mod deb;
pub mod definition;
pub mod difference;
pub mod digest;
pub mod document;
pub mod engine;
pub mod environment;
pub mod error;
pub mod fetch;
pub mod firmware;
pub mod heap;
pub mod lock;
pub mod mirror;
pub mod oci;
pub mod project;
pub mod reference;
pub mod registry;
pub mod release;
pub mod report;
pub mod shell;
pub mod sign;
pub mod source;
pub mod store;
pub mod sums;
pub mod tarball;
pub mod tree;
pub mod verify;

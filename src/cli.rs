//! The command line: names, flags and their help. Says nothing of how anything is done.

use crate::terminal::Mode;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Builds reproducible releases of the AMD SEV-SNP stack from pinned sources, in a sealed and pinned container.
#[derive(Debug, Parser)]
#[command(
    name = "snpforge",
    version,
    max_term_width = 110,
    after_help = "Exit codes and files are described in the README."
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// The folder with releases/, images/ and the Containerfiles [default: the working folder or one above it]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// How progress is shown (on stderr)
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "MODE")]
    pub progress: Mode,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build components and pack them with their checksums
    Build(Build),
    /// Show what `build` would do and which results are already there; runs nothing, writes nothing but a lock that is missing or out of date
    Plan(PlanArgs),
    /// Resolve a release and its image to exact inputs, and write them down
    Lock(Lock),
    /// Bring every locked input into the store, so that everything else works without a network
    Fetch(Which),
    /// Make, list or move the images that components are built in
    #[command(subcommand)]
    Image(Image),
    /// Turn AMDSEV's stable-commits file, or a bundle's source-config, into a release file
    ImportStableCommits(Import),
    /// Sign a release, after checking that its files fit its sums; the signature stands beside it and changes no byte of it
    Sign(Sign),
    /// Verify a release: signatures over its sums, and every file against them
    Verify(Verify),
    /// Show what differs between two releases: sources, packages, kernel options, files
    Diff(Diff),
    /// Write release notes in Markdown: what differs between two releases, with the commits between
    Notes(Notes),
    /// Find out what works on this machine
    #[command(subcommand)]
    Doctor(Doctor),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages
    Man {
        /// The folder to write them to
        folder: PathBuf,
    },
}

/// What most users want today: SEV-SNP is upstream.
const DEFAULT_RELEASE: &str = "upstream";

/// Which release, and in which image.
#[derive(Debug, Args)]
pub struct Which {
    /// The release: NAME of releases/NAME.toml
    #[arg(long, default_value = DEFAULT_RELEASE, value_name = "NAME")]
    pub release: String,
    /// Another image than the release's own: NAME of images/NAME.toml
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// How much the kernels hold: lean for first tries and tests, server for machines
    #[arg(long, value_enum, default_value = "server")]
    pub profile: ProfileName,
    /// Use the locks as they are or fail
    #[arg(long)]
    pub locked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    Lean,
    Server,
}

/// Which engine runs the builds.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// What runs the builds: auto takes Docker or Podman if one answers, else the embedded sandbox
    #[arg(long, value_enum, default_value = "auto")]
    pub engine: Choice,
    /// Address of the Docker or Podman API, as unix:///path or tcp://host:port
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    Auto,
    Docker,
    Podman,
    Embedded,
}

#[derive(Debug, Args)]
pub struct Build {
    /// kernel, kernel-host, kernel-guest, qemu, ovmf [default: all that the release declares]
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Use no network: every input must be in the store
    #[arg(long)]
    pub offline: bool,
    /// Processors for each build; changes no byte of a product [default: all]
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Where the products go
    #[arg(long, default_value = "out", value_name = "DIR")]
    pub out: PathBuf,
    /// Pack all components as the bundle snp-release-DATE, in DIR/RELEASE-PROFILE
    #[arg(long)]
    pub package: bool,
    /// Copy the products' usr/local tree to PATH
    #[arg(long, value_name = "PATH")]
    pub install: Option<PathBuf>,
    /// Keep the containers, and say how to enter them
    #[arg(long)]
    pub keep: bool,
    /// Print the products as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// kernel, kernel-host, kernel-guest, qemu, ovmf [default: all that the release declares]
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
    #[command(flatten)]
    pub which: Which,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Lock {
    /// The release: NAME of releases/NAME.toml; its image is locked with it
    #[arg(long, default_value = DEFAULT_RELEASE, value_name = "NAME")]
    pub release: String,
    /// Lock this image only: NAME of images/NAME.toml
    #[arg(long, value_name = "NAME", conflicts_with = "release")]
    pub image: Option<String>,
    /// Resolve anew although the lock fits: everything, or only the image or the sources of components
    #[arg(long, conflicts_with = "check", num_args = 0.., value_name = "WHAT",
          value_parser = ["image", "kernel", "kernel-host", "kernel-guest", "qemu", "ovmf"])]
    pub update: Option<Vec<String>>,
    /// Only say whether the locks fit their documents: nothing is fetched, and no digest is computed again
    #[arg(long)]
    pub check: bool,
    /// Write nothing, show what would change
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON, at the end: of each lock its state (fits, up-to-date, would-be-written, written) and what changes
    #[arg(long, conflicts_with = "check")]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Image {
    /// Make the image from its locked packages; needs no engine and no root
    Build {
        /// NAME of images/NAME.toml
        name: String,
        /// Use the lock as it is or fail
        #[arg(long)]
        locked: bool,
        /// Use no network: every package must be in the store
        #[arg(long)]
        offline: bool,
    },
    /// List the images of this project
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the image as one tar that is OCI image layout and docker archive at once
    Export {
        /// NAME of images/NAME.toml
        name: String,
        /// The file to write
        file: PathBuf,
        /// How the layer is compressed in it
        #[arg(long, value_enum, default_value = "none")]
        compress: Compress,
    },
    /// Load the image into Docker or Podman, for use without this tool
    Load {
        /// NAME of images/NAME.toml
        name: String,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    None,
    Gzip,
    Zstd,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file: assignments of repositories and branches
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write releases/NAME.toml there instead of printing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Sign {
    /// snp-release-<DATE>, its .SHA256SUMS file, or the folder that holds exactly one of them
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// An unencrypted Ed25519 private key, as `ssh-keygen -t ed25519` makes it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Print the signature's file and key as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// snp-release-<DATE>, its .SHA256SUMS file, or the folder that holds exactly one of them
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Whose signatures count: a file in OpenSSH's allowed_signers format, which must not come with the release
    #[arg(long, value_name = "FILE")]
    pub allowed_signers: Option<PathBuf>,
    /// Only signatures under this name of the allowed signers count
    #[arg(long, value_name = "NAME", requires = "allowed_signers")]
    pub identity: Option<String>,
    /// How many distinct keys must have signed [default: 1]
    #[arg(long, value_name = "K", requires = "allowed_signers")]
    pub threshold: Option<std::num::NonZeroUsize>,
    /// Check no signature: this finds damage and no forgery
    #[arg(long, conflicts_with = "allowed_signers")]
    pub sums_only: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// A bundle (its folder, its sums file, the folder that holds them), a lock file, or a release of this project
    #[arg(value_name = "A")]
    pub old: PathBuf,
    /// Likewise: the newer one
    #[arg(value_name = "B")]
    pub new: PathBuf,
    /// Ask the repositories which commits lie between
    #[arg(long)]
    pub commits: bool,
    /// Print the difference as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Notes {
    /// A bundle (its folder, its sums file, the folder that holds them), a lock file, or a release of this project
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// Likewise: the newer one
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Use no network: leave out which commits lie between
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Subcommand)]
pub enum Doctor {
    /// Which engines can be used here, which one `auto` takes, and why not the others
    Engine {
        #[command(flatten)]
        engine: EngineArgs,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}

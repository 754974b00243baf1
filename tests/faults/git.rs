//! Repositories that break: `outer` with the submodule `dep`, behind a server.

use crate::git_http::{GitServer, Spoil};
use crate::http::{Reply, Server};
use crate::lies::noise;
use crate::repository::Repository;
use crate::world::{DEAD, World};
use std::path::{Path, PathBuf};

/// What is wrong with the repositories, or on the way to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitFault {
    /// So many packs of `outer` end in their middle.
    PackCut(usize),
    /// Packs of `outer` have another byte.
    PackOther,
    /// All packs of `dep` end in their middle.
    SubmoduleCut,
    /// `dep` has `outer` in it.
    Circle,
    /// `dep` is not there.
    Dead,
    /// `dep` is not there, and the release file leaves it out.
    DeadUnneeded,
    /// The branch has another name.
    BranchGone,
    /// The branch was rewritten, and the locked commit thrown away.
    CommitGone,
    /// `outer` is not there.
    RepositoryGone,
    /// The way is a proxy that takes no connection.
    Proxy,
    /// A mirror is a bundle that ends in its middle.
    BundleMirror,
    /// The repository is a bundle that ends in its middle.
    Bundle,
    /// A mirror takes the connection and says nothing.
    MirrorSilent,
}

pub struct Git {
    pub server: GitServer,
    folder: PathBuf,
    silent: Server,
    outer: Repository,
}

impl Git {
    pub fn new(folder: &Path) -> Git {
        let dep = repository(&folder.join("dep"));
        let inner = dep.put("noise", &noise(300_000, 2)).commit();
        let outer = repository(&folder.join("outer"));
        outer.put("noise", &noise(300_000, 3)).commit();
        outer.link("lib", "../dep", &inner);
        let (server, silent) = (GitServer::start(folder), Server::start(|_, _| Reply::Silence));
        let git = Git { server, folder: folder.to_owned(), silent, outer };
        git.write_bundle();
        git
    }

    fn dep(&self) -> Repository {
        Repository(self.folder.join("dep"))
    }

    pub fn commit(&self) -> String {
        self.outer.git(&["rev-parse", "HEAD"])
    }

    fn bundle(&self) -> PathBuf {
        self.folder.join("outer.bundle")
    }

    fn write_bundle(&self) {
        self.outer.git(&["bundle", "create", "--quiet", self.bundle().to_str().unwrap(), "--all"]);
    }

    fn cut_bundle(&self) {
        let whole = std::fs::read(self.bundle()).unwrap();
        std::fs::write(self.bundle(), &whole[..whole.len() / 2]).unwrap();
    }

    fn away(&self, name: &str) {
        std::fs::rename(self.folder.join(name), self.folder.join(format!("{name}.away"))).unwrap();
    }

    fn back(&self, name: &str) {
        std::fs::rename(self.folder.join(format!("{name}.away")), self.folder.join(name)).unwrap();
    }

    /// The source of the release file.
    pub fn source(&self, fault: Option<GitFault>) -> String {
        let url = match fault {
            Some(GitFault::Bundle) => self.bundle().display().to_string(),
            _ => self.server.url("outer"),
        };
        let without = match fault {
            // A relative URL of a submodule starts at a server here.
            Some(GitFault::DeadUnneeded | GitFault::Bundle) => "\"lib\"",
            _ => "",
        };
        format!("git = {{ url = \"{url}\", rev = \"main\", version = \"1\", without-submodules = [{without}] }}")
    }

    /// Makes the fault.
    pub fn spoil(&self, fault: GitFault, world: &World) {
        let mirror = |to: String| world.set("SNPFORGE_MIRROR_GIT", format!("{}={to}", self.server.url("outer")));
        match fault {
            GitFault::PackCut(times) => self.server.spoil("outer", Spoil::Cut, times),
            GitFault::PackOther => self.server.spoil("outer", Spoil::Flip, 100),
            GitFault::SubmoduleCut => self.server.spoil("dep", Spoil::Cut, 100),
            GitFault::Circle => self.circle(),
            GitFault::Dead | GitFault::DeadUnneeded => self.away("dep"),
            GitFault::BranchGone => drop(self.outer.git(&["branch", "--quiet", "-m", "main", "newest"])),
            GitFault::CommitGone => {
                let commit = self.commit();
                self.outer.git(&["bundle", "create", "--quiet", &format!("{}/kept", self.folder.display()), "main"]);
                self.outer.git(&["commit", "--quiet", "--amend", "-m", "rewritten"]);
                self.outer.git(&["reflog", "expire", "--expire=now", "--all"]);
                self.outer.git(&["gc", "--quiet", "--prune=now"]);
                assert_ne!(commit, self.commit());
            }
            GitFault::RepositoryGone => self.away("outer"),
            GitFault::Proxy => {
                world.set("http_proxy", DEAD.to_owned());
                world.set("no_proxy", String::new());
            }
            GitFault::BundleMirror => {
                self.cut_bundle();
                mirror(self.bundle().display().to_string());
            }
            GitFault::Bundle => self.cut_bundle(),
            GitFault::MirrorSilent => mirror(self.silent.url("outer")),
        }
    }

    /// Takes the fault away.
    pub fn mend(&self, fault: GitFault, world: &World) {
        match fault {
            GitFault::PackCut(_) | GitFault::PackOther | GitFault::SubmoduleCut => self.server.heal(),
            GitFault::Circle => drop(self.outer.git(&["reset", "--quiet", "--hard", "well"])),
            GitFault::Dead | GitFault::DeadUnneeded => self.back("dep"),
            GitFault::BranchGone => drop(self.outer.git(&["branch", "--quiet", "-m", "newest", "main"])),
            GitFault::CommitGone => {
                let kept = format!("{}/kept", self.folder.display());
                self.outer.git(&["fetch", "--quiet", "--recurse-submodules=no", &kept, "main"]);
                self.outer.git(&["reset", "--quiet", "--soft", "FETCH_HEAD"]);
            }
            GitFault::RepositoryGone => self.back("outer"),
            GitFault::Proxy => world.unset("http_proxy"),
            GitFault::BundleMirror | GitFault::Bundle => self.write_bundle(),
            GitFault::MirrorSilent => world.unset("SNPFORGE_MIRROR_GIT"),
        }
    }

    /// Commits that have each other in them, deeper than anybody follows.
    fn circle(&self) {
        self.outer.git(&["tag", "well"]);
        let dep = self.dep();
        let mut inner = dep.git(&["rev-parse", "HEAD"]);
        for round in 0..6 {
            inner = if round == 0 {
                self.outer.link("other", "../dep", &inner)
            } else {
                moved(&self.outer, "other", &inner)
            };
            inner = if round == 0 { dep.link("other", "../outer", &inner) } else { moved(&dep, "other", &inner) };
        }
        moved(&self.outer, "lib", &inner);
    }
}

/// A commit with the submodule at another commit.
fn moved(repository: &Repository, path: &str, inner: &str) -> String {
    repository.git(&["update-index", "--cacheinfo", &format!("160000,{inner},{path}")]);
    repository.git(&["commit", "--quiet", "-m", "m"]);
    repository.git(&["rev-parse", "HEAD"])
}

fn repository(path: &Path) -> Repository {
    std::fs::create_dir_all(path).unwrap();
    let made = Repository(path.to_owned());
    made.git(&["init", "--quiet", "--initial-branch=main"]);
    made
}

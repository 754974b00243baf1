//! An engine that runs nothing: it writes down what it was asked and answers from a script. Tests of the line and
//! `--dry-run` use it. It keeps the order of verbs as strictly as a real engine does, and a run that the script does
//! not foresee is an error, never a success out of nowhere.

use super::{ContainerId, Engine, Info, Member, Outcome, Spec, Take};
use crate::cancel::{self, Cancel};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::oci::Image;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard};

/// One verb as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `load` with the image's name and identity.
    Load {
        /// The image's name.
        reference: String,
        /// Its layer.
        diff_id: Digest,
    },
    /// `create`.
    Create {
        /// The container it made.
        id: ContainerId,
        /// What is to run.
        spec: Spec,
    },
    /// `upload`.
    Upload {
        /// The container.
        id: ContainerId,
        /// Digest of the tar.
        tar: Digest,
    },
    /// `run`.
    Run {
        /// The container.
        id: ContainerId,
    },
    /// `download`.
    Download {
        /// The container.
        id: ContainerId,
    },
    /// `remove`.
    Remove {
        /// The container.
        id: ContainerId,
    },
    /// `keep`.
    Keep {
        /// The container.
        id: ContainerId,
    },
    /// `reap`.
    Reap,
}

/// What a run that the script foresees does.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// Its output.
    pub log: Vec<u8>,
    /// How it ends.
    pub outcome: Outcome,
    /// What it leaves in /out.
    pub out: Left,
}

/// What a run leaves in /out: members with their content.
pub type Left = Vec<(Member, Vec<u8>)>;

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Created,
    Filled,
    Ended,
}

#[derive(Default)]
struct State {
    verbs: Vec<Verb>,
    loaded: BTreeMap<String, Vec<Digest>>,
    containers: BTreeMap<ContainerId, (Stage, Left)>,
    made: usize,
    runs: VecDeque<Scripted>,
}

/// The recording engine.
#[derive(Default)]
pub struct Recorder(Mutex<State>);

impl Recorder {
    /// A recorder whose runs go as `runs` say, in this order.
    pub fn new(runs: impl IntoIterator<Item = Scripted>) -> Self {
        Recorder(Mutex::new(State { runs: runs.into_iter().collect(), ..State::default() }))
    }

    /// All verbs so far.
    pub fn verbs(&self) -> Vec<Verb> {
        self.state().verbs.clone()
    }

    /// Containers that nobody removed.
    pub fn left(&self) -> Vec<ContainerId> {
        self.state().containers.keys().cloned().collect()
    }

    /// Puts an image of other layers under a name, as somebody else may do on a shared engine.
    pub fn retag(&self, reference: &str, layers: Vec<Digest>) {
        self.state().loaded.insert(reference.to_owned(), layers);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn misuse(id: &ContainerId, cause: &str) -> Error {
    Error::new(Kind::Engine, format!("container {}", id.0), cause)
}

impl State {
    /// The container, which must have reached one of `stages`.
    fn at(&mut self, id: &ContainerId, stages: &[Stage], verb: &str) -> Result<&mut (Stage, Left)> {
        let found = self.containers.get_mut(id).ok_or_else(|| misuse(id, "does not exist"))?;
        if !stages.contains(&found.0) {
            return Err(misuse(id, &format!("{verb} was asked when it was {:?}", found.0)));
        }
        Ok(found)
    }
}

impl Engine for Recorder {
    fn info(&self) -> Result<Info> {
        let [name, version, address] = ["recorder", "1", "this process"].map(str::to_owned);
        Ok(Info { name, version, address, rootless: true, limits: vec!["it runs nothing".to_owned()] })
    }

    fn load(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        cancel::check(cancel, "load")?;
        let mut state = self.state();
        state.verbs.push(Verb::Load { reference: image.reference.clone(), diff_id: image.diff_id });
        state.loaded.insert(image.reference.clone(), vec![image.diff_id]);
        Ok(())
    }

    fn layers(&self, image: &Image) -> Result<Vec<Digest>> {
        Ok(self.state().loaded.get(&image.reference).cloned().unwrap_or_default())
    }

    fn create(&self, image: &Image, spec: &Spec) -> Result<ContainerId> {
        let layers = self.layers(image)?;
        if layers != [image.diff_id] {
            let object = format!("image {}", image.reference);
            return Err(Error::new(Kind::Trust, object, format!("has the layers {layers:?}, not {:?}", image.diff_id)));
        }
        let mut state = self.state();
        state.made += 1;
        let id = ContainerId(format!("recorded-{}", state.made));
        state.containers.insert(id.clone(), (Stage::Created, Vec::new()));
        state.verbs.push(Verb::Create { id: id.clone(), spec: spec.clone() });
        Ok(id)
    }

    fn upload(&self, id: &ContainerId, tar: &mut (dyn Read + Send), cancel: &Cancel) -> Result<()> {
        cancel::check(cancel, "upload")?;
        let read = Digest::of_reader(tar);
        let (tar, _) = read.map_err(|error| Error::new(Kind::Io, "sources for the build", error))?;
        let mut state = self.state();
        state.at(id, &[Stage::Created, Stage::Filled], "upload")?.0 = Stage::Filled;
        state.verbs.push(Verb::Upload { id: id.clone(), tar });
        Ok(())
    }

    fn run(&self, id: &ContainerId, log: &mut (dyn Write + Send), cancel: &Cancel) -> Result<Outcome> {
        cancel::check(cancel, "run")?;
        let mut state = self.state();
        state.at(id, &[Stage::Created, Stage::Filled], "run")?;
        state.verbs.push(Verb::Run { id: id.clone() });
        let Some(run) = state.runs.pop_front() else {
            return Err(misuse(id, "the script foresees no further run"));
        };
        *state.at(id, &[Stage::Created, Stage::Filled], "run")? = (Stage::Ended, run.out);
        drop(state);
        log.write_all(&run.log).map_err(|error| Error::new(Kind::Io, "log of the build", error))?;
        Ok(run.outcome)
    }

    fn download(&self, id: &ContainerId, take: &mut Take<'_>, cancel: &Cancel) -> Result<()> {
        cancel::check(cancel, "download")?;
        let mut state = self.state();
        state.verbs.push(Verb::Download { id: id.clone() });
        let out = state.at(id, &[Stage::Ended], "download")?.1.clone();
        drop(state);
        out.iter().try_for_each(|(member, content)| take(member, &mut content.as_slice()))
    }

    fn remove(&self, id: &ContainerId) -> Result<()> {
        let mut state = self.state();
        state.containers.remove(id);
        state.verbs.push(Verb::Remove { id: id.clone() });
        Ok(())
    }

    fn keep(&self, id: &ContainerId) -> Result<()> {
        self.state().verbs.push(Verb::Keep { id: id.clone() });
        Ok(())
    }

    fn reap(&self) -> Result<usize> {
        self.state().verbs.push(Verb::Reap);
        Ok(0)
    }

    fn enter(&self, id: &ContainerId) -> String {
        format!("true # {} runs nothing", id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemberKind;
    use std::path::PathBuf;

    fn image() -> Image {
        Image {
            reference: "localhost/x:1".into(),
            diff_id: Digest::of(b"layer"),
            layer: PathBuf::from("/nowhere"),
            layer_size: 5,
            config: Vec::new(),
            manifest: Vec::new(),
        }
    }

    fn spec() -> Spec {
        let (name, workdir) = ("x".into(), "/build".into());
        Spec { name, command: vec!["/bin/true".into()], environment: BTreeMap::new(), workdir, memory: None }
    }

    fn scripted() -> Scripted {
        let member = Member { path: "a".into(), kind: MemberKind::File, mode: 0o644, size: 3 };
        let outcome = Outcome { code: 3, out_of_memory: None };
        Scripted { log: b"line\n".to_vec(), outcome, out: vec![(member, b"abc".to_vec())] }
    }

    #[test]
    fn a_whole_life_is_written_down() {
        let (recorder, cancel, mut log) = (Recorder::new([scripted()]), Cancel::new(), Vec::new());
        recorder.load(&image(), &cancel).unwrap();
        let id = recorder.create(&image(), &spec()).unwrap();
        recorder.upload(&id, &mut &b"tar"[..], &cancel).unwrap();
        assert_eq!(recorder.run(&id, &mut log, &cancel).unwrap(), scripted().outcome);
        let mut found = Vec::new();
        let mut take = |member: &Member, content: &mut dyn Read| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            found.push((member.clone(), bytes));
            Ok(())
        };
        recorder.download(&id, &mut take, &cancel).unwrap();
        assert_eq!((found, log), (scripted().out, b"line\n".to_vec()));
        assert_eq!(recorder.left(), std::slice::from_ref(&id));
        recorder.remove(&id).unwrap();
        assert!(recorder.left().is_empty());
        let verbs = recorder.verbs();
        assert_eq!(verbs.len(), 6);
        assert_eq!(verbs[2], Verb::Upload { id, tar: Digest::of(b"tar") });
    }

    #[test]
    fn wrong_order_and_the_unforeseen_are_errors() {
        let (recorder, cancel) = (Recorder::default(), Cancel::new());
        assert_eq!(recorder.create(&image(), &spec()).unwrap_err().kind(), Kind::Trust, "nothing is loaded");
        recorder.load(&image(), &cancel).unwrap();
        let id = recorder.create(&image(), &spec()).unwrap();
        assert!(recorder.download(&id, &mut |_, _| Ok(()), &cancel).is_err(), "nothing ran");
        let error = recorder.run(&id, &mut Vec::new(), &cancel).unwrap_err();
        assert!(error.to_string().contains("no further run"), "{error}");
        recorder.remove(&id).unwrap();
        assert!(recorder.upload(&id, &mut &b""[..], &cancel).is_err(), "it is gone");
        recorder.retag("localhost/x:1", vec![Digest::of(b"other")]);
        assert_eq!(recorder.create(&image(), &spec()).unwrap_err().kind(), Kind::Trust);
        cancel.cancel();
        assert_eq!(recorder.load(&image(), &cancel).unwrap_err().kind(), Kind::Interrupted);
    }
}

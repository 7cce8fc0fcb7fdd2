// SPDX-License-Identifier: GPL-2.0

//! What people call a container, by the files that runtimes leave. No daemon is asked, and nothing is written.
//!
//! The files may be large, or no files at all, and whoever has root in a container may have made some of them: each is
//! read up to a limit, and what is not as expected is passed over.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{of_cgroup, Containers, Fit, Identity, Runtime};

/// The most that is read of a file.
const LIMIT: u64 = 8 << 20;

/// The most cgroups that are looked at for a name. With more of them a picture of all processes takes no longer.
const CGROUPS: usize = 4096;

/// The names of one machine's containers, below a directory that is its root.
#[derive(Debug, Default)]
pub struct Names {
    root: Option<PathBuf>,
    pods: OnceCell<HashMap<String, (String, String)>>,
    podman: OnceCell<HashMap<String, String>>,
    states: OnceCell<Vec<State>>,
    /// What was found for those that were asked for.
    known: RefCell<HashMap<(Runtime, String), Known>>,
}

/// What is known of a container besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: Option<String>,
    /// The pod that it is in: `namespace/name`.
    pub pod: Option<String>,
    /// It is the pause container of a pod.
    pub is_sandbox: bool,
}

/// A container by the file that crun or runc keeps while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Who manages it.
    pub runtime: Runtime,
    /// Its id.
    pub id: String,
    /// Its first process, by its number on the host.
    pub pid: u32,
}

impl Names {
    /// Looks for no files: the text is of another machine.
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks below that directory: `/`, or where the disk of the machine is mounted that a text is of.
    pub fn below(root: &Path) -> Self {
        Self {
            root: Some(root.to_path_buf()),
            ..Self::default()
        }
    }

    fn path(&self, path: &str) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join(path.trim_start_matches('/')))
    }

    fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_slice(&read(&self.path(path)?)?).ok()
    }

    /// The same anew, for what has come since. What is known of these containers is not looked for again.
    pub fn renewed(&self, containers: &Containers) -> Self {
        let mut known = self.known.borrow_mut();
        let kept = containers.list.iter().filter_map(|one| {
            let key = (one.runtime, one.id.clone());
            let has_name = known.get(&key)?.name.is_some();
            has_name.then(|| known.remove_entry(&key))?
        });
        Self {
            root: self.root.clone(),
            known: RefCell::new(kept.collect()),
            ..Self::default()
        }
    }

    /// What is known of a container.
    pub fn of(&self, runtime: Runtime, id: &str) -> Known {
        let key = (runtime, id.to_string());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let known = self.look_for(runtime, id);
        self.known.borrow_mut().insert(key, known.clone());
        known
    }

    fn look_for(&self, runtime: Runtime, id: &str) -> Known {
        let mut known = Known::default();
        if self.root.is_none() || id.contains('/') {
            return known;
        }
        match runtime {
            Runtime::Docker => {
                known.name = self
                    .json(&format!("var/lib/docker/containers/{id}/config.v2.json"))
                    .and_then(|config| string(&config, "/Name"))
                    .map(|name| name.trim_start_matches('/').to_string());
            }
            Runtime::Podman => known.name = self.podman().get(id).cloned(),
            Runtime::Containerd | Runtime::Crio | Runtime::Kubernetes => {
                if let Some((pod, name)) = self.pods().get(id) {
                    known.pod = Some(pod.clone());
                    known.name = Some(name.clone());
                }
                self.annotations(id, &mut known);
            }
            _ => {}
        }
        known
    }

    /// What the bundle of a container says of itself.
    fn annotations(&self, id: &str, known: &mut Known) {
        let mut bundles = vec![format!(
            "run/containers/storage/overlay-containers/{id}/userdata/config.json"
        )];
        for namespace in self.list("run/containerd/io.containerd.runtime.v2.task") {
            bundles.push(format!(
                "run/containerd/io.containerd.runtime.v2.task/{namespace}/{id}/config.json"
            ));
        }
        let Some(config) = bundles.iter().find_map(|path| self.json(path)) else {
            return;
        };
        let Some(Value::Object(annotations)) = config.get("annotations") else {
            return;
        };
        let get = |key: &str| {
            annotations
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_string)
        };
        let space = get("io.kubernetes.cri.sandbox-namespace")
            .or_else(|| get("io.kubernetes.pod.namespace"));
        let pod = get("io.kubernetes.cri.sandbox-name").or_else(|| get("io.kubernetes.pod.name"));
        if let (Some(space), Some(pod)) = (space, pod) {
            known.pod = Some(format!("{space}/{pod}"));
        }
        known.is_sandbox = get("io.kubernetes.cri.container-type")
            .or_else(|| get("io.kubernetes.cri-o.ContainerType"))
            .as_deref()
            == Some("sandbox");
        let name =
            get("io.kubernetes.cri.container-name").or_else(|| get("io.kubernetes.container.name"));
        if let Some(name) = name {
            known.name = Some(name);
        } else if known.is_sandbox {
            known.name = Some("pause".to_string());
        }
    }

    /// By the links that kubelet makes: `<pod>_<namespace>_<container>-<id>.log`.
    fn pods(&self) -> &HashMap<String, (String, String)> {
        self.pods.get_or_init(|| {
            self.list("var/log/containers")
                .into_iter()
                .filter_map(|file| {
                    let (pod, rest) = file.strip_suffix(".log")?.split_once('_')?;
                    let (space, rest) = rest.split_once('_')?;
                    let (name, id) = rest.rsplit_once('-')?;
                    Some((id.to_string(), (format!("{space}/{pod}"), name.to_string())))
                })
                .collect()
        })
    }

    /// By podman's own lists: root's, and those of users.
    fn podman(&self) -> &HashMap<String, String> {
        self.podman.get_or_init(|| {
            let mut files =
                vec!["var/lib/containers/storage/overlay-containers/containers.json".to_string()];
            for home in std::iter::once("root".to_string()).chain(
                self.list("home")
                    .into_iter()
                    .map(|user| format!("home/{user}")),
            ) {
                files.push(format!(
                    "{home}/.local/share/containers/storage/overlay-containers/containers.json"
                ));
            }
            let mut names = HashMap::new();
            for file in files {
                let Some(Value::Array(list)) = self.json(&file) else {
                    continue;
                };
                for one in list {
                    let name = string(&one, "/names/0");
                    if let (Some(id), Some(name)) = (string(&one, "/id"), name) {
                        // Root comes first: nobody else gives a name to what is in its list.
                        names.entry(id).or_insert(name);
                    }
                }
            }
            names
        })
    }

    /// Containers that crun and runc run now.
    pub fn states(&self) -> &[State] {
        self.states.get_or_init(|| {
            let mut states = Vec::new();
            let mut places = vec![
                ("run/crun".to_string(), "status", "/pid", Runtime::Crun),
                (
                    "run/runc".to_string(),
                    "state.json",
                    "/init_process_pid",
                    Runtime::Runc,
                ),
                (
                    "run/docker/runtime-runc/moby".to_string(),
                    "state.json",
                    "/init_process_pid",
                    Runtime::Docker,
                ),
                // With crun in place of runc.
                (
                    "run/docker/runtime-runc/moby".to_string(),
                    "status",
                    "/pid",
                    Runtime::Docker,
                ),
            ];
            for space in self.list("run/containerd/runc") {
                let runtime = if space == "moby" {
                    Runtime::Docker
                } else {
                    Runtime::Containerd
                };
                places.push((
                    format!("run/containerd/runc/{space}"),
                    "state.json",
                    "/init_process_pid",
                    runtime,
                ));
            }
            for (place, file, pointer, runtime) in places {
                for id in self.list(&place) {
                    let Some(state) = self.json(&format!("{place}/{id}/{file}")) else {
                        continue;
                    };
                    let pid = state
                        .pointer(pointer)
                        .and_then(Value::as_u64)
                        .and_then(|pid| pid.try_into().ok());
                    if let Some(pid) = pid {
                        states.push(State { runtime, id, pid });
                    }
                }
            }
            states
        })
    }

    /// A cgroup that containerd's `ctr` has made: `/<its namespace>/<id>`.
    pub fn by_cgroup(&self, path: &str) -> Option<Identity> {
        let mut parts = path.trim_start_matches('/').split('/');
        let (space, id) = (parts.next()?, parts.next()?);
        if space.is_empty() || id.is_empty() || space == ".." || id == ".." {
            return None;
        }
        let bundle = self.path(&format!(
            "run/containerd/io.containerd.runtime.v2.task/{space}/{id}"
        ))?;
        bundle.is_dir().then(|| Identity {
            runtime: Runtime::Containerd,
            id: id.to_string(),
            pod_uid: None,
        })
    }

    /// The first process of the one container that a name means, if files and cgroups alone tell which one that is. If
    /// they do not, or tell of several, only a picture of all processes can say.
    pub fn first_process(&self, name: &str) -> Option<&State> {
        let mut ids = HashSet::new();
        let mut found: Option<(Fit, &str)> = None;
        let cgroups = self.containers_by_cgroup()?;
        for identity in &cgroups {
            ids.insert(identity.id.as_str());
            let known = self.of(identity.runtime, &identity.id);
            // What a pod is called means all in it, and a unit only what has a namespace of its own.
            let pod = known.pod.as_deref().or(identity.pod_uid.as_deref());
            let is_one = identity.runtime.is_container() && pod != Some(name);
            match (identity.fit(&known, name), found) {
                (None, _) => {}
                (Some(_), _) if !is_one => return None,
                (Some(fit), Some((other, _))) if fit == other => return None,
                (Some(fit), Some((other, _))) if fit > other => {}
                (Some(fit), _) => found = Some((fit, &identity.id)),
            }
        }
        // A container whose cgroup says nothing is called by its id.
        if self
            .states()
            .iter()
            .any(|state| state.id == name && !ids.contains(name))
        {
            match found {
                Some((Fit::Own, _)) => return None,
                _ => found = Some((Fit::Own, name)),
            }
        }
        let (_, id) = found?;
        let mut states = self.states().iter().filter(|state| state.id == id);
        match (states.next(), states.next()) {
            (Some(state), None) => Some(state),
            _ => None,
        }
    }

    /// What the cgroups that are there now say, each once. `None` if there are too many, or it is not cgroup2 that is mounted.
    fn containers_by_cgroup(&self) -> Option<HashSet<Identity>> {
        let top = self.path("sys/fs/cgroup")?;
        if !top.join("cgroup.controllers").exists() {
            // Where nothing is mounted, nobody has made cgroups. Otherwise it is the older cgroup.
            let is_empty = fs::read_dir(&top).map_or(true, |mut list| list.next().is_none());
            return is_empty.then(HashSet::new);
        }
        let mut found = HashSet::new();
        let mut open = vec![top.clone()];
        let mut seen = 0;
        while let Some(directory) = open.pop() {
            seen += 1;
            if seen + open.len() > CGROUPS {
                return None;
            }
            // Whoever makes one may choose any bytes.
            let below = directory.strip_prefix(&top).unwrap_or(&directory);
            let path = format!("/{}", below.to_string_lossy());
            found.extend(of_cgroup(&path).or_else(|| self.by_cgroup(&path)));
            // A cgroup has two links, and one for each cgroup in it.
            if fs::metadata(&directory).is_ok_and(|about| about.nlink() == 2) {
                continue;
            }
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(entry.path());
                }
            }
        }
        Some(found)
    }

    /// The names of what is in a directory, in order.
    fn list(&self, path: &str) -> Vec<String> {
        let Some(path) = self.path(path) else {
            return Vec::new();
        };
        let mut names: Vec<String> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .take(100_000)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

fn string(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_string)
}

/// Reads a regular file, up to the limit. Does not wait at a pipe that somebody has put in its place.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > LIMIT {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

// SPDX-License-Identifier: GPL-2.0

//! What people call a container, by the files that runtimes leave. No daemon is asked, and nothing is written.
//!
//! The files may be large, or no files at all, and whoever has root in a container may have made some of them: each is
//! read up to a limit, and what is not as expected is passed over.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Identity, Runtime};

/// The most that is read of a file.
const LIMIT: u64 = 8 << 20;

/// The names of one machine's containers, below a directory that is its root.
#[derive(Debug, Default)]
pub struct Names {
    root: Option<PathBuf>,
    pods: OnceCell<HashMap<String, (String, String)>>,
    podman: OnceCell<HashMap<String, String>>,
    states: OnceCell<Vec<State>>,
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

    /// What is known of a container.
    pub fn of(&self, runtime: Runtime, id: &str) -> Known {
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

    /// Finds the containers that run under a name, or an id where nothing gives a name, from files alone. Whatever this
    /// does not find, a picture of all processes may.
    pub fn first_process(&self, name: &str) -> Vec<State> {
        self.states()
            .iter()
            .filter(|state| {
                let known = self.of(state.runtime, &state.id);
                known.name.as_deref().unwrap_or(&state.id) == name
            })
            .cloned()
            .collect()
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

//! The devices of the node's GPUs.

use std::io;

use proto::conf;
use proto::hostlist;

use crate::host::Host;
use crate::host::tree::Tree;

/// The largest number of devices on one line of gres.conf that are looked at.
const MOST: u64 = 64;

/// The devices that gres.conf names for this node; if it names none, as with AutoDetect, those that are there.
pub(super) fn gpus(host: &Host) -> Vec<String> {
    let mut gpus = Vec::new();
    if let (Ok(slurm), Some(Ok(node))) = (host.slurm_conf(), host.node()) {
        let file = slurm.path.with_file_name("gres.conf");
        let bytes = host.tree.read(&file).unwrap_or_default();
        let node = node.names.first().map_or("", String::as_str);
        gpus = named(&bytes, node);
    }
    if gpus.is_empty() {
        gpus = found(&host.tree);
    }
    gpus.retain(|it| host.tree.exists(it));
    gpus
}

/// The files of GPUs in a gres.conf, gres.conf(5).
fn named(bytes: &[u8], node: &str) -> Vec<String> {
    let mut no_include = |_: &str, _: &str| Err(io::ErrorKind::NotFound.into());
    let (settings, _) = conf::settings("gres.conf", bytes, &mut no_include);
    let is_here = |list: &str| matches!(hostlist::position(list, node), Ok(Some(_)));
    let mut files = Vec::new();
    for line in settings {
        let is_gpu = line
            .value("Name")
            .is_some_and(|it| it.eq_ignore_ascii_case("gpu"));
        let list = line.value("File").or_else(|| line.value("MultipleFiles"));
        let Some(list) = list.filter(|_| is_gpu && line.value("NodeName").is_none_or(is_here))
        else {
            continue;
        };
        let count = hostlist::count(list).unwrap_or(0).min(MOST);
        for index in 0..count {
            if let Ok(Some(file)) = hostlist::nth_or_last(list, index) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
    }
    files
}

/// NVIDIA's devices, else the render nodes where AMD's driver is.
fn found(tree: &Tree) -> Vec<String> {
    let numbered = |dir: &str, start: &str| {
        let mut names = tree.names(dir).unwrap_or_default();
        names.retain(|it| is_numbered(it, start));
        let paths = names.iter().map(|it| format!("{dir}/{it}"));
        paths.collect::<Vec<_>>()
    };
    let nvidia = numbered("/dev", "nvidia");
    match tree.exists("/dev/kfd") && nvidia.is_empty() {
        true => numbered("/dev/dri", "renderD"),
        false => nvidia,
    }
}

fn is_numbered(name: &str, start: &str) -> bool {
    let number = name.strip_prefix(start).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gres_conf_names() {
        let text = "Name=gpu Type=a100 File=/dev/nvidia[0-2]\n\
                    NodeName=n[1-4] Name=gpu File=/dev/nvidia7\n\
                    NodeName=m1 Name=gpu File=/dev/nvidia8\n\
                    Name=nic File=/dev/infiniband/uverbs0\n\
                    name=GPU file=/dev/nvidia2\nName=gpu Count=2\nAutoDetect=off\n";
        assert_eq!(
            named(text.as_bytes(), "n3"),
            [
                "/dev/nvidia0",
                "/dev/nvidia1",
                "/dev/nvidia2",
                "/dev/nvidia7"
            ]
        );
        assert!(named(b"AutoDetect=nvml\n", "n3").is_empty());
    }

    #[test]
    fn devices_by_their_names() {
        for (name, is_one) in [
            ("nvidia0", true),
            ("nvidia12", true),
            ("nvidiactl", false),
            ("nvidia-uvm", false),
            ("nvidia", false),
        ] {
            assert_eq!(is_numbered(name, "nvidia"), is_one, "{name}");
        }
    }
}

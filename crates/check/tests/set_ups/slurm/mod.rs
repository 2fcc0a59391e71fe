//! slurm.conf and cgroup.conf.

mod cgroup;
mod contain;
mod file;
mod good;
mod scripts;
mod trust;
mod vendors;

use crate::tree::Tree;

const CONF: &str = "/etc/slurm/slurm.conf";
const FLAGS: &str = "PrologFlags=contain,DeferBatch";

/// The base with other PrologFlags.
fn flags(line: &str) -> Tree {
    conf(FLAGS, line)
}

/// The base with a text of slurm.conf replaced.
fn conf(old: &str, new: &str) -> Tree {
    let tree = Tree::debian();
    tree.replace(CONF, old, new);
    tree
}

/// The base with lines more in slurm.conf.
fn more(lines: &str) -> Tree {
    let tree = Tree::debian();
    tree.append(CONF, lines);
    tree
}

/// The base with a script that a line of slurm.conf names, mode 0755.
fn script(key: &str, text: &str) -> Tree {
    let path = "/etc/slurm/script.sh";
    let tree = more(&format!("{key}={path}\n"));
    tree.write(path, text);
    tree.chmod(path, 0o755);
    tree
}

/// The base with Slurm's library of a release, by the library's version.
fn release(tree: Tree, library: u32) -> Tree {
    tree.write(
        &format!("/usr/lib/x86_64-linux-gnu/libslurm.so.{library}.0.0"),
        "",
    );
    tree
}

/// Moves the base's slurm.conf and cgroup.conf.
fn moved(dir: &str) -> Tree {
    let tree = Tree::redhat();
    for file in ["slurm.conf", "cgroup.conf"] {
        let old = format!("/etc/slurm/{file}");
        let text = std::fs::read_to_string(tree.path(&old)).expect("the base's");
        tree.remove(&old);
        tree.write(&format!("{dir}/{file}"), &text);
    }
    tree
}

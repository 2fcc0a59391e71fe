//! Plans, and trees to which they were applied.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use check::Host;
use setup::change::{Change, Content};
use setup::plan::{Plan, Refusal, Wish, plan};
use sys::Deadline;

use crate::tree::Tree;

pub const SSHD: &str = "/etc/pam.d/sshd";

/// The lines that the bases have.
pub const ACCOUNT: &str = concat!(
    "account    required     pam_slurm_adopt.so ",
    "action_adopt_failure=deny action_generic_failure=deny\n"
);
pub const SESSION: &str = concat!(
    "session    required     pam_slurm_adopt.so ",
    "action_adopt_failure=deny action_generic_failure=deny\n"
);

/// The options of the bases' lines.
pub const DENY: &str = "action_adopt_failure=deny action_generic_failure=deny";
pub const OPTIONS: &str = "/etc/security/slurm_adopt.conf";

/// A base without the module's lines in sshd's file.
pub fn bare(tree: Tree) -> Tree {
    tree.replace(SSHD, ACCOUNT, "");
    tree.replace(SSHD, SESSION, "");
    tree
}

/// The plan for a tree.
pub fn planned(tree: &Tree, wish: &Wish) -> Result<Plan, Refusal> {
    let files = check::host::tree::Tree::at(&tree.path("/")).expect("a tree");
    let deadline = Deadline::after(Duration::from_secs(30));
    plan(&Host::new(files, deadline), wish)
}

/// Carries a plan out and makes sure that there is nothing left to do then.
pub fn set_up(tree: &Tree, wish: &Wish) -> Plan {
    let plan = planned(tree, wish).expect("a plan");
    for change in &plan.changes {
        apply(tree, change);
    }
    let again = planned(tree, wish).expect("a plan for a host that is set up");
    let left = again
        .changes
        .iter()
        .map(|it| format!("{}: {}", it.path.display(), it.why));
    assert_eq!(left.collect::<Vec<_>>(), [""; 0], "planned again");
    assert_eq!(again.commands, [], "planned again");
    plan
}

fn apply(tree: &Tree, change: &Change) {
    let path = tree.path(change.path.to_str().expect("text"));
    assert_eq!(
        found(&path).as_ref(),
        change.before.as_ref().map(bytes).as_ref()
    );
    assert_ne!(change.before, change.after);
    assert!(!change.why.is_empty());
    match &change.after {
        None => fs::remove_file(&path).expect("remove"),
        Some(Content::Link { target }) => symlink(target, &path).expect("link"),
        Some(Content::File { bytes, mode, .. }) => {
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            // A link at the path is replaced, not followed.
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("chmod");
        }
    }
}

fn found(path: &Path) -> Option<Vec<u8>> {
    match fs::read_link(path) {
        Ok(target) => Some(target.into_os_string().into_encoded_bytes()),
        Err(_) => fs::read(path).ok(),
    }
}

fn bytes(content: &Content) -> Vec<u8> {
    match content {
        Content::File { bytes, .. } => bytes.clone(),
        Content::Link { target } => target.clone().into_os_string().into_encoded_bytes(),
    }
}

/// The lines that a plan adds to a file (`+`) and takes out of it (`-`), in order.
pub fn difference(plan: &Plan, path: &str) -> Vec<String> {
    let change = plan.changes.iter().find(|it| it.path == Path::new(path));
    let Some(change) = change else {
        return Vec::new();
    };
    let text = |content: &Option<Content>| match content {
        Some(Content::File { bytes, .. }) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let (before, after) = (text(&change.before), text(&change.after));
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    rows(&old, &new)
}

/// The rows of a shortest difference.
fn rows(old: &[&str], new: &[&str]) -> Vec<String> {
    // The length of the longest common part from each pair of lines on.
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut rows) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j < new.len() && (i == old.len() || common[i][j + 1] >= common[i + 1][j]) {
            rows.push(format!("+{}", new[j]));
            j += 1;
        } else {
            rows.push(format!("-{}", old[i]));
            i += 1;
        }
    }
    rows
}

/// The titles of what a plan leaves to the admin.
pub fn advice(plan: &Plan) -> Vec<String> {
    plan.advice.iter().map(|it| it.title.clone()).collect()
}

//! Shell scripts of packages, which share what they ask of PAM's stacks.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Reads a script of `packaging`, with packaging/stacks.sh in its place.
///
/// # Errors
/// Those of reading; the script has no place for it.
pub fn read(workspace: &Workspace, name: &str) -> Result<String> {
    let read = |name: &str| {
        let path = workspace.path("packaging").join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let script = read(name)?;
    ensure!(script.contains(PLACE), "{name} has no line {PLACE}");
    Ok(script.replace(PLACE, &read("stacks.sh")?))
}

const PLACE: &str = "@STACKS@\n";

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// What `check_stacks` says of a tree whose pam.conf has this line, where SchedMD's module would come back.
    fn said(line: &str) -> (bool, String) {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("etc")).expect("make it");
        fs::write(dir.path().join("etc/pam.conf"), line).expect("write");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/stacks.sh");
        let module = "/usr/lib64/security/pam_slurm_adopt.so";
        let text = format!(
            ". {}; check_stacks \"$0\" {module} {module}",
            script.display()
        );
        let run = Command::new("sh")
            .arg("-euc")
            .arg(text)
            .arg(dir.path())
            .output();
        let run = run.expect("sh");
        let text = String::from_utf8_lossy(&run.stderr).into_owned();
        (run.status.success(), text)
    }

    #[test]
    fn a_line_of_pam_conf_begins_with_a_service() {
        for line in [
            "sshd account required pam_slurm_adopt.so\n",
            "  sshd\t-account required /usr/lib64/security/pam_slurm_adopt.so strict\n",
        ] {
            assert_eq!(said(line), (true, String::new()), "{line}");
        }
        for line in [
            "sshd session required pam_slurm_adopt.so\n",
            "account session required pam_slurm_adopt.so\n",
            "sshd account required /opt/pam_slurm_adopt.so\n",
        ] {
            let (is_free, text) = said(line);
            assert!(!is_free && text.contains("etc/pam.conf:1:"), "{line}{text}");
        }
    }
}

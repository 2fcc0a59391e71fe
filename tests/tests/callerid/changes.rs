//! What a test changes on a node for a while.

use anyhow::Result;

use crate::site::Site;

/// Does that while no slurmd runs on the node.
pub fn without_slurmd(
    site: &mut Site,
    number: usize,
    act: impl FnOnce(&mut Site) -> Result<()>,
) -> Result<()> {
    site.cluster.node(number).stop_slurmd()?;
    let done = act(site);
    site.cluster.node(number).start_slurmd()?;
    done
}

/// Does that while node2's slurm.conf, and no other, has that line too.
pub fn with_line<T>(
    site: &mut Site,
    line: &str,
    act: impl FnOnce(&mut Site) -> Result<T>,
) -> Result<T> {
    let conf = "/etc/slurm/slurm.conf";
    site.target()
        .sh(&format!("cp {conf} /etc/slurm/kept; echo {line} >>{conf}"))?;
    let done = act(site);
    site.target().sh(&format!("mv /etc/slurm/kept {conf}"))?;
    done
}

//! slurm.conf and cgroup.conf.

use std::fs;

use setup::plan::{Part, Plan, Wish};

use crate::planned::{difference, planned, set_up};
use crate::tree::Tree;

const CONF: &str = "/etc/slurm/slurm.conf";
const CGROUP: &str = "/etc/slurm/cgroup.conf";
const FLAGS: &str = "PrologFlags=contain,DeferBatch\n";
const TASKS: &str = "TaskPlugin=task/affinity,task/cgroup\n";
const TRACKING: &str = "ProctrackType=proctrack/cgroup\n";

fn slurm(slurm_conf: bool) -> Wish {
    Wish {
        only: vec![Part::Slurm],
        slurm_conf,
        ..Wish::default()
    }
}

fn with(old: &str, new: &str) -> Tree {
    let tree = Tree::debian();
    tree.replace(CONF, old, new);
    tree
}

fn told(plan: &Plan) -> Vec<String> {
    plan.advice.iter().flat_map(|it| it.lines.clone()).collect()
}

/// Stands for the library of a release: 43 for 25.05.
fn release(tree: &Tree, number: u16) {
    let library = format!("/usr/lib/x86_64-linux-gnu/libslurm.so.{number}.0.0");
    tree.write(&library, "");
}

#[test]
fn the_lines_for_the_controller_are_told_and_nothing_changes() {
    let tree = with(FLAGS, "PrologFlags=Alloc,X,NoHold\n");
    tree.replace(CONF, "Alloc,X,NoHold", "Alloc,NoHold");
    tree.replace(CONF, TRACKING, "ProctrackType=proctrack/linuxproc\n");
    tree.replace(CONF, TASKS, "TaskPlugin=task/affinity\n");
    tree.remove(CGROUP);
    release(&tree, 43);
    let plan = set_up(&tree, &slurm(false));
    assert_eq!(plan.changes, []);
    assert_eq!(
        told(&plan),
        [
            "PrologFlags=Alloc,Contain,DeferBatch",
            "ProctrackType=proctrack/cgroup",
            "TaskPlugin=task/affinity,task/cgroup",
            "ConstrainCores=yes",
            "ConstrainDevices=yes",
            "ConstrainRAMSpace=yes",
            "ConstrainSwapSpace=yes",
            "scontrol reconfigure",
            "# Jobs that run by then have no extern step: nobody is adopted into them.",
            "# Drain the nodes first: running jobs are tracked by the old plugin.",
        ]
    );
}

#[test]
fn older_releases_restart_their_daemons() {
    let tree = with(TASKS, "");
    release(&tree, 38);
    let plan = planned(&tree, &slurm(false)).expect("a plan");
    assert!(
        told(&plan).contains(&"systemctl restart slurmctld".to_owned()),
        "{:?}",
        plan.advice
    );
}

#[test]
fn without_slurm_conf_its_lines_are_told() {
    let tree = Tree::debian();
    tree.remove(CONF);
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(plan.changes, []);
    assert!(told(&plan).contains(&"TaskPlugin=task/affinity,task/cgroup".to_owned()));
}

#[test]
fn the_files_are_changed_on_demand_and_every_other_byte_stays() {
    for (old, new, expected) in [
        (
            FLAGS,
            "PrologFlags = \"Alloc\" # why\n",
            "PrologFlags = Alloc,Contain # why\n",
        ),
        (FLAGS, "PrologFlags=X\\\n11\n", "PrologFlags=X\\\n11\n"),
        (
            FLAGS,
            "prologflags=Alloc,\\\nSerial # c\n",
            "prologflags=Alloc,Serial,Contain # c\n",
        ),
        (
            FLAGS,
            "PrologFlags=Alloc,NoHold\r\n",
            "PrologFlags=Alloc,Contain\r\n",
        ),
        (TASKS, "TaskPlugin=task/none\n", "TaskPlugin=task/cgroup\n"),
        (
            TASKS,
            "TaskPlugin=affinity,task/cgroups\n",
            "TaskPlugin=affinity,task/cgroup\n",
        ),
        (
            TRACKING,
            "ProctrackType=proctrack/pgid\n",
            "ProctrackType=proctrack/cgroup\n",
        ),
    ] {
        let tree = with(old, new);
        let before = fs::read_to_string(tree.path(CONF)).expect("the file");
        set_up(&tree, &slurm(true));
        let after = fs::read_to_string(tree.path(CONF)).expect("the file");
        assert_eq!(after, before.replace(new, expected));
    }
}

#[test]
fn a_key_that_nothing_sets_gets_a_line_at_the_end() {
    let tree = with(FLAGS, "");
    let text = fs::read_to_string(tree.path(CONF)).expect("the file");
    tree.write(CONF, text.trim_end());
    let plan = set_up(&tree, &slurm(true));
    let after = fs::read_to_string(tree.path(CONF)).expect("the file");
    assert_eq!(after, format!("{text}PrologFlags=Contain\n"));
    assert_eq!(plan.commands, [], "no scontrol in this tree");
}

#[test]
fn an_included_file_is_changed_where_the_line_is() {
    let tree = with(FLAGS, "Include prolog.conf\n");
    tree.write("/etc/slurm/prolog.conf", "# Ours.\nPrologFlags=Alloc\n");
    let plan = set_up(&tree, &slurm(true));
    let rows = difference(&plan, "/etc/slurm/prolog.conf");
    assert_eq!(rows, ["+PrologFlags=Alloc,Contain", "-PrologFlags=Alloc"]);
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn cgroup_conf_is_made_or_completed() {
    let tree = Tree::debian();
    tree.remove(CGROUP);
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(
        difference(&plan, CGROUP),
        [
            "+ConstrainCores=yes",
            "+ConstrainDevices=yes",
            "+ConstrainRAMSpace=yes",
            "+ConstrainSwapSpace=yes"
        ]
    );
    assert_eq!(tree.found(), [""; 0]);
    tree.write(CGROUP, "CgroupPlugin=autodetect\nConstrainRAMSpace=no\n");
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(
        difference(&plan, CGROUP),
        ["+ConstrainCores=yes", "+ConstrainSwapSpace=yes"]
    );
    tree.write(CGROUP, "ConstrainCores=yes\n");
    assert_eq!(
        set_up(&tree, &slurm(true)).changes,
        [],
        "left out on purpose"
    );
}

#[test]
fn slurms_own_parser_judges_the_change() {
    let tree = with(FLAGS, "PrologFlags=Alloc\n");
    tree.write("/usr/bin/scontrol", "");
    let plan = set_up(&tree, &slurm(true));
    let command = plan.commands.first().expect("a command");
    assert_eq!(command.program, "env");
    assert_eq!(
        command.arguments,
        [
            "SLURM_CONF=/etc/slurm/slurm.conf",
            "/usr/bin/scontrol",
            "show",
            "daemons"
        ]
    );
}

#[test]
fn what_slurm_refuses_is_told() {
    let tree = with(FLAGS, "PrologFlags=contains\n");
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(plan.changes, []);
    assert!(
        plan.advice[0].title.ends_with("(SA401)"),
        "{:?}",
        plan.advice
    );
    let tree = with(FLAGS, "PrologFlags=a b\n");
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(plan.changes, []);
    assert!(
        plan.advice[0].title.ends_with("Slurm does not start"),
        "{:?}",
        plan.advice
    );
}

#[test]
fn the_copy_of_a_configless_slurmd_is_not_changed() {
    let tree = with(FLAGS, "PrologFlags=Alloc\n");
    tree.rename(CONF, "/run/slurm/conf/slurm.conf");
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(plan.changes, []);
    assert!(told(&plan).contains(&"PrologFlags=Alloc,Contain".to_owned()));
}

#[test]
fn a_file_of_slurm_user_is_written_where_its_directory_is_roots_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = with(FLAGS, "PrologFlags=Alloc\n");
    // Stands for another owner, whom only root could give it.
    tree.chmod(CONF, 0o666);
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(
        difference(&plan, CONF),
        ["+PrologFlags=Alloc,Contain", "-PrologFlags=Alloc"]
    );
    let status = fs::metadata(tree.path(CONF)).expect("the file");
    assert_eq!(status.permissions().mode() & 0o7777, 0o666);
    let tree = with(FLAGS, "PrologFlags=Alloc\n");
    tree.chmod("/etc/slurm", 0o777);
    let plan = set_up(&tree, &slurm(true));
    assert_eq!(plan.changes, []);
    let title = &plan.advice[0].title;
    assert!(
        title.starts_with("slurm.conf is not changed here. /etc/slurm has owner"),
        "{title}"
    );
    assert!(
        told(&plan).contains(&"PrologFlags=Alloc,Contain".to_owned()),
        "{plan:?}"
    );
}

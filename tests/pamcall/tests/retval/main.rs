//! What the module answers to libpam, without Slurm: each test writes a PAM stack into a directory
//! of its own and calls it through libpam (pam_start_confdir(3)). No root needed.
//!
//! The stack's one line is `account [default=done] pam_slurm_adopt.so ...` (or `session`). With `required`,
//! `sufficient` and the like libpam turns the module's answer into the stack's: an only line that
//! answers PAM_IGNORE comes out as PAM_PERM_DENIED. `done` ends the stack with the module's own
//! code, whatever it is (Linux-PAM, pam_dispatch.c: `_PAM_ACTION_DONE`).
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

mod call;

use std::fs;

use call::Node;
use serde_json::json;

const SUCCESS: i64 = 0;
const PERM_DENIED: i64 = 6;
const SESSION_ERR: i64 = 14;
const IGNORE: i64 = 25;

const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const NO_USER: &str = "no-such-user-here";

#[test]
fn another_service_is_not_ours() {
    let node = Node::new();
    let call = node.call();
    let other = call.clone().service("login");
    assert_eq!(call.clone().code(), PERM_DENIED, "sshd is ours by default");
    assert_eq!(other.clone().code(), IGNORE);
    assert_eq!(other.clone().with("service=*").code(), PERM_DENIED);
    assert_eq!(other.clone().with("service=login").code(), PERM_DENIED);
    assert_eq!(other.with("service=LOGIN").code(), IGNORE, "case matters");
    assert_eq!(call.clone().with("service=login").code(), IGNORE);
    assert_eq!(call.with("service=ssh").code(), IGNORE, "no prefix");
}

#[test]
fn the_service_comes_before_the_user() {
    let call = Node::new().call().service("login").by(NO_USER);
    assert_eq!(call.code(), IGNORE);
}

#[test]
fn an_unknown_user_is_a_session_error_whatever_the_actions() {
    let call = Node::new().call().by(NO_USER);
    assert_eq!(call.clone().code(), SESSION_ERR);
    let call = call
        .with("action_no_jobs=ignore")
        .with("action_unknown=allow");
    for generic in ["deny", "allow", "ignore"] {
        let call = call
            .clone()
            .with(&format!("action_generic_failure={generic}"));
        assert_eq!(call.clone().code(), SESSION_ERR, "{generic}");
        assert_eq!(
            call.with("slurm_conf=/nonexistent").code(),
            SESSION_ERR,
            "{generic}"
        );
    }
}

#[test]
fn root_passes_before_anything_can_fail() {
    let call = Node::new().call().by("root");
    assert_eq!(call.clone().code(), IGNORE);
    let broken = call
        .with("action_generic_failure=deny")
        .with("slurm_conf=/nonexistent");
    assert_eq!(broken.clone().code(), IGNORE);
    assert_eq!(
        broken.with("ignore_root=0").code(),
        IGNORE,
        "as in SchedMD's module"
    );
}

#[test]
fn without_slurm_conf_it_is_a_generic_failure() {
    let call = Node::new()
        .call()
        .with("slurm_conf=/nonexistent/slurm.conf");
    assert_eq!(call.clone().code(), IGNORE, "the default");
    for (argument, code) in [
        ("action_generic_failure=deny", PERM_DENIED),
        ("action_generic_failure=allow", SUCCESS),
        ("action_generic_failure=ignore", IGNORE),
        // Names in any case, values by their beginning in any case, as SchedMD's module has it.
        ("ACTION_GENERIC_FAILURE=DENYxyz", PERM_DENIED),
        ("Action_Generic_Failure=Allowed", SUCCESS),
        // A wrong value changes nothing.
        ("action_generic_failure=den", IGNORE),
        ("action_generic_failure=", IGNORE),
        ("action_generic_failure", IGNORE),
        ("action_generic_failures=deny", IGNORE),
    ] {
        assert_eq!(call.clone().with(argument).code(), code, "{argument}");
    }
}

#[test]
fn the_last_good_setting_wins() {
    let call = Node::new()
        .call()
        .with("slurm_conf=/nonexistent/slurm.conf");
    for (values, code) in [
        (["deny", "allow"], SUCCESS),
        (["allow", "deny"], PERM_DENIED),
        (["deny", "nonsense"], PERM_DENIED),
        (["allow", ""], SUCCESS),
    ] {
        let [first, second] = values.map(|it| format!("action_generic_failure={it}"));
        assert_eq!(
            call.clone().with(&first).with(&second).code(),
            code,
            "{values:?}"
        );
    }
    // Where the file is comes from the last setting too.
    let node = Node::new();
    let there = format!("slurm_conf={}", node.conf().display());
    let call = node.call().with("slurm_conf=/nonexistent");
    assert_eq!(call.clone().code(), IGNORE);
    assert_eq!(call.with(&there).code(), PERM_DENIED);
}

#[test]
fn a_broken_slurm_conf_is_a_generic_failure() {
    for text in [
        "",
        "ClusterName",
        "ClusterName=t\nNonsense here\n",
        "ClusterName=t\nInclude x\n",
    ] {
        let node = Node::new();
        fs::write(node.conf(), text).expect("write slurm.conf");
        let call = node.call();
        assert_eq!(call.clone().code(), IGNORE, "{text:?}");
        assert_eq!(
            call.with("action_generic_failure=deny").code(),
            PERM_DENIED,
            "{text:?}"
        );
    }
    let node = Node::new();
    fs::remove_file(node.conf()).expect("remove slurm.conf");
    fs::create_dir(node.conf()).expect("make a directory of that name");
    assert_eq!(
        node.call().with("action_generic_failure=allow").code(),
        SUCCESS
    );
}

/// Names of files in the spool directory, of which none is a step's socket.
const JUNK: [&str; 4] = [
    "cred_state",
    "localhost_1.4294967292",
    "localhost_x",
    "slurmd.pid",
];

#[test]
fn nobody_has_a_job_where_nothing_runs() {
    let empty = Node::new();
    let gone = Node::new();
    fs::remove_dir(gone.spool()).expect("remove the spool directory");
    let file = Node::new();
    fs::remove_dir(file.spool()).expect("remove the spool directory");
    fs::write(file.spool(), "no directory").expect("write a file of that name");
    let junk = Node::new();
    for name in JUNK {
        fs::write(junk.spool().join(name), "junk").expect("write junk");
    }
    for (what, node) in [
        ("empty", &empty),
        ("gone", &gone),
        ("a file", &file),
        ("junk", &junk),
    ] {
        // No generic failure: that option has no say.
        let call = node.call().with("action_generic_failure=allow");
        let denial = json!([{ "style": "error", "text": NO_JOBS }]);
        for deny in [call.clone(), call.clone().with("action_no_jobs=deny")] {
            let answer = deny.run();
            assert_eq!(answer["code"], PERM_DENIED, "{what}");
            assert_eq!(answer["messages"], denial, "{what}");
        }
        let answer = call.with("action_no_jobs=ignore").run();
        assert_eq!(answer["code"], IGNORE, "{what}");
        assert_eq!(answer["messages"], json!([]), "{what}");
    }
    for name in JUNK {
        let text = fs::read(junk.spool().join(name)).expect("the junk is still there");
        assert_eq!(text, b"junk", "{name}");
    }
}

#[test]
fn an_application_without_conversation_gets_the_same_code() {
    let call = Node::new().call().without_conversation();
    assert_eq!(call.clone().code(), PERM_DENIED);
    assert_eq!(call.with("action_no_jobs=ignore").code(), IGNORE);
}

#[test]
fn unknown_and_strange_arguments_change_nothing() {
    let mut call = Node::new().call();
    for argument in [
        "no_such_option=1",
        "=",
        "==",
        "deny",
        "log_level=99",
        "timeout=never",
        "timeout=-1",
        "service=",
        "nodename=",
        "action_no_jobs=allow",
        "[two words]",
    ] {
        call = call.with(argument);
    }
    call = call.with(&"x".repeat(900));
    assert_eq!(call.code(), PERM_DENIED);
}

#[test]
fn a_panic_is_a_generic_failure_and_the_host_lives() {
    let call = Node::new().call().module("forced-panic/pam_slurm_adopt.so");
    assert_eq!(call.clone().code(), IGNORE, "the default");
    for (action, code) in [
        ("deny", PERM_DENIED),
        ("allow", SUCCESS),
        ("ignore", IGNORE),
    ] {
        let call = call
            .clone()
            .with(&format!("action_generic_failure={action}"));
        assert_eq!(call.clone().code(), code, "{action}");
        let root = call.clone().by("root");
        assert_eq!(root.code(), IGNORE, "root, {action}");
        let other = call.service("login");
        assert_eq!(other.code(), IGNORE, "another service, {action}");
    }
}

#[test]
fn the_environment_is_no_way_in() {
    // An attacker's variables, as in a service other than sshd.
    let node = Node::new();
    let mut call = node.call().with("service=*").service("su");
    for (name, value) in [
        ("SLURM_CONF", "/nonexistent/slurm.conf"),
        ("SLURMD_NODENAME", "other"),
        ("RUST_BACKTRACE", "1"),
    ] {
        call = call.variable(name, value);
    }
    assert_eq!(call.code(), PERM_DENIED, "slurm_conf= wins");
}

#[test]
fn a_service_may_be_one_of_several() {
    let call = Node::new().call().with("service=login,sshd");
    assert_eq!(call.clone().code(), PERM_DENIED);
    for (service, code) in [("login", PERM_DENIED), ("su", IGNORE), ("cron", IGNORE)] {
        let call = call.clone().service(service);
        assert_eq!(call.code(), code, "{service}");
    }
}

#[test]
fn a_session_is_nobodys_for_want_of_a_job() {
    let call = Node::new().call().session();
    let answer = call.clone().run();
    let both = (&json!(SUCCESS), &json!(SUCCESS));
    assert_eq!((&answer["code"], &answer["close_code"]), both);
    assert_eq!(answer["messages"], json!([]));
    assert_eq!(call.clone().with("action_no_jobs=deny").code(), SUCCESS);
    let root = call.clone().by("root").run();
    assert_eq!((&root["code"], &root["close_code"]), both);
    let other = call.clone().service("login");
    assert_eq!(other.code(), SUCCESS);
    let nobody = call.clone().by(NO_USER);
    assert_eq!(nobody.code(), SESSION_ERR);
    // Whatever this host's own stack for sshd is.
    let broken = call
        .with("service=*")
        .service("no-such-service")
        .with("slurm_conf=/nonexistent");
    for (action, code) in [
        ("deny", SESSION_ERR),
        ("allow", SUCCESS),
        ("ignore", SUCCESS),
    ] {
        let call = broken
            .clone()
            .with(&format!("action_generic_failure={action}"));
        assert_eq!(call.code(), code, "{action}");
    }
}

/// Users can write into the environment (pam_env): what it says of a job is nobody's word.
#[test]
fn a_job_in_the_environment_is_no_hint() {
    for job in ["7", "x", "-7", "99999999999"] {
        let call = Node::new().call().session().handed_over(job);
        assert_eq!(
            call.with("action_adopt_failure=deny").code(),
            SUCCESS,
            "{job}"
        );
    }
}

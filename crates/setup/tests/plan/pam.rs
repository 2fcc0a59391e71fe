//! Lines of the module that are there already.

use setup::plan::{Plan, Wish};

use crate::planned::{
    ACCOUNT, DENY, OPTIONS, SESSION, SSHD, advice, bare, difference, planned, set_up,
};
use crate::tree::Tree;

/// A base with these account lines and no session line.
pub fn with(make: fn() -> Tree, lines: &str) -> Tree {
    let tree = make();
    tree.replace(SSHD, ACCOUNT, &format!("{lines}\n"));
    tree.replace(SSHD, SESSION, "");
    tree
}

/// A base with account lines behind the included ones.
fn behind(make: fn() -> Tree, include: &str, lines: &str) -> Tree {
    let tree = bare(make());
    tree.replace(SSHD, include, &format!("{include}\n{lines}"));
    tree
}

const DEBIANS: &str = "@include common-account";
const REDHATS: &str = "account    include      password-auth";

#[test]
fn a_host_that_is_set_up_needs_nothing() {
    for tree in [Tree::debian(), Tree::redhat()] {
        let plan = set_up(&tree, &Wish::default());
        assert_eq!(plan, Plan::default());
    }
}

#[test]
fn a_bare_host_gets_both_lines_and_safe_options() {
    for make in [Tree::debian as fn() -> Tree, Tree::redhat] {
        let tree = bare(make());
        let plan = set_up(&tree, &Wish::default());
        assert_eq!(
            difference(&plan, OPTIONS)[1..],
            [
                "+# Deny a login that cannot be taken into its job.",
                "+action_adopt_failure = deny",
                "+# Deny logins while slurm.conf cannot be read.",
                "+action_generic_failure = deny",
                "+# Tell logins with a terminal their job and the time that is left.",
                "+banner = 1",
            ]
        );
        assert_eq!(tree.found(), [""; 0]);
        assert_eq!(plan.advice, []);
    }
}

#[test]
fn a_line_that_works_keeps_its_place_and_its_options() {
    for line in [
        format!("account required pam_slurm_adopt.so {DENY} log_level=debug"),
        format!("-account requisite pam_slurm_adopt.so {DENY}"),
        format!("account [success=ok ignore=ignore default=die] pam_slurm_adopt.so {DENY}"),
        format!("ACCOUNT Required \\\n  pam_slurm_adopt.so {DENY} [message_no_jobs=Get a job]"),
    ] {
        let tree = with(Tree::debian, &line);
        let plan = set_up(&tree, &Wish::default());
        let arguments = line.split_once(".so ").expect("arguments").1;
        assert_eq!(
            difference(&plan, SSHD),
            [
                "+# Last of the session lines: logins stay in their job.".to_owned(),
                format!("+session    required     pam_slurm_adopt.so {arguments}"),
            ]
        );
        assert_eq!(difference(&plan, OPTIONS), [""; 0]);
        assert_eq!(tree.found(), [""; 0]);
    }
}

#[test]
fn a_line_with_defaults_keeps_them() {
    let tree = with(Tree::debian, "account required pam_slurm_adopt.so");
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(difference(&plan, OPTIONS), [""; 0]);
    let root = tree.path("/");
    let again = format!("slurm-adopt setup --root {} --strict", root.display());
    assert_eq!(plan.advice[0].lines, [again]);
    let found = tree.found();
    assert!(found.iter().all(|it| it.starts_with("SA11")), "{found:?}");
    let wish = Wish {
        strict: true,
        ..Wish::default()
    };
    let plan = set_up(&tree, &wish);
    assert_eq!(plan.advice, []);
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_module_at_another_path_is_called_by_both_lines() {
    let line = format!("account required /opt/pam_slurm_adopt.so {DENY}");
    let tree = with(Tree::redhat, &line);
    tree.write_module("/opt/pam_slurm_adopt.so");
    let plan = set_up(&tree, &Wish::default());
    let session = format!("+session    required     /opt/pam_slurm_adopt.so {DENY}");
    assert_eq!(difference(&plan, SSHD)[1..], [session]);
}

#[test]
fn schedmds_module_gets_no_session_line() {
    let line = format!("account required /opt/pam_slurm_adopt.so {DENY}");
    let tree = with(Tree::debian, &line);
    tree.write_module("/opt/pam_slurm_adopt.so");
    let path = tree.path("/opt/pam_slurm_adopt.so");
    let bytes = std::fs::read(&path).expect("the file");
    // Its header alone, and what SchedMD's module has.
    tree.write_bytes(
        "/opt/pam_slurm_adopt.so",
        &[&bytes[..64], b"libslurm pam_sm_acct_mgmt"].concat(),
    );
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(difference(&plan, SSHD), [""; 0]);
    assert_eq!(
        advice(&plan),
        [
            "/opt/pam_slurm_adopt.so is not this project's and has no session phase: no session line is added"
        ]
    );
}

#[test]
fn a_line_that_others_lead_past_is_moved_before_them() {
    let line = format!("account required pam_slurm_adopt.so {DENY}");
    for (make, include) in [
        (Tree::debian as fn() -> Tree, DEBIANS),
        (Tree::redhat, REDHATS),
    ] {
        let tree = behind(make, include, &line);
        let plan = set_up(
            &tree,
            &Wish {
                session: Some(false),
                ..Wish::default()
            },
        );
        assert_eq!(
            difference(&plan, SSHD),
            [format!("+{line}"), format!("-{line}")]
        );
        let text = std::fs::read_to_string(tree.path(SSHD)).expect("the file");
        assert!(text.contains(&format!("{line}\n{include}\n")), "{text}");
        set_up(&tree, &Wish::default());
        assert_eq!(tree.found(), [""; 0]);
    }
}

#[test]
fn a_line_in_a_file_of_authselect_moves_to_sshds_own() {
    let tree = bare(Tree::redhat());
    let line = format!("account     required     pam_slurm_adopt.so {DENY}\n");
    tree.prepend(
        "/etc/pam.d/password-auth",
        &format!("# Generated by authselect\n{line}"),
    );
    tree.rename("/etc/pam.d/password-auth", "/etc/authselect/password-auth");
    tree.link("/etc/pam.d/password-auth", "/etc/authselect/password-auth");
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(
        difference(&plan, "/etc/authselect/password-auth"),
        [format!("-{}", line.trim_end())]
    );
    assert_eq!(difference(&plan, SSHD)[0], format!("+{}", line.trim_end()));
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_line_in_a_file_that_sshd_does_not_read_is_written_again_where_it_does() {
    let tree = bare(Tree::redhat());
    let line = format!("account required pam_slurm_adopt.so {DENY} log_level=debug\n");
    tree.append("/etc/pam.d/system-auth", &line);
    let plan = set_up(&tree, &Wish::default());
    let rows = difference(&plan, SSHD);
    assert_eq!(
        rows[1],
        format!("+account    required     pam_slurm_adopt.so {DENY} log_level=debug")
    );
    assert_eq!(
        rows[3],
        format!("+session    required     pam_slurm_adopt.so {DENY} log_level=debug")
    );
    assert_eq!(
        advice(&plan),
        ["/etc/pam.d/system-auth has a line that sshd does not read"]
    );
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_line_that_does_not_bind_becomes_required() {
    // The last one keeps root out, for whom the module answers PAM_IGNORE.
    for control in [
        "optional",
        "sufficient",
        "[default=ignore]",
        "requird",
        "[success=ok default=die]",
    ] {
        let tree = with(
            Tree::debian,
            &format!("account {control} pam_slurm_adopt.so {DENY}"),
        );
        let plan = set_up(&tree, &Wish::default());
        let rows = difference(&plan, SSHD);
        assert_eq!(
            rows[0],
            format!("+account required pam_slurm_adopt.so {DENY}"),
            "{control}"
        );
        assert_eq!(tree.found(), [""; 0], "{control}");
    }
}

#[test]
fn a_line_that_another_one_forgets_ends_the_stack() {
    for account in [
        format!("account required pam_slurm_adopt.so {DENY}"),
        format!("account optional pam_slurm_adopt.so {DENY}"),
        String::new(),
    ] {
        let lines = format!("{account}\naccount [success=reset default=ignore] pam_x.so");
        let tree = with(Tree::debian, &lines);
        tree.write_module("/usr/lib/x86_64-linux-gnu/security/pam_x.so");
        set_up(&tree, &Wish::default());
        let text = std::fs::read_to_string(tree.path(SSHD)).expect("the file");
        let line = text
            .lines()
            .find(|it| it.starts_with("account") && it.contains("adopt"));
        let line = line.expect("the line");
        assert!(line.contains("requisite"), "{line}");
        assert_eq!(tree.found(), [""; 0], "{line}");
    }
}

#[test]
fn a_sufficient_line_before_a_rule_for_administrators_stays() {
    let lines =
        format!("account sufficient pam_slurm_adopt.so {DENY}\naccount required pam_access.so");
    let tree = behind(Tree::debian, DEBIANS, &lines);
    tree.write_module("/usr/lib/x86_64-linux-gnu/security/pam_access.so");
    tree.write("/etc/security/access.conf", "+:(wheel):ALL\n-:ALL:ALL\n");
    let plan = set_up(&tree, &Wish::default());
    assert!(
        difference(&plan, SSHD)
            .iter()
            .all(|it| !it.contains("account"))
    );
}

#[test]
fn a_line_that_a_jump_skips_is_left_and_told() {
    let lines = format!(
        "account [success=1 default=ignore] pam_localuser.so\naccount required pam_slurm_adopt.so {DENY}"
    );
    let tree = with(Tree::redhat, &lines);
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(difference(&plan, SSHD).len(), 2);
    assert!(advice(&plan)[0].ends_with("(SA224)"), "{:?}", plan.advice);
}

#[test]
fn several_faults_of_a_line_are_corrected_at_once() {
    for line in [
        format!("account requird pam_slurm_adopt.so {DENY}"),
        format!("account optional pam_slurm_adopt.so service=ssh {DENY}"),
        format!("account sufficient pam_slurm_adopt.so service=ssh {DENY}"),
    ] {
        for (make, include) in [
            (Tree::debian as fn() -> Tree, DEBIANS),
            (Tree::redhat, REDHATS),
        ] {
            let tree = behind(make, include, &line);
            set_up(&tree, &Wish::default());
            assert_eq!(tree.found(), [""; 0], "{line}");
        }
    }
    let line = format!("session optional pam_slurm_adopt.so service=ssh {DENY}");
    let tree = bare(Tree::debian());
    tree.replace(
        SSHD,
        "@include common-session\n",
        &format!("{line}\n@include common-session\n"),
    );
    set_up(&tree, &Wish::default());
    assert_eq!(tree.found(), [""; 0]);
}

#[test]
fn a_line_that_goes_on_behind_a_comment_is_refused() {
    for gap in ["# a comment\n", "\n", "  \\\n"] {
        let tree = bare(Tree::debian());
        let line = format!("session required \\\n{gap}  pam_limits.so\n");
        tree.replace(
            SSHD,
            "@include common-session\n",
            &format!("@include common-session\n{line}"),
        );
        let why = planned(&tree, &Wish::default())
            .expect_err("it is refused")
            .to_string();
        assert!(
            why.contains("goes on behind a blank line or comment"),
            "{why}"
        );
    }
    let tree = bare(Tree::debian());
    tree.replace(
        "/etc/pam.d/su",
        "@include common-session\nsession required pam_slurm_adopt.so service=su,su-l\n",
        "session required \\\n# a comment\n pam_limits.so\n@include common-session\n",
    );
    let plan = set_up(&tree, &Wish::default());
    assert_eq!(difference(&plan, "/etc/pam.d/su"), [""; 0]);
    let told = advice(&plan).join("\n");
    assert!(told.contains("/etc/pam.d/su:"), "{told}");
}

#[test]
fn a_line_behind_an_admins_exemption_stays_there() {
    for exemption in [
        "account sufficient pam_listfile.so item=user sense=allow file=/etc/allowed onerr=fail",
        "account sufficient pam_access.so",
        "account sufficient pam_succeed_if.so user ingroup hpcadmin",
    ] {
        let tree = Tree::redhat();
        for name in ["access", "listfile", "succeed_if"] {
            tree.write_module(&format!("/usr/lib64/security/pam_{name}.so"));
        }
        tree.replace(SSHD, ACCOUNT, "");
        let include = "account    include      password-auth\n";
        tree.replace(SSHD, include, &format!("{include}{exemption}\n{ACCOUNT}"));
        let plan = set_up(&tree, &Wish::default());
        assert_eq!(difference(&plan, SSHD), [""; 0], "{exemption}");
        let told = advice(&plan).join("\n");
        assert!(
            told.contains("so the module's line stays behind it"),
            "{told}"
        );
    }
}

#[test]
fn an_exemption_that_a_new_line_comes_before_is_told() {
    let tree = bare(Tree::debian());
    tree.write_module("/usr/lib/x86_64-linux-gnu/security/pam_listfile.so");
    let include = "@include common-account\n";
    let line =
        "account sufficient pam_listfile.so item=user sense=allow file=/etc/allowed onerr=fail\n";
    tree.replace(SSHD, include, &format!("{line}{include}"));
    let plan = set_up(&tree, &Wish::default());
    let told = advice(&plan).join("\n");
    assert!(told.contains("/etc/pam.d/sshd:3 lets users in"), "{told}");
    assert_eq!(
        advice(&set_up(&bare(Tree::debian()), &Wish::default())),
        [""; 0]
    );
}

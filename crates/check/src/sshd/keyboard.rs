//! Keyboard-interactive logins, whose account phase runs in a helper process.

use std::sync::Arc;

use pamconf::Facility;

use crate::host::ModuleCall;
use crate::host::sshd::config::{Block, Setting};
use crate::host::sshd::daemon::Effective;
use crate::pam::session;
use crate::sshd::{Daemon, told};
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const WITHOUT_SESSION: Check = Check {
    id: "SA310",
    severity: Severity::Warning,
    title: "keyboard-interactive logins are not adopted without a session line",
    why: "With keyboard-interactive authentication (one-time passwords, Duo, and from OpenSSH's client any password \
          where sshd offers it) sshd runs the account phase in a helper process that ends before the session \
          begins: only a session line can adopt the login. Without one action_adopt_failure decides: deny keeps \
          users out who have a job, allow lets them in outside of it. SchedMD's module has no session phase; its \
          manual calls the method unsupported. See docs/session.md.",
    fix: "Add \"session required pam_slurm_adopt.so\" with the options of the account line at the end of the session \
          stack, or set KbdInteractiveAuthentication no.",
};

pub(super) const METHOD_OFF: Check = Check {
    id: "SA311",
    severity: Severity::Failure,
    title: "AuthenticationMethods asks for a method that is off",
    why: "sshd drops each list with a method that is off, and without a list left nobody gets in, root neither: sshd \
          does not start (\"AuthenticationMethods cannot be satisfied by enabled authentication methods\"), or, in a \
          Match block, closes those connections.",
    fix: "Turn the method on (KbdInteractiveAuthentication yes), or take it out of AuthenticationMethods.",
};

/// Modules of the auth stack that ask for more than a password, which only keyboard-interactive can carry.
const SECOND_FACTORS: [&str; 12] = [
    "pam_google_authenticator.so",
    "pam_duo.so",
    "pam_oath.so",
    "pam_radius_auth.so",
    "pam_radius.so",
    "pam_yubico.so",
    "pam_u2f.so",
    "pam_2fa.so",
    "pam_privacyidea.so",
    "pam_totp.so",
    "pam_securid.so",
    "pam_linotp.so",
];
/// Keywords that decide by which methods users get in.
const KEYWORDS: [&str; 7] = [
    "authenticationmethods",
    "kbdinteractiveauthentication",
    "challengeresponseauthentication",
    "passwordauthentication",
    "pubkeyauthentication",
    "hostbasedauthentication",
    "gssapiauthentication",
];

/// How keyboard-interactive gets users in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Never,
    Possible,
    TheWay,
}

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    let global = daemon.effective;
    methods_off(global, notes);
    let is_adopted = |facility| daemon.own_lines.iter().any(|it| it.facility == facility);
    let services = daemon.sshd.services();
    let has_gaps = is_adopted(Facility::Session)
        && services
            .iter()
            .any(|(name, _)| session::has_gaps(daemon.host, name));
    let is_harmless = is_adopted(Facility::Session) && !has_gaps || !is_adopted(Facility::Account);
    let has_factor = second_factor(daemon);
    let usual = usage(&global, has_factor.is_some());
    if !is_harmless && global.is_yes("usepam") && usual > Use::Never {
        let detail = match (usual, &has_factor) {
            (Use::Possible, _) => "users can log in by it beside other methods".to_owned(),
            (_, Some(module)) => format!("it is the way in: the auth stack asks {module}"),
            (_, None) => "it is the way in".to_owned(),
        };
        let finding = without_session(usual, detail, has_gaps);
        notes.find(finding.at(spot(&global, usual)));
    }
    for blocks in match_blocks(daemon) {
        let effective = global.within(blocks);
        methods_off(effective, notes);
        let here = usage(&effective, has_factor.is_some());
        let is_more = here > usual && !is_for_root(blocks);
        if !is_harmless
            && global.is_yes("usepam")
            && is_more
            && is_confirmed(daemon, &effective, notes)
        {
            let detail = "for connections that this Match block is for".to_owned();
            let finding = without_session(here, detail, has_gaps);
            notes.find(finding.at(spot(&effective, here)));
        }
    }
}

fn without_session(usage: Use, mut detail: String, has_gaps: bool) -> Finding {
    if has_gaps {
        detail += "; the module cannot rely on the session line, which another line leads past or whose failure does \
                   not count";
    }
    let finding = Finding::of(&WITHOUT_SESSION, detail).as_severe_as(match usage {
        Use::TheWay => Severity::Failure,
        _ => Severity::Warning,
    });
    match has_gaps {
        true => finding.fix(
            "Make the session line \"required\" and the last of the session stack, and change \"sufficient\" before it \
             to \"required\"; or set KbdInteractiveAuthentication no.",
        ),
        false => finding,
    }
}

fn usage(effective: &Effective, has_second_factor: bool) -> Use {
    let lists = effective.values("authenticationmethods");
    let is_any = lists.iter().all(|it| it.eq_ignore_ascii_case("any"));
    let lists_with = lists.iter().filter(|it| has_keyboard(it)).count();
    let is_only = !effective.is_yes("passwordauthentication")
        && (has_second_factor || !effective.is_yes("pubkeyauthentication"));
    if !effective.has_keyboard() || !is_any && lists_with == 0 {
        Use::Never
    } else if !is_any && lists_with == lists.len() || is_any && is_only {
        Use::TheWay
    } else {
        Use::Possible
    }
}

/// Whether a list such as `publickey,keyboard-interactive:pam` has the method.
fn has_keyboard(list: &str) -> bool {
    methods(list).any(|it| it == "keyboard-interactive")
}

fn methods(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|it| it.split(':').next().unwrap_or(it))
}

/// The line that makes keyboard-interactive a way in.
fn spot(effective: &Effective, usage: Use) -> Spot {
    let methods = effective.setting("authenticationmethods");
    let methods = methods.filter(|it| it.arguments.iter().any(|it| has_keyboard(it)));
    match (methods, effective.keyboard_setting()) {
        (Some(line), _) if usage == Use::TheWay => line.spot_of("keyboard-interactive"),
        (_, Some(line)) => line.spot(),
        (Some(line), None) => line.spot_of("keyboard-interactive"),
        (None, None) => effective.spot("kbdinteractiveauthentication"),
    }
}

/// Lists of AuthenticationMethods that all have a method that is off.
fn methods_off(effective: Effective, notes: &mut Notes) {
    let Some(line) = effective.setting("authenticationmethods") else {
        return;
    };
    // What a block does not set is found outside of it.
    let sets = |keyword| {
        effective
            .setting(keyword)
            .is_some_and(|it| it.blocks == effective.blocks)
    };
    if !KEYWORDS.into_iter().any(sets) && !effective.blocks.is_empty() {
        return;
    }
    let is_off = |method: &str| match method {
        "publickey" => !effective.is_yes("pubkeyauthentication"),
        "password" => !effective.is_yes("passwordauthentication"),
        "keyboard-interactive" => !effective.has_keyboard(),
        "hostbased" => !effective.is_yes("hostbasedauthentication"),
        "gssapi-with-mic" => !effective.is_yes("gssapiauthentication"),
        _ => false,
    };
    let lists = line.arguments.iter();
    let off: Vec<Option<&str>> = lists.map(|it| methods(it).find(|it| is_off(it))).collect();
    if let Some(Some(method)) = off.first().filter(|_| off.iter().all(Option::is_some)) {
        let detail = format!("{method} is off for these logins: nobody gets in");
        notes.find(Finding::of(&METHOD_OFF, detail).at(line.spot_of(method)));
    }
}

/// A module of the auth stack that asks for a second factor.
fn second_factor(daemon: &Daemon) -> Option<String> {
    for (name, _) in daemon.sshd.services() {
        let service = daemon.host.service(&name);
        let stack = service.stack(Facility::Auth).iter();
        let mut names = stack.filter_map(|it| Some(ModuleCall::of(&service, it)?.name()));
        let found = names.find(|it| SECOND_FACTORS.contains(&it.as_str()));
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The blocks in which methods are set, each once.
fn match_blocks<'a>(daemon: &Daemon<'a>) -> Vec<&'a [Arc<Block>]> {
    let settings = daemon.config.settings.iter();
    let settings = settings.filter(|it| KEYWORDS.contains(&it.keyword.as_str()));
    let mut found: Vec<&[Arc<Block>]> = Vec::new();
    for Setting { blocks, .. } in settings {
        if !blocks.is_empty() && !found.contains(&blocks.as_slice()) {
            found.push(blocks);
        }
    }
    found
}

/// Whether a block is for root alone, whom the module lets pass by.
fn is_for_root(blocks: &[Arc<Block>]) -> bool {
    let mut criteria = blocks.iter().flat_map(|it| &it.criteria);
    criteria.any(|(name, value)| name == "user" && value == "root")
}

/// Whether sshd itself, where it can be asked, says the same of the block.
fn is_confirmed(daemon: &Daemon, effective: &Effective, notes: &mut Notes) -> bool {
    let Some(told) = told::within(daemon.host, daemon.sshd, effective.blocks) else {
        return true;
    };
    let says = |keyword: &str| told.get(keyword).cloned().unwrap_or_default();
    let is_on = says("kbdinteractiveauthentication")
        .first()
        .is_some_and(|it| it == "yes");
    let is_same = says("authenticationmethods") == effective.values("authenticationmethods");
    if is_on != effective.has_keyboard() || !is_same {
        let line = effective.blocks.last().map_or(0, |it| it.place.line);
        let what = format!("the Match block of line {line} of {}", daemon.sshd.file);
        notes.unseen(
            what,
            "sshd -T -C says otherwise; an earlier block may count",
        );
        return false;
    }
    true
}

//! slurmds here and elsewhere: whether they answer the question that traces a login to the job it comes from.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use adopt::node::Node;
use adopt::survey::{SlurmdProblem, ask_slurmd};
use proto::Version;
use sys::Deadline;

use crate::host::Host;
use crate::running::nodes::{Peer, peers};
use crate::running::slurmd::{self, Slurmds};
use crate::running::{DAEMONS, name_of, shown};
use crate::{Check, Finding, Notes, Severity};

pub(super) const UNREACHABLE: Check = Check {
    id: "SA531",
    severity: Severity::Warning,
    title: "logins from other nodes cannot be traced to their job",
    why: "A user with several jobs here who comes from another node gets into the job that the login comes from: the module \
          asks the slurmd there (SlurmdPort, 6818). No slurmd that was asked answers. Such a login waits until \
          callerid_timeout and then goes where action_unknown says. Where others answer and one does not, or where \
          idle nodes are powered down (SuspendProgram), this is a note: that node may just be down.",
    fix: "Let compute nodes reach each other's SlurmdPort through their firewalls. List hosts that have no slurmd in \
          callerid_skip=.",
};

pub(super) const REFUSES: Check = Check {
    id: "SA532",
    severity: Severity::Warning,
    title: "a slurmd refuses the question that traces logins",
    why: "The slurmd answers, but not with what the module can use: another munge key or cluster, clocks that differ by more \
          than a credential's life (5 min), a release more than three apart, or TLS. Logins from that node go where \
          action_unknown says.",
    fix: "Compare munge.key, the clocks (munge -n | ssh NODE unmunge) and the releases of both nodes.",
};

/// The number of other nodes that are asked.
const MOST: usize = 3;

pub(super) type Answer = Result<Duration, SlurmdProblem>;

pub(super) fn look(
    host: &Host,
    node: &Node,
    version: Option<Version>,
    slurmds: &Slurmds,
    notes: &mut Notes,
) {
    let Ok(conf) = host.slurm_conf() else { return };
    let found = peers(&conf.settings, name_of(node), node.conf.slurmd_port(), MOST);
    let own = found.own.filter(|_| slurmds.may_be_asked());
    if own.is_none() && found.others.is_empty() {
        return;
    }
    let Some(version) = version else {
        let why = "neither slurmd nor a slurmstepd here tells its release";
        notes.unseen("slurmds of other nodes", why);
        return;
    };
    let skipped = host.options().callerid_skip;
    let deadline = host.deadline.within(DAEMONS);
    let ask = |peer: &Peer| -> Option<Answer> {
        let address = match resolve(&peer.address, peer.port, &deadline) {
            Ok(address) => address,
            Err(problem) => return Some(Err(problem)),
        };
        let is_skipped = skipped.iter().any(|it| it.contains(address.ip()));
        (!is_skipped).then(|| ask_slurmd(address, node, version, &deadline))
    };
    let ask = &ask;
    let (own, others) = thread::scope(|scope| {
        let others: Vec<_> = found
            .others
            .iter()
            .map(|it| scope.spawn(move || ask(it)))
            .collect();
        let own = own.as_ref().and_then(ask);
        let others: Vec<_> = others
            .into_iter()
            .map(|it| it.join().ok().flatten())
            .collect();
        (own, others)
    });
    if let Some(answer) = own {
        judge_own(name_of(node), answer, notes);
    }
    let others = found.others.iter().zip(others);
    let others = others.filter_map(|(peer, answer)| Some((peer.name.as_str(), answer?)));
    // Idle nodes are powered down.
    let may_be_down = conf.value("SuspendProgram").is_some();
    judge(others.collect(), may_be_down, notes);
}

/// Resolves a name until the deadline. What hangs is left behind.
fn resolve(name: &str, port: u16, deadline: &Deadline) -> Result<SocketAddr, SlurmdProblem> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let (sender, receiver) = mpsc::channel();
    let place = (name.to_owned(), port);
    thread::spawn(move || {
        let found = (place.0.as_str(), place.1).to_socket_addrs();
        // Nobody may wait any more.
        let _ = sender.send(found.map(|mut it| it.next()));
    });
    let name = name.escape_default();
    let cause = match receiver.recv_timeout(deadline.remaining()) {
        Ok(Ok(Some(address))) => return Ok(address),
        Ok(Ok(None)) => format!("{name} has no address"),
        Ok(Err(error)) => format!("find the address of {name}: {error}"),
        Err(_) => format!("find the address of {name}: no answer"),
    };
    Err(SlurmdProblem::Unreachable(cause))
}

fn judge_own(name: &str, answer: Answer, notes: &mut Notes) {
    match answer {
        Err(SlurmdProblem::Silent) => {
            let limit = DAEMONS.as_millis();
            let detail = format!("the slurmd of {name}: no answer within {limit} ms");
            notes.find(Finding::of(&slurmd::STOPPED, detail));
        }
        Err(SlurmdProblem::Refuses(cause)) => {
            let detail = format!("the slurmd of this node, {name}: {cause}");
            notes.find(Finding::of(&REFUSES, detail));
        }
        // It may be starting; whether it runs was looked at.
        Ok(_) | Err(SlurmdProblem::Unreachable(_) | SlurmdProblem::NotAsked(_)) => {}
    }
}

pub(super) fn judge(answers: Vec<(&str, Answer)>, may_be_down: bool, notes: &mut Notes) {
    let answered = answers
        .iter()
        .filter_map(|(name, it)| Some((*name, *it.as_ref().ok()?)));
    let slowest = answered.clone().map(|(_, took)| took).max();
    if let Some(slowest) = slowest {
        let names: Vec<_> = answered.map(|(name, _)| name).collect();
        notes.measured(format!(
            "{} answered in {}",
            names.join(", "),
            shown(slowest)
        ));
    }
    for (name, answer) in answers {
        let Err(problem) = answer else { continue };
        let detail = format!("logins from {name} cannot be traced: {problem}");
        match problem {
            SlurmdProblem::Unreachable(_) | SlurmdProblem::Silent => {
                let severity = match slowest.is_some() || may_be_down {
                    true => Severity::Note,
                    false => Severity::Warning,
                };
                notes.find(Finding::of(&UNREACHABLE, detail).as_severe_as(severity));
            }
            SlurmdProblem::Refuses(_) => notes.find(Finding::of(&REFUSES, detail)),
            SlurmdProblem::NotAsked(cause) => notes.unseen(format!("the slurmd of {name}"), cause),
        }
    }
}

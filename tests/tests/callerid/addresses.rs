//! Other addresses and ports: IPv6, IPv4 in IPv6, slurmds on ports of their own.

use std::time::Duration;

use anyhow::Result;
use lab::Suite;

use crate::site::{IPV6, Landing, MAPPED, Site, Source, Theirs};
use crate::{ASKED, KNOWN, NEWEST, NODE2};

/// slurmd listens on IPv6 too.
pub fn ipv6(suite: Suite) -> Result<()> {
    let mut site = Site::start(suite, "CommunicationParameters=EnableIPv6")?;
    let job = site.job("alice", &[1, 2])?;
    let _newer = site.job("alice", &[2])?;
    let deny = "action_unknown=deny";
    let (there, itself) = (Source::Job(1, job), Source::Job(2, job));
    let here = Landing::Job(job);
    for (source, to) in [
        (there, "fd88::2"),
        (there, "10.88.0.2"),
        (itself, "fd88::2"),
        (itself, "::1"),
        (itself, "127.0.0.1"),
    ] {
        site.both(source, to, deny, here, Theirs::Same)?;
    }
    site.both_called(there, IPV6, deny, here, Theirs::Same)?;
    mapped(&mut site, there, here)?;
    // An address that is good on one interface only.
    let show = "ip -6 -o address show dev eth0 scope link | sed 's,.* inet6 ,,; s,/.*,,'";
    let local = site.target().sh(show)?;
    let local = format!("{}%eth0", local.trim());
    let theirs = Theirs::Differs(ASKED, &[Landing::KeptOut]);
    site.both(there, &local, deny, here, theirs)?;
    site.finish()
}

/// Over IPv4 into a socket of IPv6.
fn mapped(site: &mut Site, source: Source, ours: Landing) -> Result<()> {
    let theirs = [Landing::KeptOut];
    let theirs = Theirs::Differs(ASKED, &theirs);
    site.both_called(source, MAPPED, "action_unknown=deny", ours, theirs)
        .map(drop)
}

/// Without EnableIPv6: no slurmd listens there, which is soon known.
pub fn only_ipv4(site: &mut Site) -> Result<()> {
    let job = site.job("alice", &[1, 2])?;
    let newer = site.job("alice", &[2])?;
    let source = Source::Job(1, job);
    mapped(site, source, Landing::Job(job))?;
    let any = [Landing::Job(job), Landing::Job(newer)];
    let theirs = Theirs::Differs(NEWEST, &any);
    let login = site.both(source, "fd88::2", "", Landing::Job(newer), theirs)?;
    site.says("only IPv4", &login, "onnection refused");
    Ok(())
}

/// Another SlurmdPort, `Port=` of a node, and two slurmds on one host.
pub fn ports(suite: Suite) -> Result<()> {
    let nodes = "NodeName=node1 NodeAddr=10.88.0.1 CPUs=2 Port=7002\n\
                 NodeName=node2 NodeAddr=10.88.0.2 CPUs=2\n\
                 NodeName=node3 NodeAddr=10.88.0.3 CPUs=2\n\
                 NodeName=c NodeHostname=node3 NodeAddr=10.88.0.3 CPUs=2 Port=7003";
    let conf = "SlurmdPort=7001\nSlurmdPidFile=/run/slurmd-%n.pid\n\
                SlurmdLogFile=/var/log/slurm/slurmd-%n.log";
    let cluster = tests::cluster(suite)?.nodes(3).node_lines(nodes);
    let mut site = Site::of(cluster.slurm_conf(conf))?;
    site.cluster.node(3).sh("slurmd -N c")?;
    let job = site.job("alice", &[1, 2, 3])?;
    let on_c = ["--nodes=2", "--nodelist=node2,c"];
    let on_c = site.cluster.submit_only("alice", &on_c)?;
    for (number, socket) in [(2, "node2"), (3, "c")] {
        let socket = format!("/var/spool/slurmd/{socket}_{on_c}.4294967292");
        let listens = || Ok(site.cluster.node(number).unix_sockets()?.contains(&socket));
        lab::poll::until_true(&socket, Duration::from_secs(60), listens)?;
    }
    let _newest = site.job("alice", &[2])?;
    let (deny, here) = ("action_unknown=deny", Landing::Job(job));
    site.both(Source::Job(3, job), NODE2, deny, here, Theirs::Same)?;
    let theirs = Theirs::Differs(ASKED, &[Landing::KeptOut]);
    for (source, job) in [
        (Source::Job(1, job), job),
        (Source::Slurmd(3, "c", on_c), on_c),
    ] {
        // A slurmd of 20.11 with a port of its own can't tell: it asks whoever has SlurmdPort.
        let (ours, reason) = match suite {
            Suite::Bullseye => (Landing::KeptOut, "source job unknown"),
            _ => (Landing::Job(job), KNOWN),
        };
        let login = site.both(source, NODE2, deny, ours, theirs)?;
        site.says("ports", &login, reason);
    }
    site.finish()
}

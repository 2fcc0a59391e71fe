//! Tests that follow Slurm's parser, line by line (observed with `scontrol` of 20.11.4, 24.11.5, 26.05.5).

use super::lines::Lines;
use super::*;

fn read(text: &str, query: Query<'_>) -> Result<Conf, Problem> {
    let mut files = |name: &str, _: &str| {
        let bytes: &[u8] = match name {
            "nodes.conf" => b"NodeName=inc1\n",
            "my.conf" => b"SlurmdSpoolDir=/by/cluster\n",
            "loop.conf" => b"Include loop.conf\n",
            "bad.conf" => b"\n\nNonsense\n",
            _ => return Err(io::Error::other("No such file or directory")),
        };
        Ok(included(name, bytes))
    };
    parse("slurm.conf", text.as_bytes(), query, &mut files).map_err(|error| error.problem)
}

fn included(file: &str, bytes: &[u8]) -> Included {
    Included {
        file: file.to_owned(),
        bytes: bytes.to_vec(),
    }
}

fn spool(text: &str) -> Result<Option<String>, Problem> {
    read(&format!("ClusterName=My\n{text}"), Query::default()).map(|conf| conf.spool_dir)
}

fn node(text: &str, host: &str) -> Option<String> {
    let query = Query {
        hosts: &[host],
        node: None,
        ..Query::default()
    };
    read(&format!("ClusterName=My\n{text}"), query)
        .expect(text)
        .nodes
        .remove(0)
}

#[test]
fn values_are_read_as_slurm_reads_them() {
    for (text, value) in [
        ("", None),
        ("SlurmdSpoolDir=/a", Some("/a")),
        ("  slurmdSPOOLdir = /a  \r\n", Some("/a")),
        ("\u{b}SlurmdSpoolDir\u{b}=\u{c}/a\u{b}", Some("/a")),
        ("SlurmdSpoolDir=\"/a b\"", Some("/a b")),
        ("SlurmdSpoolDir=/a\nSlurmdSpoolDir=/b\n", Some("/b")),
        ("SlurmdSpoolDir=/a # b", Some("/a")),
        ("SlurmdSpoolDir=\"/a#b\"", Some("\"/a")),
        ("SlurmdSpoolDir=/a\\#b", Some("/a#b")),
        ("SlurmdSpoolDir=/a\\\nb", Some("/ab")),
        ("SlurmdSpoolDir=/a\\\\b", Some("/a\\b")),
        ("SlurmdSpoolDir=/a\\", Some("/a")),
        ("#SlurmdSpoolDir=/a\n\n   \n", None),
        ("Unknown2030=x y=z\nSlurmdSpoolDir=/a", Some("/a")),
        ("SlurmdSpoolDirX=/a\nXSlurmdSpoolDir=/b", None),
        (
            "PartitionName=p Nodes=ALL Default=YES\nSlurmdSpoolDir=/a\n",
            Some("/a"),
        ),
        ("include my.conf", Some("/by/cluster")),
        ("INCLUDE\t%c.conf", Some("/by/cluster")),
    ] {
        assert_eq!(spool(text), Ok(value.map(str::to_owned)), "{text:?}");
    }
}

#[test]
fn what_slurm_rejects_is_an_error() {
    let include = |name: &str| Problem::Include {
        name: name.into(),
        cause: "No such file or directory".into(),
    };
    for (text, problem) in [
        ("Nonsense", Problem::Syntax),
        ("=x", Problem::Syntax),
        ("SlurmdSpoolDir=", Problem::Syntax),
        ("SlurmdSpoolDir=/a SlurmdUser=root", Problem::Syntax),
        ("SlurmdSpoolDir=/a\\\n b", Problem::Syntax),
        (" Include nodes.conf", Problem::Syntax),
        ("Include nodes.conf x", Problem::Syntax),
        ("Include ", Problem::Syntax),
        ("Include bad.conf", Problem::Syntax),
        ("Include none.conf", include("none.conf")),
        ("Include loop.conf", Problem::TooManyIncludes),
    ] {
        assert_eq!(spool(text), Err(problem), "{text:?}");
    }
    assert_eq!(read("", Query::default()), Err(Problem::NoClusterName));
    assert_eq!(
        read("Include %c.conf\nClusterName=my", Query::default()),
        Err(Problem::ClusterNameNotYetKnown)
    );
    let query = Query {
        hosts: &["n1"],
        node: None,
        ..Query::default()
    };
    let conf = read(
        "ClusterName=c\nNodeName=n[3-1]\nNodeName=n[2-1]\nNodeName=n[1-3]",
        query,
    );
    let conf = conf.expect("an invalid list is skipped");
    assert_eq!(conf.nodes, [Some("n1".to_owned())]);
    let error = conf.passed_over.expect("reported").to_string();
    assert_eq!(
        error,
        "slurm.conf line 2: host list: a range is neither a number nor LOW-HIGH"
    );
    let mut latin1 = b"ClusterName=c\n# K\xf6ln\nSlurmdSpoolDir=/K\xf6ln\n".to_vec();
    let error = parse("f", &latin1, Query::default(), &mut |_, _| unreachable!());
    assert_eq!(
        error,
        Err(ConfError {
            file: "f".into(),
            line: 3,
            problem: Problem::NotText
        })
    );
    latin1.truncate(21);
    assert!(parse("f", &latin1, Query::default(), &mut |_, _| unreachable!()).is_ok());
}

#[test]
fn an_error_names_the_included_file_and_line() {
    let error = parse(
        "slurm.conf",
        b"ClusterName=c\nInclude x\n",
        Query::default(),
        &mut |_, from| {
            assert_eq!(from, "slurm.conf");
            Ok(included("/etc/x", b"\n\nNonsense\n"))
        },
    )
    .expect_err("nonsense");
    assert_eq!(error.to_string(), "/etc/x line 3: not a key=value line");
}

#[test]
fn an_include_is_relative_to_where_the_including_file_was_found() {
    let mut asked = Vec::new();
    let parsed = parse(
        "/etc/slurm.conf",
        b"ClusterName=c\nInclude d/a\n",
        Query::default(),
        &mut |name, from| {
            asked.push((name.to_owned(), from.to_owned()));
            let text: &[u8] = if name == "d/a" { b"Include b\n" } else { b"" };
            Ok(included(&format!("/etc/{name}"), text))
        },
    );
    assert!(parsed.is_ok());
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let expected = [pair("d/a", "/etc/slurm.conf"), pair("b", "/etc/d/a")];
    assert_eq!(asked, expected);
}

#[test]
fn the_first_line_with_the_host_name_names_the_node() {
    for (text, host, name) in [
        ("NodeName=n1", "n1", Some("n1")),
        ("nodename=n1 CPUs=4", "n1", Some("n1")),
        ("NodeName=n1", "N1", None),
        (
            "NodeName=n[1-10000] CPUs=4 State=UNKNOWN",
            "n777",
            Some("n777"),
        ),
        ("NodeName=n1 NodeHostname=h1", "h1", Some("n1")),
        ("NodeName=n1 NodeHostname=h1", "n1", None),
        (
            "NodeName=n[1-3] CPUs=1 nodeHOSTname = h[11-13]",
            "h12",
            Some("n2"),
        ),
        (
            "NodeName=n[1-4] NodeHostname=h Port=[7001-7004]",
            "h",
            Some("n1"),
        ),
        ("NodeName=n[1-2] NodeHostname=h[1-3]", "h3", None),
        (
            "NodeName=n1 NodeAddr=10.0.0.1 Features=a=b,NodeHostname",
            "n1",
            Some("n1"),
        ),
        ("NodeName=DEFAULT CPUs=4\nNodeName=n1", "DEFAULT", None),
        (
            "NodeName=n1 NodeHostname=h\nNodeName=n2 NodeHostname=h",
            "h",
            Some("n1"),
        ),
        ("NodeName=a,b,c", "c", Some("c")),
        ("NodeName=\"a,b c\"", "c", Some("c")),
        (
            "NodeName=a[1-2]b[3-4] NodeHostname=h[1-4]",
            "h3",
            Some("a2b3"),
        ),
        ("NodeName=\\\nn1", "n1", Some("n1")),
        ("Include nodes.conf", "inc1", Some("inc1")),
        ("DownNodes=n1\nNodeSet=s Nodes=n1", "n1", None),
    ] {
        assert_eq!(node(text, host), name.map(str::to_owned), "{text}: {host}");
    }
}

#[test]
fn several_hosts_and_the_host_of_a_node_are_found() {
    let text = "ClusterName=c\nNodeName=x[1-3] NodeHostname=h[1-3]\nNodeName=localhost\n";
    let query = Query {
        hosts: &["h2", "localhost", "none"],
        node: Some("x3"),
        ..Query::default()
    };
    let conf = read(text, query).expect("conf");
    assert_eq!(
        conf.nodes,
        [Some("x2".to_owned()), Some("localhost".to_owned()), None]
    );
    assert_eq!(conf.host, Some("h3".to_owned()));
    let query = Query {
        hosts: &[],
        node: Some("localhost"),
        ..Query::default()
    };
    assert_eq!(
        read(text, query).expect("conf").host,
        Some("localhost".to_owned())
    );
}

#[test]
fn node_hostname_is_found_anywhere_on_a_line() {
    for before in [
        "",
        " ",
        "x",
        "Node",
        "NodeNode",
        "NodeHostnam ",
        "nodehost",
        "NodeHostNode ",
    ] {
        for key in [
            "NodeHostname",
            "NODEHOSTNAME",
            "nodehostname",
            "nOdEhOsTnAmE",
        ] {
            for behind in ["", "=h", " = h CPUs=4"] {
                assert!(names_host(&format!("{before}{key}{behind}")));
            }
        }
        for other in ["", "NodeHostnam", "odeHostname", "NodeHost name"] {
            assert!(!names_host(&format!("{before}{other}")));
        }
    }
    // Only on the line that has the key, even if a backslash may hide it.
    assert!(!names_host("NodeName=a\nNodeName=b NodeHostname=c"));
    assert!(names_host("NodeName=a Node\\Hostname=b"));
    assert!(names_host("NodeName=a \\\nNodeHostname=b"));
}

/// Whether the first line may have the key.
fn names_host(text: &str) -> bool {
    let line = Lines::new(text.as_bytes()).next_logical();
    line.is_some_and(|line| line.may_name_host)
}

#[test]
fn the_keys_for_caller_id_are_read() {
    let text = "ClusterName=Lab\nAuthType=auth/slurm\nAuthInfo=socket=/x,ttl=3\nTLSType=tls/s2n\n\
                SlurmdPort=0x1aa2\n";
    let conf = read(text, Query::default()).expect("parse");
    for (found, value) in [
        (&conf.cluster_name, "Lab"),
        (&conf.auth_type, "auth/slurm"),
        (&conf.auth_info, "socket=/x,ttl=3"),
        (&conf.tls_type, "tls/s2n"),
    ] {
        assert_eq!(found.as_deref(), Some(value));
    }
    for (text, port) in [
        ("", 6818),
        ("SlurmdPort=7000", 7000),
        ("SlurmdPort=0x1aa2", 6818),
        ("SlurmdPort=015242", 6818),
        ("SlurmdPort=x", 6818),
        ("SlurmdPort=70000", 6818),
    ] {
        let conf = read(&format!("ClusterName=c\n{text}\n"), Query::default()).expect(text);
        assert_eq!(conf.slurmd_port(), port, "{text}");
    }
}

#[test]
fn processes_that_are_not_tracked_by_cgroups() {
    for (text, other) in [
        ("", None),
        ("ProctrackType=proctrack/cgroup", None),
        ("proctracktype = proctrack/cgroup # by default", None),
        ("ProctrackType=cgroup", None),
        (
            "ProctrackType=proctrack/linuxproc",
            Some("proctrack/linuxproc"),
        ),
        ("ProctrackType=proctrack/cgroups", Some("proctrack/cgroups")),
        ("#ProctrackType=proctrack/linuxproc", None),
    ] {
        let conf = read(&format!("ClusterName=c\n{text}\n"), Query::default()).expect(text);
        assert_eq!(conf.other_tracking(), other, "{text}");
    }
}

#[test]
fn ports_of_several_slurmds_are_collected() {
    let query = Query {
        ports: true,
        ..Query::default()
    };
    for (text, ports) in [
        ("", &[6818][..]),
        ("SlurmdPort=7000", &[7000]),
        ("NodeName=n[1-9]", &[6818]),
        (
            "NodeName=n[1-2] NodeHostname=h Port=[17001-17002]",
            &[17001, 17002],
        ),
        ("NodeName=n[1-2] Port=17001-17002 CPUs=1", &[17001, 17002]),
        ("NodeName=n[1-2] Port=17001,17003", &[17001, 17003]),
        ("NodeName=a Port=17001\nNodeName=b", &[6818, 17001]),
        ("NodeName=a port=6818\nNodeName=b", &[6818]),
        ("NodeName=a Port=6818", &[6818]),
        (
            "NodeName=a Port=1\nNodeName=b Port=1\nNodeName=c Port=2",
            &[1, 2],
        ),
        (
            "NodeName=DEFAULT Port=7\nNodeName=a\nNodeName=b Port=8",
            &[7, 8],
        ),
        ("NodeName=DEFAULT CPUs=1\nNodeName=a", &[6818]),
        ("NodeName=a Port=x", &[]),
        (
            "NodeName=a Port=0-60000",
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        ),
    ] {
        let conf = read(&format!("ClusterName=c\n{text}\n"), query).expect(text);
        assert_eq!(conf.ports(), ports, "{text}");
    }
    let conf = read("ClusterName=c\nNodeName=a Port=1", Query::default()).expect("parse");
    assert!(conf.node_ports.is_empty(), "not asked for");
}

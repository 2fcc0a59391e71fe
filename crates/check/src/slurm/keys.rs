//! The keys of slurm.conf and cgroup.conf, by release: slurmd ends on one that it does not know.
//!
//! From Slurm's own tables: `src/common/read_config.c` and the reader of cgroup.conf, 20.11 to 26.05 and the
//! development version of 26.11.

use crate::slurm::release::Release;

/// A key that Slurm knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// The first release with it; None: 20.11 or older.
    pub(super) since: Option<Release>,
    /// The first release without it.
    pub(super) until: Option<Release>,
}

/// The keys of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// Those in all releases, separated by blanks.
    always: &'static str,
    /// The others: name, first release with it, first release without it; 0: not in this range.
    sometimes: &'static [(&'static str, u16, u16)],
}

/// A longer key is not compared with others.
const LONGEST: usize = 64;

impl Key {
    /// Whether this release knows it.
    pub(super) fn is_in(&self, release: Release) -> bool {
        self.since.is_none_or(|it| it <= release) && self.until.is_none_or(|it| release < it)
    }
}

impl Keys {
    fn all(self) -> impl Iterator<Item = Key> {
        let always = self.always.split_whitespace().map(|name| Key {
            name,
            since: None,
            until: None,
        });
        let release = |code: u16| (code != 0).then_some(Release(code));
        let sometimes = self.sometimes.iter().map(move |(name, since, until)| Key {
            name,
            since: release(*since),
            until: release(*until),
        });
        always.chain(sometimes)
    }

    /// The key of this name, in any case.
    pub(super) fn named(self, name: &str) -> Option<Key> {
        self.all().find(|it| it.name.eq_ignore_ascii_case(name))
    }

    /// The key that a misspelt name is likely to stand for.
    pub(super) fn like(self, name: &str) -> Option<&'static str> {
        nearest(name, self.all().map(|it| it.name))
    }
}

/// The candidate that differs from a word by one or two letters at most (one, if the word is short).
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let most = if word.len() < 7 { 1 } else { 2 };
    let near = candidates.filter_map(|it| {
        let distance = distance(word, it)?;
        (distance <= most).then_some((distance, it))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, it)| it)
}

/// The number of letters to insert, remove or replace, whatever their case; None for words that are too long.
fn distance(one: &str, other: &str) -> Option<usize> {
    if one.len() > LONGEST || other.len() > LONGEST || one.len().abs_diff(other.len()) > 2 {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut corner = at;
        row[0] = at + 1;
        for (place, theirs) in other.bytes().enumerate() {
            let replaced = corner + usize::from(!letter.eq_ignore_ascii_case(&theirs));
            corner = row[place + 1];
            row[place + 1] = replaced.min(corner + 1).min(row[place] + 1);
        }
    }
    row.last().copied()
}

/// The keys that lines of slurm.conf begin with.
pub(super) const SLURM_CONF: Keys = Keys {
    always: SLURM_CONF_ALWAYS,
    sometimes: &SLURM_CONF_SOMETIMES,
};

/// The keys of cgroup.conf.
pub(super) const CGROUP_CONF: Keys = Keys {
    always: CGROUP_CONF_ALWAYS,
    sometimes: &CGROUP_CONF_SOMETIMES,
};

const SLURM_CONF_ALWAYS: &str = "\
    AccountingStorageBackupHost AccountingStorageEnforce AccountingStorageExternalHost \
    AccountingStorageHost AccountingStorageParameters AccountingStoragePass \
    AccountingStoragePort AccountingStorageTRES AccountingStorageType AccountingStorageUser \
    AccountingStoreJobComment AcctGatherEnergyType AcctGatherFilesystemType \
    AcctGatherInfinibandType AcctGatherInterconnectType AcctGatherNodeFreq AcctGatherProfileType \
    AllowSpecResourcesUsage AuthAltParameters AuthAltTypes AuthInfo AuthType BackupAddr \
    BackupController BatchStartTimeout BurstBufferParameters BurstBufferType CliFilterPlugins \
    ClusterName CommunicationParameters CompleteWait ControlAddr ControlMachine CoreSpecPlugin \
    CpuFreqDef CpuFreqGovernors CredType CryptoType DebugFlags DefCPUPerGPU DefMemPerCPU \
    DefMemPerGPU DefMemPerNode DependencyParameters DisableRootJobs DownNodes EioTimeout \
    EnforcePartLimits Epilog EpilogMsgTime EpilogSlurmctld ExtSensorsFreq ExtSensorsType \
    FairShareDampeningFactor FastSchedule FederationParameters FirstJobId GetEnvTimeout \
    GpuFreqDef GresTypes GroupUpdateForce GroupUpdateTime HealthCheckInterval \
    HealthCheckNodeState HealthCheckProgram InactiveLimit InteractiveStepOptions \
    JobAcctGatherFrequency JobAcctGatherParams JobAcctGatherType JobCompHost JobCompLoc \
    JobCompParams JobCompPass JobCompPort JobCompType JobCompUser JobContainerType \
    JobCredentialPrivateKey JobCredentialPublicCertificate JobFileAppend JobRequeue \
    JobSubmitPlugins KeepAliveTime KillOnBadExit KillWait LaunchParameters LaunchType Licenses \
    LogTimeFormat MailDomain MailProg MaxArraySize MaxDBDMsgs MaxJobCount MaxJobId MaxMemPerCPU \
    MaxMemPerNode MaxStepCount MaxTasksPerNode MCSParameters MCSPlugin MessageTimeout MinJobAge \
    MpiDefault MpiParams NodeFeaturesPlugins NodeName NodeSet OverTimeLimit PartitionName \
    PluginDir PlugStackConfig PowerParameters PowerPlugin PreemptExemptTime PreemptMode \
    PreemptType PrEpParameters PrEpPlugins PriorityCalcPeriod PriorityDecayHalfLife \
    PriorityFavorSmall PriorityFlags PriorityMaxAge PriorityParameters \
    PrioritySiteFactorParameters PrioritySiteFactorPlugin PriorityType PriorityUsageResetPeriod \
    PriorityWeightAge PriorityWeightAssoc PriorityWeightFairshare PriorityWeightJobSize \
    PriorityWeightPartition PriorityWeightQOS PriorityWeightTRES PrivateData ProctrackType \
    Prolog PrologEpilogTimeout PrologFlags PrologSlurmctld PropagatePrioProcess \
    PropagateResourceLimits PropagateResourceLimitsExcept RebootProgram ReconfigFlags \
    RequeueExit RequeueExitHold ResumeFailProgram ResumeProgram ResumeRate ResumeTimeout \
    ResvEpilog ResvOverRun ResvProlog ReturnToService RoutePlugin SallocDefaultCommand \
    SbcastParameters SchedulerParameters SchedulerTimeSlice SchedulerType ScronParameters \
    SelectType SelectTypeParameters SlurmctldAddr SlurmctldDebug SlurmctldHost SlurmctldLogFile \
    SlurmctldParameters SlurmctldPidFile SlurmctldPort SlurmctldPrimaryOffProg \
    SlurmctldPrimaryOnProg SlurmctldSyslogDebug SlurmctldTimeout SlurmdDebug SlurmdLogFile \
    SlurmdParameters SlurmdPidFile SlurmdPort SlurmdSpoolDir SlurmdSyslogDebug SlurmdTimeout \
    SlurmdUser SlurmSchedLogFile SlurmSchedLogLevel SlurmUser SrunEpilog SrunPortRange \
    SrunProlog StateSaveLocation SuspendExcNodes SuspendExcParts SuspendProgram SuspendRate \
    SuspendTime SuspendTimeout SwitchType TaskEpilog TaskPlugin TaskPluginParam TaskProlog \
    TCPTimeout TmpFS TopologyParam TopologyPlugin TrackWCKey TreeWidth UnkillableStepProgram \
    UnkillableStepTimeout UsePAM VSizeFactor WaitTime X11Parameters";

#[rustfmt::skip]
const SLURM_CONF_SOMETIMES: [(&str, u16, u16); 53] = [
    ("AccountingStorageLoc", 0, 2511),
    ("AccountingStoreFlags", 2108, 0),
    ("BcastExclude", 2108, 0),
    ("BcastParameters", 2108, 0),
    ("CacheGroups", 0, 2108),
    ("CertgenParameters", 2505, 0),
    ("CertgenType", 2505, 0),
    ("CertmgrParameters", 2411, 0),
    ("CertmgrType", 2411, 0),
    ("CheckpointType", 0, 2108),
    ("CliFilterParameters", 2511, 0),
    ("DataParserParameters", 2411, 0),
    ("DefaultStorageHost", 0, 2108),
    ("DefaultStorageLoc", 0, 2108),
    ("DefaultStoragePass", 0, 2108),
    ("DefaultStoragePort", 0, 2108),
    ("DefaultStorageType", 0, 2108),
    ("DefaultStorageUser", 0, 2108),
    ("DefRuntimePlugin", 2611, 0),
    ("EpilogTimeout", 2505, 0),
    ("FrontendName", 0, 2505),
    ("HashPlugin", 2405, 0),
    ("HealthCheckTimeout", 2605, 0),
    ("HttpParserType", 2511, 0),
    ("JobCheckpointDir", 0, 2108),
    ("JobCompPassScript", 2511, 0),
    ("LicenseParameters", 2605, 0),
    ("MaxBatchRequeue", 2302, 0),
    ("MaxNodeCount", 2205, 0),
    ("MemLimitEnforce", 0, 2108),
    ("MetricsAuthUsers", 2605, 0),
    ("MetricsParameters", 2605, 0),
    ("MetricsType", 2511, 0),
    ("NamespaceType", 2511, 0),
    ("PowerAction", 2605, 0),
    ("PreemptParameters", 2302, 0),
    ("PrologTimeout", 2505, 0),
    ("SchedulerAuth", 0, 2405),
    ("SchedulerPort", 0, 2108),
    ("SchedulerRootFilter", 0, 2108),
    ("SerializerParameters", 2611, 0),
    ("SerializerPlugins", 2611, 0),
    ("SlurmctldHttpAuthParameters", 2605, 0),
    ("SlurmctldPlugstack", 0, 2302),
    ("SlurmdHttpAuthParameters", 2605, 0),
    ("SlurmrestdHttpAuthParameters", 2611, 0),
    ("SlurmrestdParameters", 2611, 0),
    ("SlurmstepdParameters", 2611, 0),
    ("SuspendExcStates", 2302, 0),
    ("SwitchParameters", 2108, 0),
    ("TLSParameters", 2405, 0),
    ("TLSType", 2405, 0),
    ("UrlParserType", 2511, 0),
];

const CGROUP_CONF_ALWAYS: &str = "\
    AllowedDevicesFile AllowedRAMSpace AllowedSwapSpace CgroupAutomount CgroupMountpoint \
    ConstrainCores ConstrainDevices ConstrainRAMSpace ConstrainSwapSpace MaxRAMPercent \
    MaxSwapPercent MemoryLimitEnforcement MemoryLimitThreshold MemorySwappiness MinRAMSpace";

#[rustfmt::skip]
const CGROUP_CONF_SOMETIMES: [(&str, u16, u16); 16] = [
    ("AllowedKmemSpace", 0, 2311),
    ("CgroupJobIdPaths", 2605, 0),
    ("CgroupPlugin", 2108, 0),
    ("CgroupReleaseAgentDir", 0, 2511),
    ("CgroupSlice", 2511, 0),
    ("ConstrainKmemSpace", 0, 2311),
    ("EnableControllers", 2302, 0),
    ("EnableExtraControllers", 2505, 0),
    ("IgnoreSystemd", 2205, 0),
    ("IgnoreSystemdOnFailure", 2205, 0),
    ("MaxKmemPercent", 0, 2311),
    ("MinKmemSpace", 0, 2311),
    ("RootOwnedCgroups", 2302, 2311),
    ("SignalChildrenProcesses", 2311, 0),
    ("SystemdTimeout", 2405, 0),
    ("TaskAffinity", 0, 2205),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go_with_releases() {
        for (name, release, expected) in [
            ("prologflags", 2011, true),
            ("TLSType", 2311, false),
            ("TLSType", 2405, true),
            ("CacheGroups", 2011, true),
            ("CacheGroups", 2108, false),
            ("NamespaceType", 2605, true),
        ] {
            let key = SLURM_CONF.named(name).expect(name);
            assert_eq!(key.is_in(Release(release)), expected, "{name} {release}");
        }
        assert_eq!(SLURM_CONF.named("PrologFlag"), None);
        let kmem = CGROUP_CONF.named("ConstrainKmemSpace").expect("a key");
        assert_eq!(kmem.until, Some(Release(2311)));
    }

    #[test]
    fn no_key_stands_twice() {
        for keys in [SLURM_CONF, CGROUP_CONF] {
            let mut names: Vec<_> = keys.all().map(|it| it.name.to_lowercase()).collect();
            names.sort();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn misspelt_keys() {
        for (word, expected) in [
            ("PrologFlag", Some("PrologFlags")),
            ("prologflgas", Some("PrologFlags")),
            ("ProctrackTypes", Some("ProctrackType")),
            ("TaskPlugins", Some("TaskPlugin")),
            ("SlurmSpoolDir", Some("SlurmdSpoolDir")),
            ("Frobnicate", None),
            ("", None),
        ] {
            assert_eq!(SLURM_CONF.like(word), expected, "{word}");
        }
        assert_eq!(CGROUP_CONF.like("ConstrainCore"), Some("ConstrainCores"));
        assert_eq!(SLURM_CONF.like(&"x".repeat(1 << 20)), None);
    }
}

//! An sshd with its configuration, and the values that count for it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Spot;
use crate::host::Host;
use crate::host::sshd::config::{Block, Config, Included, Reader, Setting};
use crate::host::sshd::keywords::ANYWHERE;
use crate::host::sshd::servers::{self, Server};
use crate::host::sshd::version::Version;
use crate::host::tree::{Tree, is_match};

/// An sshd of the host.
#[derive(Debug)]
pub struct Sshd {
    /// How it is started.
    pub server: Server,
    /// The file that it reads.
    pub file: String,
    /// Its program's release and keywords.
    pub reader: Reader,
    /// What is in the file.
    pub config: io::Result<Config>,
}

/// Values by keyword, as `sshd -T` prints them.
pub type Told = BTreeMap<String, Vec<String>>;

/// The values that count for connections that are in some Match blocks.
#[derive(Debug, Clone, Copy)]
pub struct Effective<'a> {
    /// The lines.
    pub config: &'a Config,
    reader: &'a Reader,
    told: Option<&'a Told>,
    /// The blocks; none: a connection that no Match line matches.
    pub blocks: &'a [Arc<Block>],
}

/// sshd's place on SUSE, where no file of /etc is there.
const VENDOR_FILE: &str = "/usr/etc/ssh/sshd_config";
/// The default values that matter here, sshd_config(5).
const DEFAULTS: [(&str, &str); 10] = [
    ("usepam", "no"),
    ("kbdinteractiveauthentication", "yes"),
    ("passwordauthentication", "yes"),
    ("pubkeyauthentication", "yes"),
    ("permitrootlogin", "prohibit-password"),
    ("permituserenvironment", "no"),
    ("logingracetime", "120"),
    ("maxstartups", "10:30:100"),
    ("authenticationmethods", "any"),
    ("pamservicename", "sshd"),
];
/// Keywords of which all lines count together.
const LISTS: [&str; 6] = [
    "acceptenv",
    "allowusers",
    "allowgroups",
    "denyusers",
    "denygroups",
    "persourcepenalties",
];

/// All sshds of a host: those that run, else those that systemd starts, else the usual one.
pub fn all(host: &Host) -> Vec<Sshd> {
    let own_namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    let is_outside = |server: &Server| {
        let link = server.pid.map(|it| format!("/proc/{it}/ns/pid"));
        // Without root's rights it is not known.
        let namespace = link.and_then(|it| std::fs::read_link(it).ok());
        namespace.is_some() && own_namespace.is_some() && namespace != own_namespace
    };
    let mut found = servers::running(host.processes());
    // Those of containers have files of their own.
    found.retain(|it| !is_outside(it));
    if found.is_empty() {
        found = servers::of_units(&host.tree);
    }
    if found.is_empty() {
        found.push(Server::usual());
    }
    found
        .into_iter()
        .map(|it| Sshd::read(&host.tree, it))
        .collect()
}

/// The PAM services of the logins of these sshds.
pub fn services(sshds: &[Sshd]) -> Vec<String> {
    let mut services: Vec<String> = Vec::new();
    for sshd in sshds {
        for (name, _) in sshd.services() {
            if !services.contains(&name) {
                services.push(name);
            }
        }
    }
    services
}

impl Server {
    fn usual() -> Self {
        Self {
            program: servers::PROGRAM.to_owned(),
            name: "sshd".to_owned(),
            file: None,
            options: Vec::new(),
            pid: None,
        }
    }
}

impl Sshd {
    /// The one that is started without options.
    #[must_use]
    pub fn usual(host: &Host) -> Self {
        Self::read(&host.tree, Server::usual())
    }

    fn read(tree: &Tree, server: Server) -> Self {
        let usual = || match !tree.exists(servers::FILE) && tree.exists(VENDOR_FILE) {
            true => VENDOR_FILE.to_owned(),
            false => servers::FILE.to_owned(),
        };
        let file = server.file.clone().unwrap_or_else(usual);
        let program = tree.read(&server.program).unwrap_or_default();
        let reader = Reader {
            version: Version::in_program(&program),
            program: program.to_ascii_lowercase(),
        };
        let mut include = |pattern: &str| included(tree, pattern);
        let config = tree
            .read(&file)
            .map(|bytes| Config::read(&reader, &server.options, &file, &bytes, &mut include));
        Self {
            server,
            file,
            reader,
            config,
        }
    }

    /// What it would read if a file of its configuration had these bytes, or were there.
    ///
    /// # Errors
    /// Those of open(2) and read(2), for its main file.
    pub fn with_file(&self, tree: &Tree, path: &str, bytes: &[u8]) -> io::Result<Config> {
        let new = || Included {
            file: path.to_owned(),
            bytes: Ok(bytes.to_vec()),
        };
        let mut include = |pattern: &str| {
            let mut files = included(tree, pattern);
            files.retain(|it| it.file != path);
            if is_match(pattern.as_bytes(), path.as_bytes()) {
                files.push(new());
                files.sort_by(|one, other| one.file.cmp(&other.file));
            }
            files
        };
        let main = match self.file == path {
            true => bytes.to_vec(),
            false => tree.read(&self.file)?,
        };
        let (reader, options) = (&self.reader, &self.server.options);
        Ok(Config::read(
            reader,
            options,
            &self.file,
            &main,
            &mut include,
        ))
    }

    /// The PAM services of its logins, with the line that sets each, if one does.
    ///
    /// From 9.8 on PAMServiceName sets it; before, it is the name that sshd was started by (`SSHD_PAM_SERVICE`).
    pub fn services(&self) -> Vec<(String, Option<&Setting>)> {
        if !self.reader.is_at_least((9, 8)) {
            return vec![(self.server.name.clone(), None)];
        }
        let config = self.config.as_ref().ok();
        let lines = config.into_iter().flat_map(|it| {
            let global = it.global("pamservicename").take(1);
            global.chain(it.conditional("pamservicename"))
        });
        let lines: Vec<&Setting> = lines.collect();
        let mut services = Vec::new();
        if lines.first().is_none_or(|it| !it.blocks.is_empty()) {
            services.push(("sshd".to_owned(), None));
        }
        services.extend(lines.iter().map(|it| (it.value().to_owned(), Some(*it))));
        services
    }
}

impl<'a> Effective<'a> {
    /// The values for every connection; what sshd itself told counts more than what was read.
    pub fn global(config: &'a Config, reader: &'a Reader, told: Option<&'a Told>) -> Self {
        Self {
            config,
            reader,
            told,
            blocks: &[],
        }
    }

    /// The values for connections that are in these Match blocks and no others.
    pub fn within(self, blocks: &'a [Arc<Block>]) -> Self {
        Self { blocks, ..self }
    }

    /// The line that counts for a keyword.
    pub fn setting(&self, keyword: &'a str) -> Option<&'a Setting> {
        let is_around = |it: &&Setting| it.blocks == self.blocks;
        let own = self.config.conditional(keyword).find(is_around);
        own.or_else(|| self.global_setting(keyword))
    }

    fn global_setting(&self, keyword: &'a str) -> Option<&'a Setting> {
        let mut lines = self.config.global(keyword);
        // Under its own name it is known up to 8.6 alone, where it is global.
        let is_in_blocks =
            ANYWHERE.contains(&keyword) && keyword != "challengeresponseauthentication";
        let is_overriding = |it: &&Setting| it.is_overriding && is_in_blocks;
        match keyword {
            // Since 10.1 the first one as well.
            "maxstartups" if !self.reader.is_at_least((10, 1)) => lines.next_back(),
            // sshd reads Match blocks, Match all too, again for each connection; what they set counts more.
            _ => self
                .config
                .global(keyword)
                .find(is_overriding)
                .or_else(|| lines.next()),
        }
    }

    /// The values of a keyword, or its default.
    pub fn values(&self, keyword: &'a str) -> Vec<String> {
        let default = || {
            let found = DEFAULTS.iter().find(|(name, _)| *name == keyword);
            found
                .map(|(_, value)| (*value).to_owned())
                .into_iter()
                .collect()
        };
        let own = self.setting(keyword);
        // sshd -T without a connection leaves Match blocks out, Match all too in older releases.
        if own.is_none_or(|it| it.blocks.is_empty() && !it.is_overriding) {
            match self.told.map(|it| it.get(keyword)) {
                Some(Some(values)) => return values.clone(),
                // An sshd that was built without PAM says nothing of it.
                Some(None) if keyword == "usepam" => return vec!["no".to_owned()],
                _ => {}
            }
        }
        match own {
            Some(line) if LISTS.contains(&keyword) => {
                let all = self.config.settings.iter();
                let all = all.filter(|it| {
                    let is_beside =
                        it.blocks == line.blocks && it.is_overriding == line.is_overriding;
                    it.keyword == keyword && is_beside
                });
                all.flat_map(|it| it.arguments.clone()).collect()
            }
            Some(line) => line.arguments.clone(),
            None => default(),
        }
    }

    /// The first value of a keyword in lower case.
    pub fn value(&self, keyword: &'a str) -> String {
        let first = self.values(keyword).into_iter().next();
        first.unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether a keyword is set to yes.
    pub fn is_yes(&self, keyword: &'a str) -> bool {
        self.value(keyword) == "yes"
    }

    /// Whether keyboard-interactive authentication is on.
    pub fn has_keyboard(&self) -> bool {
        if self.reader.is_at_least((8, 7)) {
            return self.is_yes("kbdinteractiveauthentication");
        }
        let own = self.setting("kbdinteractiveauthentication");
        // A Match block sets it alone; else it is on if either name says so.
        if own.is_some_and(|it| !it.blocks.is_empty() || it.is_overriding) {
            return self.is_yes("kbdinteractiveauthentication");
        }
        let old = self.setting("challengeresponseauthentication");
        old.is_none_or(|it| it.value().eq_ignore_ascii_case("yes"))
            || own.is_some() && self.is_yes("kbdinteractiveauthentication")
    }

    /// The line that turns keyboard-interactive authentication on or off.
    pub fn keyboard_setting(&self) -> Option<&'a Setting> {
        let new = self.setting("kbdinteractiveauthentication");
        new.or_else(|| self.setting("challengeresponseauthentication"))
    }

    /// The place of the line that counts, else the file.
    pub fn spot(&self, keyword: &'a str) -> Spot {
        let file = || Spot::file(self.config.files.first().map_or("", String::as_str));
        self.setting(keyword).map_or_else(file, Setting::spot)
    }
}

/// The files that an Include names.
fn included(tree: &Tree, pattern: &str) -> Vec<Included> {
    let paths = tree.matches(pattern).into_iter();
    // A directory is read as an empty file.
    let exists = |it: &PathBuf| tree.status(it).is_ok_and(|it| !it.is_dir());
    let read = |path: PathBuf| Included {
        bytes: tree.read(&path),
        file: path.to_string_lossy().into_owned(),
    };
    paths.filter(exists).map(read).collect()
}

/// The directory of a file.
pub fn directory(file: &str) -> String {
    let parent = Path::new(file).parent().unwrap_or(Path::new("/"));
    parent.to_string_lossy().into_owned()
}

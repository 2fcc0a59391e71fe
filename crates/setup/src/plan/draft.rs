//! The files as they are to be, while a plan grows.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use check::Host;
use check::host::owner;
use check::host::tree::is_absent;

use crate::change::{Change, Content};
use crate::plan::FileRefusal;
use crate::plan::lines::Lines;

/// The files that a plan changes.
pub(super) struct Draft<'a> {
    pub host: &'a Host,
    files: Vec<File>,
}

/// A file that is looked at to be changed.
struct File {
    path: PathBuf,
    before: Option<Content>,
    lines: Lines,
    mode: u32,
    owner: (u32, u32),
    whys: Vec<String>,
}

impl<'a> Draft<'a> {
    pub fn of(host: &'a Host) -> Self {
        Self {
            host,
            files: Vec::new(),
        }
    }

    /// The lines of a file to be edited, with the reason. A missing one is made. A link is followed, so that it stays,
    /// unless it leads to a file that belongs to a package: then a copy replaces the link.
    ///
    /// # Errors
    /// [`FileRefusal`] if the file must not be changed.
    pub fn edit(&mut self, path: &Path, why: &str) -> Result<&mut Lines, FileRefusal> {
        let (place, _) = self.place(path)?;
        let is_known = self.files.iter().any(|it| it.path == place);
        if !is_known {
            self.refuse_unsafe(&place)?;
        }
        self.edit_of_others(path, why)
    }

    /// The same for a file that may belong to another user, such as `SlurmUser`, and stays that user's.
    ///
    /// # Errors
    /// As [`Draft::edit`]; a directory that others than root can change.
    pub fn edit_of_others(&mut self, path: &Path, why: &str) -> Result<&mut Lines, FileRefusal> {
        let (place, target) = self.place(path)?;
        if !self.files.iter().any(|it| it.path == place) {
            let file = self.open(place.clone(), target)?;
            self.files.push(file);
        }
        let mut files = self.files.iter_mut();
        let file = files.find(|it| it.path == place);
        let gone = io::ErrorKind::NotFound.into();
        let file = file.ok_or_else(|| FileRefusal::io("open", place, gone))?;
        if !file.whys.iter().any(|it| it == why) {
            file.whys.push(why.to_owned());
        }
        Ok(&mut file.lines)
    }

    /// Makes a file that only the vendor's directory has: a copy in the place where it overrides that.
    ///
    /// # Errors
    /// As [`Draft::edit`].
    pub fn copy(&mut self, vendor: &Path, path: &Path, why: &str) -> Result<(), FileRefusal> {
        let is_known = self.files.iter().any(|it| it.path == path);
        if !is_known {
            self.refuse_unsafe(path)?;
            let mut file = self.open(path.to_owned(), None)?;
            file.lines = Lines::of(&self.read(vendor)?);
            file.whys.push(why.to_owned());
            self.files.push(file);
        }
        Ok(())
    }

    /// A file as it is to be, or as it is.
    ///
    /// # Errors
    /// As [`check::host::tree::Tree::read`].
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let real = self.host.tree.resolve(path);
        let is_it =
            |it: &&File| it.path == path || real.as_ref().is_ok_and(|real| it.path == *real);
        match self.files.iter().find(is_it) {
            Some(file) => Ok(file.lines.bytes()),
            None => self.host.tree.read(path),
        }
    }

    /// The files that change, as they are to be.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let content = |it: &File| (it.path.clone(), it.lines.bytes());
        self.files.iter().map(content).collect()
    }

    /// The changes, in the order in which the files were first edited.
    pub fn changes(&self) -> Vec<Change> {
        let changes = self.files.iter().filter_map(|file| {
            let after = Content::File {
                bytes: file.lines.bytes(),
                mode: file.mode,
                uid: file.owner.0,
                gid: file.owner.1,
            };
            let after = Some(after);
            (after != file.before).then(|| Change {
                path: file.path.clone(),
                before: file.before.clone(),
                after,
                why: file.whys.join("; "),
            })
        });
        changes.collect()
    }

    /// The path to change, and for a link that is to be replaced the path whose text it gets.
    fn place(&self, path: &Path) -> Result<(PathBuf, Option<PathBuf>), FileRefusal> {
        let tree = &self.host.tree;
        match tree.resolve(path) {
            Ok(real) if GENERATED.iter().any(|it| real.starts_with(it)) => {
                let path = path.to_owned();
                Err(FileRefusal::Generated { path, real })
            }
            Ok(real) if !is_vendors(&real) => Ok((real, None)),
            Ok(real) if tree.link_target(path).is_ok() => Ok((path.to_owned(), Some(real))),
            Ok(real) => {
                let path = path.to_owned();
                Err(FileRefusal::Packaged { path, real })
            }
            Err(error) if is_absent(&error) && tree.link_status(path).is_err() => {
                Ok((path.to_owned(), None))
            }
            Err(error) => match tree.link_target(path) {
                Ok(target) if is_absent(&error) => {
                    let path = path.to_owned();
                    Err(FileRefusal::Dangling { path, target })
                }
                _ => Err(FileRefusal::io("open", path, error)),
            },
        }
    }

    fn open(&self, path: PathBuf, target: Option<PathBuf>) -> Result<File, FileRefusal> {
        let tree = &self.host.tree;
        let root = owner::stand_in(tree);
        let group = root.and_then(|_| Some(tree.status("/").ok()?.gid()));
        let mut file = File {
            lines: Lines::default(),
            before: None,
            mode: MODE,
            owner: (root.unwrap_or(0), group.unwrap_or(0)),
            whys: Vec::new(),
            path,
        };
        let dir = file.path.parent().map(Path::to_owned);
        self.refuse_unsafe(&dir.unwrap_or_default())?;
        if let Some(real) = target {
            let link = tree.link_target(&file.path);
            let target = link.map_err(|it| FileRefusal::io("read the link", &file.path, it))?;
            file.before = Some(Content::Link { target });
            file.lines = Lines::of(&self.read(&real)?);
            return Ok(file);
        }
        let status = match tree.link_status(&file.path) {
            Err(error) if is_absent(&error) => return Ok(file),
            status => status.map_err(|it| FileRefusal::io("open", &file.path, it))?,
        };
        if tree.is_immutable(&file.path) {
            return Err(FileRefusal::Immutable {
                on_host: tree.on_host(&file.path),
                path: file.path,
            });
        }
        let bytes = self.read(&file.path)?;
        file.lines = Lines::of(&bytes);
        file.mode = status.mode() & 0o7777;
        file.owner = (status.uid(), status.gid());
        file.before = Some(Content::File {
            bytes,
            mode: file.mode,
            uid: status.uid(),
            gid: status.gid(),
        });
        Ok(file)
    }

    /// Refuses a file that others than root can change, or put something else in its place.
    ///
    /// # Errors
    /// [`FileRefusal::Unsafe`].
    pub fn refuse_unsafe(&self, path: &Path) -> Result<(), FileRefusal> {
        let tree = &self.host.tree;
        let mut above = path.ancestors();
        let existing = above.find(|it| tree.exists(it)).unwrap_or(path);
        match owner::unsafe_part(tree, existing) {
            Ok(None) => Ok(()),
            Ok(Some(part)) => {
                let path = path.to_owned();
                Err(FileRefusal::Unsafe { path, part })
            }
            Err(error) => Err(FileRefusal::io("open", existing, error)),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, FileRefusal> {
        let read = self.host.tree.read(path);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => FileRefusal::NotRegular(path.to_owned()),
            _ => FileRefusal::io("read", path, error),
        })
    }
}

/// Whether a file belongs to a package, whose update writes it.
fn is_vendors(path: &Path) -> bool {
    let mut dirs = ["/usr", "/lib"].iter();
    dirs.any(|it| path.starts_with(it)) && !path.starts_with("/usr/local")
}

/// Where files are made from a description of the whole system.
const GENERATED: [&str; 2] = ["/nix", "/gnu"];
/// The permissions of new files.
const MODE: u32 = 0o644;

//! The kinds of people who log in: a module before ours lets in some of them and not others.

/// A kind of people without a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Person {
    /// An ordinary user of a directory service: in no file here, in no group that a line names.
    Directory,
    /// An ordinary user of /etc/passwd.
    Local,
    /// A user of the directory whom a line names, or who is in a group that it names.
    Named,
    /// A system account of /etc/passwd.
    System,
    /// Root, whom our module always lets pass.
    Root,
}

impl Person {
    /// Ordinary users.
    pub const USERS: [Self; 2] = [Self::Directory, Self::Local];
    /// Who is neither root nor a system account.
    pub const PEOPLE: [Self; 3] = [Self::Directory, Self::Local, Self::Named];
    /// All kinds, ordinary users first.
    pub const ALL: [Self; 5] = [
        Self::Directory,
        Self::Local,
        Self::Named,
        Self::System,
        Self::Root,
    ];

    /// Whether the person is in /etc/passwd.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Local | Self::System | Self::Root)
    }

    /// Whether the person has a uid of the system's range.
    pub fn is_system(self) -> bool {
        matches!(self, Self::System | Self::Root)
    }
}

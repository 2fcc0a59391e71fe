//! The users of every cluster. Their names, ids and passwords are fixed; their keys are not.

/// A user with a home directory, a password, and an ed25519 key that all nodes accept.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The login name.
    pub name: &'static str,
    /// The user id, and the id of the group of the same name.
    pub uid: u32,
    /// The password in the clear.
    pub password: &'static str,
    /// The password as in /etc/shadow.
    pub hash: &'static str,
}

/// Alice, bob and carol.
pub const USERS: [User; 3] = [
    User {
        name: "alice",
        uid: 2001,
        password: "alice-secret",
        hash: "$6$rounds=1000$slurmadopt$2VGio7eubJSPIzXrgc46vvNBToZb0b/93XQvwntwg3MLTRM7PN2c\
               .lW98j/KZnPQZHVzm9dGLNbTD/E4z2zsX1",
    },
    User {
        name: "bob",
        uid: 2002,
        password: "bob-secret",
        hash: "$6$rounds=1000$slurmadopt$xTP72bOGJ3N/8sLfOK7aJ/HeFsTVb//JXcSVXlxSqVXVRfyM8mEe\
               YYEOOm60RnefOR5ieR2RyJLXAqyzoEFmN0",
    },
    User {
        name: "carol",
        uid: 2003,
        password: "carol-secret",
        hash: "$6$rounds=1000$slurmadopt$8o5x8wKeh3R7BIzJkMfc7TksdA0uewDndkXApIUweIkX0rvutJCW\
               rat6UPdT/PCjLx9bt7qtZUC5g.WYxyieZ/",
    },
];

impl User {
    /// Finds a user by name.
    pub fn find(name: &str) -> Option<&'static User> {
        USERS.iter().find(|user| user.name == name)
    }

    /// The home directory.
    pub fn home(&self) -> String {
        format!("/home/{}", self.name)
    }
}

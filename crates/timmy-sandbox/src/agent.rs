//! The user that commands run as when timmy is root.

use std::fs;
use std::io;

use rustix::process::Gid;
use rustix::process::Uid;
use rustix::thread::set_thread_groups;
use rustix::thread::set_thread_res_gid;
use rustix::thread::set_thread_res_uid;

use crate::error::SandboxError;
use crate::settings::Settings;
use crate::wire::struct_travels;

/// A user and its group, neither of them root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

struct_travels!(Identity { uid, gid });

impl Identity {
    /// Who commands have to be run as: nobody else, unless this process is root.
    pub(crate) fn for_commands(settings: &Settings) -> Result<Option<Self>, SandboxError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let user = settings.agent_user();
        let users = fs::read_to_string("/etc/passwd")
            .map_err(|error| SandboxError::io("read /etc/passwd", error))?;
        match find_user(&users, user) {
            Some(identity) => Ok(Some(identity)),
            None => Err(SandboxError::NoAgentUser {
                user: user.to_owned(),
            }),
        }
    }

    /// Becomes this user in the calling thread, for good.
    pub(crate) fn drop_to(self) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }

    /// Runs `look` with the rights of this user, then becomes root again.
    ///
    /// The supplementary groups stay given up: what calls this is about to become the user anyway.
    pub(crate) fn look_as<T>(self, look: impl FnOnce() -> T) -> io::Result<T> {
        let root = (Uid::ROOT, Gid::ROOT);
        set_thread_groups(&[])?;
        set_thread_res_gid(None, Gid::from_raw(self.gid), None)?;
        set_thread_res_uid(None, Uid::from_raw(self.uid), None)?;
        let seen = look();
        set_thread_res_uid(None, root.0, None)?;
        set_thread_res_gid(None, root.1, None)?;
        Ok(seen)
    }
}

/// The user of this name in the text of a passwd file. One that is root, or in root's group, is
/// none.
fn find_user(users: &str, name: &str) -> Option<Identity> {
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name) && !name.is_empty())?;
    let uid = fields.get(2)?.parse().ok()?;
    let gid = fields.get(3)?.parse().ok()?;
    (uid != 0 && gid != 0).then_some(Identity { uid, gid })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_is_found_unless_it_is_root() {
        let users = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\nadm:x:3:0::/:\n\
                     timmy-agent:x:995:994::/home/x:/bin/sh\nbroken:x\n";
        let found = find_user(users, "timmy-agent");
        assert_eq!(Some(Identity { uid: 995, gid: 994 }), found);
        for none in ["root", "toor", "adm", "broken", "", "timmy"] {
            assert_eq!(None, find_user(users, none), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_passwd_file_is_read_and_never_yields_root(users in "[a-c:0-9x\n]{0,200}") {
            for name in ["a", "b", "ab", ""] {
                let found = find_user(&users, name);
                prop_assert!(found.is_none_or(|user| user.uid != 0 && user.gid != 0));
            }
        }
    }
}

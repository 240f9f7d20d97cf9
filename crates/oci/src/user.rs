//! The user of an image: parsed, then looked up in the texts of passwd and group.
//!
//! Image specification: config.md, "User"; the rules are docker's and runc's: a number need not be in passwd, the
//! groups a named user is listed in count only where no group is given.

use std::fmt;
use std::str::FromStr;

/// The highest user or group id that docker accepts.
const MAX_ID: u32 = i32::MAX as u32;

/// What 0 is called.
const ROOT: &str = "root";

/// A user or group, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOrId {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

impl fmt::Display for NameOrId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `user`, `user:group`, `uid`, `uid:gid`, mixtures, and the empty text for root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSpec {
    /// The user; `None` for root.
    pub user: Option<NameOrId>,
    /// The group; `None` for the user's own.
    pub group: Option<NameOrId>,
}

impl FromStr for UserSpec {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            user: parse_part(user, text)?,
            group: parse_part(group, text)?,
        })
    }
}

impl fmt::Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            user.fmt(f)?;
        }
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ":{group}"))
    }
}

fn parse_part(part: &str, whole: &str) -> Result<Option<NameOrId>, UserError> {
    if part.is_empty() {
        return Ok(None);
    }
    if part.contains(':') {
        return Err(UserError::Syntax(whole.to_owned()));
    }
    let digits = part.strip_prefix('-').unwrap_or(part);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(NameOrId::Name(part.to_owned())));
    }
    match part.parse::<u32>() {
        Ok(id) if id <= MAX_ID => Ok(Some(NameOrId::Id(id))),
        _ => Err(UserError::Range(part.to_owned())),
    }
}

/// Why a user can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// More than one colon.
    #[error("user {0:?} has more than one colon: expected user, user:group, uid or uid:gid")]
    Syntax(String),
    /// A number that no id can be.
    #[error("id {0} is out of range: expected 0 to {MAX_ID}")]
    Range(String),
    /// A name that passwd doesn't have.
    #[error("no user {name:?} in the container's /etc/passwd{}", did_you_mean(.nearest.as_deref()))]
    UnknownUser {
        /// The name.
        name: String,
        /// The name there that is most like it.
        nearest: Option<String>,
    },
    /// A name that group doesn't have.
    #[error("no group {name:?} in the container's /etc/group{}", did_you_mean(.nearest.as_deref()))]
    UnknownGroup {
        /// The name.
        name: String,
        /// The name there that is most like it.
        nearest: Option<String>,
    },
}

/// A user as a process needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, `gid` first (it is among them, as docker has it since CVE-2022-36109).
    pub additional_gids: Vec<u32>,
    /// Home directory; `/` where passwd has no entry.
    pub home: String,
    /// Name, where passwd has one.
    pub name: Option<String>,
}

impl User {
    /// Root without an entry in passwd.
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            additional_gids: vec![0],
            home: "/".to_owned(),
            name: None,
        }
    }
}

/// Looks a user up in the texts of `/etc/passwd` and `/etc/group`; empty texts stand for missing files.
///
/// # Errors
/// [`UserError::UnknownUser`] and [`UserError::UnknownGroup`] for names that aren't there.
pub fn lookup_user(spec: &UserSpec, passwd: &str, group: &str) -> Result<User, UserError> {
    let entry = find_user(spec, passwd);
    let uid = match (&entry, &spec.user) {
        (Some(entry), _) => entry.uid,
        (None, None) => 0,
        (None, Some(NameOrId::Id(id))) => *id,
        // Every container has root, one from scratch too.
        (None, Some(NameOrId::Name(name))) if name == ROOT => 0,
        (None, Some(NameOrId::Name(name))) => {
            let nearest = nearest(name, passwd_entries(passwd).map(|entry| entry.name));
            return Err(UserError::UnknownUser {
                name: name.clone(),
                nearest,
            });
        }
    };
    let mut user = User { uid, ..User::root() };
    if let Some(entry) = &entry {
        user.gid = entry.gid;
        user.name = Some(entry.name.to_owned());
        entry.home.clone_into(&mut user.home);
    }
    user.additional_gids.clear();
    match &spec.group {
        Some(wanted) => user.gid = find_group(wanted, group)?,
        None => user.additional_gids = groups_of(user.name.as_deref(), group),
    }
    user.additional_gids.retain(|&gid| gid != user.gid);
    user.additional_gids.insert(0, user.gid);
    Ok(user)
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields
            .next()
            .filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        Some(PasswdEntry { name, uid, gid, home })
    })
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn group_entries(text: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields
            .next()
            .filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(GroupEntry {
            name,
            gid,
            members: fields.next().unwrap_or(""),
        })
    })
}

/// The first entry that fits; root's where no user is given.
fn find_user<'a>(spec: &UserSpec, passwd: &'a str) -> Option<PasswdEntry<'a>> {
    passwd_entries(passwd).find(|entry| match &spec.user {
        None => entry.uid == 0,
        Some(NameOrId::Id(id)) => entry.uid == *id,
        Some(NameOrId::Name(name)) => entry.name == name,
    })
}

fn find_group(wanted: &NameOrId, group: &str) -> Result<u32, UserError> {
    let name = match wanted {
        NameOrId::Id(id) => return Ok(*id),
        NameOrId::Name(name) => name,
    };
    let found = group_entries(group)
        .find(|entry| entry.name == name)
        .map(|entry| entry.gid);
    found
        .or_else(|| (name == ROOT).then_some(0))
        .ok_or_else(|| UserError::UnknownGroup {
            name: name.clone(),
            nearest: nearest(name, group_entries(group).map(|entry| entry.name)),
        })
}

fn groups_of(user: Option<&str>, group: &str) -> Vec<u32> {
    let Some(user) = user else { return Vec::new() };
    let mut gids = Vec::new();
    for entry in group_entries(group) {
        if entry.members.split(',').any(|member| member == user) && !gids.contains(&entry.gid) {
            gids.push(entry.gid);
        }
    }
    gids
}

/// The end of a message that proposes another name; empty without one.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean {name:?}?"))
}

/// The candidate that was probably meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    wiac_suggest::nearest(name, candidates).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nwww:x:33:34:web:/var/www:/bin/false\n\
                          toor:x:0:7::/toor:/bin/sh\nnohome:x:50:50:::\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,www\nwww:x:34:\naudio:x:29:www\n";

    fn look(spec: &str) -> Result<User, UserError> {
        lookup_user(&spec.parse()?, PASSWD, GROUP)
    }

    fn ids(spec: &str) -> (u32, u32, Vec<u32>) {
        let user = look(spec).unwrap();
        (user.uid, user.gid, user.additional_gids)
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(ids("www"), (33, 34, vec![34, 10, 29]));
        assert_eq!(ids("33"), (33, 34, vec![34, 10, 29]));
        assert_eq!(ids("www:audio"), (33, 29, vec![29]));
        assert_eq!(ids("www:77"), (33, 77, vec![77]));
        assert_eq!(ids("1234"), (1234, 0, vec![0]));
        assert_eq!(ids("1234:5"), (1234, 5, vec![5]));
        assert_eq!(ids("toor"), (0, 7, vec![7]));
        assert_eq!(ids(":www"), (0, 34, vec![34]));
    }

    #[test]
    fn nothing_is_root() {
        let user = look("").unwrap();
        assert_eq!(
            (user.uid, user.home.as_str(), user.name.as_deref()),
            (0, "/root", Some("root"))
        );
        assert_eq!(user.additional_gids, [0, 10]);
        assert_eq!(lookup_user(&UserSpec::default(), "", ""), Ok(User::root()));
    }

    #[test]
    fn root_needs_no_entry() {
        let look = |spec: &str| lookup_user(&spec.parse()?, "www:x:33:34::/:\n", "");
        assert_eq!(look("root"), Ok(User::root()));
        assert_eq!(look("root:root"), Ok(User::root()));
        assert_eq!(look("www:root").map(|user| (user.uid, user.gid)), Ok((33, 0)));
        // Where it has an entry, that one counts.
        let user = lookup_user(&"root".parse().unwrap(), "root:x:5:6::/r:\n", "").unwrap();
        assert_eq!((user.uid, user.gid), (5, 6));
    }

    #[test]
    fn a_home_is_never_empty() {
        assert_eq!(look("nohome").unwrap().home, "/");
        assert_eq!(look("1234").unwrap().home, "/");
    }

    #[test]
    fn unknown_names_get_a_suggestion() {
        let error = look("wwww").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"no user "wwww" in the container's /etc/passwd: did you mean "www"?"#
        );
        let error = look("www:wheels").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"no group "wheels" in the container's /etc/group: did you mean "wheel"?"#
        );
        assert_eq!(
            look("postgres").unwrap_err().to_string(),
            r#"no user "postgres" in the container's /etc/passwd"#
        );
    }

    #[test]
    fn bad_specs() {
        assert_eq!(look("a:b:c"), Err(UserError::Syntax("a:b:c".to_owned())));
        assert_eq!(ids("2147483647"), (2_147_483_647, 0, vec![0]));
        assert_eq!(look("2147483648"), Err(UserError::Range("2147483648".to_owned())));
        assert_eq!(look("4294967295"), Err(UserError::Range("4294967295".to_owned())));
        let commented = "#www:x:33:33::/:\n:x:1:1::/:\n";
        for name in ["#www", "www"] {
            assert!(lookup_user(&name.parse().unwrap(), commented, "").is_err(), "{name}");
            assert!(
                lookup_user(&format!("0:{name}").parse().unwrap(), "", commented).is_err(),
                "{name}"
            );
        }
        assert_eq!(look("-1"), Err(UserError::Range("-1".to_owned())));
    }

    #[test]
    fn specs_display_as_written() {
        for text in ["", "a", "a:b", "1:2", ":g", "1"] {
            assert_eq!(text.parse::<UserSpec>().unwrap().to_string(), text);
        }
    }
}

//! From the fields of a `--mount`, as written, to the typed mount.

use super::mount::{Mount, MountField, RunMount, Sharing};
use crate::csv;
use crate::directives::parse_bool;
use crate::error::{Error, ErrorKind};
use crate::expand::Expander;
use crate::model::Word;
use wiac_suggest::nearest;

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];
/// Keys that mean something without a value.
const SWITCHES: [&str; 5] = ["readonly", "ro", "readwrite", "rw", "required"];
const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARINGS: [&str; 3] = ["shared", "private", "locked"];

impl RunMount {
    /// Reads the value of a `--mount` flag. What holds no variable is checked at once.
    pub(crate) fn parse(word: &Word) -> Result<Self, Error> {
        let fields = csv::fields(&word.text).map_err(|problem| bad(problem, word))?;
        let fields = fields
            .iter()
            .map(|field| parse_field(field))
            .collect::<Result<Vec<_>, _>>();
        let mount = Self {
            raw: word.text.clone(),
            fields: fields.map_err(|problem| bad(problem, word))?,
            span: word.span,
        };
        if mount
            .from()
            .is_some_and(|from| from.find('$').is_some_and(|at| at + 1 != from.len()))
        {
            return Err(Error::new(
                ErrorKind::VariableInFrom { place: "--mount from=" },
                word.span,
            ));
        }
        if !word.text.contains('$') {
            mount.resolve(&Expander::new('\\', &|_| None))?;
        }
        Ok(mount)
    }

    /// The typed mount, with every value but `from` expanded and the defaults filled in.
    pub fn resolve(&self, expander: &Expander<'_>) -> Result<Mount, Error> {
        let mut draft = Draft::default();
        for field in &self.fields {
            let value = match &field.value {
                Some(value) if field.key != "from" => Some(
                    expander
                        .text(value)
                        .map_err(|error| Error::new(error.kind.into(), self.span))?
                        .text,
                ),
                other => other.clone(),
            };
            draft.set(&field.key, value).map_err(|problem| self.bad(problem))?;
        }
        draft.finish().map_err(|problem| self.bad(problem))
    }

    fn bad(&self, problem: String) -> Error {
        Error::new(
            ErrorKind::BadField {
                flag: "--mount",
                problem,
            },
            self.span,
        )
    }
}

fn bad(problem: String, word: &Word) -> Error {
    Error::new(
        ErrorKind::BadField {
            flag: "--mount",
            problem,
        },
        word.span,
    )
}

fn parse_field(field: &str) -> Result<MountField, String> {
    let (key, value) = field
        .split_once('=')
        .map_or((field, None), |(key, value)| (key, Some(value.to_owned())));
    let key = key.to_ascii_lowercase();
    if !KEYS.contains(&key.as_str()) {
        return Err(format!("unknown key {key:?}{}", did_you_mean(&key, &KEYS)));
    }
    if value.is_none() && !SWITCHES.contains(&key.as_str()) {
        return Err(format!("{key} needs a value"));
    }
    Ok(MountField { key, value })
}

fn did_you_mean(word: &str, known: &[&'static str]) -> String {
    nearest(word, known.iter().copied())
        .map(|word| format!(" (did you mean {word}?)"))
        .unwrap_or_default()
}

/// All that a mount of any type can say.
#[derive(Default)]
struct Draft {
    kind: Option<String>,
    from: Option<String>,
    source: String,
    target: String,
    read_only: Option<bool>,
    required: Option<bool>,
    size: Option<u64>,
    id: Option<String>,
    sharing: Option<Sharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

/// The largest number is no id: chown(2) takes it for "as it is".
fn parse_id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

impl Draft {
    fn set(&mut self, key: &str, value: Option<String>) -> Result<(), String> {
        let text = value.as_deref().unwrap_or("true");
        let wrong = || format!("{key} has the invalid value {text:?}");
        match key {
            "type" => {
                let kind = text.to_ascii_lowercase();
                if !TYPES.contains(&kind.as_str()) {
                    return Err(format!("unknown type {text:?}{}", did_you_mean(&kind, &TYPES)));
                }
                self.kind = Some(kind);
            }
            "from" => self.from = value.filter(|from| !from.is_empty()),
            "source" | "src" => self.source = value.unwrap_or_default(),
            "target" | "dst" | "destination" => self.target = value.unwrap_or_default(),
            "readonly" | "ro" => self.read_only = Some(parse_bool(text).ok_or_else(wrong)?),
            "readwrite" | "rw" => self.read_only = Some(!parse_bool(text).ok_or_else(wrong)?),
            "required" => self.required = Some(parse_bool(text).ok_or_else(wrong)?),
            "size" => self.size = Some(parse_size(text).ok_or_else(wrong)?),
            "id" => self.id = value.filter(|id| !id.is_empty()),
            "sharing" => self.sharing = Some(parse_sharing(text)?),
            "mode" => self.mode = Some(u32::from_str_radix(text, 8).map_err(|_| wrong())?),
            "uid" => self.uid = Some(parse_id(text).ok_or_else(wrong)?),
            "gid" => self.gid = Some(parse_id(text).ok_or_else(wrong)?),
            _ => self.env = value,
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, String> {
        let kind = self.kind.clone().unwrap_or_else(|| "bind".to_owned());
        self.refuse_foreign_keys(&kind)?;
        Ok(match kind.as_str() {
            "cache" => Mount::Cache {
                id: self.id,
                from: self.from,
                source: self.source,
                target: self.target,
                read_only: self.read_only.unwrap_or(false),
                sharing: self.sharing.unwrap_or_default(),
                mode: self.mode,
                uid: self.uid,
                gid: self.gid,
            },
            "tmpfs" => Mount::Tmpfs {
                target: self.target,
                size: self.size.unwrap_or(0),
                read_only: self.read_only.unwrap_or(false),
            },
            "secret" => self.secret()?,
            "ssh" => Mount::Ssh {
                id: self.id.unwrap_or_else(|| "default".to_owned()),
                target: Some(self.target).filter(|target| !target.is_empty()),
                required: self.required.unwrap_or(false),
                mode: self.mode.unwrap_or(0o600),
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
            },
            _ => Mount::Bind {
                from: self.from,
                source: self.source,
                target: self.target,
                read_only: self.read_only.unwrap_or(true),
            },
        })
    }

    fn secret(self) -> Result<Mount, String> {
        let source = Some(self.source).filter(|source| !source.is_empty());
        if source.is_some() && self.id.is_some() {
            return Err("a secret takes id or source, not both".to_owned());
        }
        let id = self
            .id
            .or(source)
            .or_else(|| base_name(&self.target).map(str::to_owned));
        let id = id.ok_or("a secret needs an id or a target")?;
        let target = Some(self.target).filter(|target| !target.is_empty());
        let default = || format!("/run/secrets/{}", base_name(&id).unwrap_or(&id));
        let target = if self.env.is_some() {
            target
        } else {
            Some(target.unwrap_or_else(default))
        };
        Ok(Mount::Secret {
            target,
            id,
            env: self.env,
            required: self.required.unwrap_or(false),
            mode: self.mode.unwrap_or(0o400),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        })
    }

    /// An error that names a key the type does not have.
    fn refuse_foreign_keys(&self, kind: &str) -> Result<(), String> {
        let owned = matches!(kind, "cache" | "secret" | "ssh");
        let keys = [
            ("required", self.required.is_some(), matches!(kind, "secret" | "ssh")),
            ("size", self.size.is_some(), kind == "tmpfs"),
            ("sharing", self.sharing.is_some(), kind == "cache"),
            ("mode", self.mode.is_some(), owned),
            ("uid", self.uid.is_some(), owned),
            ("gid", self.gid.is_some(), owned),
            ("from", self.from.is_some(), kind != "secret"),
            ("source", !self.source.is_empty(), kind != "ssh"),
        ];
        match keys.iter().find(|(_, given, allowed)| *given && !*allowed) {
            Some((key, ..)) => Err(format!("{key} has no meaning for type {kind}")),
            None => Ok(()),
        }
    }
}

fn parse_sharing(text: &str) -> Result<Sharing, String> {
    match text.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        other => Err(format!("unknown sharing {text:?}{}", did_you_mean(other, &SHARINGS))),
    }
}

/// The last component of a path; `None` where there is none.
fn base_name(path: &str) -> Option<&str> {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
}

/// A size in bytes: a number, then perhaps `b`, `k`, `m`, `g`, `t` or `p` with `b` or `ib`; powers of 1024.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to be in range"
)]
fn parse_size(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let suffix = text[digits..].trim_start().to_ascii_lowercase();
    let power = match suffix
        .strip_suffix("ib")
        .or_else(|| suffix.strip_suffix('b'))
        .unwrap_or(&suffix)
    {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    (bytes < 9.2e18).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    fn mount(text: &str) -> Result<Mount, Error> {
        let word = Word {
            text: text.to_owned(),
            span: Span::default(),
        };
        RunMount::parse(&word)?.resolve(&Expander::new('\\', &|name| (name == "V").then(|| "v".to_owned())))
    }

    #[test]
    fn defaults_of_each_type() {
        let bind = Mount::Bind {
            from: None,
            source: "s".into(),
            target: "/t".into(),
            read_only: true,
        };
        assert_eq!(mount("source=s,target=/t").unwrap(), bind);
        assert_eq!(mount("TYPE=bind,src=s,dst=/t,ro").unwrap(), bind);
        assert!(matches!(
            mount("target=/t,rw").unwrap(),
            Mount::Bind { read_only: false, .. }
        ));
        assert!(matches!(
            mount("type=cache,target=/$V,sharing=locked,mode=0700").unwrap(),
            Mount::Cache { target, sharing: Sharing::Locked, mode: Some(0o700), id: None, .. } if target == "/v"
        ));
        assert!(
            matches!(mount("type=tmpfs,target=/t,size=64m").unwrap(), Mount::Tmpfs { size, .. } if size == 64 << 20)
        );
        assert!(
            matches!(mount("type=ssh,required").unwrap(), Mount::Ssh { id, required: true, .. } if id == "default")
        );
    }

    #[test]
    fn secrets_find_their_id_and_target() {
        for (text, id, target) in [
            ("type=secret,id=a/b", "a/b", Some("/run/secrets/b")),
            ("type=secret,target=/x/y", "y", Some("/x/y")),
            ("type=secret,id=a,env=A", "a", None),
            ("type=secret,id=a,env=A,target=/t", "a", Some("/t")),
        ] {
            let Mount::Secret {
                id: found, target: at, ..
            } = mount(text).unwrap()
            else {
                panic!("{text}")
            };
            assert_eq!((found.as_str(), at.as_deref()), (id, target), "{text}");
        }
    }

    #[test]
    fn wrong_mounts() {
        for text in [
            "type=bnid,target=/t",
            "target",
            "foo=1",
            "type=secret",
            "type=secret,id=a,source=b",
            "from=$V,target=/t",
            "type=tmpfs,size=x",
            "size=1,target=/t",
            "type=bind,uid=1",
            "type=cache,target=/x,uid=4294967295",
            "type=cache,sharing=all",
            "type=secret,id=a,from=b",
            "ro=maybe",
            "type=cache,mode=9",
            "\"a",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }
}

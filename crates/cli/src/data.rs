//! The data directory and the user namespace of a command.

use crate::Global;
use crate::error::Failure;
use wiac_foreign::Caller;
use wiac_layer::Form;
use wiac_layer::unpack::OwnerPolicy;
use wiac_run::user_namespace::{self, UserNamespace};
use wiac_store::Store;

/// The store, opened, in the user namespace it is used from.
pub(crate) struct Data {
    /// The store.
    pub(crate) store: Store,
    /// The namespace this process is in; none for root.
    pub(crate) user_namespace: Option<UserNamespace>,
    /// Who asked, outside of it.
    pub(crate) caller: Caller,
}

impl Data {
    /// What becomes of owners in what is unpacked: a user with a single id can't set them.
    pub(crate) fn owner_policy(&self) -> OwnerPolicy {
        match &self.user_namespace {
            Some(namespace) if namespace.is_single() => OwnerPolicy::Record,
            _ => OwnerPolicy::Set,
        }
    }
}

/// Enters a user namespace where the user isn't root, and opens the data directory. Who is root in somebody else's user
/// namespace only isn't root to overlays and devices, but needs no namespace of its own.
pub(crate) fn open(global: &Global) -> Result<Data, Failure> {
    let is_user = user_namespace::is_needed();
    let inherited = if is_user { None } else { user_namespace::inherited()? };
    let is_root = !is_user && inherited.is_none();
    let caller = Caller::current();
    let location = global.data.clone().or_else(|| wiac_store::default_location(is_root));
    let location = location.ok_or_else(|| {
        Failure::new(
            "this user has no home directory for the data: set HOME, or name a place with --data DIR or WIAC_DATA",
        )
    })?;
    let wrong = match location.metadata() {
        Ok(meta) if !meta.is_dir() => Some("is no directory"),
        Err(_) if location.is_symlink() => Some("is a symlink that leads nowhere"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(Failure::new(format!(
            "the data directory {} {wrong}; name another place with --data DIR or WIAC_DATA",
            location.display()
        )));
    }
    let user_namespace = if is_user {
        Some(user_namespace::enter()?)
    } else {
        inherited
    };
    let form = if is_root { Form::Trusted } else { Form::User };
    Ok(Data {
        store: Store::open(&location, form)?,
        user_namespace,
        caller,
    })
}

//! What the tests are written with: a place of their own, commands whose exit code has to be stated, tools of the host.

pub mod call;
pub mod debian;
pub mod leftovers;
pub mod machine;
pub mod place;
pub mod programs;
pub mod pty;
pub mod tools;

pub use place::Place;

/// Tests of the function of this name, one for each kind of user: `as_users!(name: root, user, single)` makes
/// `name::root`, `name::user` and `name::single`, each with a place of that user's own.
macro_rules! as_users {
    ($test:ident: $($user:ident),+) => {
        mod $test {
            $(
                #[test]
                fn $user() {
                    super::$test(&$crate::harness::Place::$user());
                }
            )+
        }
    };
}

pub(crate) use as_users;

//! What the tests are written with: a place of their own, commands whose exit code has to be stated, tools of the host.

pub mod call;
pub mod leftovers;
pub mod place;
pub mod programs;
pub mod pty;
pub mod tools;

pub use place::Place;

/// A test for each kind of user: `[root, user, single] fn name(place) { … }` becomes `name::root`, `name::user` and
/// `name::single`, each with a place of that user's own.
macro_rules! tests_as {
    ($([$($user:ident),+] fn $name:ident($place:ident) $body:block)+) => { $(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn check($place: &$crate::harness::Place) $body

            $(
                #[test]
                fn $user() {
                    check(&$crate::harness::Place::$user());
                }
            )+
        }
    )+ };
}

pub(crate) use tests_as;

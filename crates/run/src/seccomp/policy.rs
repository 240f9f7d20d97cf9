//! A profile's rules, sorted by call: what is returned at once, and which conditions are asked in which order.
//!
//! Where rules meet, runc's (libseccomp's) ways hold: a rule with the default action counts for nothing; a rule
//! without conditions wins over all others of its call, the first of several; an argument that is named twice in
//! one rule makes each of its conditions a rule of its own. Among rules with conditions the first that fits wins
//! (libseccomp leaves that open).

use wiac_oci::runtime::SeccompArg;

use super::table;

/// What a call leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No rule: the default.
    Default,
    /// Always the same.
    Always(u32),
    /// The rules in [`Policy::chain`] are asked.
    Chain(u16),
}

/// A verdict under conditions, all of which must hold.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// The verdict.
    pub verdict: u32,
    /// The conditions.
    pub conditions: &'a [SeccompArg],
}

/// The rules of every call in the table.
#[derive(Debug)]
pub struct Policy<'a> {
    default: u32,
    outcomes: [Outcome; table::LEN],
    mentioned: [bool; table::LEN],
    chains: Vec<Vec<Rule<'a>>>,
}

impl<'a> Policy<'a> {
    /// A policy without rules.
    pub fn new(default: u32) -> Self {
        Self {
            default,
            outcomes: [Outcome::Default; table::LEN],
            mentioned: [false; table::LEN],
            chains: Vec::new(),
        }
    }

    /// Adds a rule for the call in a row.
    pub fn add(&mut self, row: u16, verdict: u32, conditions: &'a [SeccompArg]) {
        let row = usize::from(row);
        self.mentioned[row] = true;
        if verdict == self.default || matches!(self.outcomes[row], Outcome::Always(_)) {
            return;
        }
        if conditions.is_empty() {
            self.outcomes[row] = Outcome::Always(verdict);
            return;
        }
        let chain = match self.outcomes[row] {
            Outcome::Chain(chain) => chain,
            _ => self.new_chain(),
        };
        self.outcomes[row] = Outcome::Chain(chain);
        let rules = &mut self.chains[usize::from(chain)];
        if names_an_argument_twice(conditions) {
            rules.extend(conditions.chunks(1).map(|conditions| Rule { verdict, conditions }));
        } else {
            rules.push(Rule { verdict, conditions });
        }
    }

    /// The default verdict.
    pub fn default_verdict(&self) -> u32 {
        self.default
    }

    /// What the call in a row leads to.
    pub fn outcome(&self, row: u16) -> Outcome {
        self.outcomes[usize::from(row)]
    }

    /// True if any rule names the call in a row, even one that counts for nothing.
    pub fn is_mentioned(&self, row: u16) -> bool {
        self.mentioned[usize::from(row)]
    }

    /// The rules of a chain, first to last.
    pub fn chain(&self, chain: u16) -> &[Rule<'a>] {
        &self.chains[usize::from(chain)]
    }

    /// Keeps a list of rules as a chain that no row leads to.
    pub fn add_chain(&mut self, rules: Vec<Rule<'a>>) -> u16 {
        let chain = self.new_chain();
        self.chains[usize::from(chain)] = rules;
        chain
    }

    fn new_chain(&mut self) -> u16 {
        self.chains.push(Vec::new());
        u16::try_from(self.chains.len() - 1).expect("there are no more chains than calls")
    }
}

fn names_an_argument_twice(conditions: &[SeccompArg]) -> bool {
    let mut seen = 0_u8;
    conditions.iter().any(|condition| {
        let bit = 1 << condition.index;
        let again = seen & bit != 0;
        seen |= bit;
        again
    })
}

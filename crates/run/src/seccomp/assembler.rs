//! Writes a BPF program from its end to its start, so that every jump's target is already placed.
//!
//! BPF jumps only forward, and a conditional one at most 255 instructions: a target out of reach is reached through
//! an unconditional jump (32 bits) or, for a return, by another copy of it.

use wiac_sys::seccomp::Instruction;

/// Loads a 32-bit word of `seccomp_data` at offset k.
const LOAD: u16 = 0x20;
/// Ands the accumulator with k.
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
/// The farthest a conditional jump reaches.
const REACH: usize = 255;

/// What the accumulator is tested for, against k.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// Equal.
    Equal = 0x15,
    /// Greater.
    Greater = 0x25,
    /// Greater or equal.
    AtLeast = 0x35,
}

/// Where control goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To an instruction, counted from the program's end.
    Label(usize),
    /// Out of the program with a verdict.
    Return(u32),
}

/// A program that grows at its start.
#[derive(Debug, Default)]
pub struct Assembler {
    reversed: Vec<Instruction>,
    /// The latest place of each verdict.
    returns: Vec<(u32, usize)>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Self {
        Self {
            reversed: Vec::with_capacity(512),
            returns: Vec::with_capacity(8),
        }
    }

    /// The program in the kernel's order.
    pub fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// Loads the word at `offset`, then goes on with what was written last. The result is the load's place.
    pub fn load(&mut self, offset: u32) -> Target {
        self.push(LOAD, 0, 0, offset)
    }

    /// Masks the accumulator, then goes on with what was written last.
    pub fn and(&mut self, mask: u32) -> Target {
        self.push(AND, 0, 0, mask)
    }

    /// Makes `target` what was written last, so that a load before it goes on there.
    pub fn go(&mut self, target: Target) -> Target {
        match target {
            Target::Label(label) if label + 1 == self.reversed.len() => target,
            Target::Label(label) => self.push(JUMP, 0, 0, self.skip(label)),
            Target::Return(verdict) => Target::Label(self.place_return(verdict)),
        }
    }

    /// Goes to one of two targets by a test of the accumulator.
    pub fn branch(&mut self, test: Test, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        // Resolving `no` may add one instruction between here and `yes`.
        let yes = self.within_reach(yes, 1);
        let no = self.within_reach(no, 0);
        let (jt, jf) = (self.short_skip(yes), self.short_skip(no));
        self.push(test as u16, jt, jf, k)
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Target {
        self.reversed.push(Instruction { code, jt, jf, k });
        Target::Label(self.reversed.len() - 1)
    }

    /// How many instructions lie between the next one written and `label`.
    fn skip(&self, label: usize) -> u32 {
        u32::try_from(self.reversed.len() - label - 1).expect("the program's length is bounded")
    }

    fn short_skip(&self, label: usize) -> u8 {
        u8::try_from(self.reversed.len() - label - 1).expect("the target was brought within reach")
    }

    /// A place for `target` that a branch reaches if at most `more` instructions come before it.
    fn within_reach(&mut self, target: Target, more: usize) -> usize {
        let is_near = |label: usize| self.reversed.len() + more - label - 1 <= REACH;
        match target {
            Target::Label(label) if is_near(label) => label,
            Target::Label(label) => {
                self.push(JUMP, 0, 0, self.skip(label));
                self.reversed.len() - 1
            }
            Target::Return(verdict) => {
                let placed = self
                    .returns
                    .iter()
                    .find(|&&(known, label)| known == verdict && is_near(label));
                match placed.copied() {
                    Some((_, label)) => label,
                    None => self.place_return(verdict),
                }
            }
        }
    }

    fn place_return(&mut self, verdict: u32) -> usize {
        let label = self.reversed.len();
        self.push(RETURN, 0, 0, verdict);
        match self.returns.iter_mut().find(|(known, _)| *known == verdict) {
            Some(entry) => entry.1 = label,
            None => self.returns.push((verdict, label)),
        }
        label
    }
}

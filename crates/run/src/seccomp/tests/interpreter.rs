//! A BPF machine as strict as the kernel's checker: what can't be loaded can't be run here.

use wiac_sys::seccomp::Instruction;

/// The kernel's `struct seccomp_data`, without the instruction pointer.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: u32,
    pub audit: u32,
    pub args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        assert!(offset.is_multiple_of(4), "loads are aligned");
        let half = |value: u64| {
            u32::try_from(if offset.is_multiple_of(8) {
                value & 0xffff_ffff
            } else {
                value >> 32
            })
            .unwrap()
        };
        match offset {
            0 => self.number,
            4 => self.audit,
            8 | 12 => panic!("the filter has no business with the instruction pointer"),
            16..64 => half(self.args[usize::try_from((offset - 16) / 8).unwrap()]),
            _ => panic!("offset {offset} is outside of seccomp_data"),
        }
    }
}

/// Checks what the kernel checks before it takes a filter.
pub fn check(program: &[Instruction]) {
    assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
    assert_eq!(program.last().unwrap().code, 0x06, "the last instruction returns");
    for (place, instruction) in program.iter().enumerate() {
        let reach = match instruction.code {
            0x05 => instruction.k as usize,
            0x15 | 0x25 | 0x35 => usize::from(instruction.jt.max(instruction.jf)),
            0x06 => continue,
            0x20 | 0x54 => 0,
            code => panic!("unknown operation {code:#x}"),
        };
        assert!(
            place + 1 + reach < program.len(),
            "instruction {place} leaves the program"
        );
    }
}

/// The verdict on a call, and how many instructions it took.
pub fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut place, mut accumulator, mut steps) = (0, 0_u32, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[place];
        steps += 1;
        place += 1;
        let branch = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            0x06 => return (k, steps),
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x05 => place += k as usize,
            0x15 => place += branch(accumulator == k),
            0x25 => place += branch(accumulator > k),
            0x35 => place += branch(accumulator >= k),
            // libseccomp uses it to look for x32's bit.
            0x45 => place += branch(accumulator & k != 0),
            code => panic!("unknown operation {code:#x}"),
        }
    }
}

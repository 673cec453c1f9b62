//! Signals that the kernel sends to a process for what it did, or for what the hardware did to it.
//!
//! On x86. On arm64 the kernel says nothing about them unless it is asked to (`show_unhandled_signals`).

use super::{number, parts, process};

/// What a process did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It used an address that is not its own.
    Segfault,
    /// It did something that needs privilege, or used an impossible address.
    GeneralProtection,
    /// It came to bytes that are no instruction, often put there to stop it (`ud2`).
    InvalidOpcode,
    /// It divided by zero.
    DivideError,
    /// Another trap.
    Trap,
    /// It used memory whose content the hardware had lost.
    LostMemory,
}

impl FaultKind {
    /// Returns the name, as in an incident line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segfault => "segfault",
            Self::GeneralProtection => "general_protection",
            Self::InvalidOpcode => "invalid_opcode",
            Self::DivideError => "divide_error",
            Self::Trap => "trap",
            Self::LostMemory => "lost_memory",
        }
    }

    /// Returns the signal that the process gets; `None` if it depends on the trap.
    pub fn signal(self) -> Option<u8> {
        match self {
            Self::Segfault | Self::GeneralProtection => Some(11),
            Self::InvalidOpcode => Some(4),
            Self::DivideError => Some(8),
            Self::LostMemory => Some(7),
            Self::Trap => None,
        }
    }
}

/// A process that got such a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// What happened.
    pub kind: FaultKind,
    /// The name of the thread.
    pub comm: &'a str,
    /// Its number on the node, not in its container.
    pub pid: u64,
    /// The name of the program or library whose code did it, without its folder.
    pub file: Option<&'a str>,
    /// Where in its code: from the start of the file (newer kernels) or of the mapped part of it.
    pub offset: Option<u64>,
}

/// Parses a line about such a signal.
pub(super) fn parse(text: &str) -> Option<Fault<'_>> {
    segfault(text).or_else(|| trap(text)).or_else(|| lost_memory(text))
}

/// `crash[4312]: segfault at 0 ip 000055d0c0a01139 sp 00007ffd3c0e5d50 error 4 in crash[55d0c0a01000+1000] likely on …`
///
/// Source: `show_signal_msg` in arch/x86/mm/fault.c.
fn segfault(text: &str) -> Option<Fault<'_>> {
    let [head, rest, ..] = parts(text, "*]: segfault at ~ ip *")?;
    fault(FaultKind::Segfault, head, rest)
}

/// `traps: crash[4312] general protection fault ip:55d0c0a01139 sp:7ffd3c0e5d50 error:0 in crash[55d0c0a01000+1000]`
///
/// Source: `show_signal` in arch/x86/kernel/traps.c.
fn trap(text: &str) -> Option<Fault<'_>> {
    let [head, rest, after_ip, _] = parts(text, "traps: *] * ip:*")?;
    let kind = match rest {
        rest if rest.starts_with("general protection") => FaultKind::GeneralProtection,
        rest if rest.starts_with("trap invalid opcode") => FaultKind::InvalidOpcode,
        rest if rest.starts_with("trap divide error") => FaultKind::DivideError,
        rest if rest.starts_with("trap ") => FaultKind::Trap,
        _ => return None,
    };
    fault(kind, head, after_ip)
}

/// Reads what both have behind the address of the instruction.
fn fault<'a>(kind: FaultKind, head: &'a str, after_ip: &'a str) -> Option<Fault<'a>> {
    let (comm, pid) = process(head, "[")?;
    let place = parts(after_ip, "~ in %[*");
    let file = place.and_then(|[file, ..]| file_name(file));
    let offset = place.and_then(|[_, mapping, ..]| offset(number(after_ip, 16)?.0, mapping));
    Some(Fault { kind, comm, pid, file, offset })
}

/// File names have at most 255 bytes; a longer one is none.
fn file_name(name: &str) -> Option<&str> {
    (1..256).contains(&name.len()).then_some(name)
}

/// Reads `START+LENGTH]`, or in newer kernels `OFFSET,START+LENGTH]`. Source: `print_vma_addr` in mm/memory.c.
fn offset(ip: u64, mapping: &str) -> Option<u64> {
    let (first, rest) = number(mapping, 16)?;
    match rest.bytes().next()? {
        b',' => Some(first),
        b'+' => ip.checked_sub(first),
        _ => None,
    }
}

/// `MCE: Killing java:4312 due to hardware memory corruption fault at 7f0012345000` (arch/x86/mm/fault.c), and
/// `Memory failure: 0x12345: Sending SIGBUS to java:4312 due to hardware memory corruption` (mm/memory-failure.c).
fn lost_memory(text: &str) -> Option<Fault<'_>> {
    let [who, ..] = parts(text, "~Killing % due to hardware memory corruption")
        .or_else(|| parts(text, "~Sending SIGBUS to % due to hardware memory corruption"))?;
    let (comm, pid) = process(who, ":")?;
    let kind = FaultKind::LostMemory;
    Some(Fault { kind, comm, pid, file: None, offset: None })
}

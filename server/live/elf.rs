//! Which shared libraries an ELF program needs, and what it runs on. Pure.
//!
//! Only what the guest needs is read: 64-bit little-endian files.

/// Dynamic section tags (System V ABI): end, needed library, string table.
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
/// Program header types: loaded segment, dynamic section.
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

/// `e_machine` of programs for amd64 and arm64 (elf(5)).
pub(crate) const EM_X86_64: u64 = 62;
pub(crate) const EM_AARCH64: u64 = 183;

/// A part of the file and where it lies in memory.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// The names of the libraries that the program in `file` is linked with, such as
/// `libc.so.6`; none for a static program, a script or anything else.
pub(crate) fn needed_libraries(file: &[u8]) -> Vec<String> {
    libraries(file).unwrap_or_default()
}

/// The processor that a program is for, as `e_machine` has it; none if `file` is no such program.
pub(crate) fn machine(file: &[u8]) -> Option<u64> {
    // 2: 64 bits; 1: little-endian.
    let is_elf = file.get(..6)? == [0x7f, b'E', b'L', b'F', 2, 1];
    if is_elf { number(file, 18, 2) } else { None }
}

fn libraries(file: &[u8]) -> Option<Vec<String>> {
    machine(file)?;
    let segments = segments(file)?;
    let dynamic = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
    let entries: Vec<(u64, u64)> = (0..dynamic.size / 16)
        .map_while(|index| {
            let at = dynamic.offset.checked_add(index * 16)?;
            Some((number(file, at, 8)?, number(file, at.checked_add(8)?, 8)?))
        })
        .take_while(|(tag, _)| *tag != DT_NULL)
        .collect();
    let strings = entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?.1;
    let strings = file_offset(&segments, strings)?;
    let names = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
    names.map(|(_, name)| text(file, strings.checked_add(*name)?)).collect()
}

/// The program headers.
fn segments(file: &[u8]) -> Option<Vec<Segment>> {
    let (start, size) = (number(file, 32, 8)?, number(file, 54, 2)?);
    let count = number(file, 56, 2)?;
    let segment = |index: u64| {
        let at = start.checked_add(index * size)?;
        Some(Segment {
            kind: u32::try_from(number(file, at, 4)?).ok()?,
            offset: number(file, at.checked_add(8)?, 8)?,
            address: number(file, at.checked_add(16)?, 8)?,
            size: number(file, at.checked_add(32)?, 8)?,
        })
    };
    (0..count).map(segment).collect()
}

/// Where in the file the byte lies that is at `address` in memory.
fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        segment.kind == PT_LOAD
            && (segment.address..segment.address.saturating_add(segment.size)).contains(&address)
    };
    let segment = segments.iter().find(holds)?;
    segment.offset.checked_add(address - segment.address)
}

/// A little-endian number of `size` bytes, 8 at most.
fn number(file: &[u8], at: u64, size: usize) -> Option<u64> {
    let start = usize::try_from(at).ok()?;
    let bytes = file.get(start..start.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The text at `at`, up to its NUL.
fn text(file: &[u8], at: u64) -> Option<String> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&rest[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_needs_the_c_library() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        let libraries = needed_libraries(&file);
        assert!(libraries.contains(&"libc.so.6".to_owned()), "{libraries:?}");
    }

    #[test]
    fn what_is_no_program_needs_nothing() {
        assert_eq!(needed_libraries(b"#!/bin/sh\n"), Vec::<String>::new());
        assert_eq!(needed_libraries(b""), Vec::<String>::new());
    }

    #[test]
    fn a_program_cut_short_or_garbled_is_no_reason_to_panic() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        for length in 0..200 {
            needed_libraries(&file[..length]);
        }
        let mut garbled = file[..4096].to_vec();
        for at in 6..200 {
            garbled[at] = 0xff;
            needed_libraries(&garbled);
        }
    }
}

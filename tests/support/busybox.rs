//! The shell of tests that run something in a root of their own: this machine's static busybox.

/// Where Debian's package busybox-static has it.
pub const BUSYBOX: &str = "/bin/busybox";

/// The bytes of a static busybox, or why there is none.
pub fn busybox() -> Result<Vec<u8>, String> {
    let busybox = std::fs::read(BUSYBOX).map_err(|_| format!("{BUSYBOX} is missing (package busybox-static)"))?;
    if is_dynamic(&busybox) {
        return Err(format!("{BUSYBOX} is not static (package busybox-static)"));
    }
    Ok(busybox)
}

/// Whether an ELF file of 64 bits has a PT_INTERP program header.
fn is_dynamic(elf: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        elf[at..at + length].iter().rev().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

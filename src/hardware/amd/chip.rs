//! What the numbers of AMD's chips mean.

/// Graphics in a processor, by ISA: LLVM's AMDGPU guide calls these APUs (gfx902 Raven, gfx90c Renoir and Cezanne,
/// gfx1033 Van Gogh, gfx1035 Rembrandt, gfx1036 Raphael, gfx1103 Phoenix, gfx115x Strix and Krackan). MI300A is an APU
/// too, but its memory is its own.
const INTEGRATED: &[&str] = &[
    "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1103", "gfx1150", "gfx1151",
    "gfx1152", "gfx1153",
];

/// The same by PCI device id, for drivers that do not tell the ISA (pci.ids, vendor 1002): Raven, Picasso, Renoir,
/// Lucienne, Cezanne, Barcelo, Van Gogh, Rembrandt, Raphael, Mendocino, Phoenix (4), Strix, Strix Halo, Krackan (2).
const INTEGRATED_IDS: &[u32] = &[
    0x15dd, 0x15d8, 0x1636, 0x164c, 0x1638, 0x15e7, 0x163f, 0x1681, 0x164e, 0x1506, 0x15bf, 0x15c8, 0x1900, 0x1901,
    0x150e, 0x1586, 0x1114, 0x1902,
];

/// Whether that ISA is one of a processor's graphics.
pub(super) fn is_integrated(gfx: &str) -> bool {
    INTEGRATED.contains(&gfx)
}

/// Whether that PCI device (`0x1586`) is one of a processor's graphics.
pub(super) fn is_integrated_id(id: &str) -> bool {
    hex(id).is_some_and(|id| INTEGRATED_IDS.iter().any(|known| u64::from(*known) == id))
}

/// `0x1586` or `1586`.
pub(super) fn hex(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16).ok()
}

/// KFD's number of an ISA: 90402 is gfx942, 90010 gfx90a, 110501 gfx1151; minor and step are one hexadecimal digit.
pub(super) fn gfx(version: u64) -> Option<String> {
    let (major, minor, step) = (version / 10_000, version / 100 % 100, version % 100);
    (major > 0 && minor < 16 && step < 16).then(|| format!("gfx{major}{minor:x}{step:x}"))
}

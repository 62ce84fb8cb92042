//! How a number of bytes is shown to people.

/// A number of bytes in the largest fitting binary unit: `812 B`, `293 KiB`, `27.4 MiB`.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["MiB", "GiB", "TiB"];
    match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => return format!("{} KiB", bytes.div_ceil(1024)),
        _ => {}
    }
    let mut amount = bytes as f64 / 1_048_576.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_short_and_in_the_largest_fitting_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (812, "812 B"),
            (1024, "1 KiB"),
            (300_000, "293 KiB"),
            (28_731_000, "27.4 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }
}

//! The Morton curve: both coordinates' bits interleaved, so that near positions are near in order.

/// Spreads 32 bits to the even places of 64.
pub fn interleave(v: u32) -> u64 {
    let mut v = u64::from(v);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        v = (v | v << shift) & mask;
    }
    v
}

/// The bits at the even places, and those at the odd ones.
pub fn deinterleave(key: u64) -> (u32, u32) {
    let even = |mut v: u64| {
        v &= 0x5555_5555_5555_5555;
        for (shift, mask) in [
            (1, 0x3333_3333_3333_3333),
            (2, 0x0F0F_0F0F_0F0F_0F0F),
            (4, 0x00FF_00FF_00FF_00FF),
            (8, 0x0000_FFFF_0000_FFFF),
            (16, 0x0000_0000_FFFF_FFFFu64),
        ] {
            v = (v | v >> shift) & mask;
        }
        v as u32
    };
    (even(key), even(key >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_reversible(x: u32, y: u32) {
            prop_assert_eq!(deinterleave(interleave(x) | interleave(y) << 1), (x, y));
        }
    }
}

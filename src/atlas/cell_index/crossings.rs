//! Which borders of a leaf a position is east of.

use super::layout::{CHAIN_START, UNSURE_STEPS};

/// What the vertices of a leaf say about a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossings {
    /// Bit `i`: the way west from the position crosses the edge from vertex `i` to the next.
    pub crossed: u64,
    /// Bit `i`: vertex `i + 1` begins a chain.
    pub starts: u64,
    /// An edge is so near that rounding could matter.
    pub unsure: bool,
}

/// A position in steps of its cell, x in the lower half.
#[inline]
pub fn packed(x: u32, y: u32) -> u32 {
    x | y << 16
}

/// Plain and portable: the twin that [`super::processor::crossings`] must agree with.
pub fn crossings_plain(words: &[u32], vertices: usize, position: u32) -> Crossings {
    let split = |word: u32| ((word & 0x7fff) as i32, (word >> 16 & 0x7fff) as i32);
    let (px, py) = split(position);
    let mut result = Crossings { crossed: 0, starts: 0, unsure: false };
    for (i, pair) in words.windows(2).take(vertices.saturating_sub(1)).enumerate() {
        if pair[1] & CHAIN_START != 0 {
            result.starts |= 1 << i;
            continue;
        }
        let ((x0, y0), (x1, y1)) = (split(pair[0]), split(pair[1]));
        let (dx, dy) = (x1 - x0, y1 - y0);
        let area = dx * (py - y0) - dy * (px - x0);
        let near = UNSURE_STEPS;
        let beside = px < x0.min(x1) - near
            || px > x0.max(x1) + near
            || py < y0.min(y1) - near
            || py > y0.max(y1) + near;
        result.unsure |= !beside && area.abs() <= near * (dx.abs() + dy.abs());
        let (above0, above1) = (y0 > py, y1 > py);
        if above0 != above1 && (area < 0) == above1 {
            result.crossed |= 1 << i;
        }
    }
    result
}

/// Four edges at a time with SSE2, which every x86-64 has. Same answer as [`crossings_plain`]
/// where that is sure.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn crossings_sse2(words: &[u32], vertices: usize, position: u32) -> Crossings {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi16, _mm_and_si128, _mm_andnot_si128, _mm_castsi128_ps, _mm_cmpgt_epi16,
        _mm_cmpgt_epi32, _mm_madd_epi16, _mm_max_epi16, _mm_min_epi16, _mm_movemask_ps,
        _mm_or_si128, _mm_set1_epi16, _mm_set1_epi32, _mm_setzero_si128, _mm_slli_epi32,
        _mm_srai_epi32, _mm_srli_epi32, _mm_sub_epi16, _mm_sub_epi32, _mm_xor_si128,
    };
    let edges = vertices.saturating_sub(1);
    let mut result = Crossings { crossed: 0, starts: 0, unsure: false };
    let load = |at: usize| -> Option<__m128i> {
        let four: [u32; 4] = words.get(at..at + 4)?.try_into().ok()?;
        Some(bytemuck::cast(four))
    };
    let coordinates = _mm_set1_epi16(0x7fff);
    let p = _mm_set1_epi32(position as i32);
    let near = _mm_set1_epi16(UNSURE_STEPS as i16);
    // Negates the y half.
    let negate_y = _mm_set1_epi32(0xffff_0000_u32 as i32);
    let one_y = _mm_set1_epi32(0x0001_0000);
    let mut at = 0;
    while at < edges {
        let (Some(raw0), Some(raw1)) = (load(at), load(at + 1)) else {
            return crossings_plain(words, vertices, position);
        };
        let (v0, v1) = (_mm_and_si128(raw0, coordinates), _mm_and_si128(raw1, coordinates));
        let d = _mm_sub_epi16(v1, v0);
        let (e0, e1) = (_mm_sub_epi16(p, v0), _mm_sub_epi16(p, v1));
        // (dx, dy) · (ey, −ex)
        let swapped = _mm_or_si128(_mm_slli_epi32::<16>(e0), _mm_srli_epi32::<16>(e0));
        let turned = _mm_add_epi16(_mm_xor_si128(swapped, negate_y), one_y);
        let area = _mm_madd_epi16(d, turned);
        // The sign of a lane is that of its upper half: y.
        let spans = _mm_xor_si128(e0, e1);
        let upward = e1;
        // Crossed: area negative and upward, or positive and downward.
        let other_side = _mm_xor_si128(area, upward);
        let crossed = _mm_andnot_si128(other_side, spans);
        let sign = _mm_srai_epi32::<31>(area);
        let size = _mm_sub_epi32(_mm_xor_si128(area, sign), sign);
        let length = _mm_madd_epi16(_mm_max_epi16(d, _mm_sub_epi16(_mm_setzero_si128(), d)), near);
        let clear = _mm_cmpgt_epi32(size, length);
        let low = _mm_sub_epi16(_mm_min_epi16(v0, v1), near);
        let high = _mm_add_epi16(_mm_max_epi16(v0, v1), near);
        let beside = _mm_or_si128(_mm_cmpgt_epi16(low, p), _mm_cmpgt_epi16(p, high));
        let beside = _mm_or_si128(beside, _mm_slli_epi32::<16>(beside));
        let sure = _mm_or_si128(clear, beside);

        let bits = |v: __m128i| _mm_movemask_ps(_mm_castsi128_ps(v)) as u32;
        let starts = bits(_mm_slli_epi32::<16>(raw1));
        let valid = if edges - at >= 4 { 15 } else { (1 << (edges - at)) - 1 };
        let drawn = valid & !starts;
        result.crossed |= u64::from(bits(crossed) & drawn) << at;
        result.starts |= u64::from(starts & valid) << at;
        result.unsure |= !bits(sure) & drawn != 0;
        at += 4;
    }
    result
}

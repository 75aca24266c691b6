//! Draws covered shares as blocks of one category each, so that the drawn area of every category
//! is its true one: where a block is shared, categories take turns.

use super::address::{self, EXTENT, TileAddress};
use super::clip::{Unit, doubled_area};
use super::coverage::{Group, Shares};
use super::dissolve::{Groups, outlines};
use super::encode::{TileWriter, UnitPolygon, Value};
use super::morton::deinterleave;
use std::collections::BTreeMap;

/// The vector tile of a tile's shares, at most `limit` bytes long.
pub fn draw(
    layer_name: &str,
    groups: &[Group],
    shares: &Shares,
    tile: TileAddress,
    limit: usize,
) -> Vec<u8> {
    let mut shares = shares.clone();
    loop {
        let bytes = draw_all(layer_name, groups, &shares, tile);
        if bytes.len() <= limit || shares.side() == 1 {
            return bytes;
        }
        shares = shares.halved();
    }
}

fn draw_all(layer_name: &str, groups: &[Group], shares: &Shares, tile: TileAddress) -> Vec<u8> {
    let assigned = assign(shares, groups.len());
    let mut polygons = outline_blocks(&assigned, shares.side());
    let mut writer = TileWriter::new(layer_name);
    for (index, group) in groups.iter().enumerate() {
        let Some(polygons) = polygons.remove(&(index as u8)) else { continue };
        let mut properties = vec![("aggregate", Value::Flag(true))];
        if let Some(category) = group {
            properties.push(("category", Value::Text(category.as_str())));
        }
        properties.push(("area_m2", Value::Number(ground_m2(shares, index, tile).round())));
        writer.add_polygons(None, polygons, &properties);
    }
    writer.finish()
}

/// The area in m² that a group covers in a tile.
fn ground_m2(shares: &Shares, group: usize, tile: TileAddress) -> f64 {
    let side = shares.side();
    let bounds = tile.world_bounds(0.0);
    let block = bounds.width() / side as f64;
    (0..side)
        .map(|y| {
            let blocks: f32 = (0..side).map(|x| shares.get(group, x, y)).sum();
            let world_y = bounds.min().y + (y as f64 + 0.5) * block;
            f64::from(blocks) * block * block * address::ground_m2_per_world_area(world_y)
        })
        .sum()
}

/// No group has the block.
const NONE: u8 = u8::MAX;

/// Gives each block to one group or none. What a block owes to the groups is carried on along a
/// Morton curve, so it is paid back nearby.
fn assign(shares: &Shares, groups: usize) -> Vec<u8> {
    let side = shares.side();
    let mut assigned = vec![NONE; side * side];
    let mut owed = vec![0.0f32; groups];
    let mut largest = (0.0f32, 0, NONE);
    for key in 0..(side * side) as u64 {
        let (x, y) = deinterleave(key);
        let (x, y) = (x as usize, y as usize);
        let mut best = None;
        for (group, owed) in owed.iter_mut().enumerate() {
            let share = shares.get(group, x, y);
            if share > 0.0 {
                *owed += share;
                if best.is_none_or(|(most, _)| *owed > most) {
                    best = Some((*owed, group));
                }
                if share > largest.0 {
                    largest = (share, y * side + x, group as u8);
                }
            }
        }
        if let Some((_, group)) = best
            && owed.iter().sum::<f32>() >= 0.5
        {
            assigned[y * side + x] = group as u8;
            owed[group] -= 1.0;
        }
    }
    // What is there is seen, however small.
    if largest.2 != NONE && assigned.iter().all(|&group| group == NONE) {
        assigned[largest.1] = largest.2;
    }
    assigned
}

/// The outlines of connected blocks, by group.
fn outline_blocks(assigned: &[u8], side: usize) -> BTreeMap<u8, Vec<UnitPolygon>> {
    let mut connected = Groups::new(assigned.len());
    for block in 0..assigned.len() {
        if block % side > 0 && assigned[block] == assigned[block - 1] {
            connected.join(block, block - 1);
        }
        if block >= side && assigned[block] == assigned[block - side] {
            connected.join(block, block - side);
        }
    }
    // Clockwise on the screen, so that the block is on the right.
    let mut edges: Vec<(usize, (Unit, Unit))> = Vec::new();
    for (block, &group) in assigned.iter().enumerate() {
        if group == NONE {
            continue;
        }
        let (column, row) = (block % side, block / side);
        let (x, y) = (column as i32, row as i32);
        let is_rim = |inside: bool, other: usize| !inside || assigned.get(other) != Some(&group);
        let root = connected.find(block);
        let mut push = |rim: bool, a: Unit, b: Unit| {
            if rim {
                edges.push((root, (a, b)));
            }
        };
        push(is_rim(row > 0, block.wrapping_sub(side)), [x, y], [x + 1, y]);
        push(is_rim(column + 1 < side, block + 1), [x + 1, y], [x + 1, y + 1]);
        push(is_rim(row + 1 < side, block + side), [x + 1, y + 1], [x, y + 1]);
        push(is_rim(column > 0, block.wrapping_sub(1)), [x, y + 1], [x, y]);
    }
    edges.sort_unstable();

    let scale = EXTENT / side as i32;
    let mut polygons: BTreeMap<u8, Vec<UnitPolygon>> = BTreeMap::new();
    for part in edges.chunk_by(|a, b| a.0 == b.0) {
        let mut rings: Vec<Vec<Unit>> = outlines(part.iter().map(|(_, edge)| *edge).collect())
            .into_iter()
            .map(|ring| corners(&ring).map(|[x, y]| [x * scale, y * scale]).collect())
            .collect();
        // The one exterior first.
        rings.sort_by_key(|ring| std::cmp::Reverse(doubled_area(ring)));
        polygons.entry(assigned[part[0].0]).or_default().push(rings);
    }
    polygons
}

/// The vertices where a ring of upright and level edges turns.
fn corners(ring: &[Unit]) -> impl Iterator<Item = Unit> + '_ {
    (0..ring.len()).filter_map(|i| {
        let before = ring[if i == 0 { ring.len() - 1 } else { i - 1 }];
        let after = ring[if i + 1 == ring.len() { 0 } else { i + 1 }];
        let straight = before[0] == after[0] || before[1] == after[1];
        (!straight).then_some(ring[i])
    })
}

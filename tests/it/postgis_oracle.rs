//! PostGIS as a second opinion on look-ups: the same polygons, bit for bit, in a real database.
//! Also part of `benches/postgis_agreement.rs` and `benches/lookup.rs`.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Double, Integer, Text};
use geo::{Coord, MultiPolygon};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use xuncha::atlas::layer::Layer;
use xuncha::atlas::lookup::Atlas;

/// Polygons sent in one statement.
const POLYGONS_PER_STATEMENT: usize = 2_000;
/// Points asked in one statement.
const POINTS_PER_STATEMENT: usize = 50_000;
/// As far from a border PostGIS's own arithmetic may err, degrees.
const NEAR_BORDER: f64 = 1e-9;

fn well_known_binary(polygons: &MultiPolygon) -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = |bytes: &mut Vec<u8>, kind: u32, count: usize| {
        bytes.push(1);
        bytes.extend(kind.to_le_bytes());
        bytes.extend((count as u32).to_le_bytes());
    };
    head(&mut bytes, 6, polygons.0.len());
    for polygon in polygons {
        head(&mut bytes, 3, 1 + polygon.interiors().len());
        for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
            bytes.extend((ring.0.len() as u32).to_le_bytes());
            for c in &ring.0 {
                bytes.extend(c.x.to_le_bytes());
                bytes.extend(c.y.to_le_bytes());
            }
        }
    }
    bytes
}

/// Puts every polygon of the atlas into the table `oracle`, by layer and index.
pub fn load(conn: &mut PgConnection, atlas: &Atlas) {
    conn.batch_execute(
        // Uncompressed: otherwise PostGIS mostly unpacks polygons.
        "CREATE UNLOGGED TABLE oracle (layer text, index integer, geom geometry(MultiPolygon, 4490));
         ALTER TABLE oracle ALTER geom SET STORAGE EXTERNAL",
    )
    .unwrap();
    for layer in atlas.layers() {
        let numbered: Vec<_> = (0i32..).zip(layer.features()).collect();
        for part in numbered.chunks(POLYGONS_PER_STATEMENT) {
            let (indices, shapes): (Vec<i32>, Vec<Vec<u8>>) =
                part.iter().map(|(i, f)| (*i, well_known_binary(&f.geometry))).unzip();
            diesel::sql_query(
                "INSERT INTO oracle SELECT $1, i, ST_GeomFromWKB(w, 4490) FROM unnest($2, $3) AS t(i, w)",
            )
            .bind::<Text, _>(&layer.info().name)
            .bind::<Array<Integer>, _>(indices)
            .bind::<Array<Binary>, _>(shapes)
            .execute(conn)
            .unwrap();
        }
    }
    conn.batch_execute("CREATE INDEX ON oracle USING gist (geom); ANALYZE oracle").unwrap();
}

#[derive(QueryableByName)]
struct Cover {
    #[diesel(sql_type = BigInt)]
    point: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
}

/// For each point the polygons of the layer that cover it, by `ST_Covers`.
pub fn covers(conn: &mut PgConnection, layer: &str, points: &[Coord]) -> Vec<Vec<u32>> {
    let mut found = vec![Vec::new(); points.len()];
    for (part, first) in
        points.chunks(POINTS_PER_STATEMENT).zip((0..).step_by(POINTS_PER_STATEMENT))
    {
        let (x, y): (Vec<f64>, Vec<f64>) = part.iter().map(|p| (p.x, p.y)).unzip();
        let rows: Vec<Cover> = diesel::sql_query(
            "SELECT n - 1 AS point, index FROM unnest($2, $3) WITH ORDINALITY AS p(x, y, n)
             JOIN oracle ON layer = $1 AND ST_Covers(geom, ST_SetSRID(ST_Point(x, y), 4490))",
        )
        .bind::<Text, _>(layer)
        .bind::<Array<Double>, _>(x)
        .bind::<Array<Double>, _>(y)
        .load(conn)
        .unwrap();
        for row in rows {
            found[first + row.point as usize].push(row.index as u32);
        }
    }
    found.iter_mut().for_each(|hits| hits.sort_unstable());
    found
}

/// Counts of a comparison.
#[derive(Debug, Default, Clone)]
pub struct Agreement {
    /// Points compared.
    pub points: usize,
    /// Both name the same polygons.
    pub same: usize,
    /// On a shared border: PostGIS names several, we one of them.
    pub border: usize,
    /// On an outer border that the half-open rule leaves outside.
    pub outer: usize,
    /// PostGIS names nobody within 1e-9° of a border; exact orientation names the owner.
    pub nobody: usize,
    /// PostGIS names the neighbour only, within 1e-9° of the border; exact orientation decides.
    pub neighbour: usize,
    /// Real disagreement: point, ours, theirs.
    pub wrong: Vec<(Coord, Vec<u32>, Vec<u32>)>,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} points: {} same, {} shared border, {} outer border, {} nobody in PostGIS, {} only the neighbour, {} wrong",
            self.points,
            self.same,
            self.border,
            self.outer,
            self.nobody,
            self.neighbour,
            self.wrong.len()
        )
    }
}

/// Holds the layer's answers against PostGIS's.
pub fn compare(conn: &mut PgConnection, layer: &Layer, points: &[Coord]) -> Agreement {
    let theirs = covers(conn, &layer.info().name, points);
    let mut agreement = Agreement { points: points.len(), ..Agreement::default() };
    let mut ours = Vec::new();
    for (&point, theirs) in points.iter().zip(theirs) {
        layer.hits_at(point, &mut ours);
        assert_eq!(layer.owner_at(point), ours.first().copied());
        let near =
            |index: &u32| border_distance(&layer.feature(*index).geometry, point) <= NEAR_BORDER;
        let extra: Vec<&u32> = ours.iter().filter(|i| !theirs.contains(i)).collect();
        let missing: Vec<&u32> = theirs.iter().filter(|i| !ours.contains(i)).collect();
        // Whatever one of us says alone, the point is on that polygon's border.
        let on_border = extra.iter().chain(&missing).all(|index| near(index));
        let count = match (on_border, extra.is_empty(), missing.is_empty()) {
            (_, true, true) => &mut agreement.same,
            (false, ..) => {
                agreement.wrong.push((point, ours.clone(), theirs));
                continue;
            }
            (_, true, false) if ours.is_empty() => &mut agreement.outer,
            (_, true, false) => &mut agreement.border,
            (_, false, true) => &mut agreement.nobody,
            (_, false, false) => &mut agreement.neighbour,
        };
        *count += 1;
    }
    agreement
}

/// Planar distance to the border, degrees.
fn border_distance(polygons: &MultiPolygon, point: Coord) -> f64 {
    xuncha::geometry::containment::rings(polygons)
        .flat_map(|ring| ring.lines())
        .map(|edge| {
            let (d, p) = (edge.end - edge.start, point - edge.start);
            let length = d.x * d.x + d.y * d.y;
            let t =
                if length > 0.0 { ((p.x * d.x + p.y * d.y) / length).clamp(0.0, 1.0) } else { 0.0 };
            (p.x - t * d.x).hypot(p.y - t * d.y)
        })
        .fold(f64::INFINITY, f64::min)
}

/// Seeded points over the city's box and a little around it.
pub fn random_points(atlas: &Atlas, count: usize, seed: u64) -> Vec<Coord> {
    let bounds = atlas.layers().filter_map(|l| l.bounds()).reduce(|a, b| {
        let (low, high) = (a.min(), a.max());
        geo::Rect::new(
            Coord { x: low.x.min(b.min().x), y: low.y.min(b.min().y) },
            Coord { x: high.x.max(b.max().x), y: high.y.max(b.max().y) },
        )
    });
    let bounds = bounds.expect("the atlas has polygons");
    let mut random = StdRng::seed_from_u64(seed);
    let mut within = |low: f64, high: f64| {
        let margin = (high - low) * 0.02;
        random.random_range(low - margin..high + margin)
    };
    (0..count)
        .map(|_| Coord {
            x: within(bounds.min().x, bounds.max().x),
            y: within(bounds.min().y, bounds.max().y),
        })
        .collect()
}

/// Every vertex and every edge midpoint of the layer, each once.
pub fn border_points(layer: &Layer) -> Vec<Coord> {
    let mut seen = HashSet::new();
    let mut points = Vec::new();
    for feature in layer.features() {
        for ring in xuncha::geometry::containment::rings(&feature.geometry) {
            for edge in ring.lines() {
                for point in [edge.start, (edge.start + edge.end) / 2.0] {
                    if seen.insert((point.x.to_bits(), point.y.to_bits())) {
                        points.push(point);
                    }
                }
            }
        }
    }
    points
}

/// A border that two polygons of a partition share: how many of its points have exactly one owner.
pub fn owners_of_shared_borders(layer: &Layer) -> BTreeMap<usize, usize> {
    let mut uses: HashMap<[u64; 4], u32> = HashMap::new();
    let mut edges = Vec::new();
    for feature in layer.features() {
        for ring in xuncha::geometry::containment::rings(&feature.geometry) {
            for edge in ring.lines() {
                let bits = |c: Coord| [c.x.to_bits(), c.y.to_bits()];
                let (a, b) = (bits(edge.start), bits(edge.end));
                let (a, b) = if a < b { (a, b) } else { (b, a) };
                *uses.entry([a[0], a[1], b[0], b[1]]).or_default() += 1;
                edges.push((edge, [a[0], a[1], b[0], b[1]]));
            }
        }
    }
    let mut counts = BTreeMap::new();
    let mut hits = Vec::new();
    for (edge, key) in edges {
        if uses[&key] == 2 {
            layer.hits_at((edge.start + edge.end) / 2.0, &mut hits);
            *counts.entry(hits.len()).or_default() += 1;
        }
    }
    counts
}

//! Land areas of the demo city against PostGIS: every district, functional area and town, a seeded
//! part of villages and cells, and drawn polygons.

use crate::support::database::{self, TestDatabase};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Double, Text};
use diesel::{PgConnection, sql_query};
use geo::{Coord, MultiPolygon, Polygon};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::fmt::Write;
use std::sync::LazyLock;
use xuncha::atlas::category::CategoryAreas;
use xuncha::atlas::lookup::Atlas;
use xuncha::statistics::land::{LandBy, LandLevel, LandRow, LandStatistics, Subject};

static ATLAS: LazyLock<Atlas> =
    LazyLock::new(|| xuncha::boundaries::demo::atlas().expect("the demo city reads"));
static STATISTICS: LazyLock<LandStatistics> = LazyLock::new(LandStatistics::default);

/// What PostGIS says; the same rules in SQL. Parcels do not overlap in the demo city.
const ORACLE: &str = "
    WITH ground AS MATERIALIZED (SELECT ST_GeomFromText($1, 4490) AS geom),
    parcel AS MATERIALIZED (
        SELECT class_code, CASE WHEN ST_Covers(ground.geom, l.geom) THEN l.geom
                                ELSE ST_Intersection(l.geom, ground.geom) END AS geom
        FROM land l, ground WHERE layer = 'parcel' AND ST_Intersects(l.geom, ground.geom)),
    farmland AS MATERIALIZED (
        SELECT CASE WHEN ST_Covers(ground.geom, l.geom) THEN l.geom
                    ELSE ST_Intersection(l.geom, ground.geom) END AS geom
        FROM land l, ground WHERE layer = 'basic_farmland' AND ST_Intersects(l.geom, ground.geom)),
    measured AS MATERIALIZED (
        SELECT class_code, ST_Area(p.geom::geography) AS whole,
               coalesce((SELECT sum(ST_Area(ST_Intersection(p.geom, f.geom)::geography))
                         FROM farmland f WHERE p.geom && f.geom), 0) AS basic
        FROM parcel p),
    summed AS (
        SELECT (SELECT coalesce(sum(ST_Area(geom::geography)), 0) FROM farmland) AS basic_farmland,
               coalesce(sum(whole - basic) FILTER (WHERE class_code LIKE '01%'), 0) AS farmland,
               coalesce(sum(whole - basic) FILTER (WHERE class_code LIKE '0702%'), 0) AS homestead,
               coalesce(sum(whole - basic) FILTER (WHERE class_code LIKE '0602%'), 0) AS mine
        FROM measured)
    SELECT basic_farmland, farmland, homestead, mine, ST_Area(ground.geom::geography) AS total
    FROM summed, ground";

#[derive(QueryableByName)]
struct Expected {
    #[diesel(sql_type = Double)]
    basic_farmland: f64,
    #[diesel(sql_type = Double)]
    farmland: f64,
    #[diesel(sql_type = Double)]
    homestead: f64,
    #[diesel(sql_type = Double)]
    mine: f64,
    #[diesel(sql_type = Double)]
    total: f64,
}

fn wkt(polygons: &MultiPolygon) -> String {
    let ring = |ring: &geo::LineString| {
        let mut text = String::from("(");
        for (i, c) in ring.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(text, "{comma}{} {}", c.x, c.y).expect("writing to a string");
        }
        text + ")"
    };
    let polygon = |polygon: &Polygon| {
        let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
        format!("({})", rings.map(ring).collect::<Vec<_>>().join(","))
    };
    format!("MULTIPOLYGON({})", polygons.iter().map(polygon).collect::<Vec<_>>().join(","))
}

fn filled() -> TestDatabase {
    database::filled("land", |database| {
        let mut conn = connect(database);
        conn.batch_execute(
            "CREATE TABLE land (layer text, code text, class_code text, geom geometry(MultiPolygon, 4490))",
        )
        .expect("a table");
        for layer in ATLAS.layers() {
            for features in layer.features().chunks(2000) {
                let rows: Vec<String> = features
                    .iter()
                    .map(|f| {
                        let class = f.class_code.as_deref().unwrap_or_default();
                        let geometry = wkt(&f.geometry);
                        format!(
                            "('{}', '{}', '{class}', ST_GeomFromText('{geometry}', 4490))",
                            layer.info().name,
                            f.code
                        )
                    })
                    .collect();
                conn.batch_execute(&format!("INSERT INTO land VALUES {}", rows.join(",")))
                    .expect("the demo city goes in");
            }
        }
        conn.batch_execute("CREATE INDEX ON land USING gist (geom); ANALYZE land")
            .expect("an index");
    })
}

fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::establish(database.url()).expect("a connection")
}

fn oracle(conn: &mut PgConnection, ground: &str) -> Expected {
    sql_query(ORACLE).bind::<Text, _>(ground).get_result(conn).expect("PostGIS answers")
}

/// 1e-6 of the total, the tolerance of a column that is small or nothing.
fn compare(what: &str, row: &LandRow, expected: &Expected) {
    let CategoryAreas { basic_farmland, farmland, non_farmland, homestead, mine } = row.categories;
    let rest = expected.total
        - (expected.basic_farmland + expected.farmland + expected.homestead + expected.mine);
    for (name, found, wanted) in [
        ("basic_farmland", basic_farmland, expected.basic_farmland),
        ("farmland", farmland, expected.farmland),
        ("homestead", homestead, expected.homestead),
        ("mine", mine, expected.mine),
        ("non_farmland", non_farmland, rest),
        ("total", row.total, expected.total),
    ] {
        let tolerance = if wanted > 0.01 * expected.total { wanted } else { expected.total } * 1e-6;
        assert!((found - wanted).abs() <= tolerance, "{what} {name}: {found}, PostGIS {wanted}");
    }
    let sum = row.categories.total();
    assert!((sum - row.total).abs() <= 1e-12 * row.total, "{what}: the five add up to {sum}");
}

fn rows(level: LandLevel) -> Vec<LandRow> {
    let subject = Subject::Area("350300");
    let table = STATISTICS.table(&ATLAS, subject, Some(level), LandBy::Category);
    table.expect("a land table").rows
}

/// Compares every row of a level whose turn it is.
fn compare_level(level: LandLevel, layer: &str, every: usize, count: usize) {
    let database = filled();
    let mut conn = connect(&database);
    let rows = rows(level);
    assert_eq!(rows.len(), count);
    // A stride that shares no factor with the count takes in all parts of the city.
    for row in rows.iter().step_by(every) {
        let code = row.code.as_deref().expect("an area has a code");
        let feature = ATLAS.layer(layer).and_then(|l| l.by_code(code)).expect("the area is there");
        compare(code, row, &oracle(&mut conn, &wkt(&feature.geometry)));
    }
}

#[test]
fn districts_and_functional_areas_agree_with_postgis() {
    let database = filled();
    let mut conn = connect(&database);
    let rows = rows(LandLevel::District);
    assert_eq!(rows.len(), 7);
    for row in &rows {
        let code = row.code.as_deref().expect("an area has a code");
        // A district is what the functional areas leave of it.
        #[derive(QueryableByName)]
        struct Ground {
            #[diesel(sql_type = Text)]
            text: String,
        }
        let ground: Ground = sql_query(
            "SELECT ST_AsText(ST_Multi(CASE layer WHEN 'district' THEN
                ST_Difference(geom, (SELECT ST_Union(geom) FROM land WHERE layer = 'functional_area'))
                ELSE geom END), 15) AS text
             FROM land WHERE layer IN ('district', 'functional_area') AND code = $1",
        )
        .bind::<Text, _>(code)
        .get_result(&mut conn)
        .expect("PostGIS answers");
        compare(code, row, &oracle(&mut conn, &ground.text));
    }
}

#[test]
fn towns_agree_with_postgis() {
    compare_level(LandLevel::Town, "town", 1, 54);
}

#[test]
fn villages_agree_with_postgis() {
    compare_level(LandLevel::Village, "village", 11, 976);
}

#[test]
fn cells_agree_with_postgis() {
    compare_level(LandLevel::Cell, "cell", 37, 5010);
}

#[test]
fn the_class_table_agrees_with_postgis() {
    #[derive(QueryableByName)]
    struct Class {
        #[diesel(sql_type = Text)]
        class_code: String,
        #[diesel(sql_type = Double)]
        area: f64,
    }
    let database = filled();
    let expected: Vec<Class> = sql_query(
        "SELECT class_code, sum(ST_Area(ST_Intersection(l.geom, d.geom)::geography)) AS area
         FROM land l, (SELECT geom FROM land WHERE layer = 'district' AND code = '350304') d
         WHERE layer = 'parcel' AND ST_Intersects(l.geom, d.geom)
         GROUP BY 1 HAVING sum(ST_Area(ST_Intersection(l.geom, d.geom)::geography)) > 1 ORDER BY 1",
    )
    .load(&mut connect(&database))
    .expect("PostGIS answers");
    let table = STATISTICS
        .table(&ATLAS, Subject::Area("350304"), None, LandBy::Class)
        .expect("a land table");
    let found: Vec<_> = table.rows.iter().filter(|r| r.code.is_some() && r.total > 1.0).collect();
    assert_eq!(found.len(), expected.len());
    for (row, class) in found.iter().zip(&expected) {
        assert_eq!(row.code.as_deref(), Some(class.class_code.as_str()));
        assert!((row.total - class.area).abs() <= 1e-6 * class.area, "{}", class.class_code);
    }
}

/// Star-shaped polygons of 50 m to 6 km anywhere over the city and its coast, some with a hole.
fn drawn() -> impl Strategy<Value = MultiPolygon> {
    let centre = (118.45..119.65f64, 24.95..25.75f64);
    let radii = prop::collection::vec(0.4..1.0f64, 3..40);
    // Sizes over two orders of magnitude, in degrees.
    (centre, radii, -3.3..-1.2f64, any::<bool>()).prop_map(|((x, y), radii, size, hollow)| {
        let ring = |scale: f64| {
            let vertices = radii.iter().enumerate().map(|(i, r)| {
                let angle = i as f64 / radii.len() as f64 * std::f64::consts::TAU;
                let r = r * scale * 10f64.powf(size);
                Coord { x: x + r * angle.cos(), y: y + r * angle.sin() }
            });
            Polygon::new(vertices.collect(), vec![])
        };
        let hole = if hollow { vec![ring(0.3).exterior().clone()] } else { vec![] };
        MultiPolygon::new(vec![Polygon::new(ring(1.0).exterior().clone(), hole)])
    })
}

#[test]
fn drawn_polygons_agree_with_postgis() {
    let database = filled();
    let mut conn = connect(&database);
    let mut runner = TestRunner::deterministic();
    for number in 0..300 {
        let polygon = drawn().new_tree(&mut runner).expect("a polygon").current();
        let table = STATISTICS
            .table(&ATLAS, Subject::Polygon(&polygon), None, LandBy::Category)
            .expect("a land table");
        compare(&format!("polygon {number}"), &table.rows[0], &oracle(&mut conn, &wkt(&polygon)));
    }
}

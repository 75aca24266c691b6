//! Seeded synthetic cases over the demo city: as many as wanted, the same for the same seed. They
//! lie in real cells, so that place codes and positions agree; made inside PostgreSQL, where a
//! million take about a minute.

use diesel::PgConnection;
use diesel::connection::SimpleConnection;

/// Adds `count` cases to a store that has the demo city, drawn with `seed`. Their numbers begin
/// with `SYN`. Reported over three years; of two in three the way is closed.
pub fn fill(conn: &mut PgConnection, count: u32, seed: u32) {
    let sql = format!(
        "CREATE TEMP TABLE places AS
           SELECT row_number() OVER (ORDER BY c.code) - 1 AS n, c.code AS cell,
                  left(c.code, 12) AS village, left(c.code, 9) AS town, left(c.code, 6) AS district,
                  f.code AS functional, ST_X(p) AS lon, ST_Y(p) AS lat
           FROM features_in_force_view c
           CROSS JOIN LATERAL ST_PointOnSurface(c.geom) AS p
           LEFT JOIN features t ON t.layer = 'town' AND t.code = left(c.code, 9) AND t.valid_to IS NULL AND t.valid_from IS NOT NULL
           LEFT JOIN features f ON f.layer = 'functional_area' AND f.valid_to IS NULL AND f.valid_from IS NOT NULL
                AND position(t.code IN f.attributes->>'XZQDMS') > 0
           WHERE c.layer = 'cell';
         CREATE TEMP TABLE staff AS
           SELECT row_number() OVER (ORDER BY phone) - 1 AS n, id FROM people WHERE role IN ('patroller', 'squad_leader');
         CREATE FUNCTION pg_temp.dice(i bigint, k int) RETURNS double precision LANGUAGE sql IMMUTABLE AS
           $$ SELECT (hashint8extended(i * 64 + k, {seed}) & 9007199254740991)::double precision / 9007199254740992.0 $$;
         INSERT INTO cases (id, number, status, source, nature, party_is_cadre, area_m2, new_build,
             input_x, input_y, input_crs, lon, lat, observed_at, reported_at, reporter_id,
             city_code, district_code, functional_area_code, town_code, village_code, cell_code, placed, category,
             basic_farmland_m2, farmland_m2, non_farmland_m2, homestead_m2, mine_m2, generation,
             assignee_id, outcome, demolished_m2, demolished_at, closed_at, due_at,
             stop_due_at, close_due_at, visited_at, stopped_at, applied_at, times_returned, imported)
         SELECT md5('syn' || {seed} || ':' || i)::uuid, 'SYN-{seed}-' || i,
             CASE WHEN d.closed THEN 'closed' WHEN d.r1 < 0.72 THEN 'dispatched' WHEN d.r1 < 0.86 THEN 'stopped'
                  WHEN d.r1 < 0.97 THEN 'on_site' ELSE 'duplicate' END,
             (ARRAY['patrol', 'patrol', 'public', 'satellite', 'assigned'])[1 + floor(pg_temp.dice(i, 2) * 5)::int],
             (ARRAY['illegal_land_use', 'illegal_construction', 'both'])[1 + floor(pg_temp.dice(i, 3) * 3)::int],
             pg_temp.dice(i, 4) < 0.05, nullif(d.m2, 0), pg_temp.dice(i, 5) < 0.6,
             p.lon, p.lat, 'cgcs2000', p.lon, p.lat, d.at, d.at, s.id,
             '350300', p.district, p.functional, p.town, p.village, p.cell, 'inside', d.category,
             CASE WHEN d.category = 'basic_farmland' THEN d.m2 ELSE 0 END,
             CASE WHEN d.category = 'farmland' THEN d.m2 ELSE 0 END,
             CASE WHEN d.category = 'non_farmland' THEN d.m2 ELSE 0 END,
             CASE WHEN d.category = 'homestead' THEN d.m2 ELSE 0 END,
             CASE WHEN d.category = 'mine' THEN d.m2 ELSE 0 END,
             1, s.id, CASE WHEN d.closed THEN 'demolished' END,
             CASE WHEN d.closed THEN d.m2 END, CASE WHEN d.closed THEN d.at + d.took END,
             CASE WHEN d.closed THEN d.at + d.took END, d.at + interval '30 days',
             d.at + interval '3 days', d.at + interval '30 days', d.at + d.took / 20, d.at + d.took / 8,
             CASE WHEN d.closed THEN d.at + d.took * 0.9 END, (pg_temp.dice(i, 6) < 0.1)::int, false
         FROM generate_series(1, {count}) AS i
         CROSS JOIN LATERAL (SELECT pg_temp.dice(i, 0) AS r0, pg_temp.dice(i, 1) AS r1) AS r
         CROSS JOIN LATERAL (SELECT r.r1, r.r1 < 0.66 AS closed,
             timestamptz '2024-01-01 00:00+08' + r.r0 * interval '1050 days' AS at,
             pg_temp.dice(i, 7) * interval '50 days' AS took,
             CASE WHEN pg_temp.dice(i, 8) < 0.02 THEN 0 ELSE round((30 + pg_temp.dice(i, 9) ^ 3 * 5000)::numeric, 1)::float8 END AS m2,
             (ARRAY['basic_farmland', 'farmland', 'non_farmland', 'homestead', 'mine'])[1 + floor(pg_temp.dice(i, 10) ^ 1.5 * 5)::int] AS category) AS d
         JOIN places p ON p.n = floor(pg_temp.dice(i, 11) ^ 2 * (SELECT count(*) FROM places))::int
         JOIN staff s ON s.n = floor(pg_temp.dice(i, 12) * (SELECT count(*) FROM staff))::int;
         DROP TABLE places; DROP TABLE staff;"
    );
    conn.batch_execute(&sql).expect("synthetic cases");
    conn.batch_execute("ANALYZE cases").expect("ANALYZE");
}

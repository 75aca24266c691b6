//! The demo city's look-ups against PostGIS on the same geometries: a seeded part. The whole, a
//! million points and every border of every layer, is `cargo bench --bench postgis_agreement`.

use crate::postgis_oracle::{
    border_points, compare, load, owners_of_shared_borders, random_points,
};
use crate::support::database;
use xuncha::atlas::feature::layers;
use xuncha::boundaries::demo;

#[test]
fn postgis_agrees_on_random_points_and_on_every_village_border() {
    let atlas = demo::atlas().expect("the demo city");
    let database = database::empty();
    let mut conn = database.store.owner_conn().expect("a connection");
    load(&mut conn, &atlas);

    let random = random_points(&atlas, 20_000, 25_4540);
    for layer in atlas.layers() {
        let agreement = compare(&mut conn, layer, &random);
        println!("{}: random, {agreement}", layer.info().name);
        assert!(agreement.wrong.is_empty(), "{}: {:?}", layer.info().name, agreement.wrong);
    }

    let villages = atlas.layer(layers::VILLAGE).expect("villages");
    let borders = border_points(villages);
    let agreement = compare(&mut conn, villages, &borders);
    println!("village: vertices and edge midpoints, {agreement}");
    assert!(agreement.wrong.is_empty(), "{:?}", agreement.wrong);
}

#[test]
fn every_shared_border_of_the_demo_city_has_one_owner() {
    let atlas = demo::atlas().expect("the demo city");
    for layer in atlas.layers().filter(|layer| layer.is_partition()) {
        let owners = owners_of_shared_borders(layer);
        println!("{}: owners of shared edge midpoints {owners:?}", layer.info().name);
        assert!(owners.keys().all(|&count| count == 1), "{}: {owners:?}", layer.info().name);
    }
}

#[test]
fn the_directory_answers_as_the_plain_path_does() {
    let atlas = demo::atlas().expect("the demo city");
    let mut points = random_points(&atlas, 20_000, 7);
    points.extend(border_points(atlas.layer(layers::TOWN).expect("towns")));
    let (mut fast, mut plain) = (Vec::new(), Vec::new());
    for layer in atlas.layers() {
        for &point in &points {
            layer.hits_at(point, &mut fast);
            layer.hits_by_tree(point, &mut plain);
            assert_eq!(fast, plain, "{} {point:?}", layer.info().name);
        }
    }
}

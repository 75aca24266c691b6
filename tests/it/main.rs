//! All integration tests, one binary: linking is the slow part.

mod architecture;
mod cli_lookup;
mod cluster;
mod exactly_one;
mod imports;
mod land;
mod land_http;
mod lookup_answer;
mod lookup_batch;
mod lookup_oracle;
mod openapi;
mod postgis_oracle;
mod proj_database;
mod support;
mod tables;
mod tiles;
mod torture;
mod toy_city;
mod web_lookup;

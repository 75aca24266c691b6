//! PostgreSQL/PostGIS through Diesel: private cluster, migrations, one file per aggregate, change feed.

#!/usr/bin/env bash
# Long runs: every look-up against PostGIS (1,000,000 random points, every vertex and edge midpoint
# of the demo city), and the kill tests again and again. SOAK_ROUNDS sets how often (default 20).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench --bench postgis_agreement
cargo test --no-run
for round in $(seq "${SOAK_ROUNDS:-20}"); do
    echo "kill round $round"
    cargo test --quiet --test it -- kill:: cluster::
done

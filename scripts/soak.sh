#!/usr/bin/env bash
# Long runs: every look-up against PostGIS (1,000,000 random points, every vertex and edge midpoint
# of the demo city), and the kill tests again and again. SOAK_ROUNDS sets how often (default 20).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench --bench postgis_agreement
cargo test --no-run
export PROPTEST_RNG_SEED
for round in $(seq "${SOAK_ROUNDS:-20}"); do
    PROPTEST_RNG_SEED=$RANDOM
    echo "round $round, property tests seeded with $PROPTEST_RNG_SEED"
    cargo test --quiet --lib
    cargo test --quiet --test it -- kill:: cluster::
done

#!/usr/bin/env bash
# Long runs: every look-up against PostGIS (1,000,000 random points, every vertex and edge midpoint
# of the demo city), the kill tests again and again, and the scripted day of 1,000 cases with five
# kills, each time with other dice. SOAK_ROUNDS sets how often (default 20).
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
    XUNCHA_DAY_CASES=1000 XUNCHA_DAY_KILLS=5 XUNCHA_DAY_SEED=$RANDOM \
        cargo test --quiet --test it -- scripted_day::
done

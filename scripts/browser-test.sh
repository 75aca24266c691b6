#!/usr/bin/env bash
# Starts the demo city in a folder of its own, drives it in Chromium, and stops it again.
# --pictures renews the pictures of docs/images. XUNCHA_BIN names another binary to test.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} == --pictures ]]; then
    export XUNCHA_IMAGES=$PWD/docs/images
    shift
fi
if [[ -z ${XUNCHA_BIN:-} ]]; then
    # With the tests, as `cargo test` builds it: by itself, the program and much below it would be
    # compiled once more with fewer features.
    cargo test --quiet --no-run --test it
    XUNCHA_BIN=${CARGO_TARGET_DIR:-target}/debug/xuncha
fi

data=$(mktemp -d)
service=
stop() {
    if [[ -n $service ]]; then
        # Asked to end, it stops its database too; insisted on only when it does not.
        kill -TERM "$service" 2>/dev/null || true
        for _ in $(seq 60); do
            kill -0 "$service" 2>/dev/null || break
            sleep 0.5
        done
        kill -KILL "$service" 2>/dev/null || true
    fi
    rm -rf "$data"
}
trap stop EXIT

"$XUNCHA_BIN" --data-dir "$data/store" demo --bind 127.0.0.1:0 >"$data/out" 2>"$data/log" &
service=$!
# It prints the address once it listens; loading comes before that.
for _ in $(seq 1200); do
    XUNCHA_URL=$(grep -aoEm1 'https?://[0-9.]+:[0-9]+' "$data/out" || true)
    [[ -n $XUNCHA_URL ]] && break
    if ! kill -0 "$service" 2>/dev/null; then
        echo "the demo did not start:" >&2
        tail -n 20 "$data/log" >&2
        exit 1
    fi
    sleep 0.5
done
if [[ -z $XUNCHA_URL ]]; then
    echo "the demo was not ready within ten minutes:" >&2
    tail -n 20 "$data/log" >&2
    exit 1
fi
export XUNCHA_URL XUNCHA_LOGINS=$data/store/demo-logins.json

if [[ ${XUNCHA_STORY:-} == lighthouse ]]; then
    scripts/lighthouse.sh "$@"
    exit
fi
cd map-ui
npm run --silent e2e -- "$@"

#!/usr/bin/env bash
# Measures the phone's first page with Lighthouse 12 (from npm) on its phone profile, logged in, in
# the demo city. Fails below 90 for performance and 95 for accessibility. XUNCHA_URL and
# XUNCHA_LOGINS name a running service; else the demo is started, from XUNCHA_BIN if given.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${XUNCHA_URL:-} ]]; then
    exec env XUNCHA_STORY=lighthouse scripts/browser-test.sh "$@"
fi
report=${1:-map-ui/node_modules/.lighthouse.json}
port=$((20000 + RANDOM % 20000))
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
node map-ui/e2e/lighthouse.mjs "$XUNCHA_URL" "$XUNCHA_LOGINS" "$profile" "$port" "$report"

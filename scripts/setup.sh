#!/usr/bin/env bash
# Installs what a bare Debian 12 with Rust and Node.js lacks: GDAL, PostgreSQL with PostGIS, the
# compilers of the bundled PROJ, a browser and a Chinese font for the tests. May be run again at any
# time; does nothing when all is there. Needs root or sudo only when something is missing.
set -euo pipefail

packages=(
    ca-certificates curl git make zip unzip
    # libgdal; the bundled PROJ is built by cmake and fills its database with sqlite3
    g++ cmake pkg-config clang libclang-dev libgdal-dev gdal-bin libsqlite3-dev libssl-dev sqlite3
    # the store
    postgresql-15 postgresql-15-postgis-3 postgresql-15-postgis-3-scripts libpq-dev
    # the tests of the web app
    chromium fonts-noto-cjk
    # the tests of workbooks: opened, printed and looked at
    libreoffice-calc-nogui poppler-utils
)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "setup: to install ${missing[*]} run this as root, or install sudo" >&2
            exit 1
        }
        as_root=(sudo)
    fi
    echo "setup: installing ${missing[*]}" >&2

    # Debian's package makes and starts a server of its own; xuncha brings its own, so none is
    # wanted. The wish is taken back afterwards.
    wish=
    if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
        wish=/etc/postgresql-common/createcluster.d/xuncha-setup.conf
        "${as_root[@]}" mkdir -p "${wish%/*}"
        echo "create_main_cluster = false" | "${as_root[@]}" tee "$wish" >/dev/null
    fi
    take_back() {
        [ -z "$wish" ] || "${as_root[@]}" rm -f "$wish"
    }
    trap take_back EXIT

    # Without lists, or with lists so old that a package has moved on, they are fetched first.
    install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}")
    "${as_root[@]}" "${install[@]}" >&2 || {
        "${as_root[@]}" apt-get update >&2
        "${as_root[@]}" "${install[@]}" >&2
    }
fi

# Rust and Node.js are taken as there: say so plainly where they are not.
need() { # need PROGRAM MAJOR MINOR HOW
    local have
    have=$("$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1) || true
    if [ -z "$have" ] || [ "${have%%.*}" -lt "$2" ] ||
        { [ "${have%%.*}" -eq "$2" ] && [ "${have#*.}" -lt "$3" ]; }; then
        echo "setup: $1 $2.$3 or newer is needed (found: ${have:-none}): $4" >&2
        exit 1
    fi
}
need cargo 1 95 "https://rustup.rs"
need node 20 0 "https://nodejs.org"
need npm 9 0 "comes with Node.js"

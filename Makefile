# Xuncha 巡查. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where and how `make demo` runs, e.g. make demo DEMO_ARGS="--bind 0.0.0.0:8080"
DEMO_ARGS ?=

.PHONY: help setup build map-ui demo test rust-test ui-test browser-test bench soak fmt licences

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: ## Install the Debian packages that are missing
	@scripts/setup.sh

# Installing again only when the lock file changed keeps a second start quick.
map-ui/node_modules/.package-lock.json: map-ui/package-lock.json
	cd map-ui && npm ci --no-audit --no-fund
	@touch $@

MAP_UI_SOURCES := $(shell find map-ui -path map-ui/node_modules -prune -o -path map-ui/dist -prune -o -type f -print 2>/dev/null)

map-ui/dist/index.html: map-ui/node_modules/.package-lock.json $(MAP_UI_SOURCES)
	cd map-ui && npm run build
	@touch $@

map-ui: map-ui/dist/index.html ## Build the web app

build: setup map-ui ## Build everything, optimised
	cargo build --release

demo: build ## Start the demo city on 127.0.0.1:8080
	target/release/xuncha demo $(DEMO_ARGS)

test: setup ui-test rust-test browser-test ## All that CI runs

ui-test: map-ui/node_modules/.package-lock.json
	cd map-ui && npm run check && npm test
	$(MAKE) map-ui

# After the web app: the binary embeds it.
rust-test: map-ui
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo test

browser-test: map-ui
	scripts/browser-test.sh

bench: setup map-ui ## Benchmarks against peers; 1 million data and up
	cargo bench

soak: setup map-ui ## Long kill, load and fuzz runs
	scripts/soak.sh

fmt: ## Format the code
	cargo fmt

licences: ## Check every dependency's licence (needs cargo-deny: cargo install cargo-deny --locked)
	cargo deny check licenses bans sources

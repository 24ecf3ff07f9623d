# Two commands do all set-up: `make demo` shows what Watchword does, `make test` passes the quick tests.
.DEFAULT_GOAL := help
PY := .venv/bin
PROCESSES ?= auto
SECONDS ?= 60

.PHONY: help demo dist test test-all test-long check fmt bench bench-attestation bench-channel bench-drill bench-fleet bench-gate bench-instructions bench-keys bench-overload bench-plan bench-pushes bench-scan bench-sdk bench-start bench-storm bench-up bench-workshop mutants fuzz sdk-tools sdk-dex sdk-android sdk-ios sdk-rn site lock clean

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

.venv/.runtime-ready: requirements/runtime.txt pyproject.toml
	@scripts/setup runtime

.venv/.dev-ready: requirements/dev.txt requirements/mitmproxy.txt requirements/sdk.toml pyproject.toml packages/watchword-conformance/pyproject.toml
	@scripts/setup dev

.venv/.docs-ready: requirements/docs.txt
	@scripts/setup docs

.venv/.peers-scan-ready: requirements/peers-scan.txt .venv/.dev-ready
	@python3 -m venv .venv/peers-scan
	@.venv/peers-scan/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

demo: .venv/.runtime-ready  ## Show the main job: the genuine app gets through, the script does not.
	@$(PY)/watchword demo

# Hundreds of processes are started: what one compiles, the next need not.
test test-all test-long: export PYTHONDONTWRITEBYTECODE :=
test: .venv/.dev-ready  ## Run the tests that start no process: minutes (installs the locked development packages first).
	$(PY)/pytest -n $(PROCESSES) --dist worksteal tests/unit

test-all: .venv/.dev-ready sdk-tools  ## Run these, and those with engines, processes, kills, browsers, docs as written.
	$(PY)/pytest -n $(PROCESSES) --dist worksteal tests/unit tests/system examples

test-long: .venv/.dev-ready  ## Run endurance and fuzzing by time; SHARD=K/N runs one part, SECONDS fuzz each parser.
	$(PY)/pytest -n $(PROCESSES) --dist worksteal tests/long $(if $(SHARD),--shard=$(SHARD)) --fuzz-seconds=$(SECONDS)

check: .venv/.dev-ready  ## Lint, types, import contracts, architecture.
	$(PY)/ruff format --check .
	$(PY)/ruff check .
	$(PY)/mypy
	$(PY)/lint-imports --no-logo
	$(PY)/pytest -q tests/unit/architecture

fmt: .venv/.dev-ready  ## Format the code and mend what can be mended.
	$(PY)/ruff format .
	$(PY)/ruff check --fix .

bench: .venv/.dev-ready .venv/.peers-scan-ready sdk-tools sdk-dex  ## Measure against the floors; writes benchmarks/results/*.json.
	$(PY)/python -m benchmarks

bench-attestation: .venv/.dev-ready  ## Measure verification alone, against other verifiers and the floors.
	$(PY)/python -m benchmarks.bench_attestation

bench-channel: .venv/.dev-ready  ## Measure what a pin check adds to a handshake, and how a pin set is verified.
	$(PY)/python -m benchmarks.bench_channel

bench-gate: .venv/.dev-ready  ## Measure what the check costs a request, in Envoy, on uvicorn and in process.
	$(PY)/python -m benchmarks.bench_gate

bench-instructions: .venv/.dev-ready  ## Count the instructions of gate and verification (valgrind): no other work on the machine changes them.
	$(PY)/python -m benchmarks.gate_instructions

bench-keys: .venv/.dev-ready  ## Measure what injected and delivered keys, limits and canaries cost, beside the plain proxy and the bare seal.
	$(PY)/python -m benchmarks.bench_keys

bench-overload: .venv/.dev-ready  ## Offer several times more than is taken, for 30 s each: goodput, memory, health, recovery.
	$(PY)/python -m benchmarks.bench_overload

bench-plan: .venv/.dev-ready  ## Measure the planner: a large model on one core, the example, pytm beside it.
	$(PY)/python -m benchmarks.bench_plan

bench-workshop: .venv/.dev-ready  ## Measure how long after an answer the page with the new plan is there, and what a page weighs.
	$(PY)/python -m benchmarks.bench_workshop

bench-pushes: .venv/.dev-ready  ## Measure how long a revocation or another policy takes to count, at every enforcement point and engine; REVOKED=N: behind so many revoked instances.
	$(PY)/python -m benchmarks.bench_pushes $(if $(REVOKED),--revoked $(REVOKED))

bench-storm: .venv/.dev-ready  ## Cut off the tokens of a whole fleet under load: renewals, revoked phones, gates; FLEET=N: of so many, 500,000 by default.
	$(PY)/python -m benchmarks.bench_storm $(if $(FLEET),--fleet $(FLEET))

bench-drill: .venv/.dev-ready  ## Measure a whole drill of the demo's clinic, beside as many plain requests.
	$(PY)/python -m benchmarks.bench_drill

bench-fleet: .venv/.dev-ready  ## Measure the store on SQLite and PostgreSQL, cheap renewals, ten million rows and expiry; SHORT=1: a minute, no results.
	$(PY)/python -m benchmarks.bench_fleet $(if $(SHORT),--short)

bench-scan: .venv/.dev-ready .venv/.peers-scan-ready  ## Measure the scan: what it finds in apps of a new seed and in known ones, how fast, APKiD and androguard beside it.
	$(PY)/python -m benchmarks.bench_scan

bench-sdk: sdk-tools sdk-dex  ## Measure what the SDKs add to a request, and to an app's code.
	$(PY)/python -m benchmarks.bench_sdk
	$(PY)/python -m benchmarks.bench_sdk_ios

bench-start: .venv/.dev-ready  ## Measure how long `watchword --help` and the help of each command take, beside the bare interpreter.
	$(PY)/python -m benchmarks.bench_start

bench-up: .venv/.dev-ready  ## Measure a service's start and memory beside the bare server, and the demo.
	$(PY)/python -m benchmarks.bench_up

mutants: .venv/.dev-ready  ## Mutate recorded evidence in 270,000 ways and more: none may be accepted.
	$(PY)/python -m scripts.mutants

fuzz: .venv/.dev-ready  ## Fuzz every parser, SECONDS each, one after another; finds go into fuzz-finds/.
	$(PY)/python -m fuzz --seconds $(SECONDS)

sdk-tools: .venv/.dev-ready  ## Fetch what the phones' SDKs are built with into .sdk/, each file held to its hash; Swift from Debian.
	@scripts/setup sdk
	@$(PY)/python -m scripts.sdk tools

sdk-dex: .venv/.dev-ready  ## Fetch Android's dexer and shrinker too: for the sample app and the SDK's size, nothing else needs it.
	@$(PY)/python -m scripts.sdk dex

sdk-android: sdk-tools  ## Build, test and package the Android SDK.
	$(PY)/pytest -q -n $(PROCESSES) --dist worksteal tests/system/sdk --ignore-glob='*_ios*.py' --ignore-glob='*_react_native*.py'
	@$(PY)/python -m scripts.sdk package android

sdk-ios: sdk-tools  ## Build the iOS SDK on Linux as Swift 5 and Swift 6, test it, with the thread sanitizer too, and package it.
	$(PY)/pytest -q -n $(PROCESSES) --dist worksteal tests/system/sdk/test_ios*.py
	@$(PY)/python -m scripts.sdk package ios

sdk-rn: sdk-tools  ## Check, test and package the React Native module.
	$(PY)/pytest -q -n $(PROCESSES) --dist worksteal tests/system/sdk/test_react_native*.py
	@$(PY)/python -m scripts.sdk package rn

dist: .venv/.dev-ready  ## Build sdists and wheels from this commit into dist/, twice with the same bytes; with SBOM and provenance.
	@$(PY)/python -m scripts.dist $(if $(BUILDER),--builder $(BUILDER))

site: .venv/.docs-ready  ## Build the documentation's site into build/site, in an environment of its own; any warning fails it.
	@PYTHONPATH=src .venv/docs/bin/python -m scripts.site

lock: .venv/.dev-ready  ## Write requirements/*.txt anew.
	scripts/lock

clean:  ## Remove the virtual environment and all caches.
	rm -rf .venv .sdk .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

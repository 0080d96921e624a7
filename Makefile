# The commands of a working day. `make` lists them.

.PHONY: help setup fmt clippy lint deny build unit integration test test-all check demo fuzz torture bench bench-peers bench-choices bench-profile bench-smoke bench-images container-smoke container-test container-clean licenses

# Where `make setup` puts tools that the machine lacks.
export PATH := $(PATH):$(CURDIR)/target/test-tools/bin

TEST = setup fmt clippy deny build unit integration

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 17

setup: ## install what the tests need
	@sh tests/setup.sh

fmt: ## check the formatting
	cargo fmt --all --check

clippy: ## lints, of the benchmark tools too
	cargo clippy --workspace --all-targets --locked -- -D warnings

lint: fmt clippy ## formatting and lints

deny: ## licenses, bans and sources of the dependencies
	cargo deny --locked check licenses bans sources

build: ## compile the tests
	cargo test --locked --no-run

unit: ## the unit tests, and the fuzz corpora replayed
	cargo test --locked --lib --bins

integration: ## the integration tests
	cargo test --locked --no-fail-fast --test '*'

test: ## everything that has to pass before a commit is shared, with the time of each step
	@sh tests/timed.sh $(TEST)

test-all: ## the same and all that takes long: before an issue is resolved
	@STEP_LIMIT=7200 sh tests/timed.sh $(TEST) fuzz bench-smoke container-test torture

check: lint unit ## the quick look before a commit

demo: ## the gallery, on http://127.0.0.1:8080/
	cargo run --release -- demo

fuzz: ## every fuzz target, FUZZ_SECONDS each (10)
	@sh fuzz/run.sh

torture: ## the kill loop, the random run of a fleet and the hostile clients at full length
	FACEPLATE_KILLS=300 cargo test --locked --profile quick --test it kill:: -- --nocapture
	FACEPLATE_FLEET_SECONDS=1800 cargo test --locked --profile quick --test it fleet::random -- --nocapture
	FACEPLATE_HOSTILE_SECONDS=1800 cargo test --locked --profile quick --test it hostile_clients::mix -- --nocapture

bench: ## the parts of a hit, timed
	cargo bench --locked --bench hit

bench-peers: ## Faceplate beside nginx, Varnish and a bare server; writes docs/benchmarks.md
	@sh benches/peers/setup.sh nginx varnish
	@python3 benches/peers/run.py

bench-choices: ## Faceplate beside itself without its fast path, and without sendfile
	@sh benches/peers/setup.sh
	@python3 benches/peers/choices.py

bench-images: ## thumbnails beside libvips'; writes docs/benchmarks-images.md
	@sh benches/images/setup.sh
	@target/bench-tools/bin/python benches/images/run.py

bench-profile: ## where the time of a hit goes, by perf; puts it into docs/benchmarks.md
	@sh benches/peers/setup.sh nginx perf
	@python3 benches/peers/profile.py

bench-smoke: ## bench-peers and bench-choices once and briefly, to see that the measuring works
	@sh benches/peers/setup.sh nginx varnish
	@python3 benches/peers/run.py --smoke
	@python3 benches/peers/choices.py --smoke

licenses: ## collect the licenses that `faceplate licenses` prints, after a change of Cargo.lock
	FACEPLATE_WRITE_DOCS=1 cargo test --locked --test it licenses::

container-smoke: ## an image built in a hurry: it starts read-only, serves a face, drains
	@python3 tests/container/run.py --smoke

container-test: ## the image as it is released, and the compose file: all that they promise
	@python3 tests/container/run.py

container-clean: ## take away the images that these tests made
	@sh tests/container/standins.sh --remove

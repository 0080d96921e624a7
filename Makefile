# The commands of a working day. `make` lists them.

.PHONY: help setup lint deny unit test check demo fuzz torture bench bench-peers bench-profile bench-smoke bench-images container-test container-clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## install what the tests need
	@sh tests/setup.sh

lint: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

deny: ## licenses, bans and sources of the dependencies
	cargo deny --locked check licenses bans sources

unit: ## the unit tests alone
	cargo test --locked --lib

test: setup lint deny ## everything that has to pass
	cargo test --locked
	FUZZ_SECONDS=5 sh fuzz/run.sh
	$(MAKE) bench-smoke
	@python3 tests/container/run.py --quick

check: lint unit ## the quick look before a commit

demo: ## the gallery, on http://127.0.0.1:8080/
	cargo run --release -- demo

fuzz: ## every fuzz target, FUZZ_SECONDS each (10)
	@sh fuzz/run.sh

torture: ## the kill loop at full length
	FACEPLATE_KILLS=300 cargo test --locked --release --test it kill:: -- --nocapture

bench: ## the pieces of a hit, timed
	cargo bench --locked --bench hit

bench-peers: ## Faceplate beside nginx, Varnish and a bare server; writes docs/benchmarks.md
	@sh benches/peers/setup.sh
	@python3 benches/peers/run.py

bench-images: ## thumbnails beside libvips'; writes docs/benchmarks-images.md
	@sh benches/images/setup.sh
	@target/bench-tools/bin/python benches/images/run.py

bench-profile: ## where the time of a hit goes, by perf; puts it into docs/benchmarks.md
	@sh benches/peers/setup.sh linux-perf
	@python3 benches/peers/profile.py

bench-smoke: ## the same once and briefly, to see that the measuring works
	@sh benches/peers/setup.sh
	@python3 benches/peers/run.py --smoke

container-test: ## the real Dockerfile and compose file, on a Docker engine, as they would be released
	@python3 tests/container/run.py

container-clean: ## take away the images that these tests made
	@sh tests/container/standins.sh --remove

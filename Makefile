# The commands of a working day. `make` lists them.

.PHONY: help setup fmt clippy lint deny build unit integration test test-all check demo fuzz torture bench bench-peers bench-fleet bench-choices bench-profile bench-smoke bench-images container-smoke container-test package-test container-clean licenses man install deb dist checksums release-check release-notes release-build release-image release-sign release-publish advisories msrv

# Where and from where `make install` copies.
PREFIX = /usr/local
BIN = target/release/faceplate
# Where `make deb` and `make dist` put their files.
DIST = target/dist
# Another version of the package than the one in Cargo.toml.
VERSION =
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1/p' Cargo.toml)

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

# They wait more than they compute, so three times as many run at once as there are cores.
integration: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $$(nproc))))
# The Debian package is tested by package-test: cargo-deb takes a minute to compile.
integration: ## the integration tests
	cargo test --locked --no-fail-fast --test '*' -- --skip debian_package

test: ## everything that has to pass before a commit is shared, with the time of each step
	@sh tests/timed.sh $(TEST)

test-all: ## the same and all that takes long: before an issue is resolved
	@STEP_LIMIT=7200 sh tests/timed.sh $(TEST) fuzz bench-smoke container-test package-test torture

check: lint unit ## the quick look before a commit

demo: ## the gallery, on http://127.0.0.1:8080/
	cargo run --release -- demo

fuzz: ## every fuzz target, FUZZ_SECONDS each (10)
	@sh fuzz/run.sh

torture: ## the kill loop, the faults of a fleet and the hostile clients at full length
	FACEPLATE_KILLS=300 cargo test --locked --profile quick --test it kill:: -- --nocapture
	FACEPLATE_FLEET_SECONDS=1800 cargo test --locked --profile quick --test it fleet::random -- --nocapture
	FACEPLATE_HOSTILE_SECONDS=1800 cargo test --locked --profile quick --test it hostile_clients::mix -- --nocapture

bench: ## the parts of a hit, timed
	cargo bench --locked --bench hit

bench-peers: ## Faceplate beside nginx, Varnish and a bare server; writes docs/benchmarks.md
	@sh benches/peers/setup.sh nginx varnish h2o
	@python3 benches/peers/run.py

bench-choices: ## Faceplate beside itself without its fast path, and without sendfile
	@sh benches/peers/setup.sh
	@python3 benches/peers/choices.py

bench-fleet: ## what a fleet adds to a miss and to a hit; writes a table into docs/fleet.md
	@sh benches/peers/setup.sh redis
	@python3 benches/fleet/run.py

bench-images: ## thumbnails beside libvips'; writes docs/benchmarks-images.md
	@sh benches/images/setup.sh
	@target/bench-tools/bin/python benches/images/run.py

bench-profile: ## where the time of a hit goes, by perf; puts it into docs/benchmarks.md
	@sh benches/peers/setup.sh nginx perf
	@python3 benches/peers/profile.py

bench-smoke: ## bench-peers, bench-choices and bench-fleet once and briefly, to see that the measuring works
	@sh benches/peers/setup.sh nginx varnish h2o redis
	@python3 benches/peers/run.py --smoke
	@python3 benches/peers/choices.py --smoke
	@python3 benches/fleet/run.py --smoke

licenses: ## collect the licenses that `faceplate licenses` prints, after a change of Cargo.lock
	FACEPLATE_WRITE_DOCS=1 cargo test --locked --test it licenses::

container-smoke: ## an image built in a hurry: it starts read-only, serves a face, drains
	@python3 tests/container/run.py --smoke

container-test: ## the image as it is released, and the compose file: all that they promise
	@python3 tests/container/run.py

package-test: ## the Debian package, installed, upgraded and removed in a container; after container-test
	cargo test --locked --test it debian_package
	@python3 tests/container/package.py

container-clean: ## take away the images that these tests made
	@sh tests/container/standins.sh --remove

man: ## the manual pages and completions, after a change of the command line
	FACEPLATE_WRITE_DOCS=1 cargo test --locked --test it cli_docs::

install: ## install the built program, its manual, completions and units below DESTDIR and PREFIX (/usr/local)
	@test -x "$(BIN)" || { echo "install: there is no $(BIN); run cargo build --release first" >&2; exit 1; }
	install -D -m 0755 "$(BIN)" "$(DESTDIR)$(PREFIX)/bin/faceplate"
	install -d "$(DESTDIR)$(PREFIX)/share/man/man1" "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	install -m 0644 deploy/man/*.1 "$(DESTDIR)$(PREFIX)/share/man/man1/"
	install -m 0644 deploy/systemd/* "$(DESTDIR)$(PREFIX)/lib/systemd/system/"
	install -D -m 0644 deploy/completions/faceplate.bash "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/faceplate"
	install -D -m 0644 deploy/completions/faceplate.zsh "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_faceplate"
	install -D -m 0644 deploy/completions/faceplate.fish "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/faceplate.fish"

# cargo-deb looks for the program in the folder that cargo builds into; this one has nothing but BIN.
deb: ## a Debian package of the built program, in DIST (target/dist)
	@test -x "$(BIN)" || { echo "deb: there is no $(BIN); run cargo build --release first" >&2; exit 1; }
	@sh tests/setup.sh cargo-deb
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && install -D "$(BIN)" "$$work/release/faceplate" && \
	    CARGO_TARGET_DIR="$$work" SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || date +%s)}" \
	    cargo deb --no-build --locked --output "$(abspath $(DIST))/" $(if $(VERSION),--deb-version "$(VERSION)")

dist: ## an archive of the built program, and checksums, in DIST
	@sh deploy/release/release dist "$(abspath $(BIN))" "$(abspath $(DIST))"

checksums: ## checksums of all files in DIST, after files were added
	@sh deploy/release/release checksums "$(abspath $(DIST))"

release-check: ## whether TAG, Cargo.toml, the chart and CHANGELOG.md name one version
	@sh deploy/release/release check "$(TAG)"

release-notes: ## the section of CHANGELOG.md about TAG
	@sh deploy/release/release notes "$(TAG:v%=%)"

release-build: ## the program as it is released, in target/release
	cargo build --release --locked

release-image: ## build IMAGE of TAG for amd64 and arm64 with its SBOM, and push it; SOURCE is the repository's address
	@sh deploy/release/release image "$(TAG)" "$(IMAGE)" "$(SOURCE)"

release-sign: ## sign the image that release-image pushed, with cosign
	@sh deploy/release/release sign

release-publish: ## the GitHub release of TAG: the files in DIST, their checksums, and the notes
	@sh deploy/release/release publish "$(TAG)" "$(abspath $(DIST))"

advisories: ## known vulnerabilities of the dependencies; asks the network
	cargo deny --locked check advisories

msrv: ## compile with the oldest Rust that Cargo.toml promises; installs it with rustup
	rustup toolchain install --profile minimal $(MSRV)
	cargo +$(MSRV) check --locked --lib --bins

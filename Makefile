# `make` alone lists what there is. What has to pass before a change lands: .ci/run

# Servers of tests live in memory where there is room for them; creating their files is most of the time.
SHM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 5000000 { print "/dev/shm" }')
export TANDEM_PG_TMP ?= $(or $(SHM),$(or $(TMPDIR),/tmp))

# Tests at once: they mostly wait. Of those that don't as many as there are cores (.config/nextest.toml).
THREADS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))))
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: help demo test busy soak bench stages servers newest static deb image pages windows windows-check windows-test windows-installer

# Each target with what stands behind its two number signs.
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: servers ## builds it, finds or installs PostgreSQL, shows the main job on two throw-away servers
	cargo run --release --locked -- demo

servers: ## finds PostgreSQL's server programs, installs them if there are none
	@sh deploy/postgres.sh --install >/dev/null

# What a machine can't have is skipped by name in the tests.
newest: servers ## the newest PostgreSQL and PgBouncer as well, where they can be had
	@sh deploy/postgres.sh --install newest >/dev/null || echo "the newest PostgreSQL can't be had here: tests run on what there is"
	@sh deploy/postgres.sh --with-pgbouncer >/dev/null || echo "PgBouncer can't be had here: its tests are skipped by name"
	@sh deploy/postgres.sh --with-smtp >/dev/null || echo "aiosmtpd can't be had here: tests of mail are skipped by name"

test: newest ## everything
ifeq ($(NEXTEST),yes)
	cargo nextest run --locked --no-fail-fast --test-threads $(THREADS)
else
	cargo test --locked --no-fail-fast
endif

# Four processes that only take time, until the shell that started them is gone, however it ends.
BUSY := for loop in 1 2 3 4; do (while kill -0 $$$$ 2>/dev/null; do :; done) & done

busy: newest ## everything, beside four busy loops: no test may need speed
	@$(BUSY); $(MAKE) test

HISTORIES ?= 500

# Kills and cuts at every dangerous moment and at random ones; then long random histories of both sides beside four busy loops.
soak: newest ## hundreds of kills and cuts under load, long random histories (HISTORIES=500)
	TANDEM_SOAK_KILLS=200 cargo test --release --locked --test faults crash:: -- --nocapture
	TANDEM_SOAK_ROUNDS=5 TANDEM_SOAK_SECONDS=600 cargo test --locked --test faults matrix:: -- --nocapture
	TANDEM_SOAK_HISTORIES=200 TANDEM_SOAK_LOAD=4 cargo test --locked --test faults long_histories -- --nocapture
	TANDEM_SOAK_ROWS=100000 cargo test --release --locked --test reverse phones:: -- --nocapture
	TANDEM_SOAK_ROWS=1000000 cargo test --release --locked --test copy verify::p15_under_load -- --nocapture
	@$(BUSY); TANDEM_SOAK_HISTORIES=$(HISTORIES) cargo test --release --locked --test faults history:: -- --nocapture

# On a disk: with servers in memory a commit costs nothing.
bench: export TANDEM_PG_TMP = $(or $(BENCH_TMP),/tmp)
bench: servers ## tandem against PostgreSQL's own replication (benches/README.md); short: ROUNDS=1 RTT=0
	@sh deploy/postgres.sh --with-pgcopydb >/dev/null || echo "pgcopydb can't be had here: it is left out of the first copy"
	BENCH_ROUNDS=$(ROUNDS) BENCH_RTT=$(RTT) BENCH_SHAPES=$(SHAPES) BENCH_SCALE=$(SCALE) BENCH_FIRST=$(FIRST) BENCH_JSON=$(JSON) \
		cargo bench --locked --bench against

stages: ## the pure stages
	cargo bench --locked --bench stages

# None of these is part of what has to pass: a cross build takes minutes, and wine isn't everywhere (docs/windows.md).
windows: ## tandem.exe, built on Debian
	@sh deploy/windows/build.sh

windows-check: ## whether it compiles for Windows, tests and all
	@sh deploy/windows/build.sh --check

# WINDOWS=--debug builds quicker; EXE names one that is there.
windows-test: newest ## tandem.exe and its installer under wine, against real servers
	@sh deploy/windows/tools.sh test installer
	EXE=$${EXE:-$$(sh deploy/windows/build.sh $(WINDOWS))} && TANDEM_WINDOWS_EXE=$$EXE \
		TANDEM_WINDOWS_SETUP=$$(sh deploy/windows/installer.sh $$EXE) cargo test --locked --test cli windows:: -- --nocapture

windows-installer: ## the installer that asks for both connection strings
	@sh deploy/windows/tools.sh installer
	@EXE=$${EXE:-$$(sh deploy/windows/build.sh $(WINDOWS))} && sh deploy/windows/installer.sh $$EXE

static: ## programs that need nothing of the system, for x86-64 and arm64, in target/static (PROFILE=dev to try it)
	sh deploy/static.sh

# What a package has beside the program, made by the program.
pages: PROGRAM ?= target/release/tandem
pages:
	rm -rf target/package && mkdir -p target/package/completions
	$(PROGRAM) --quiet man target/package/man
	$(PROGRAM) completions bash >target/package/completions/tandem
	$(PROGRAM) completions zsh >target/package/completions/_tandem
	$(PROGRAM) completions fish >target/package/completions/tandem.fish

deb: ## a package for Debian and Ubuntu, in target/debian; of the static program where `make static` made it
	if [ -x target/static/amd64/tandem ]; then mkdir -p target/release && cp target/static/amd64/tandem target/release/tandem; else cargo build --release --locked --bin tandem; fi
	$(MAKE) pages
	cargo deb --no-build --locked

# A folder with what the image has, and nothing else; the machine's own certificates of public authorities.
IMAGE_MACHINE ?= amd64
image: ## a container's image of the static program, by docker or podman, without a registry
	[ -x target/static/$(IMAGE_MACHINE)/tandem ] || $(MAKE) static
	rm -rf target/image && mkdir -p target/image/empty target/image/$(IMAGE_MACHINE)
	cp target/static/$(IMAGE_MACHINE)/tandem target/image/$(IMAGE_MACHINE)/
	cp /etc/ssl/certs/ca-certificates.crt target/image/
	echo 'tandem:x:65532:65532::/var/lib/tandem:/' >target/image/passwd
	if docker info >/dev/null 2>&1; then build='docker build'; else build='podman build --format docker'; fi; $$build --build-arg TARGETARCH=$(IMAGE_MACHINE) --tag tandem:latest --file deploy/docker/Dockerfile target/image

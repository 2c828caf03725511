# `make` alone lists what there is. What has to pass before a change lands: .ci/run

# Servers of tests live in memory where there is room for them; creating their files is most of the time.
SHM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }')
export TANDEM_PG_TMP ?= $(or $(SHM),$(or $(TMPDIR),/tmp))

# Tests at once: they mostly wait. Those that don't take two places (.config/nextest.toml).
THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))))
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: help demo test busy soak bench stages servers newest

# Each target with what stands behind its two number signs.
help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: servers ## builds it, finds or installs PostgreSQL, shows the main job on two throw-away servers
	cargo run --release --locked -- demo

servers: ## finds PostgreSQL's server programs, installs them if there are none
	@sh deploy/postgres.sh --install >/dev/null

# What a machine can't have is skipped by name in the tests.
newest: servers ## the newest PostgreSQL and PgBouncer as well, where they can be had
	@sh deploy/postgres.sh --install newest >/dev/null || echo "the newest PostgreSQL can't be had here: tests run on what there is"
	@sh deploy/postgres.sh --with-pgbouncer >/dev/null || echo "PgBouncer can't be had here: its tests are skipped by name"

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
	BENCH_ROUNDS=$(ROUNDS) BENCH_RTT=$(RTT) BENCH_SHAPES=$(SHAPES) BENCH_SCALE=$(SCALE) BENCH_FIRST=$(FIRST) BENCH_JSON=$(JSON) \
		cargo bench --locked --bench against

stages: ## the pure stages
	cargo bench --locked --bench stages

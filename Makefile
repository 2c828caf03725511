# make demo   builds, finds or installs PostgreSQL, shows the main job on two throw-away servers
# make test   everything
# make busy   everything, beside four busy loops: no test may need speed
# make soak   hundreds of kills and cuts under load, at every dangerous moment and at random ones; long random histories of
#             both sides beside four busy loops (HISTORIES=500)
# make bench  tandem against PostgreSQL's own replication (benches/README.md); `make bench ROUNDS=1 RTT=0` is short
# make stages the pure stages
# See also: .ci/run

# Servers of tests live in memory where there is room for them; creating their files is most of the time.
SHM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }')
export TANDEM_PG_TMP ?= $(or $(SHM),$(or $(TMPDIR),/tmp))

# Tests wait for servers and clocks most of the time: two for each core.
THREADS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: demo test busy soak bench stages servers newest

demo: servers
	cargo run --release --locked -- demo

# Finds PostgreSQL's server programs, installs them if there are none.
servers:
	@sh deploy/postgres.sh --install >/dev/null

# The newest major as well, and PgBouncer; what a machine can't have is skipped by name in the tests.
newest: servers
	@sh deploy/postgres.sh --install newest >/dev/null || echo "the newest PostgreSQL can't be had here: tests run on what there is"
	@sh deploy/postgres.sh --with-pgbouncer >/dev/null || echo "PgBouncer can't be had here: its tests are skipped by name"

test: newest
ifeq ($(NEXTEST),yes)
	cargo nextest run --locked --no-fail-fast --test-threads $(THREADS)
else
	cargo test --locked --no-fail-fast
endif

# Four processes that only take time, until the shell that started them is gone, however it ends.
BUSY := for loop in 1 2 3 4; do (while kill -0 $$$$ 2>/dev/null; do :; done) & done

busy: newest
	@$(BUSY); $(MAKE) test

HISTORIES ?= 500

soak: newest
	TANDEM_SOAK_KILLS=200 cargo test --release --locked --test faults crash:: -- --nocapture
	TANDEM_SOAK_ROUNDS=5 TANDEM_SOAK_SECONDS=600 cargo test --locked --test faults matrix:: -- --nocapture
	TANDEM_SOAK_HISTORIES=200 TANDEM_SOAK_LOAD=4 cargo test --locked --test faults long_histories -- --nocapture
	TANDEM_SOAK_ROWS=100000 cargo test --release --locked --test reverse phones:: -- --nocapture
	TANDEM_SOAK_ROWS=1000000 cargo test --release --locked --test copy verify::p15_under_load -- --nocapture
	@$(BUSY); TANDEM_SOAK_HISTORIES=$(HISTORIES) cargo test --release --locked --test faults history:: -- --nocapture

# On a disk: with servers in memory a commit costs nothing.
bench: export TANDEM_PG_TMP = $(or $(BENCH_TMP),/tmp)
bench: servers
	BENCH_ROUNDS=$(ROUNDS) BENCH_RTT=$(RTT) BENCH_SHAPES=$(SHAPES) BENCH_SCALE=$(SCALE) BENCH_FIRST=$(FIRST) BENCH_JSON=$(JSON) \
		cargo bench --locked --bench against

stages:
	cargo bench --locked --bench stages

# How the tests are built and run; included by the top Makefile.
#   tests/unit/<folder>/test_<module>.c   one cmocka program each, linked with everything but main()
#   tests/integration/*.sh, tests/cluster/*.sh   scripts against real etcd, containerd, kubectl; exit 0 = passed
#   tests/fuzz/<parser>_fuzz.c            libFuzzer targets; `make fuzz-smoke` runs each for a moment
# Every runner prints its counts; tests/run.sh sums them into one "N passed, N failed" line.

UNIT_SRC  := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_BIN  := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRC))
UNIT_WRAP :=

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(DAEMON_LIBS) $(LIB_COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(DAEMON_LIBS) $(LIB_COMMON) -Wl,--end-group $(LIBS) -lcmocka

unit-bins: $(UNIT_BIN)
unit: $(UNIT_BIN) ## unit and golden tests only
	tests/run.sh unit $(B)

FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.c))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
fuzz-bins: $(FUZZ_BIN)
# Fuzz targets are built apart, by clang, with their own objects: make -f itself with another B.
fuzz-smoke: ## every fuzz target for a moment (FUZZ_SECONDS=10)
	$(MAKE) B=$(B)/fuzzing CC=clang SANITIZE=address,undefined,fuzzer-no-link fuzz-bins
	tests/run.sh fuzz $(B)/fuzzing
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(DAEMON_LIBS) $(LIB_COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< -Wl,--start-group $(DAEMON_LIBS) $(LIB_COMMON) -Wl,--end-group $(LIBS)

test: ## everything: unit, golden, integration, cluster, sanitizers, fuzz smoke
	tests/run.sh all $(B)

check: lint unit ## what to run before each commit

BENCH_BIN := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*_bench.c))
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(DAEMON_LIBS) $(LIB_COMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(DAEMON_LIBS) $(LIB_COMMON) -Wl,--end-group $(LIBS)
bench-bins: $(BENCH_BIN)

bench: all bench-bins ## speed and memory, as ratios within one run
	tests/bench/run.sh $(B)

.PHONY: unit unit-bins fuzz-bins fuzz-smoke test check bench bench-bins

# libFuzzer targets; ./configure CC=clang --enable-fuzzers && make fuzz.

EXTRA_PROGRAMS += $(fuzz_targets)
EXTRA_DIST += %D%/run.sh %D%/merge.sh %D%/fuzz_control.dict %D%/uninstrumented tests/fuzz/corpus

fuzz_targets += %D%/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = %D%/fuzz_conf.c
tests_fuzz_fuzz_conf_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz_targets += %D%/fuzz_control
tests_fuzz_fuzz_control_SOURCES = %D%/fuzz_control.c tests/unit/ctl_canned.c
tests_fuzz_fuzz_control_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_control_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=ctl_request_parse

# With a core of its own, whose limits are small. What it compares is of no help to
# the fuzzer, and telling it would take half of the time. A node is one block of
# memory, whose arrays have bounds that are checked: AddressSanitizer and checks of
# pointers see no more, and the simulator and fuzz_wire run the same code under them.
fuzz_targets += %D%/fuzz_node
tests_fuzz_fuzz_node_SOURCES = \
	%D%/bench.c \
	%D%/bench.h \
	%D%/bench_check.c \
	%D%/crypto_cheap.c \
	%D%/fuzz_node.c \
	$(libcore_a_SOURCES)
tests_fuzz_fuzz_node_CPPFLAGS = $(AM_CPPFLAGS) -DLIMIT_MEMBERS=8 \
	-DLIMIT_BUCKETS_MIN=8 -DLIMIT_BUCKETS_MAX=64
tests_fuzz_fuzz_node_CFLAGS = $(AM_CFLAGS) -fno-sanitize=address \
	-fno-sanitize=null,alignment,object-size,pointer-overflow \
	-fno-sanitize-coverage=trace-cmp \
	-fsanitize-coverage-ignorelist=$(srcdir)/%D%/uninstrumented
tests_fuzz_fuzz_node_LDADD = $(core_LIBS) -lm
tests_fuzz_fuzz_node_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz_targets += %D%/fuzz_seal
tests_fuzz_fuzz_seal_SOURCES = %D%/fuzz_seal.c
tests_fuzz_fuzz_seal_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_seal_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz_targets += %D%/fuzz_wire
tests_fuzz_fuzz_wire_SOURCES = %D%/fuzz_wire.c
tests_fuzz_fuzz_wire_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_wire_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

# libFuzzer targets; ./configure CC=clang --enable-fuzzers && make fuzz.

EXTRA_PROGRAMS += $(fuzz_targets)
EXTRA_DIST += %D%/run.sh tests/fuzz/corpus

fuzz_targets += %D%/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = %D%/fuzz_conf.c $(conf_sources)
tests_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_conf_LDADD = $(CONFIG_LIBS) $(SODIUM_LIBS)

fuzz_targets += %D%/fuzz_control
tests_fuzz_fuzz_control_SOURCES = %D%/fuzz_control.c
tests_fuzz_fuzz_control_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_control_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz_targets += %D%/fuzz_node
tests_fuzz_fuzz_node_SOURCES = %D%/fuzz_node.c tests/unit/rig.c
tests_fuzz_fuzz_node_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_node_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz_targets += %D%/fuzz_seal
tests_fuzz_fuzz_seal_SOURCES = %D%/fuzz_seal.c
tests_fuzz_fuzz_seal_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_seal_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

fuzz_targets += %D%/fuzz_wire
tests_fuzz_fuzz_wire_SOURCES = %D%/fuzz_wire.c
tests_fuzz_fuzz_wire_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_wire_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

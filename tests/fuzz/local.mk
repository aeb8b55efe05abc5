# libFuzzer targets; ./configure CC=clang --enable-fuzzers && make fuzz.

EXTRA_PROGRAMS += $(fuzz_targets)
EXTRA_DIST += %D%/run.sh

fuzz_targets += %D%/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = %D%/fuzz_conf.c $(conf_sources)
tests_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_conf_LDADD = $(CONFIG_LIBS) $(SODIUM_LIBS)
EXTRA_DIST += %D%/corpus/fuzz_conf

fuzz_targets += %D%/fuzz_control
tests_fuzz_fuzz_control_SOURCES = %D%/fuzz_control.c
tests_fuzz_fuzz_control_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS)
tests_fuzz_fuzz_control_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

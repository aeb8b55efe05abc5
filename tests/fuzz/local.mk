# libFuzzer targets; ./configure CC=clang --enable-fuzzers && make fuzz.

EXTRA_PROGRAMS += $(fuzz_targets)
EXTRA_DIST += %D%/run.sh

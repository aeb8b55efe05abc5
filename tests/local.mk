# How tests are run, and the targets beside `make check`.

# What the scripts among the tests are told.
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(top_srcdir)' top_builddir='$(top_builddir)' NM='$(NM)' \
	core_objects='$(libcore_a_OBJECTS)' sim_seeds='$(SIM_SEEDS)' sim_flags='$(SIM_FLAGS)' \
	ASAN_OPTIONS="$${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}" \
	UBSAN_OPTIONS="$${UBSAN_OPTIONS:-print_stacktrace=1}" ; \
	export top_srcdir top_builddir NM core_objects sim_seeds sim_flags \
	ASAN_OPTIONS UBSAN_OPTIONS ;

# make check SIM_SEEDS=5000
SIM_SEEDS = 500
SIM_FLAGS =

TESTS += %D%/style.sh
dist_check_SCRIPTS += %D%/style.sh
EXTRA_DIST += %D%/lint.sh %D%/isolate.sh %D%/summary.py %D%/fresh.sh

.PHONY: lab mutants soak fuzz coverage lint format check-build fuzz-build list-tests

# For quickstart: everything that tests need without running it, and their names.
check-build: $(check_PROGRAMS)
fuzz-build: $(fuzz_targets)
list-tests:
	@echo $(TESTS)

# The lab in namespaces on the real kernel; needs root.
# make lab LAB_FLAGS='-k drain'
LAB_FLAGS =
lab: all
	'$(srcdir)/%D%/isolate.sh' \
		/usr/bin/python3 -B -m pytest -p no:cacheprovider '$(srcdir)/%D%/lab' \
		--bindir '$(abs_builddir)' $(LAB_FLAGS)

# Deliberate bugs in the core, each of which the simulator has to find.
mutants:
	CC='$(CC)' '$(srcdir)/%D%/sim/mutants.sh' '$(srcdir)'

# The simulator on new seeds until SOAK_MINUTES are over.
SOAK_MINUTES = 60
soak: tests/sim/sim$(EXEEXT)
	'$(srcdir)/%D%/sim/soak.sh' tests/sim/sim$(EXEEXT) $(SOAK_MINUTES)

# The targets that need another build of everything make it below this one.
COVERAGE_MIN = 95
coverage:
	@'$(srcdir)/%D%/subbuild.sh' '$(abs_srcdir)' build-coverage \
		--enable-coverage CFLAGS='-g -O1'
	cd build-coverage && find . -name '*.gcda' -delete && \
		{ $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(unit_tests) $(sim_tests)' || \
			echo 'coverage: a test has failed; what the tests reached is counted all the same'; }
	cd build-coverage && gcovr --root '$(abs_srcdir)' --filter '$(abs_srcdir)/src/core/' \
		--sort-uncovered --fail-under-line $(COVERAGE_MIN) src/core

FUZZ_SECONDS = 60
if ENABLE_FUZZERS
fuzz: $(fuzz_targets)
	'$(srcdir)/%D%/fuzz/run.sh' '$(srcdir)/%D%/fuzz/corpus' $(FUZZ_SECONDS) $(fuzz_targets)
else
fuzz:
	@'$(srcdir)/%D%/subbuild.sh' '$(abs_srcdir)' build-fuzz --enable-fuzzers CC=clang
	cd build-fuzz && $(MAKE) $(AM_MAKEFLAGS) fuzz FUZZ_SECONDS=$(FUZZ_SECONDS)
endif
EXTRA_DIST += %D%/subbuild.sh

lint:
	@'$(srcdir)/%D%/lint.sh' '$(srcdir)'

format:
	cd '$(srcdir)' && find include src tests -name '*.[ch]' -exec clang-format -i {} +

distclean-local:
	rm -rf build-coverage build-fuzz

dist-hook:
	find '$(distdir)' -name __pycache__ -prune -exec rm -rf {} +

# The simulator: a second shell around the same core, in virtual time.

check_PROGRAMS += tests/sim/sim
sim_sources = \
	%D%/brain.h \
	%D%/check.c \
	%D%/check.h \
	%D%/check_cover.c \
	%D%/course.c \
	%D%/fault.c \
	%D%/fault.h \
	%D%/flow.c \
	%D%/flow.h \
	%D%/happening.h \
	%D%/host.c \
	%D%/hosts.h \
	%D%/kernel.c \
	%D%/kernel.h \
	%D%/large.c \
	%D%/large.h \
	%D%/nemesis.c \
	%D%/net.c \
	%D%/net.h \
	%D%/pace.c \
	%D%/pace.h \
	%D%/queue.c \
	%D%/queue.h \
	%D%/ring.c \
	%D%/ring.h \
	%D%/rng.h \
	%D%/scenario.c \
	%D%/scenario.h \
	%D%/script.c \
	%D%/script.h \
	%D%/script_text.c \
	%D%/shrink.c \
	%D%/shrink.h \
	%D%/storm.c \
	%D%/trace.c \
	%D%/trace.h \
	%D%/world.c \
	%D%/world.h
tests_sim_sim_SOURCES = %D%/sim.c %D%/request.c %D%/request.h %D%/brain_core.c %D%/memo.c \
	$(sim_sources)
tests_sim_sim_LDADD = libcore.a $(core_LIBS)
tests_sim_sim_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=letter_open -Wl,--wrap=assign_compute

# The simulator's own tests, on a node that does what the test tells it to.
sim_fakes = %D%/fake.c %D%/fake.h $(sim_sources)

unit_tests += %D%/test_check
tests_sim_test_check_SOURCES = %D%/test_check.c %D%/calm.c %D%/calm.h $(sim_fakes)
tests_sim_test_check_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_course
tests_sim_test_course_SOURCES = %D%/test_course.c %D%/calm.c %D%/calm.h $(sim_fakes)
tests_sim_test_course_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_fault
tests_sim_test_fault_SOURCES = %D%/test_fault.c %D%/calm.c %D%/calm.h $(sim_fakes)
tests_sim_test_fault_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_script
tests_sim_test_script_SOURCES = %D%/test_script.c %D%/calm.c %D%/calm.h $(sim_fakes)
tests_sim_test_script_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_world
tests_sim_test_world_SOURCES = %D%/test_world.c $(sim_fakes)
tests_sim_test_world_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

sim_tests = %D%/check.sh
TESTS += $(sim_tests)
dist_check_SCRIPTS += $(sim_tests)
EXTRA_DIST += %D%/soak.sh %D%/mutants.sh %D%/mutants %D%/regressions %D%/scale %D%/scale.sh

.PHONY: sim-256

# As many nodes as there can be, and how fast virtual time goes.
sim-256: tests/sim/sim$(EXEEXT)
	top_builddir=. top_srcdir='$(srcdir)' '$(srcdir)/%D%/scale.sh'

# The simulator: a second shell around the same core, in virtual time.

check_PROGRAMS += tests/sim/sim
sim_sources = \
	%D%/brain.h \
	%D%/check.c \
	%D%/check.h \
	%D%/course.c \
	%D%/flow.c \
	%D%/flow.h \
	%D%/host.c \
	%D%/kernel.c \
	%D%/kernel.h \
	%D%/nemesis.c \
	%D%/net.c \
	%D%/net.h \
	%D%/queue.c \
	%D%/queue.h \
	%D%/rng.h \
	%D%/scenario.c \
	%D%/scenario.h \
	%D%/trace.c \
	%D%/trace.h \
	%D%/world.c \
	%D%/world.h
tests_sim_sim_SOURCES = %D%/sim.c %D%/brain_core.c $(sim_sources)
tests_sim_sim_LDADD = libcore.a $(core_LIBS)

# The simulator's own tests, on a node that does what the test tells it to.
unit_tests += %D%/test_check
tests_sim_test_check_SOURCES = %D%/test_check.c %D%/fake.c %D%/fake.h $(sim_sources)
tests_sim_test_check_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_world
tests_sim_test_world_SOURCES = %D%/test_world.c %D%/fake.c %D%/fake.h $(sim_sources)
tests_sim_test_world_LDADD = libcore.a $(CMOCKA_LIBS) $(core_LIBS)

sim_tests = %D%/check.sh
TESTS += $(sim_tests)
dist_check_SCRIPTS += $(sim_tests)
EXTRA_DIST += %D%/soak.sh

# The simulator: a second shell around the same core, in virtual time.

check_PROGRAMS += tests/sim/sim
tests_sim_sim_SOURCES = \
	%D%/brain.h \
	%D%/brain_core.c \
	%D%/check.c \
	%D%/check.h \
	%D%/course.c \
	%D%/flow.c \
	%D%/flow.h \
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
	%D%/sim.c \
	%D%/trace.c \
	%D%/trace.h \
	%D%/world.c \
	%D%/world.h
tests_sim_sim_LDADD = libcore.a $(core_LIBS)

sim_tests = %D%/check.sh
TESTS += $(sim_tests)
dist_check_SCRIPTS += $(sim_tests)
EXTRA_DIST += %D%/soak.sh

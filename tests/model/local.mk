# The model: an explorer over a core of its own, whose limits are small.

check_PROGRAMS += tests/model/explore
tests_model_explore_SOURCES = \
	%D%/explore.c \
	%D%/host.c \
	%D%/host.h \
	%D%/host_normal.c \
	%D%/host_parts.c \
	%D%/message.c \
	%D%/message.h \
	%D%/search.c \
	%D%/search.h \
	%D%/store.c \
	%D%/store.h \
	%D%/walk.c \
	%D%/world.c \
	%D%/world.h \
	$(libcore_a_SOURCES)
tests_model_explore_CPPFLAGS = $(AM_CPPFLAGS) $(model_limits)
tests_model_explore_LDADD = $(core_LIBS)
model_limits = -DLIMIT_MEMBERS=3 -DLIMIT_BUCKETS_MIN=8 -DLIMIT_BUCKETS_MAX=64 -DLIMIT_VIPS=1

TESTS += %D%/check.sh
dist_check_SCRIPTS += %D%/check.sh
EXTRA_DIST += tests/model/mutants tests/sim/mutants.sh

.PHONY: model model-mutants

# All that an hour and 8 GB allow.
model: tests/model/explore$(EXEEXT)
	top_builddir=. model_depth=deep '$(srcdir)/%D%/check.sh'

# Deliberate bugs in the core, and in what the model takes for alike.
model-mutants:
	CC='$(CC)' mutants_of=model '$(srcdir)/tests/sim/mutants.sh' '$(srcdir)'

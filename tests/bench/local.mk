# Figures: ratios of one run, into docs/. Needs root and libnetfilter-conntrack-dev.
# It is no test.
#
#   make bench
#   make bench BENCH_FLAGS='--quick --only foreign --only own'

BENCH_FLAGS =
.PHONY: bench
bench: all tests/unit/nft_driver$(EXEEXT) tests/bench/xdp$(EXEEXT)
	/usr/bin/python3 -B '$(srcdir)/%D%/bench.py' --bindir '$(abs_builddir)' \
		--docs '$(srcdir)/docs' --json bench.json $(BENCH_FLAGS)

EXTRA_DIST += %D%/bench.py %D%/commit.py %D%/failover.py %D%/packets.py %D%/report.py \
	%D%/blast.c %D%/fill.c docs/bench.md docs/bench.svg

EXTRA_PROGRAMS += %D%/xdp
tests_bench_xdp_SOURCES = \
	%D%/xdp.c \
	src/core/plan.c \
	src/io/conf_value.c \
	src/io/selection.c \
	src/io/xdp.c \
	src/io/xdp_program.c \
	tests/unit/xdp_made.c
tests_bench_xdp_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_bench_xdp_LDADD = $(io_LIBS)

# Figures: ratios of one run, into docs/. Needs root and libnetfilter-conntrack-dev;
# with clang and libbpf-dev also of XDP. It is no test.
#
#   make bench
#   make bench BENCH_FLAGS='--quick --only foreign --only own'

BENCH_FLAGS =
.PHONY: bench
bench: all tests/unit/nft_driver$(EXEEXT)
	/usr/bin/python3 -B '$(srcdir)/%D%/bench.py' --bindir '$(abs_builddir)' \
		--docs '$(srcdir)/docs' --json bench.json $(BENCH_FLAGS)

EXTRA_DIST += %D%/bench.py %D%/commit.py %D%/failover.py %D%/packets.py %D%/report.py \
	%D%/blast.c %D%/fill.c %D%/xdp.c %D%/xdp.bpf.c docs/bench.md docs/bench.svg

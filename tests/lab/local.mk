# The lab: daemons, clients and a learning switch in network namespaces.

EXTRA_DIST += tests/lab

.PHONY: lab-soak lab-churn lab-figures

# Chaos until LAB_MINUTES are over; needs root.
# make lab-soak LAB_MINUTES=5 LAB_FLAGS='--quorum majority'
LAB_MINUTES = 30
lab-soak: all
	'$(srcdir)/tests/isolate.sh' /usr/bin/python3 -B '$(srcdir)/%D%/soak.py' \
		--bindir '$(abs_builddir)' --minutes $(LAB_MINUTES) $(LAB_FLAGS)

# A thousand drains, joins and weights under a hundred thousand connections; needs root.
# make lab-churn LAB_FLAGS='--changes 100 --connections 0'
lab-churn: all
	'$(srcdir)/tests/isolate.sh' /usr/bin/python3 -B '$(srcdir)/%D%/churn.py' \
		--bindir '$(abs_builddir)' $(LAB_FLAGS)

# What README.md has: outages, detection, and what 3, 16 and 64 nodes cost.
lab-figures: all
	'$(srcdir)/tests/isolate.sh' /usr/bin/python3 -B '$(srcdir)/%D%/measure.py' \
		--bindir '$(abs_builddir)' --only death --only fast --only drain --only idle \
		--detection 50 --scale 3,16,64 $(LAB_FLAGS)

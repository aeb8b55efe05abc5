# The lab: daemons, clients and a learning switch in network namespaces.

EXTRA_DIST += tests/lab

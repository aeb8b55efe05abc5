# The pure core: tests/unit/purity proves of every object here that it asks
# the system for nothing.

noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	%D%/assign.c \
	%D%/buf.c \
	%D%/seal.c \
	%D%/wire.c
core_LIBS = $(SODIUM_LIBS)

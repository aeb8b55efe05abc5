# The pure core: tests/unit/purity proves of every object here that it asks
# the system for nothing.

noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	%D%/assign.c \
	%D%/bucket.c \
	%D%/buf.c \
	%D%/flap.c \
	%D%/letter.c \
	%D%/member.c \
	%D%/node.c \
	%D%/node_boot.c \
	%D%/node_flap.c \
	%D%/node_gossip.c \
	%D%/node_hear.c \
	%D%/node_impl.h \
	%D%/node_keys.c \
	%D%/node_quorum.c \
	%D%/node_relay.c \
	%D%/node_resume.c \
	%D%/node_say.c \
	%D%/node_serve.c \
	%D%/node_stranger.c \
	%D%/node_view.c \
	%D%/plan.c \
	%D%/roster.c \
	%D%/seal.c \
	%D%/skew.c \
	%D%/status.c \
	%D%/told.c \
	%D%/vips.c \
	%D%/voters.c \
	%D%/voters_word.c \
	%D%/wire.c \
	%D%/wire_sections.c \
	%D%/wire_sections.h
core_LIBS = $(SODIUM_LIBS)

# The daemon: the core and the shell put together.

sbin_PROGRAMS += ipclusterd
ipclusterd_SOURCES = \
	%D%/daemon.c \
	%D%/daemon.h \
	%D%/daemon_actions.c \
	%D%/daemon_child.c \
	%D%/daemon_control.c \
	%D%/daemon_heritage.c \
	%D%/daemon_mtu.c \
	%D%/daemon_notes.c \
	%D%/daemon_private.h \
	%D%/daemon_reload.c \
	%D%/daemon_removal.c \
	%D%/daemon_repair.c \
	%D%/daemon_restart.c \
	%D%/daemon_rules.c \
	%D%/daemon_start.c \
	%D%/daemon_witness.c \
	%D%/loop.c \
	%D%/loop.h \
	%D%/main.c
ipclusterd_LDADD = libio.a libcore.a $(io_LIBS) $(core_LIBS) $(CAPNG_LIBS)

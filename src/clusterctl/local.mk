# The control program: speaks to the daemon's socket. Of the daemon's modules it
# has only the configuration's, for `clusterctl check`.

sbin_PROGRAMS += clusterctl
clusterctl_SOURCES = \
	%D%/clusterctl.h \
	%D%/cmd_buckets.c \
	%D%/cmd_change.c \
	%D%/cmd_events.c \
	%D%/cmd_local.c \
	%D%/cmd_members.c \
	%D%/cmd_restart.c \
	%D%/cmd_status.c \
	%D%/drain.c \
	%D%/drain.h \
	%D%/field.h \
	%D%/finding.h \
	%D%/findings.c \
	%D%/findings.h \
	%D%/findings_members.c \
	%D%/http.c \
	%D%/http.h \
	%D%/main.c \
	%D%/members.c \
	%D%/members.h \
	%D%/screen.c \
	%D%/screen.h \
	%D%/services.c \
	%D%/services.h \
	%D%/table.c \
	%D%/table.h
clusterctl_LDADD = libio.a libcore.a $(CURL_LIBS) $(io_LIBS) $(core_LIBS)

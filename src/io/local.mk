# The shell's modules; none includes another one's private parts.

noinst_LIBRARIES += libio.a
libio_a_SOURCES = \
	%D%/announce.h \
	%D%/conf.h \
	%D%/conf_source.c \
	%D%/conf_source.h \
	%D%/conf_value.c \
	%D%/conf_value.h \
	%D%/conntrack.h \
	%D%/ctl.h \
	%D%/ctl_json.c \
	%D%/ctl_json.h \
	%D%/ctl_request.c \
	%D%/ctl_request.h \
	%D%/instance.c \
	%D%/instance.h \
	%D%/log.c \
	%D%/log.h \
	%D%/nft.h \
	%D%/notify.c \
	%D%/notify.h \
	%D%/privilege.c \
	%D%/privilege.h \
	%D%/rtnl.h \
	%D%/state.c \
	%D%/state.h \
	%D%/udp.h \
	%D%/vipset.h
io_LIBS = $(NFTNL_LIBS) $(CONNTRACK_LIBS) $(MNL_LIBS) $(CONFIG_LIBS) \
	$(EVENT_LIBS) $(JANSSON_LIBS) $(SODIUM_LIBS)

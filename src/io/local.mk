# The shell's modules; none includes another one's private parts.

noinst_LIBRARIES += libio.a
libio_a_SOURCES = \
	%D%/announce.c \
	%D%/announce.h \
	%D%/conf.c \
	%D%/conf.h \
	%D%/conf_check.c \
	%D%/conf_file.h \
	%D%/conf_keyfile.c \
	%D%/conf_schema.c \
	%D%/conf_schema.h \
	%D%/conf_source.c \
	%D%/conf_source.h \
	%D%/conf_value.c \
	%D%/conf_value.h \
	%D%/conntrack.c \
	%D%/conntrack.h \
	%D%/ctl.c \
	%D%/ctl.h \
	%D%/ctl_connections.c \
	%D%/ctl_connections.h \
	%D%/ctl_json.c \
	%D%/ctl_json.h \
	%D%/ctl_request.c \
	%D%/ctl_request.h \
	%D%/ctl_socket.c \
	%D%/ctl_socket.h \
	%D%/instance.c \
	%D%/instance.h \
	%D%/journal.c \
	%D%/journal.h \
	%D%/log.c \
	%D%/log.h \
	%D%/netlink.c \
	%D%/netlink.h \
	%D%/nft.c \
	%D%/nft.h \
	%D%/nft_batch.c \
	%D%/nft_batch.h \
	%D%/nft_bucket.h \
	%D%/nft_elem.c \
	%D%/nft_elem.h \
	%D%/nft_expr.c \
	%D%/nft_expr.h \
	%D%/nft_install.c \
	%D%/nft_install.h \
	%D%/nft_print.c \
	%D%/nft_rule.c \
	%D%/nft_rule.h \
	%D%/nft_tables.c \
	%D%/nft_tables.h \
	%D%/nft_tables_l2.c \
	%D%/nft_watch.c \
	%D%/nft_watch.h \
	%D%/notify.c \
	%D%/notify.h \
	%D%/privilege.c \
	%D%/privilege.h \
	%D%/rtnl.c \
	%D%/rtnl.h \
	%D%/rtnl_address.c \
	%D%/rtnl_impl.h \
	%D%/rtnl_keep.c \
	%D%/state.c \
	%D%/state.h \
	%D%/udp.c \
	%D%/udp.h \
	%D%/vipset.c \
	%D%/vipset.h
io_LIBS = $(NFTNL_LIBS) $(CONNTRACK_LIBS) $(MNL_LIBS) $(CONFIG_LIBS) \
	$(EVENT_LIBS) $(JANSSON_LIBS) $(SODIUM_LIBS) -lm

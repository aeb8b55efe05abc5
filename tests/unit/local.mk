# A unit test links the exact sources named here and nothing else of ours:
# that list is the proof of what a module needs.

TESTS += %D%/purity %D%/check_completion.sh %D%/check_conf_man.sh
dist_check_SCRIPTS += %D%/purity %D%/check_completion.sh %D%/check_conf_man.sh

noinst_HEADERS += \
	%D%/assign_golden.h \
	%D%/clusterctl_run.h \
	%D%/conf_told.h \
	%D%/ctl_canned.h \
	%D%/ctl_client.h \
	%D%/netlab.h \
	%D%/nft_lab.h \
	%D%/nft_made.h \
	%D%/rig.h \
	%D%/vipset_host.h

# What reads a configuration.
conf_sources = \
	src/io/conf.c \
	src/io/conf_check.c \
	src/io/conf_keyfile.c \
	src/io/conf_schema.c \
	src/io/conf_source.c \
	src/io/conf_value.c

# Prints the schema of the configuration, for check_conf_man.sh.
check_PROGRAMS += %D%/conf_dump
tests_unit_conf_dump_SOURCES = \
	%D%/conf_dump.c \
	src/io/conf_schema.c \
	src/io/conf_value.c
tests_unit_conf_dump_LDADD = $(io_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
check-local: no-cmocka
no-cmocka:
	@echo 'the unit tests need cmocka: Debian package libcmocka-dev' >&2; exit 1
endif
.PHONY: no-cmocka

unit_tests += %D%/test_conf
tests_unit_test_conf_SOURCES = \
	%D%/test_conf.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_faults
tests_unit_test_conf_faults_SOURCES = \
	%D%/test_conf_faults.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_faults_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_file
tests_unit_test_conf_file_SOURCES = \
	%D%/test_conf_file.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_file_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_members
tests_unit_test_conf_members_SOURCES = \
	%D%/test_conf_members.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_members_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_value
tests_unit_test_conf_value_SOURCES = \
	%D%/test_conf_value.c \
	src/io/conf_value.c
tests_unit_test_conf_value_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_log
tests_unit_test_log_SOURCES = \
	%D%/test_log.c \
	src/io/log.c
tests_unit_test_log_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_instance
tests_unit_test_instance_SOURCES = \
	%D%/test_instance.c \
	src/io/instance.c
tests_unit_test_instance_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_notes
tests_unit_test_notes_SOURCES = \
	%D%/test_notes.c \
	src/daemon_notes.c \
	src/loop.c \
	src/io/log.c \
	src/io/notify.c
tests_unit_test_notes_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_notify
tests_unit_test_notify_SOURCES = \
	%D%/test_notify.c \
	src/io/notify.c
tests_unit_test_notify_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_state
tests_unit_test_state_SOURCES = \
	%D%/test_state.c \
	src/io/state.c
tests_unit_test_state_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_assign
tests_unit_test_assign_SOURCES = \
	%D%/test_assign.c \
	src/core/assign.c \
	src/core/buf.c \
	src/core/seal.c
tests_unit_test_assign_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_bucket
tests_unit_test_bucket_SOURCES = \
	%D%/test_bucket.c \
	src/core/bucket.c \
	src/core/plan.c
tests_unit_test_bucket_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_rtnl
tests_unit_test_rtnl_SOURCES = \
	%D%/test_rtnl.c \
	src/io/conf_value.c \
	src/io/log.c \
	src/io/netlink.c \
	src/io/rtnl.c \
	src/io/rtnl_address.c \
	src/io/rtnl_keep.c \
	%D%/netlab.c
tests_unit_test_rtnl_LDADD = $(CMOCKA_LIBS) $(io_LIBS)
tests_unit_test_rtnl_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=netlink_ask

unit_tests += %D%/test_seal
tests_unit_test_seal_SOURCES = \
	%D%/test_seal.c \
	src/core/buf.c \
	src/core/seal.c
tests_unit_test_seal_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_wire
tests_unit_test_wire_SOURCES = \
	%D%/test_wire.c \
	src/core/buf.c \
	src/core/seal.c \
	src/core/wire.c
tests_unit_test_wire_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_buf
tests_unit_test_buf_SOURCES = \
	%D%/test_buf.c \
	src/core/buf.c
tests_unit_test_buf_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_node
tests_unit_test_node_SOURCES = \
	%D%/test_node.c \
	src/core/assign.c \
	src/core/bucket.c \
	src/core/buf.c \
	src/core/member.c \
	src/core/node.c \
	src/core/node_hear.c \
	src/core/node_say.c \
	src/core/node_serve.c \
	src/core/node_view.c \
	src/core/plan.c \
	src/core/roster.c \
	src/core/seal.c \
	src/core/status.c \
	src/core/wire.c \
	%D%/rig.c
tests_unit_test_node_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_conntrack
tests_unit_test_conntrack_SOURCES = \
	%D%/test_conntrack.c \
	src/io/conf_value.c \
	src/io/conntrack.c \
	src/io/log.c \
	src/io/netlink.c \
	%D%/netlab.c
tests_unit_test_conntrack_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_udp
tests_unit_test_udp_SOURCES = \
	%D%/test_udp.c \
	src/io/conf_value.c \
	src/io/log.c \
	src/io/udp.c \
	%D%/netlab.c
tests_unit_test_udp_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# What a vipset on the host that the tests share needs.
vipset_sources = \
	src/io/conf_value.c \
	src/io/journal.c \
	src/io/log.c \
	src/io/netlink.c \
	src/io/rtnl.c \
	src/io/rtnl_address.c \
	src/io/rtnl_keep.c \
	src/io/state.c \
	src/io/vipset.c \
	%D%/netlab.c \
	%D%/vipset_host.c

unit_tests += %D%/test_vipset
tests_unit_test_vipset_SOURCES = \
	%D%/test_vipset.c \
	$(vipset_sources)
tests_unit_test_vipset_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_vipset_journal
tests_unit_test_vipset_journal_SOURCES = \
	%D%/test_vipset_journal.c \
	$(vipset_sources)
tests_unit_test_vipset_journal_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_announce
tests_unit_test_announce_SOURCES = \
	%D%/test_announce.c \
	src/io/announce.c \
	$(vipset_sources)
tests_unit_test_announce_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# By hand: commands to src/io/nft on standard input.
check_PROGRAMS += %D%/nft_driver
tests_unit_nft_driver_SOURCES = %D%/nft_driver.c $(nft_sources)
tests_unit_nft_driver_LDADD = $(io_LIBS)

nft_sources = \
	src/io/nft.c \
	src/io/nft_batch.c \
	src/io/nft_elem.c \
	src/io/nft_expr.c \
	src/io/nft_install.c \
	src/io/nft_print.c \
	src/io/nft_rule.c \
	src/io/nft_tables.c \
	src/io/nft_tables_l2.c \
	src/io/nft_watch.c

unit_tests += %D%/test_nft
tests_unit_test_nft_SOURCES = \
	%D%/test_nft.c \
	$(nft_sources) \
	src/core/plan.c \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_made.c
tests_unit_test_nft_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_live
tests_unit_test_nft_live_SOURCES = \
	%D%/test_nft_live.c \
	$(nft_sources) \
	src/core/plan.c \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_made.c
tests_unit_test_nft_live_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_packets
tests_unit_test_nft_packets_SOURCES = \
	%D%/test_nft_packets.c \
	$(nft_sources) \
	src/core/plan.c \
	src/io/conf_value.c \
	src/io/conntrack.c \
	src/io/log.c \
	src/io/netlink.c \
	%D%/netlab.c \
	%D%/nft_lab.c
tests_unit_test_nft_packets_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# What serves the control socket.
ctl_sources = \
	src/core/plan.c \
	src/io/conf_value.c \
	src/io/ctl.c \
	src/io/ctl_connections.c \
	src/io/ctl_json.c \
	src/io/ctl_request.c \
	src/io/ctl_socket.c \
	src/io/log.c

unit_tests += %D%/test_ctl
tests_unit_test_ctl_SOURCES = \
	%D%/test_ctl.c \
	$(ctl_sources) \
	%D%/ctl_canned.c \
	%D%/ctl_client.c
tests_unit_test_ctl_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_ctl_limits
tests_unit_test_ctl_limits_SOURCES = \
	%D%/test_ctl_limits.c \
	$(ctl_sources) \
	%D%/ctl_canned.c \
	%D%/ctl_client.c
tests_unit_test_ctl_limits_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_clusterctl
tests_unit_test_clusterctl_SOURCES = \
	%D%/test_clusterctl.c \
	$(ctl_sources) \
	%D%/clusterctl_run.c \
	%D%/ctl_canned.c
tests_unit_test_clusterctl_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_hear
tests_unit_test_hear_SOURCES = \
	%D%/test_hear.c \
	src/core/assign.c \
	src/core/bucket.c \
	src/core/buf.c \
	src/core/member.c \
	src/core/node.c \
	src/core/node_hear.c \
	src/core/node_say.c \
	src/core/node_serve.c \
	src/core/node_view.c \
	src/core/plan.c \
	src/core/roster.c \
	src/core/seal.c \
	src/core/status.c \
	src/core/wire.c \
	%D%/rig.c
tests_unit_test_hear_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_member
tests_unit_test_member_SOURCES = \
	%D%/test_member.c \
	src/core/assign.c \
	src/core/buf.c \
	src/core/member.c \
	src/core/seal.c \
	src/core/wire.c
tests_unit_test_member_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_roster
tests_unit_test_roster_SOURCES = \
	%D%/test_roster.c \
	src/core/assign.c \
	src/core/buf.c \
	src/core/member.c \
	src/core/roster.c \
	src/core/seal.c \
	src/core/wire.c
tests_unit_test_roster_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_hearsay
tests_unit_test_hearsay_SOURCES = \
	%D%/test_hearsay.c \
	src/core/assign.c \
	src/core/bucket.c \
	src/core/buf.c \
	src/core/member.c \
	src/core/node.c \
	src/core/node_hear.c \
	src/core/node_say.c \
	src/core/node_serve.c \
	src/core/node_view.c \
	src/core/plan.c \
	src/core/roster.c \
	src/core/seal.c \
	src/core/status.c \
	src/core/wire.c \
	%D%/rig.c
tests_unit_test_hearsay_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_node_edges
tests_unit_test_node_edges_SOURCES = \
	%D%/test_node_edges.c \
	src/core/assign.c \
	src/core/bucket.c \
	src/core/buf.c \
	src/core/member.c \
	src/core/node.c \
	src/core/node_hear.c \
	src/core/node_say.c \
	src/core/node_serve.c \
	src/core/node_view.c \
	src/core/plan.c \
	src/core/roster.c \
	src/core/seal.c \
	src/core/status.c \
	src/core/wire.c \
	%D%/rig.c
tests_unit_test_node_edges_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

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
	%D%/flow_made.h \
	%D%/netlab.h \
	%D%/nft_lab.h \
	%D%/nft_made.h \
	%D%/rig.h \
	%D%/rig_case.h \
	%D%/vipset_host.h \
	%D%/wire_golden.h \
	%D%/xdp_made.h

# What reads a configuration.
conf_sources = \
	src/io/conf.c \
	src/io/conf_check.c \
	src/io/conf_digest.c \
	src/io/conf_keyfile.c \
	src/io/conf_schema.c \
	src/io/conf_services.c \
	src/io/conf_source.c \
	src/io/conf_types.c \
	src/io/conf_value.c

# Prints the schema of the configuration, for check_conf_man.sh.
check_PROGRAMS += %D%/conf_dump
tests_unit_conf_dump_SOURCES = \
	%D%/conf_dump.c \
	src/io/conf_schema.c \
	src/io/conf_types.c \
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
tests_unit_test_conf_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_faults
tests_unit_test_conf_faults_SOURCES = \
	%D%/test_conf_faults.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_faults_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_file
tests_unit_test_conf_file_SOURCES = \
	%D%/test_conf_file.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_file_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conf_members
tests_unit_test_conf_members_SOURCES = \
	%D%/test_conf_members.c \
	$(conf_sources) \
	%D%/conf_told.c
tests_unit_test_conf_members_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)

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
	src/io/conf_value.c \
	src/io/log.c \
	src/io/notify.c
tests_unit_test_notes_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_notify
tests_unit_test_notify_SOURCES = \
	%D%/test_notify.c \
	src/io/notify.c
tests_unit_test_notify_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_stream
tests_unit_test_stream_SOURCES = \
	%D%/test_stream.c \
	src/core/buf.c \
	src/core/seal.c \
	src/io/stream.c
tests_unit_test_stream_LDADD = $(CMOCKA_LIBS) $(io_LIBS)
tests_unit_test_stream_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=boot_read

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

unit_tests += %D%/test_flap
tests_unit_test_flap_SOURCES = \
	%D%/test_flap.c \
	src/core/flap.c
tests_unit_test_flap_LDADD = $(CMOCKA_LIBS) $(core_LIBS) -lm

unit_tests += %D%/test_skew
tests_unit_test_skew_SOURCES = \
	%D%/test_skew.c \
	src/core/skew.c
tests_unit_test_skew_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

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

# The format of heartbeats.
wire_sources = \
	src/core/buf.c \
	src/core/seal.c \
	src/core/vips.c \
	src/core/voters.c \
	src/core/voters_word.c \
	src/core/wire.c \
	src/core/wire_sections.c

# A node, and the rig that it is put on.
node_sources = \
	$(wire_sources) \
	src/core/assign.c \
	src/core/bucket.c \
	src/core/flap.c \
	src/core/letter.c \
	src/core/member.c \
	src/core/node.c \
	src/core/node_boot.c \
	src/core/node_flap.c \
	src/core/node_gossip.c \
	src/core/node_hear.c \
	src/core/node_keys.c \
	src/core/node_quorum.c \
	src/core/node_relay.c \
	src/core/node_resume.c \
	src/core/node_say.c \
	src/core/node_serve.c \
	src/core/node_stranger.c \
	src/core/node_view.c \
	src/core/plan.c \
	src/core/roster.c \
	src/core/skew.c \
	src/core/status.c \
	src/core/told.c \
	%D%/rig.c

unit_tests += %D%/test_seal
tests_unit_test_seal_SOURCES = \
	%D%/test_seal.c \
	src/core/buf.c \
	src/core/seal.c
tests_unit_test_seal_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_wire
tests_unit_test_wire_SOURCES = \
	%D%/test_wire.c \
	$(wire_sources)
tests_unit_test_wire_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_wire_sections
tests_unit_test_wire_sections_SOURCES = \
	%D%/test_wire_sections.c \
	$(wire_sources)
tests_unit_test_wire_sections_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_wire_golden
tests_unit_test_wire_golden_SOURCES = \
	%D%/test_wire_golden.c \
	$(wire_sources)
tests_unit_test_wire_golden_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_buf
tests_unit_test_buf_SOURCES = \
	%D%/test_buf.c \
	src/core/buf.c
tests_unit_test_buf_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_voters
tests_unit_test_voters_SOURCES = \
	%D%/test_voters.c \
	src/core/buf.c \
	src/core/voters.c \
	src/core/voters_word.c
tests_unit_test_voters_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_voters_world
tests_unit_test_voters_world_SOURCES = \
	%D%/test_voters_world.c \
	src/core/buf.c \
	src/core/voters.c \
	src/core/voters_word.c
tests_unit_test_voters_world_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_conntrack
tests_unit_test_conntrack_SOURCES = \
	%D%/test_conntrack.c \
	src/io/conf_value.c \
	src/io/conntrack.c \
	src/io/conntrack_watch.c \
	src/io/flow_set.c \
	src/io/log.c \
	src/io/netlink.c \
	src/io/selection.c \
	%D%/flow_made.c \
	%D%/netlab.c
tests_unit_test_conntrack_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_conntrack_follow
tests_unit_test_conntrack_follow_SOURCES = \
	%D%/test_conntrack_follow.c \
	src/core/plan.c \
	src/io/conf_value.c \
	src/io/conntrack.c \
	src/io/selection.c \
	src/io/conntrack_watch.c \
	src/io/flow_set.c \
	src/io/log.c \
	src/io/netlink.c \
	%D%/flow_made.c \
	%D%/netlab.c
tests_unit_test_conntrack_follow_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_flow_set
tests_unit_test_flow_set_SOURCES = \
	%D%/test_flow_set.c \
	src/io/flow_set.c
tests_unit_test_flow_set_LDADD = $(CMOCKA_LIBS)

udp_sources = \
	src/core/buf.c \
	src/core/seal.c \
	src/io/conf_value.c \
	src/io/log.c \
	src/io/udp.c \
	src/io/udp_filter.c \
	src/io/udp_intake.c \
	%D%/netlab.c

unit_tests += %D%/test_privilege
tests_unit_test_privilege_SOURCES = \
	%D%/test_privilege.c \
	src/io/privilege.c
tests_unit_test_privilege_LDADD = $(CMOCKA_LIBS) $(CAPNG_LIBS)

unit_tests += %D%/test_udp
tests_unit_test_udp_SOURCES = \
	%D%/test_udp.c \
	$(udp_sources)
tests_unit_test_udp_LDADD = $(CMOCKA_LIBS) $(io_LIBS)
unit_tests += %D%/test_udp_flood
tests_unit_test_udp_flood_SOURCES = \
	%D%/test_udp_flood.c \
	$(udp_sources)
tests_unit_test_udp_flood_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_witness
tests_unit_test_witness_SOURCES = \
	%D%/test_witness.c \
	src/io/conf_value.c \
	src/io/witness.c \
	%D%/netlab.c
tests_unit_test_witness_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# What a vipset on the host that the tests share needs.
vipset_sources = \
	src/io/boot.c \
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

unit_tests += %D%/test_xdp_program
tests_unit_test_xdp_program_SOURCES = \
	%D%/test_xdp_program.c \
	src/io/conf_value.c \
	src/io/selection.c \
	src/io/xdp_program.c \
	%D%/xdp_made.c
tests_unit_test_xdp_program_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_xdp
tests_unit_test_xdp_SOURCES = \
	%D%/test_xdp.c \
	src/core/plan.c \
	src/io/conf_value.c \
	src/io/selection.c \
	src/io/xdp.c \
	src/io/xdp_program.c \
	%D%/netlab.c \
	%D%/xdp_made.c
tests_unit_test_xdp_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# By hand: commands to src/io/nft on standard input.
check_PROGRAMS += %D%/nft_driver
tests_unit_nft_driver_SOURCES = %D%/nft_driver.c $(nft_sources)
tests_unit_nft_driver_LDADD = $(io_LIBS)

nft_sources = \
	src/core/plan.c \
	src/io/log.c \
	src/io/netlink.c \
	src/io/nft.c \
	src/io/nft_batch.c \
	src/io/nft_census.c \
	src/io/nft_elem.c \
	src/io/nft_expr.c \
	src/io/nft_install.c \
	src/io/nft_iptables.c \
	src/io/nft_key.c \
	src/io/nft_print.c \
	src/io/nft_read.c \
	src/io/nft_rule.c \
	src/io/nft_rule_bucket.c \
	src/io/nft_tables.c \
	src/io/nft_tables_early.c \
	src/io/nft_tables_l2.c \
	src/io/nft_tables_late.c \
	src/io/nft_watch.c \
	src/io/selection.c

unit_tests += %D%/test_nft
tests_unit_test_nft_SOURCES = \
	%D%/test_nft.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_made.c
tests_unit_test_nft_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_live
tests_unit_test_nft_live_SOURCES = \
	%D%/test_nft_live.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_made.c
tests_unit_test_nft_live_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_read
tests_unit_test_nft_read_SOURCES = \
	%D%/test_nft_read.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_made.c
tests_unit_test_nft_read_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_packets
tests_unit_test_nft_packets_SOURCES = \
	%D%/test_nft_packets.c \
	$(nft_sources) \
	src/io/conf_value.c \
	src/io/conntrack.c \
	src/io/conntrack_watch.c \
	src/io/flow_set.c \
	%D%/netlab.c \
	%D%/nft_lab.c
tests_unit_test_nft_packets_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_replace
tests_unit_test_nft_replace_SOURCES = \
	%D%/test_nft_replace.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_lab.c
tests_unit_test_nft_replace_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_flow
tests_unit_test_nft_flow_SOURCES = \
	%D%/test_nft_flow.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_lab.c
tests_unit_test_nft_flow_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_nft_services
tests_unit_test_nft_services_SOURCES = \
	%D%/test_nft_services.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_lab.c
tests_unit_test_nft_services_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_selection
tests_unit_test_selection_SOURCES = \
	%D%/test_selection.c \
	$(nft_sources) \
	src/io/conf_value.c \
	%D%/netlab.c \
	%D%/nft_lab.c
tests_unit_test_selection_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# What serves the control socket.
ctl_sources = \
	src/core/plan.c \
	src/io/conf_value.c \
	src/io/ctl.c \
	src/io/ctl_connections.c \
	src/io/ctl_figures.c \
	src/io/ctl_json.c \
	src/io/ctl_json_status.c \
	src/io/ctl_metrics.c \
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

unit_tests += %D%/test_ctl_pages
tests_unit_test_ctl_pages_SOURCES = \
	%D%/test_ctl_pages.c \
	$(ctl_sources) \
	%D%/ctl_canned.c \
	%D%/ctl_client.c
tests_unit_test_ctl_pages_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_ctl_metrics
tests_unit_test_ctl_metrics_SOURCES = \
	%D%/test_ctl_metrics.c \
	$(ctl_sources) \
	%D%/ctl_canned.c \
	%D%/ctl_client.c
tests_unit_test_ctl_metrics_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

# node_status() is the test's.
unit_tests += %D%/test_ctl_daemon
tests_unit_test_ctl_daemon_SOURCES = \
	%D%/test_ctl_daemon.c \
	src/daemon_control.c \
	src/daemon_notes.c \
	src/loop.c \
	src/io/conf_value.c \
	src/io/log.c \
	src/io/notify.c
tests_unit_test_ctl_daemon_LDADD = libcore.a $(CMOCKA_LIBS) $(io_LIBS)
tests_unit_test_ctl_daemon_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=node_status

unit_tests += %D%/test_clusterctl
tests_unit_test_clusterctl_SOURCES = \
	%D%/test_clusterctl.c \
	$(ctl_sources) \
	%D%/clusterctl_run.c \
	%D%/ctl_canned.c
tests_unit_test_clusterctl_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_clusterctl_members
tests_unit_test_clusterctl_members_SOURCES = \
	%D%/test_clusterctl_members.c \
	$(ctl_sources) \
	%D%/clusterctl_run.c \
	%D%/ctl_canned.c
tests_unit_test_clusterctl_members_LDADD = $(CMOCKA_LIBS) $(io_LIBS)

unit_tests += %D%/test_member
tests_unit_test_member_SOURCES = \
	%D%/test_member.c \
	$(wire_sources) \
	src/core/assign.c \
	src/core/member.c
tests_unit_test_member_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_roster
tests_unit_test_roster_SOURCES = \
	%D%/test_roster.c \
	$(wire_sources) \
	src/core/assign.c \
	src/core/member.c \
	src/core/roster.c \
	src/core/told.c
tests_unit_test_roster_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_held
tests_unit_test_held_SOURCES = \
	%D%/test_held.c \
	$(node_sources)
tests_unit_test_held_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_relay
tests_unit_test_relay_SOURCES = \
	%D%/test_relay.c \
	$(node_sources)
tests_unit_test_relay_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_version
tests_unit_test_version_SOURCES = \
	%D%/test_version.c \
	$(node_sources)
tests_unit_test_version_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_keys
tests_unit_test_keys_SOURCES = \
	%D%/test_keys.c \
	$(node_sources)
tests_unit_test_keys_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_namesake
tests_unit_test_namesake_SOURCES = \
	%D%/test_namesake.c \
	$(node_sources)
tests_unit_test_namesake_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_stranger
tests_unit_test_stranger_SOURCES = \
	%D%/test_stranger.c \
	$(node_sources)
tests_unit_test_stranger_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_rollout
tests_unit_test_rollout_SOURCES = \
	%D%/test_rollout.c \
	$(node_sources)
tests_unit_test_rollout_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_told
tests_unit_test_told_SOURCES = \
	%D%/test_told.c \
	src/core/told.c
tests_unit_test_told_LDADD = $(CMOCKA_LIBS)

unit_tests += %D%/test_vips
tests_unit_test_vips_SOURCES = \
	%D%/test_vips.c \
	src/core/vips.c
tests_unit_test_vips_LDADD = $(CMOCKA_LIBS)

unit_tests += %D%/test_outside
tests_unit_test_outside_SOURCES = \
	%D%/test_outside.c \
	$(node_sources)
tests_unit_test_outside_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_backing
tests_unit_test_backing_SOURCES = \
	%D%/test_backing.c \
	$(node_sources)
tests_unit_test_backing_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_patience
tests_unit_test_patience_SOURCES = \
	%D%/test_patience.c \
	$(node_sources)
tests_unit_test_patience_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_resume
tests_unit_test_resume_SOURCES = \
	%D%/test_resume.c \
	$(node_sources)
tests_unit_test_resume_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_quorum
tests_unit_test_quorum_SOURCES = \
	%D%/test_quorum.c \
	$(node_sources)
tests_unit_test_quorum_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_founding
tests_unit_test_founding_SOURCES = \
	%D%/test_founding.c \
	$(node_sources)
tests_unit_test_founding_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_admission
tests_unit_test_admission_SOURCES = \
	%D%/test_admission.c \
	$(node_sources)
tests_unit_test_admission_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_node
tests_unit_test_node_SOURCES = %D%/test_node.c $(node_sources)
tests_unit_test_node_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_node_edges
tests_unit_test_node_edges_SOURCES = %D%/test_node_edges.c $(node_sources)
tests_unit_test_node_edges_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_hear
tests_unit_test_hear_SOURCES = %D%/test_hear.c $(node_sources)
tests_unit_test_hear_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

unit_tests += %D%/test_hearsay
tests_unit_test_hearsay_SOURCES = %D%/test_hearsay.c $(node_sources)
tests_unit_test_hearsay_LDADD = $(CMOCKA_LIBS) $(core_LIBS)

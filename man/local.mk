dist_man_MANS += \
	%D%/clusterctl.8 \
	%D%/ipclusterd-protocol.7 \
	%D%/ipclusterd.8 \
	%D%/ipclusterd.conf.5

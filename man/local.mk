dist_man_MANS += \
	%D%/ipclusterd.8 \
	%D%/ipclusterd.conf.5

dist_man_MANS += \
	%D%/ipclusterd.conf.5

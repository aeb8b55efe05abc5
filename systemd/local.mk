# The unit, and the group and directories that it counts on. sysusers and
# tmpfiles read PREFIX/lib for /usr and /usr/local.

EXTRA_DIST += %D%/ipclusterd.service.in

if HAVE_SYSTEMD
systemdsystemunit_DATA = %D%/ipclusterd.service
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_sysusers_DATA = %D%/sysusers.d/ipclusterd.conf
dist_tmpfiles_DATA = %D%/tmpfiles.d/ipclusterd.conf
endif

CLEANFILES += %D%/ipclusterd.service

%D%/ipclusterd.service: %D%/ipclusterd.service.in Makefile
	@$(MKDIR_P) %D%
	$(AM_V_GEN)$(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		'$(srcdir)/%D%/ipclusterd.service.in' > $@.new && mv $@.new $@

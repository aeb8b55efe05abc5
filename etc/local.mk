# The example configuration: a file that is there already is kept, and one
# that somebody has changed is not removed.

EXTRA_DIST += %D%/ipclusterd.conf

install-data-local:
	@$(MKDIR_P) '$(DESTDIR)$(sysconfdir)'
	@if test -e '$(DESTDIR)$(sysconfdir)/ipclusterd.conf'; then \
		echo ' kept: $(DESTDIR)$(sysconfdir)/ipclusterd.conf'; \
	else \
		echo ' $(INSTALL_DATA) $(srcdir)/etc/ipclusterd.conf $(DESTDIR)$(sysconfdir)'; \
		$(INSTALL_DATA) '$(srcdir)/etc/ipclusterd.conf' \
			'$(DESTDIR)$(sysconfdir)/ipclusterd.conf'; \
	fi

uninstall-local:
	@if cmp -s '$(srcdir)/etc/ipclusterd.conf' '$(DESTDIR)$(sysconfdir)/ipclusterd.conf'; then \
		rm -f '$(DESTDIR)$(sysconfdir)/ipclusterd.conf'; \
	elif test -e '$(DESTDIR)$(sysconfdir)/ipclusterd.conf'; then \
		echo ' kept, it was changed: $(DESTDIR)$(sysconfdir)/ipclusterd.conf'; \
	fi

# A unit test links the exact sources named here and nothing else of ours:
# that list is the proof of what a module needs.

TESTS += %D%/purity
dist_check_SCRIPTS += %D%/purity

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
check-local: no-cmocka
no-cmocka:
	@echo 'the unit tests need cmocka: Debian package libcmocka-dev' >&2; exit 1
endif
.PHONY: no-cmocka

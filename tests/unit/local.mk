# A unit test links the exact sources named here and nothing else of ours:
# that list is the proof of what a module needs.

TESTS += %D%/purity %D%/check_completion.sh %D%/check_conf_man.sh
dist_check_SCRIPTS += %D%/purity %D%/check_completion.sh %D%/check_conf_man.sh

# Prints the schema of the configuration, for check_conf_man.sh.
check_PROGRAMS += %D%/conf_dump
tests_unit_conf_dump_SOURCES = \
	%D%/conf_dump.c \
	src/io/conf_schema.c

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
check-local: no-cmocka
no-cmocka:
	@echo 'the unit tests need cmocka: Debian package libcmocka-dev' >&2; exit 1
endif
.PHONY: no-cmocka

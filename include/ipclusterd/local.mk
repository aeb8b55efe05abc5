# Contracts of the core; nothing of it is installed.

noinst_HEADERS += \
	%D%/assign.h \
	%D%/bitmap.h \
	%D%/bucket.h \
	%D%/buf.h \
	%D%/config.h \
	%D%/flap.h \
	%D%/letter.h \
	%D%/member.h \
	%D%/node.h \
	%D%/plan.h \
	%D%/roster.h \
	%D%/seal.h \
	%D%/skew.h \
	%D%/status.h \
	%D%/told.h \
	%D%/types.h \
	%D%/vips.h \
	%D%/voters.h \
	%D%/wire.h

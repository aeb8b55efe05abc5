/*
 * A stand-in for the core that does as it is told, right or wrong: with it the
 * simulator's own checks are tested, each of which must be able to fail.
 */
#ifndef SIM_FAKE_H
#define SIM_FAKE_H

#include "brain.h"
#include "scenario.h"

/* What the node of a host does. All zero: heartbeats and renewals, no claims. */
struct fake {
    uint8_t class_of[BUCKETS_MAX];                 /* wanted; committed at the next step */
    uint16_t target_of[BUCKETS_MAX];               /* RELEASE: to this host */
    bool mute;                                     /* sends nothing */
    bool lapse;                                    /* renews nothing */
    bool overdue;                                  /* has a deadline in the past */
    bool hasty;                                    /* sends plans without waiting for the answers */
    bool gullible;                                 /* answers every datagram, genuine or not */
    bool torn;                                     /* says that nothing has converged */
    bool stubborn;                                 /* does not exit when it is told to leave */
    bool seizes;                                   /* once drained it claims all, for ever */
    bool stores;                                   /* at a control, before it sends */
    uint64_t view;                                 /* of its status */
    int16_t owner[BUCKETS_MAX], home[BUCKETS_MAX]; /* hosts */
    /* What came of it. */
    uint64_t steps, failures;
    uint32_t flows[BUCKETS_MAX];
    uint8_t restored; /* how often it had stored */
};

extern struct fake fake[HOSTS_MAX];
extern const struct brain brain_fake;

/* All as zero, no owners. */
void fake_reset(void);

#endif

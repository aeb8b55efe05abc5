/*
 * The members as tables, for status and members.
 */
#ifndef CLUSTERCTL_MEMBERS_H
#define CLUSTERCTL_MEMBERS_H

#include <jansson.h>

#include "screen.h"

/* What a node's or a member's state looks like. */
enum colour state_colour(const char *state);

/* True if the member is alive, also if it is suspect or held. */
bool member_lives(const json_t *member);

/* Milliseconds between its clock and this node's, whichever is ahead; and whether
 * that is worth a word. */
long long clock_distance(const json_t *member);
bool clock_is_off(const json_t *member);

/* Who does what. */
void members_table(const struct screen *s, const json_t *members);

#endif

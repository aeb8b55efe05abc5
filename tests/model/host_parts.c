/*
 * The parts of a host that last from one step to the next.
 *
 * A host is some ten thousand bytes, most of which it has in common with thousands
 * of others: a member as this one knows it, the plan in the kernel. So it is cut
 * where the core's own nouns end, and the store keeps each part once ("collapse",
 * Holzmann, State compression in SPIN, 1997).
 */
#include "host.h"

#define AT(field) offsetof(struct host, node.field)
#define BEHIND(field) (AT(field) + sizeof((struct host *)0)->node.field)

/* Left out, in this order: `sent`, which follows from the step (host.c); the last
 * heartbeats and datagrams; what was stored; room to reckon in. */
static const struct part parts[] = {
    {0, AT(config)},
    {AT(config), AT(roster)},
    {AT(roster), AT(roster.member)},
    {AT(roster.member[0]), BEHIND(roster.member[0])},
    {AT(roster.member[1]), BEHIND(roster.member[1])},
    {AT(roster.member[2]), BEHIND(roster.member[2])},
    {BEHIND(roster), AT(sent)},
    {BEHIND(sent), AT(letter)},
    {BEHIND(old_datagram), AT(relay)},
    {BEHIND(relay), AT(assign)},
    {AT(assign), BEHIND(assign)},
    {BEHIND(assign), AT(voters)},
    {AT(voters), BEHIND(voters)},
    {BEHIND(voters), AT(stored)},
    {BEHIND(stored), AT(class_of)},
    {AT(class_of), AT(wanted)},
    {AT(wanted), AT(flight)},
    {AT(flight), AT(in_flight)},
    {AT(in_flight), AT(scratch)},
};
static_assert(sizeof parts / sizeof parts[0] == PARTS, "as many as the store has room for");
static_assert((int)MEMBERS_MAX == (int)HOSTS, "nobody else is ever heard of");

struct part host_part(size_t i)
{
    return parts[i];
}

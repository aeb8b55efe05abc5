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

/* Left out: `sent`, which follows from the step (host.c); and behind the plans the last
 * heartbeats and datagrams, what was stored, and room to reckon in. */
static const struct part parts[] = {
    {0, AT(roster)},
    {AT(roster.member[0]), BEHIND(roster.member[0])},
    {AT(roster.member[1]), BEHIND(roster.member[1])},
    {AT(roster.member[2]), BEHIND(roster.member[2])},
    {AT(roster.told), BEHIND(roster.told)},
    {BEHIND(roster.told), BEHIND(roster)},
    {BEHIND(roster), AT(now)}, /* the configuration */
    {AT(now), AT(watch_at)},
    {AT(watch_at), AT(salt)},
    {AT(salt), AT(keys)},
    {AT(keys), AT(others_stale)},
    {AT(others_stale), AT(rival)},
    {AT(rival), AT(sent)},
    {BEHIND(sent), AT(voters)},
    {AT(voters), BEHIND(voters)},
    {BEHIND(voters), AT(class_of)},
    {AT(class_of), AT(wanted)},
    {AT(wanted), AT(flight)},
    {AT(flight), AT(letter)},
    {AT(assign), BEHIND(assign)},
};
static_assert(sizeof parts / sizeof parts[0] == PARTS, "as many as the store has room for");
static_assert((int)MEMBERS_MAX == (int)HOSTS, "nobody else is ever heard of");

struct part host_part(size_t i)
{
    return parts[i];
}

/*
 * Who is held: the penalties of all members, kept alike by telling them.
 *
 * A fall is counted a while after it was seen, and only by a node that then
 * still has company, or has a single other member: who has lost everybody was
 * itself the one that fell.
 */
#include "node_impl.h"

void node_flap_fell(struct node *n, struct member *m)
{
    flap_fall(&m->flap, &n->config.flap, n->now);
    m->fall_open = true;
    m->fall_due = instant_add(n->now, n->config.dead_after);
    n->fall_at = instant_min(n->fall_at, m->fall_due);
}

static void count(struct node *n, struct member *m)
{
    size_t members = 0;
    for (size_t i = 0; i < n->roster.count; i++)
        members += roster_counts(&n->roster, i);
    m->fall_open = false;
    if (n->alive < 2 && members > 2)
        return;
    if (flap_count(&m->flap, &n->config.flap, n->now, m->fallen))
        m->tell = URGENT_TIMES;
}

void node_flap_rose(struct node *n, struct member *m)
{
    if (m->fall_open)
        count(n, m);
    flap_rise(&m->flap, &n->config.flap, n->now);
}

static void tell_hold(struct node *n, struct member *m, struct actions *out)
{
    bool held = flap_held(&m->flap);
    const struct flap_config *c = &n->config.flap;
    n->view_dirty = true;
    m->tell = URGENT_TIMES;
    node_urgent(n);
    node_note(n, out, held ? NOTE_MEMBER_HELD : NOTE_MEMBER_RELEASED, m->name,
              flap_now(&m->flap, c, n->now), flap_left(&m->flap, c, n->now));
}

void node_flap_watch(struct node *n, struct actions *out)
{
    if (!node_ticks(n) && instant_before(n->now, n->fall_at))
        return;
    n->fall_at = INSTANT_NEVER;
    for (size_t i = 0; i < n->roster.count; i++) {
        struct member *m = &n->roster.member[i];
        if (m->stranger)
            continue;
        if (m->fall_open && !instant_before(n->now, m->fall_due))
            count(n, m);
        if (m->fall_open)
            n->fall_at = instant_min(n->fall_at, m->fall_due);
        if (m->flap.penalty == 0 && !flap_held(&m->flap))
            continue;
        if (node_ticks(n) && flap_decide(&m->flap, &n->config.flap, n->now))
            tell_hold(n, m, out);
    }
}

void node_flap_release(struct node *n, size_t index, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    if (flap_release(&m->flap))
        tell_hold(n, m, out);
}

void node_flap_hear(struct node *n, struct actions *out)
{
    const struct heartbeat *h = n->in;
    for (size_t i = 0; i < h->holds; i++) {
        const struct heartbeat_hold *said = &h->hold[i];
        int index = roster_find_id(&n->roster, said->member);
        if (index == ROSTER_NONE)
            continue;
        struct member *m = &n->roster.member[index];
        bool was = flap_held(&m->flap);
        flap_merge(&m->flap, &n->config.flap, n->now, said->hold, said->fallen, said->penalty);
        if (flap_held(&m->flap) != was)
            tell_hold(n, m, out);
    }
}

/* Others would take it for free, or for held, if they knew nothing of it. */
static bool tells(const struct node *n, const struct member *m, uint32_t value)
{
    bool slight = value == 0 || value < n->config.flap.penalty / 16;
    return !m->stranger && (!slight || m->flap.hold != 0);
}

/* What is new first, then in turn, for there may not be room for all. */
void node_flap_tell(struct node *n, struct heartbeat *h, size_t room)
{
    enum { HOLD_BYTES = 16 };
    size_t count = n->roster.count, cursor = n->hold_cursor % count;
    for (int news = 1; news >= 0; news--) {
        for (size_t i = 0; i < count && room >= HOLD_BYTES; i++) {
            size_t at = (cursor + i) % count;
            const struct member *m = &n->roster.member[at];
            uint32_t value = flap_now(&m->flap, &n->config.flap, n->now);
            if ((m->tell > 0) != (news == 1) || !tells(n, m, value))
                continue;
            h->hold[h->holds++] =
                (struct heartbeat_hold){m->id, m->flap.hold, m->flap.fallen, value};
            room -= HOLD_BYTES;
            if (news == 0)
                n->hold_cursor = at + 1;
        }
    }
}

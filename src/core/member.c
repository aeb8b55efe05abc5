/*
 * One member: verdicts, facts and the stream of its heartbeats.
 *
 * Invariants: incarnation, fallen, accused and order only grow; a member is
 * alive exactly if it is on the roster and incarnation > fallen.
 */
#include "ipclusterd/member.h"

#include <assert.h>
#include <string.h>

#include "ipclusterd/assign.h"
#include "ipclusterd/buf.h"

enum { WINDOW_BITS = 64, TELL_TIMES = 3 };

void member_init(struct member *m, const char *cluster, const char *name)
{
    assert(name_valid(name));
    memset(m, 0, sizeof *m);
    memcpy(m->name, name, strlen(name));
    m->id = member_id(name);
    m->hash = assign_hash(cluster, name);
    m->standing = STANDING_FORGOTTEN;
    m->said = HEARTBEAT_JOINING; /* until it is heard: it may have flows of anything */
    m->since = m->heard = m->knocked = INSTANT_PAST;
    m->arrived = m->arriving = INSTANT_PAST;
    m->direct = m->backed = m->fall_due = INSTANT_PAST;
    m->flap.at = INSTANT_PAST;
}

void member_deaf_take(struct member *m, const uint32_t *id, size_t count)
{
    assert(count <= DEAF_MAX);
    m->deafs = count;
    m->deaf_marks = 0;
    for (size_t i = 0; i < count; i++) {
        m->deaf[i] = id[i];
        m->deaf_marks |= member_mark(id[i]);
    }
}

bool member_deaf_listed(const struct member *m, uint32_t id)
{
    for (size_t i = 0; i < m->deafs; i++)
        if (m->deaf[i] == id)
            return true;
    return false;
}

enum standing member_standing(const struct member *m)
{
    return member_alive(m) ? STANDING_ALIVE : m->standing;
}

enum stream_verdict member_stream(struct member *m, uint32_t sequence)
{
    if (sequence > m->sequence) {
        uint32_t step = sequence - m->sequence;
        m->window = step < WINDOW_BITS ? m->window << step | 1 : 1;
        m->sequence = sequence;
        double missed = (double)(step - 1) / (double)step;
        m->loss += (missed - m->loss) * (step < 20 ? 0.05 * step : 1.0);
        return STREAM_NEW;
    }
    uint32_t back = m->sequence - sequence;
    if (back >= WINDOW_BITS)
        return STREAM_OLD;
    if ((m->window >> back & 1) != 0)
        return STREAM_DUPLICATE;
    m->window |= (uint64_t)1 << back;
    /* Its content is older than what we know, so it changes nothing. */
    return STREAM_DUPLICATE;
}

void member_reboot(struct member *m, uint64_t salt, uint32_t sequence)
{
    m->salt = salt;
    m->sequence = sequence;
    m->window = 1;
    m->acked = 0;
    m->view = 0;
    m->said = HEARTBEAT_JOINING;
    m->loss = 0;
    m->version = 0;
    member_deaf_take(m, NULL, 0);
    m->lineage = 0;
    m->backed = INSTANT_PAST;
}

bool member_facts(struct member *m, uint32_t incarnation, uint16_t flags, uint16_t weight)
{
    flags &= HEARTBEAT_FACTS;
    if (incarnation < m->incarnation)
        return false;
    if (incarnation == m->incarnation && m->flags == flags && m->weight == weight)
        return false;
    m->incarnation = incarnation;
    m->flags = flags;
    m->weight = weight;
    m->tell = TELL_TIMES;
    return true;
}

void member_fall(struct member *m, enum standing standing, instant since)
{
    assert(standing != STANDING_ALIVE);
    m->fallen = m->incarnation;
    if (m->accused < m->fallen)
        m->accused = m->fallen;
    m->standing = standing;
    m->since = since;
    m->suspect = false;
    m->tell = TELL_TIMES;
    member_deaf_take(m, NULL, 0);
    m->backed = INSTANT_PAST;
    /* Its word is of a life that is over; a misfit goes on, if not as one of us. */
    m->acked = 0;
    m->view = 0;
    if (!m->misfit)
        m->said = HEARTBEAT_JOINING;
}

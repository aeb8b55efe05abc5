/*
 * Which key: at most two are held, everything under either is accepted, and one
 * is sealed with. The change-over is an order that the cluster keeps, like a
 * drain: a register of which the higher number wins. It is given only when every
 * living member holds the next key, so nobody is left behind.
 */
#include <string.h>

#include "node_impl.h"

static const uint8_t no_key[KEY_BYTES];

static bool key_given(const uint8_t key[KEY_BYTES])
{
    return memcmp(key, no_key, KEY_BYTES) != 0;
}

/* The key to seal with: what was ordered, if we have it. */
static void choose(struct node *n)
{
    n->using = 0;
    if (n->rekey.order == 0)
        return;
    for (unsigned k = 0; k < n->keys; k++)
        if (n->key[k].hash == n->rekey.target)
            n->using = k;
}

static void load(struct node *n, const struct node_config *c)
{
    seal_init(&n->key[0], c->cluster, c->key);
    n->keys = 1;
    if (key_given(c->key_next) && memcmp(c->key, c->key_next, KEY_BYTES) != 0)
        seal_init(&n->key[n->keys++], c->cluster, c->key_next);
    n->rekey.next = n->keys == 2 ? n->key[1].hash : 0;
    choose(n);
}

void node_keys_init(struct node *n)
{
    load(n, &n->config);
}

/* Goes over to what the order says. */
static void obey(struct node *n, struct actions *out)
{
    unsigned was = n->using;
    choose(n);
    node_urgent(n);
    if (n->using != was)
        node_note(n, out, NOTE_KEY_CHANGED, "", (int64_t)n->key[n->using].hash, 0);
}

void node_keys_reload(struct node *n, const struct node_config *c, struct actions *out)
{
    uint64_t was = n->key[n->using].hash;
    load(n, c);
    if (n->key[n->using].hash != was)
        node_note(n, out, NOTE_KEY_CHANGED, "", (int64_t)n->key[n->using].hash, 0);
}

/* Always one attempt, or two if both keys have the named id: a wrong datagram
 * costs no more than a right one. */
const struct letter *node_keys_open(struct node *n, const uint8_t *data, size_t length,
                                    enum reject *why)
{
    uint16_t id = 0;
    unsigned first = n->using, second = 1 - n->using;
    bool two = n->keys == 2 && seal_key_id(data, length, &id) && id == n->key[second].key_id;
    unsigned with = two && id != n->key[first].key_id ? second : first;
    const struct letter *l = letter_open(&n->key[with], data, length, &n->letter, why);
    if (two && with == first && *why == REJECT_FORGED)
        l = letter_open(&n->key[with = second], data, length, &n->letter, why);
    if (l != NULL)
        n->opened = n->key[with].hash;
    return l;
}

/* Who starts with a key that the others have given up is understood by nobody, and so
 * cannot be told of the order. Until somebody is alive to it, it speaks as it was spoken
 * to last: a recording may turn it, and the next heartbeat turns it back. */
const struct seal *node_keys_seal(const struct node *n)
{
    const struct seal *mine = &n->key[n->using], *other = &n->key[1 - n->using];
    bool follows = n->keys == 2 && n->alive <= 1 && n->rekey.order == 0;
    return follows && n->opened == other->hash ? other : mine;
}

/* True if `a` is the later order. */
static bool later(const struct heartbeat_keys *a, const struct heartbeat_keys *b)
{
    return a->order > b->order || (a->order == b->order && a->target > b->target);
}

void node_keys_hear(struct node *n, size_t index, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    m->keys = n->in->keys;
    if (!later(&n->in->keys, &n->rekey))
        return;
    n->rekey.order = n->in->keys.order;
    n->rekey.target = n->in->keys.target;
    obey(n, out);
}

bool node_keys_ready(const struct node *n)
{
    if (n->keys < 2 || n->using != 0 || n->mixed)
        return false;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self && !m->stranger && member_alive(m) && m->keys.next != n->rekey.next)
            return false;
    }
    return true;
}

void node_keys_change(struct node *n, struct actions *out)
{
    if (!node_keys_ready(n))
        return; /* the shell has looked before it asked */
    n->rekey.target = n->rekey.next;
    n->rekey.order++;
    obey(n, out);
}

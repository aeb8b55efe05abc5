/*
 * Is what host_normal() makes alike alike? Two hosts that it wrongly takes for one
 * part sooner or later, if they are given the same to do: so one of each pair lives on
 * as it is, and the other is taken out of the store before each step.
 */
#include <stdio.h>

#include "search.h"

enum { FAULTS_AT_ONCE = 2, OFTEN = 9, RARELY = 40 };

static uint64_t rng = 88172645463325252;

static uint32_t draw(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 24) % below);
}

/* Where their normal forms differ. */
static void difference_print(uint32_t one, uint32_t other)
{
    static struct host a, b;
    const uint8_t *x = (const uint8_t *)&a, *y = (const uint8_t *)&b;
    store_host_get(one, &a);
    store_host_get(other, &b);
    for (size_t i = 0; i < PARTS; i++) {
        struct part p = host_part(i);
        size_t at = p.from;
        while (at < p.to && x[at] == y[at])
            at++;
        if (at < p.to)
            printf("they differ from byte %td of the node\n",
                   (ptrdiff_t)at - (ptrdiff_t)offsetof(struct host, node));
    }
}

/* One turn, also of the host that lives on. True if both do the same. */
static bool turn_shadow(struct host h[HOSTS], struct state *s, const struct choice *c)
{
    static struct host_output out;
    struct arrival arrival[INPUTS_MAX];
    struct host_input input[INPUTS_MAX];
    size_t arrivals, inputs = 0;
    unsigned i = s->turn;
    uint32_t bundle = state_apply(s, c, arrival, &arrivals);
    if (c->op == HOST_FROZEN)
        return true;
    for (size_t k = 0; k < arrivals; k++) {
        struct bundle b = store_bundle_get(arrival[k].bundle);
        for (size_t m = 0; m < b.count; m++)
            input[inputs++] = (struct host_input){&b.message[m], arrival[k].age};
    }
    host_step(&h[i], (enum host_op)c->op, input, inputs, &out);
    uint32_t id = store_host(&h[i]);
    if (id == s->host[i] && store_bundle(&out) == bundle)
        return true;
    difference_print(id, s->host[i]);
    return false;
}

static bool walk(const struct options *o, struct state s, unsigned rarity)
{
    static struct choice choice[CHOICES_MAX];
    static struct host h[HOSTS];
    char text[768];
    for (unsigned i = 0; i < HOSTS; i++)
        store_host_get(s.host[i], &h[i]);
    for (unsigned turn = 0; turn < o->steps * HOSTS; turn++) {
        bool room = true;
        for (unsigned i = 0; i < HOSTS; i++)
            room = room && state_held(&s, i) < HELD_MAX;
        s.faults = draw(rarity) == 0 && room ? FAULTS_AT_ONCE : 0;
        size_t choices = state_choices(&s, o->kinds, choice);
        const struct choice *c = &choice[draw((uint32_t)choices)];
        bool alike = turn_shadow(h, &s, c);
        if (alike && state_doubles(&s) == 0)
            continue;
        state_describe(&s, c, text, sizeof text);
        printf("turn %u: %s\n%s\n", turn,
               alike ? "VIOLATION" : "DIFFERENCE: the store does something else", text);
        return false;
    }
    return true;
}

bool walk_check(const struct options *o)
{
    static struct state root[ROOTS_MAX];
    if (!search_roots(o, root)) {
        printf("the hosts do not come to serve without faults\n");
        return false;
    }
    for (unsigned i = 0; i < o->walks; i++)
        if (!walk(o, root[i % o->phases], i % 2 == 0 ? OFTEN : RARELY))
            return false;
    printf("the store does as they do: %u walks of %u steps, %zu hosts\n", o->walks, o->steps,
           store_figures().hosts);
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */

/* Addresses, the way between two hosts, and local ports with their TIME_WAIT. */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIME_WAIT_NS (60 * SIM_S)
#define TUPLE_HASH   4096u

struct sim_tuple {
    struct sim_tuple *next;
    struct sim_inet from, to;
    uint64_t until; /* UINT64_MAX while the connection lives */
};

int sim_inet_from(const struct sockaddr *sa, socklen_t n, struct sim_inet *out)
{
    memset(out, 0, sizeof *out);
    if (sa->sa_family == AF_INET && n >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const void *)sa;
        out->ip.s6_addr[10] = out->ip.s6_addr[11] = 0xff;
        memcpy(out->ip.s6_addr + 12, &in->sin_addr, 4);
        out->port = ntohs(in->sin_port);
        return 0;
    }
    if (sa->sa_family == AF_INET6 && n >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in = (const void *)sa;
        out->ip = in->sin6_addr;
        out->port = ntohs(in->sin6_port);
        return 0;
    }
    return -EAFNOSUPPORT;
}

void sim_inet_to(const struct sim_inet *a, int family, struct sockaddr *sa, socklen_t *n)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    const void *from = family == AF_INET6 ? (const void *)&six : (const void *)&four;
    socklen_t size = family == AF_INET6 ? sizeof six : sizeof four;
    six.sin6_addr = a->ip;
    memcpy(&four.sin_addr, a->ip.s6_addr + 12, 4);
    memcpy(sa, from, *n < size ? *n : size);
    *n = size;
}

struct sim_inet sim_inet_host(uint32_t host, uint16_t port)
{
    struct sim_inet a = {.port = port};
    a.ip.s6_addr[10] = a.ip.s6_addr[11] = 0xff;
    a.ip.s6_addr[12] = 10;
    a.ip.s6_addr[13] = (uint8_t)(host >> 16);
    a.ip.s6_addr[14] = (uint8_t)(host >> 8);
    a.ip.s6_addr[15] = (uint8_t)host;
    return a;
}

static bool is_four(const struct sim_inet *a)
{
    return IN6_IS_ADDR_V4MAPPED(&a->ip);
}

bool sim_inet_any(const struct sim_inet *a)
{
    static const uint8_t zero[4];
    return is_four(a) ? memcmp(a->ip.s6_addr + 12, zero, 4) == 0
                      : IN6_IS_ADDR_UNSPECIFIED(&a->ip);
}

bool sim_inet_loopback(const struct sim_inet *a)
{
    return is_four(a) ? a->ip.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&a->ip);
}

/* Other hosts have two addresses: 10.x.y.z and 2001:db8::10.x.y.z. */
bool sim_inet_twin(const struct sim_inet *four, const struct sim_inet *six)
{
    static const uint8_t prefix[12] = {0x20, 1, 0xd, 0xb8};
    return memcmp(six->ip.s6_addr, prefix, sizeof prefix) == 0 &&
           memcmp(six->ip.s6_addr + 12, four->ip.s6_addr + 12, 4) == 0;
}

bool sim_inet_local(const struct sim_inet *a)
{
    struct sim_inet me = sim_inet_host(1, 0);
    return sim_inet_loopback(a) || sim_inet_any(a) || memcmp(&a->ip, &me.ip, sizeof me.ip) == 0;
}

uint64_t sim_latency(const struct sim_inet *to)
{
    uint64_t base = sim_world->opt.latency_ns;
    if (sim_inet_loopback(to))
        return base / 10;
    return base + sim_rand(sim_world->opt.jitter_ns + 1);
}

static unsigned tuple_hash(const struct sim_inet *from, const struct sim_inet *to)
{
    uint64_t h = ((uint64_t)from->port << 16 | to->port) * 0x9e3779b97f4a7c15ull;
    for (int i = 12; i < 16; i++)
        h = (h ^ to->ip.s6_addr[i] ^ (uint64_t)from->ip.s6_addr[i] << 8) * 0x100000001b3ull;
    return (unsigned)(h >> 40) % TUPLE_HASH;
}

/* The link that holds the tuple, or the end of its chain; drops those whose time is over. */
static struct sim_tuple **tuple_find(const struct sim_inet *from, const struct sim_inet *to)
{
    struct sim_world *w = sim_world;
    if (!w->tuples) {
        w->tuples = calloc(TUPLE_HASH, sizeof *w->tuples);
        WR_ASSERT(w->tuples);
    }
    struct sim_tuple **link = &w->tuples[tuple_hash(from, to)];
    while (*link) {
        struct sim_tuple *t = *link;
        if (t->until <= w->now) {
            *link = t->next;
            free(t);
            continue;
        }
        if (memcmp(&t->from, from, sizeof *from) == 0 && memcmp(&t->to, to, sizeof *to) == 0)
            break;
        link = &t->next;
    }
    return link;
}

static bool port_try(struct sim_inet from, uint16_t port, const struct sim_inet *to)
{
    from.port = port;
    struct sim_tuple **link = tuple_find(&from, to);
    if (*link)
        return false;
    struct sim_tuple *t = calloc(1, sizeof *t);
    WR_ASSERT(t);
    *t = (struct sim_tuple){NULL, from, *to, UINT64_MAX};
    *link = t;
    return true;
}

/* The port may be reused towards another destination, so the tuple decides, as in Linux's connect. */
int sim_port_take(const struct sim_inet *from, const struct sim_inet *to)
{
    unsigned min = sim_world->opt.port_min, n = sim_world->opt.port_max - min + 1;
    unsigned first = (unsigned)sim_rand(n);
    for (unsigned i = 0; i < n; i++) {
        uint16_t port = (uint16_t)(min + (first + i) % n);
        if (port_try(*from, port, to))
            return port;
    }
    return -EADDRNOTAVAIL;
}

void sim_port_free(const struct sim_inet *from, const struct sim_inet *to, bool linger)
{
    struct sim_tuple **link = tuple_find(from, to), *t = *link;
    if (!t)
        return;
    if (linger) {
        t->until = sim_world->now + TIME_WAIT_NS;
        return;
    }
    *link = t->next;
    free(t);
}

unsigned sim_ports_waiting(void)
{
    unsigned n = 0;
    for (unsigned h = 0; sim_world->tuples && h < TUPLE_HASH; h++)
        for (struct sim_tuple *t = sim_world->tuples[h]; t; t = t->next)
            n += t->until != UINT64_MAX && t->until > sim_world->now;
    return n;
}

void sim_ports_close(void)
{
    for (unsigned h = 0; sim_world->tuples && h < TUPLE_HASH; h++) {
        while (sim_world->tuples[h]) {
            struct sim_tuple *t = sim_world->tuples[h];
            sim_world->tuples[h] = t->next;
            free(t);
        }
    }
    free(sim_world->tuples);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_ACTORS_INTERNAL_H
#define WR_SIM_ACTORS_INTERNAL_H

/* A client from the inside: for actors.c and the speeches. */

#include "sim/actors.h"

struct client {
    struct crowd *crowd;
    struct sim_peer *peer;
    struct sim_event next;     /* think, dribble, sip */
    struct sim_event patience; /* the server is late */
    struct sim_event mischief; /* abort, vanish */
    uint32_t host;
    unsigned connections_left, serial;
    enum temper temper;
    bool connected, sending_over, half_closed, over;
    unsigned to_send, sent, answered; /* requests of this connection */
    uint64_t token, connected_at;
    /* per request in flight: what the answer must be made of; ring */
    uint32_t sizes[64];
    bool was_post[64];
    char *out; /* not yet sent */
    size_t out_n, out_room;
    char *in; /* not yet understood */
    size_t in_n, in_room;
};

/* Byte i of the payload of the client's request k. */
static inline char payload_byte(const struct client *c, unsigned k, size_t i)
{
    uint64_t x = (c->token + k) * 0x9e3779b97f4a7c15ull;
    return (char)('a' + ((x >> (i % 7 * 8)) + i) % 26);
}
unsigned crowd_size_max(const struct crowd *c);
bool crowd_errors_allowed(const struct crowd *c);
void payload_fill(const struct client *c, unsigned k, char *out, size_t n);
bool payload_check(const struct client *c, unsigned k, const char *p, size_t n);

#endif

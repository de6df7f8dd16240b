/* SPDX-License-Identifier: BSD-2-Clause */

#include "sim/actors.h"

#include "sim/actors_internal.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PID_FIRST 1000
#define PIDS      60000u

enum {
    EXCUSE_END = 1,
    EXCUSE_RESET = 2
};

struct crowd {
    struct crowd_options o;
    struct crowd_tally t;
    struct client *clients;
    unsigned done;
    uint8_t excuse[PIDS]; /* of processes, by their number */
    bool unserved_excused;
};

/*
 * A connection of a client:
 *
 *   pause --begin--> dialling --connected--> talking --all answered--> finish --> pause
 *                       |                       |--server ends it----> lost  --> pause
 *                       '--refused--> pause     '--mischief---------> aborted -> pause
 */

unsigned crowd_size_max(const struct crowd *c)
{
    return c->o.size_max;
}

bool crowd_errors_allowed(const struct crowd *c)
{
    return c->o.errors_allowed;
}

static void bytes_append(char **p, size_t *n, size_t *room, const char *from, size_t len)
{
    if (*n + len > *room) {
        *room = *room ? *room : 4096;
        while (*n + len > *room)
            *room *= 2;
        *p = realloc(*p, *room);
        WR_ASSERT(*p);
    }
    memcpy(*p + *n, from, len);
    *n += len;
}

static void bytes_drop(char *p, size_t *n, size_t len)
{
    memmove(p, p + len, *n - len);
    *n -= len;
}

static void client_pause(struct client *c)
{
    sim_cancel(&c->patience);
    sim_cancel(&c->mischief);
    sim_cancel(&c->next);
    if (c->peer)
        sim_hang_up(&c->peer, false);
    c->out_n = c->in_n = 0;
    c->connected = false;
    if (c->connections_left == 0) {
        if (!c->over)
            c->crowd->done++;
        c->over = true;
        return;
    }
    sim_after(&c->next, sim_rand(c->crowd->o.think_ns + SIM_MS));
}

static void client_end(struct client *c, uint64_t *counter)
{
    ++*counter;
    c->crowd->t.open--;
    client_pause(c);
}

static bool client_excused(const struct client *c, bool reset)
{
    const struct crowd *w = c->crowd;
    pid_t server = sim_peer_server(c->peer);
    if (server == -2)
        return w->o.timeout_allowed || w->unserved_excused;
    if (server < PID_FIRST || (unsigned)(server - PID_FIRST) >= PIDS)
        return w->unserved_excused;
    return w->excuse[server - PID_FIRST] & (reset ? EXCUSE_RESET : EXCUSE_END);
}

/* Servers give a first request ten seconds; who dribbles may need more, in a crowd that is served slowly. */
static bool client_too_slow(const struct client *c)
{
    return c->temper == DRIBBLING && c->answered == 0 && c->out_n > 0 &&
           sim_now() - c->connected_at >= 10 * SIM_S;
}

/* The server ended it. Is that all right? */
static void client_lost(struct client *c, const char *how, bool reset)
{
    struct crowd_tally *t = &c->crowd->t;
    if (c->temper == SILENT || c->temper == STALLER || client_too_slow(c)) {
        client_end(c, &t->shed);
        return;
    }
    bool all = c->sent == c->to_send && c->answered == c->sent && c->out_n == 0 && c->in_n == 0;
    if (all && (c->half_closed || c->crowd->o.speech == &speech_http)) {
        client_end(c, &t->answered);
        return;
    }
    if (!c->crowd->o.ends_allowed && !client_excused(c, reset)) {
        sim_violation(
            "I2 lost connection: client %u: %s after %u of %u answers (sent %u, %zu bytes "
            "unsent, temper %d), connected for %llu ms, served by %d",
            c->serial, how, c->answered, c->to_send, c->sent, c->out_n, c->temper,
            (unsigned long long)((sim_now() - c->connected_at) / SIM_MS),
            sim_peer_server(c->peer));
    }
    client_end(c, c->answered || c->sent ? &t->cut : &t->shed);
}

static void client_flush(struct client *c)
{
    while (c->out_n > 0) {
        size_t n = c->out_n;
        if (c->temper == DRIBBLING && n > 1)
            n = 1 + sim_rand(n < 16 ? n : 15 + n / 20);
        ssize_t r = sim_send(c->peer, c->out, n);
        if (r == -EAGAIN)
            return;
        if (r < 0) {
            c->out_n = 0; /* reading tells why */
            return;
        }
        bytes_drop(c->out, &c->out_n, (size_t)r);
        if (c->temper == DRIBBLING && c->out_n > 0) {
            sim_after(&c->next, sim_rand(20 * SIM_MS));
            return;
        }
    }
    if (c->temper == HALF_CLOSER && c->sent == c->to_send && !c->half_closed) {
        c->half_closed = true;
        sim_peer_shutdown(c->peer);
    }
}

static void client_speak(struct client *c)
{
    char request[SPEECH_MAX];
    unsigned depth =
        c->temper == PIPELINING || c->temper == HALF_CLOSER || c->temper == SLOW_READER
            ? 1 + (unsigned)sim_rand(16)
            : 1;
    while (c->sent < c->to_send && c->sent - c->answered < depth) {
        size_t n = c->crowd->o.speech->request(c, request, c->sent + 1 == c->to_send);
        if (c->temper == STALLER)
            n = n > 1 ? 1 + sim_rand(n - 1) : 0;
        bytes_append(&c->out, &c->out_n, &c->out_room, request, n);
        c->sent++;
        c->crowd->t.requests++;
        if (c->temper == STALLER)
            break;
    }
    sim_after(&c->patience, c->crowd->o.patience_ns);
    client_flush(c);
}

static void client_answers(struct client *c)
{
    size_t at = 0;
    while (at < c->in_n) {
        if (c->answered == c->sent) {
            sim_violation("I1 unasked bytes: client %u got %zu bytes after its last answer",
                          c->serial, c->in_n - at);
            return;
        }
        ssize_t r = c->crowd->o.speech->answer(c, c->in + at, c->in_n - at);
        if (r < 0)
            return;
        if (r == 0)
            break;
        at += (size_t)r;
        c->answered++;
        c->crowd->t.answers++;
        sim_after(&c->patience, c->crowd->o.patience_ns);
    }
    bytes_drop(c->in, &c->in_n, at);
    if (c->answered < c->to_send) {
        if (c->answered == c->sent)
            sim_after(&c->next, sim_rand(c->crowd->o.think_ns + 1));
        return;
    }
    if (c->half_closed)
        return; /* the server's end is still to come */
    client_end(c, &c->crowd->t.answered);
}

static void client_readable(struct sim_peer *peer, void *arg)
{
    struct client *c = arg;
    char bytes[16384];
    size_t sip = c->temper == SLOW_READER ? 1 + sim_rand(2000) : sizeof bytes;
    for (;;) {
        ssize_t r = sim_recv(peer, bytes, sip);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            client_lost(c, r == 0 ? "closed" : r == -ECONNRESET ? "reset" : "broken", r < 0);
            return;
        }
        if (c->temper == SILENT || c->temper == STALLER)
            continue; /* a 408 is a polite end */
        bytes_append(&c->in, &c->in_n, &c->in_room, bytes, (size_t)r);
        client_answers(c);
        if (c->peer != peer || sim_violated())
            return;
        if (c->temper == SLOW_READER) {
            if (!c->next.place)
                sim_after(&c->next, 1 + sim_rand(5 * SIM_MS));
            return;
        }
    }
}

static void client_writable(struct sim_peer *peer, void *arg)
{
    struct client *c = arg;
    (void)peer;
    if (c->out_n > 0 && (c->temper != DRIBBLING || !c->next.place))
        client_flush(c);
}

static void client_connected(struct sim_peer *peer, void *arg, int err)
{
    struct client *c = arg;
    struct crowd *w = c->crowd;
    if (err) {
        w->t.refused++;
        if (!w->o.refusal_allowed && !w->o.ends_allowed && !w->unserved_excused &&
            !(w->o.timeout_allowed && err == -ETIMEDOUT))
            sim_violation("I2 refused: client %u: connect says %s", c->serial, strerror(-err));
        client_pause(c);
        return;
    }
    c->connected = true;
    c->connected_at = sim_now();
    w->t.completed++;
    w->t.open++;
    sim_after(&c->patience, w->o.patience_ns);
    if (c->temper == SLOW_READER)
        sim_peer_window(peer, 600 + (uint32_t)sim_rand(4000));
    if (c->temper == ABORTER || c->temper == VANISHER)
        sim_after(&c->mischief, sim_rand(50 * SIM_MS));
    if (c->temper != SILENT)
        client_speak(c);
}

static void client_begin(struct client *c)
{
    static const struct sim_peer_ops ops = {client_connected, client_readable, client_writable,
                                            NULL};
    struct crowd *w = c->crowd;
    c->connections_left--;
    do
        c->temper = (enum temper)sim_rand(TEMPERS);
    while (!(w->o.tempers & (1u << c->temper)));
    c->sent = c->answered = 0;
    c->half_closed = false;
    c->to_send = 1 + (unsigned)sim_rand(w->o.requests_max);
    c->token = sim_rand(UINT64_MAX);
    w->t.dialled++;
    c->peer = sim_dial(c->host, w->o.host, w->o.port, &ops, c);
}

static void client_next(struct sim_event *e)
{
    struct client *c = wr_container_of(e, struct client, next);
    if (!c->peer) {
        client_begin(c);
        return;
    }
    if (c->temper == SLOW_READER) {
        client_readable(c->peer, c);
        if (!c->peer)
            return;
    }
    if (c->out_n > 0)
        client_flush(c);
    else if (c->sent == c->answered && c->sent < c->to_send)
        client_speak(c);
}

static void client_impatient(struct sim_event *e)
{
    struct client *c = wr_container_of(e, struct client, patience);
    sim_violation("I4 silence: client %u (temper %d) waits for %llu s: %u requests sent, %u "
                  "answered, %zu bytes unsent",
                  c->serial, c->temper, (unsigned long long)(c->crowd->o.patience_ns / SIM_S),
                  c->sent, c->answered, c->out_n);
}

static void client_mischief(struct sim_event *e)
{
    struct client *c = wr_container_of(e, struct client, mischief);
    sim_hang_up(&c->peer, c->temper == ABORTER);
    client_end(c, &c->crowd->t.aborted);
}

struct crowd *crowd_new(const struct crowd_options *o)
{
    struct crowd *w = calloc(1, sizeof *w);
    WR_ASSERT(w);
    w->o = *o;
    w->clients = calloc(o->clients, sizeof *w->clients);
    WR_ASSERT(w->clients);
    for (unsigned i = 0; i < o->clients; i++) {
        struct client *c = &w->clients[i];
        c->crowd = w;
        c->serial = i;
        c->host = 0x10000 + i;
        c->connections_left = o->connections;
        c->next.fn = client_next;
        c->patience.fn = client_impatient;
        c->mischief.fn = client_mischief;
        sim_after(&c->next, sim_rand(o->spread_ns + 1));
    }
    return w;
}

void crowd_free(struct crowd *w)
{
    for (unsigned i = 0; i < w->o.clients; i++) {
        struct client *c = &w->clients[i];
        sim_cancel(&c->next);
        sim_cancel(&c->patience);
        sim_cancel(&c->mischief);
        if (c->peer)
            sim_hang_up(&c->peer, true);
        free(c->out);
        free(c->in);
    }
    free(w->clients);
    free(w);
}

bool crowd_done(const struct crowd *w)
{
    return w->done == w->o.clients;
}

const struct crowd_tally *crowd_tally(const struct crowd *w)
{
    return &w->t;
}

void crowd_excuse(struct crowd *w, pid_t server, bool resets)
{
    WR_ASSERT(server >= PID_FIRST && (unsigned)(server - PID_FIRST) < PIDS);
    w->excuse[server - PID_FIRST] |= EXCUSE_END | (resets ? EXCUSE_RESET : 0);
}

void crowd_excuse_unserved(struct crowd *w)
{
    w->unserved_excused = true;
}

void crowd_check(const struct crowd *w)
{
    const struct crowd_tally *t = &w->t;
    uint64_t ended = t->answered + t->aborted + t->shed + t->cut;
    if (t->completed != ended + t->open)
        sim_violation(
            "I2 balance: completed %llu != answered %llu + aborted %llu + shed %llu + "
            "cut %llu + open %u",
            (unsigned long long)t->completed, (unsigned long long)t->answered,
            (unsigned long long)t->aborted, (unsigned long long)t->shed,
            (unsigned long long)t->cut, t->open);
}

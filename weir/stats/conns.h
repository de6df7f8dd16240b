/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STATS_CONNS_H
#define STATS_CONNS_H

/*
 * The open connections of every worker in shared memory: readable while the worker is stuck, and after it
 * was killed.
 *
 * Each seat has a table of entries with one writer, its worker; a word before it says how many were ever used. An entry is filled when a connection comes,
 * gets a few plain stores when its state changes, and is emptied when it goes. Free entries are a
 * list in the writer's own memory, so a damaged table harms no worker.
 *
 *   open --state(HEAD, HANDLE, SEND, IDLE ...)--> ... --close-->
 *
 * 1. number is stored last at opening and cleared first at closing: a reader that finds the same number before
 *    and after copying an entry has that connection's words, each of them whole.
 * 2. A table that is full lists no more (CONNS_NONE); the connections beyond are counted by the board.
 * 3. A worker's change costs a handful of stores and no system call.
 *
 * The master makes the part; conns_begin empties a seat's table for its next holder, after the
 * last words of its predecessor were kept (master/postmortem).
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>
#include <string.h>

#define CONNS_PART    "conns"
#define CONNS_VERSION 1
#define CONNS_NONE    UINT32_MAX

enum conns_state {
    CONNS_FIRST, /* accepted, nothing came yet */
    CONNS_HANDSHAKE,
    CONNS_HEAD,
    CONNS_BODY,
    CONNS_HANDLE,
    CONNS_SEND,
    CONNS_IDLE,
    CONNS_CLOSING,
    CONNS_STATES
};

struct conns_entry {
    uint64_t number;                        /* 0: free */
    uint64_t opened_ms, changed_ms, due_ms; /* CLOCK_MONOTONIC; due UINT64_MAX: none */
    uint32_t requests, fd;
    uint8_t ip[16]; /* v4: the first 4; unix: none */
    uint16_t port;
    uint8_t family; /* enum wr_addr_kind */
    uint8_t state;
    uint8_t doing_len, spare[3];
    char doing[64]; /* the request line without its query */
};
_Static_assert(sizeof(struct conns_entry) == 128, "two cache lines");

struct conns_head { /* of the part */
    uint32_t seats, entries;
    uint64_t spare[7];
};

struct conns_table {           /* the writer's handle */
    struct conns_entry *entry; /* NULL: a table that lists nothing */
    uint32_t *next_free;       /* [entries] */
    uint32_t free, used, entries;
    const struct wr_heap *heap;
};

struct wr_addr;
struct wr_heap;
struct wr_shm;

size_t conns_size(unsigned seats, unsigned entries);
/* Master, before the first fork. */
WR_MUST int conns_format(struct wr_shm *shm, unsigned seats, unsigned entries);
/* Master: makes a seat's table empty. */
void conns_clear(const struct wr_shm *shm, unsigned seat);
/* Worker. -ENOMEM: the table then swallows everything, as a zeroed one does. */
WR_MUST int conns_begin(struct conns_table *t, const struct wr_heap *heap,
                        const struct wr_shm *shm, unsigned seat);
void conns_end(struct conns_table *t);

uint32_t conns_open(struct conns_table *t, uint64_t number, int fd, const struct wr_addr *peer,
                    uint64_t now_ms, uint64_t due_ms);
void conns_close(struct conns_table *t, uint32_t at);
/* Who it is, when that was not known at first. */
void conns_peer(struct conns_table *t, uint32_t at, const struct wr_addr *peer);

static inline void conns_set(struct conns_table *t, uint32_t at, enum conns_state state,
                             uint64_t now_ms, uint64_t due_ms)
{
    if (at == CONNS_NONE || !t->entry)
        return;
    struct conns_entry *e = &t->entry[at];
    __atomic_store_n(&e->state, (uint8_t)state, __ATOMIC_RELAXED);
    __atomic_store_n(&e->changed_ms, now_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&e->due_ms, due_ms, __ATOMIC_RELAXED);
}

/* A request's head has come. */
static inline void conns_request(struct conns_table *t, uint32_t at, struct wr_span line,
                                 uint64_t now_ms, uint64_t due_ms)
{
    if (at == CONNS_NONE || !t->entry)
        return;
    struct conns_entry *e = &t->entry[at];
    size_t n = line.n < sizeof e->doing ? line.n : sizeof e->doing;
    e->requests++;
    if (n)
        memcpy(e->doing, line.p, n);
    e->doing_len = (uint8_t)n;
    conns_set(t, at, CONNS_HANDLE, now_ms, due_ms);
}

/* ---- readers: over any bytes ---------------------------------------------------------------------- */
const char *conns_state_name(unsigned state);
/* Calls fn for every open connection of a seat; doing is escaped by nobody. -EPROTO, or how many. */
int conns_walk(const void *part, size_t size, unsigned seat,
               void (*fn)(const struct conns_entry *e, void *arg), void *arg);

#endif

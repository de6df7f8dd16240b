/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_RECORDER_H
#define WR_IO_RECORDER_H

/*
 * The flight recorder: the last events of every process, in shared memory, readable after its death.
 *
 * One ring per seat, fixed-size events, the newest overwrite the oldest. The writer invalidates an
 * event, writes its words and stamps it with its number last, so a reader (or a death in the middle of
 * a write) never yields a mixed event: it is simply not there.
 *
 * 1. One writer per ring at a time. Writing is about ten stores: no lock, no system call.
 * 2. The ring goes on from one holder of a seat to the next; WR_EVENT_START marks the border.
 * 3. Readers trust nothing and may run at any time, over live, dead or hostile memory.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

#define WR_RECORDER_PART    "recorder"
#define WR_RECORDER_VERSION 1

/* Codes below 256 are the library's; a program takes its own from 256 on. */
enum wr_event_code {
    WR_EVENT_NONE,
    WR_EVENT_START, /* a process took the seat: id pid */
    WR_EVENT_STOP,  /* it was asked to stop: a = how */
    WR_EVENT_ENTER, /* id entered stage */
    WR_EVENT_LEAVE, /* id left stage: a = result (0 or a negative error) */
    WR_EVENT_OPEN,  /* connection opened: a = fd */
    WR_EVENT_CLOSE, /* connection closed: a = fd, b = reason */
    WR_EVENT_REQUEST, /* a request's head is complete: a, b = the caller's (method, hash of the path) */
    WR_EVENT_REPLY, /* a = status, b = bytes */
    WR_EVENT_SLOW,  /* a callback took long: a = address of the function, b = ns */
    WR_EVENT_LIMIT, /* a limit was met: a = which, b = value */
    WR_EVENT_ERROR, /* a = negative error */
    WR_EVENT_PANIC, /* the process is about to abort */
};

struct wr_event { /* as a reader sees it */
    uint64_t number, time_ns, id;
    uint16_t code, stage;
    uint32_t pid;
    uint64_t a, b;
};

struct wr_recorder_event { /* as it lies in memory */
    uint64_t stamp;        /* number + 1; 0 while it is being written */
    uint64_t time_ns, id;
    uint64_t what; /* code | stage << 16 | pid << 32 */
    uint64_t a, b;
};

struct wr_recorder_ring {
    uint64_t next; /* number of the next event */
    uint64_t spare[7];
    struct wr_recorder_event event[];
};

struct wr_recorder { /* the writer's handle: embed it, one per process */
    struct wr_recorder_ring *ring;
    uint64_t mask;
    uint32_t pid;
};

struct wr_shm;

/* Size of the part for so many rings of so many events (a power of two). */
size_t wr_recorder_size(unsigned rings, unsigned events);
/* Master, before the first fork: lays the fresh part out. */
int wr_recorder_format(struct wr_shm *shm, unsigned rings, unsigned events) WR_MUST;
/* The writer of one ring. A recorder that was zeroed and never opened swallows events. */
int wr_recorder_open(struct wr_recorder *rec, const struct wr_shm *shm, unsigned ring,
                     uint32_t pid) WR_MUST;

static inline void wr_record(struct wr_recorder *rec, uint64_t now_ns, uint64_t id,
                             enum wr_event_code code, unsigned stage, uint64_t a, uint64_t b)
{
    if (!rec || !rec->ring)
        return;
    uint64_t n = __atomic_load_n(&rec->ring->next, __ATOMIC_RELAXED);
    struct wr_recorder_event *e = &rec->ring->event[n & rec->mask];
    __atomic_store_n(&e->stamp, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&e->time_ns, now_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&e->id, id, __ATOMIC_RELAXED);
    __atomic_store_n(&e->what,
                     ((uint64_t)code & 0xffff) | ((uint64_t)(stage & 0xffff) << 16) |
                         ((uint64_t)rec->pid << 32),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&e->a, a, __ATOMIC_RELAXED);
    __atomic_store_n(&e->b, b, __ATOMIC_RELAXED);
    __atomic_store_n(&e->stamp, n + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&rec->ring->next, n + 1, __ATOMIC_RELEASE);
}

/* Up to max of the newest whole events of a ring, oldest first. pid 0: of all holders, otherwise only
 * that process's. Returns how many, or -EPROTO. Reads only [part, part + size). */
int wr_recorder_read(const void *part, size_t size, unsigned ring, uint32_t pid,
                     struct wr_event *out, unsigned max) WR_MUST;
const char *wr_event_name(unsigned code); /* "?" for a program's own */
/* One line of text, without a newline, cut at n - 1 bytes; returns its length. */
size_t wr_event_format(const struct wr_event *event, char *out, size_t n);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LEASES_H
#define WR_IO_LEASES_H

/*
 * Who borrowed what, for readers outside: the pools of a family of processes and their longest leases, in shared memory.
 *
 * The memory is a table of books. A pool opens one when it is made, writes it anew at each change and closes it when
 * it ends; the master closes those of a process that died. A reader copies a book and takes it only if no write
 * came between.
 *
 * 1. A book has one writer: the process whose pid stands in it, and when that has died the master. It never
 *    waits, for readers or for other writers.
 * 2. Where no book is free, a pool goes without: nothing fails for want of one.
 * 3. A free book is empty: nobody is shown with what its predecessor borrowed.
 * 4. wr_leases_read trusts nothing: it reads only [part, part + size), and every text it gives ends.
 *
 * The books belong to the memory, which outlives the pools. Readers use any bytes, hostile ones included.
 */

#include "libweir/base/compiler.h"

#include <sys/types.h>

#define WR_LEASES_PART    "leases"
#define WR_LEASES_VERSION 1
#define WR_LEASES_OLDEST  8 /* of a pool, longest first */

struct wr_lease_line {
    uint64_t lease, since_ms; /* CLOCK_MONOTONIC */
    uint64_t line;
    char file[44], func[36];
};

struct wr_lease_book {
    uint64_t pid;   /* 0: free */
    uint64_t stamp; /* odd: being written */
    char pool[32];
    uint64_t max_open, open, lent, waiting;
    uint64_t waits_since_ms; /* the oldest that waits; 0: nobody */
    uint64_t lines;
    struct wr_lease_line line[WR_LEASES_OLDEST];
};

struct wr_leases; /* the table */
struct wr_shm;

size_t wr_leases_size(unsigned books);
/* Master, before the first fork. */
WR_MUST int wr_leases_format(struct wr_shm *shm, unsigned books);
/* NULL: this memory has none. */
struct wr_leases *wr_leases_at(const struct wr_shm *shm);

/* A free one, now of that process; NULL: there is none. leases may be NULL. */
struct wr_lease_book *wr_leases_open(struct wr_leases *leases, pid_t pid);
/* What it holds from now on; pid and stamp of *now do not matter. */
void wr_leases_write(struct wr_lease_book *book, const struct wr_lease_book *now);
/* Takes NULL, empties the pointer. */
void wr_leases_close(struct wr_lease_book **book);
/* Master: those of a process that has ended. */
void wr_leases_forget(struct wr_leases *leases, pid_t pid);

/* The i-th book of a table in any bytes: 1, or 0 when it is free, cannot be had whole, or makes no sense; -EPROTO behind
 * the last. */
WR_MUST int wr_leases_read(const void *part, size_t size, unsigned i,
                           struct wr_lease_book *out);

#endif

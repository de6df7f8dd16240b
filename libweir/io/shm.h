/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_SHM_H
#define WR_IO_SHM_H

/*
 * One piece of shared memory for a family of processes: scoreboard, flight recorder and log rings lie in
 * it as named parts.
 *
 * It is a memfd made before the first fork. The first page says what lies where; the parts follow, each
 * on a page of its own. A stranger (a doctor program) that is given the descriptor attaches read-only and
 * finds the parts by name, so it needs no agreement on sizes.
 *
 * 1. The first page is written once, before the first fork, and never again.
 * 2. wr_shm_find trusts nothing: every offset and length is checked against the mapping.
 * 3. A part's own layout has a version; a reader that asks for another version gets -EPROTONOSUPPORT.
 *
 * The master owns the memory; children inherit the mapping by fork. Anybody may read at any time.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct wr_heap;
struct wr_shm;

#define WR_SHM_PARTS    32
#define WR_SHM_NAME     16 /* bytes with the closing 0 */
#define WR_SHM_PAGE     4096
#define WR_SHM_ALIGN(n) (((n) + WR_SHM_PAGE - 1) & ~(size_t)(WR_SHM_PAGE - 1))

struct wr_shm_part {
    const char *name; /* at most 15 bytes */
    uint32_t version;
    size_t size;
};

/* A new, zeroed memory with these parts in this order. */
int wr_shm_new(const struct wr_heap *heap, const char *name, const struct wr_shm_part *parts,
               unsigned n_parts, struct wr_shm **out) WR_MUST;

/* Maps memory that another process made. The descriptor stays the caller's. */
int wr_shm_attach(const struct wr_heap *heap, int fd, bool writable,
                  struct wr_shm **out) WR_MUST;

/* Unmaps; closes the descriptor if wr_shm_new made it. Takes NULL, empties the pointer. */
void wr_shm_free(struct wr_shm **shm);

int wr_shm_fd(const struct wr_shm *shm);
void *wr_shm_base(const struct wr_shm *shm);
size_t wr_shm_size(const struct wr_shm *shm);

/* The part's first byte and length, or NULL: for the family, whose names and versions agree. */
void *wr_shm_part(const struct wr_shm *shm, const char *name, uint32_t version,
                  size_t *out_size) WR_MUST;

/* The same over any bytes, for readers that trust nobody: 0, -EPROTO (not such a memory),
 * -EPROTONOSUPPORT (another version), WR_E_NOT_FOUND. */
int wr_shm_find(const void *base, size_t size, const char *name, uint32_t version,
                const void **out_part, size_t *out_size) WR_MUST;

#endif

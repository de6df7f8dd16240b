/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/shm.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <string.h>

#define SHM_VERSION 1
static const char shm_magic[8] = "WEIRSHM";

struct shm_entry {
    char name[WR_SHM_NAME];
    uint32_t version, spare;
    uint64_t at, size;
};

struct shm_head {
    char magic[8];
    uint32_t version, n_parts;
    uint64_t size, created_ns, maker_pid;
    char name[WR_SHM_NAME];
    struct shm_entry part[WR_SHM_PARTS];
};
_Static_assert(sizeof(struct shm_head) <= WR_SHM_PAGE, "the head is one page");

struct wr_shm {
    const struct wr_heap *heap;
    void *base;
    size_t size;
    int fd;
    bool owns_fd;
};

/* Cut to fit, closed with 0: names are for people and for equality among ourselves. */
static void copy_name(char out[WR_SHM_NAME], const char *name)
{
    size_t n = strnlen(name, WR_SHM_NAME - 1);
    memcpy(out, name, n);
    memset(out + n, 0, WR_SHM_NAME - n);
}

static size_t total_size(const struct wr_shm_part *parts, unsigned n)
{
    size_t size = WR_SHM_PAGE;
    for (unsigned i = 0; i < n; i++)
        size += WR_SHM_ALIGN(parts[i].size);
    return size;
}

static void write_head(struct wr_shm *shm, const char *name, const struct wr_shm_part *parts,
                       unsigned n)
{
    struct shm_head *h = shm->base;
    size_t at = WR_SHM_PAGE;
    h->version = SHM_VERSION;
    h->n_parts = n;
    h->size = shm->size;
    h->created_ns = wr_os_now_ns(CLOCK_REALTIME);
    h->maker_pid = (uint64_t)wr_os_getpid();
    copy_name(h->name, name);
    for (unsigned i = 0; i < n; i++) {
        copy_name(h->part[i].name, parts[i].name);
        h->part[i].version = parts[i].version;
        h->part[i].at = at;
        h->part[i].size = parts[i].size;
        at += WR_SHM_ALIGN(parts[i].size);
    }
    memcpy(h->magic, shm_magic, sizeof shm_magic);
}

int wr_shm_new(const struct wr_heap *heap, const char *name, const struct wr_shm_part *parts,
               unsigned n_parts, struct wr_shm **out)
{
    WR_ASSERT(n_parts <= WR_SHM_PARTS);
    struct wr_shm *shm = wr_heap_zalloc(heap, sizeof *shm);
    if (!shm)
        return -ENOMEM;
    shm->heap = heap;
    shm->size = total_size(parts, n_parts);
    shm->owns_fd = true;
    int r = shm->fd = wr_os_memfd(name, shm->size);
    if (r < 0)
        goto fail;
    shm->base = wr_os_map_shared(shm->fd, shm->size, true);
    r = -ENOMEM;
    if (!shm->base)
        goto fail;
    write_head(shm, name, parts, n_parts);
    *out = shm;
    return 0;
fail:
    wr_shm_free(&shm);
    return r;
}

int wr_shm_attach(const struct wr_heap *heap, int fd, bool writable, struct wr_shm **out)
{
    struct stat st;
    int r = wr_os_fstat(fd, &st);
    if (r < 0)
        return r;
    if (st.st_size < WR_SHM_PAGE)
        return -EPROTO;
    struct wr_shm *shm = wr_heap_zalloc(heap, sizeof *shm);
    if (!shm)
        return -ENOMEM;
    shm->heap = heap;
    shm->size = (size_t)st.st_size;
    shm->fd = fd;
    r = -ENOMEM;
    shm->base = wr_os_map_shared(fd, shm->size, writable);
    if (!shm->base)
        goto fail;
    r = -EPROTO;
    if (memcmp(shm->base, shm_magic, sizeof shm_magic) != 0)
        goto fail;
    *out = shm;
    return 0;
fail:
    wr_shm_free(&shm);
    return r;
}

void wr_shm_free(struct wr_shm **at)
{
    struct wr_shm *shm = *at;
    if (!shm)
        return;
    *at = NULL;
    if (shm->base)
        (void)wr_os_unmap(shm->base, shm->size);
    if (shm->owns_fd && shm->fd >= 0)
        (void)wr_os_close(shm->fd);
    wr_heap_free(shm->heap, shm, sizeof *shm);
}

int wr_shm_fd(const struct wr_shm *shm)
{
    return shm->fd;
}

void *wr_shm_base(const struct wr_shm *shm)
{
    return shm->base;
}

size_t wr_shm_size(const struct wr_shm *shm)
{
    return shm->size;
}

int wr_shm_find(const void *base, size_t size, const char *name, uint32_t version,
                const void **out_part, size_t *out_size)
{
    if (size < WR_SHM_PAGE || memcmp(base, shm_magic, sizeof shm_magic) != 0)
        return -EPROTO;
    const struct shm_head *h = base;
    uint32_t n = h->n_parts;
    if (h->version != SHM_VERSION)
        return -EPROTONOSUPPORT;
    if (n > WR_SHM_PARTS)
        return -EPROTO;
    for (uint32_t i = 0; i < n; i++) {
        struct shm_entry e = h->part[i]; /* a copy: the original may change under us */
        if (strncmp(e.name, name, sizeof e.name) != 0)
            continue;
        if (e.version != version)
            return -EPROTONOSUPPORT;
        if (e.at % WR_SHM_PAGE || e.at > size || e.size > size - e.at)
            return -EPROTO;
        *out_part = (const char *)base + e.at;
        *out_size = e.size;
        return 0;
    }
    return WR_E_NOT_FOUND;
}

void *wr_shm_part(const struct wr_shm *shm, const char *name, uint32_t version,
                  size_t *out_size)
{
    const void *part;
    size_t size;
    if (wr_shm_find(shm->base, shm->size, name, version, &part, &size) < 0)
        return NULL;
    if (out_size)
        *out_size = size;
    return (char *)shm->base + ((const char *)part - (const char *)shm->base);
}

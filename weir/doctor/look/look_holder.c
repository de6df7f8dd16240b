/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct holder { /* a process that is being searched */
    struct look_search *search;
    uint32_t pid, seen;
};

static int on_fd(void *arg, int dir, uint32_t fd)
{
    struct holder *h = arg;
    struct facts_fd f = {.pid = h->pid, .fd = (int32_t)fd, .flags = FACTS_NONE};
    enum facts_fd_kind kind;
    char name[16], link[64]; /* a longer one is none of those that are searched */
    if (h->seen > LOOK_HOLDER_FDS && !h->search->deep)
        return -ECANCELED;
    look_pause(h->search->pace);
    (void)snprintf(name, sizeof name, "%u", fd);
    ssize_t n = wr_os_readlink_at(dir, name, link, sizeof link);
    if (n <= 0)
        return 0;
    h->seen++;
    proc_link(wr_span(link, (size_t)n), &kind, &f.inode);
    f.kind = (uint8_t)kind;
    if (!f.inode || !look_has64(h->search->inodes, h->search->n_inodes, f.inode))
        return 1;
    int err = h->search->fn(h->search->arg, &f);
    return err < 0 ? err : 1;
}

/* Not again those who were searched without finding anything and are so large that it would cost as much again; in
 * the depth only those who are deep, and a second time only who held something. */
static bool is_left_out(const struct look_search *s, uint32_t pid, const char *path)
{
    struct stat st;
    bool held = look_has32(s->again, s->n_again, pid);
    if (look_has32(s->skip, s->n_skip, pid))
        return true;
    if (s->deep ? s->is_again && !held : !s->is_again || held)
        return s->deep;
    if (wr_os_stat(path, &st) || st.st_size == 0) /* an old kernel does not count them */
        return false;
    return s->deep ? st.st_size <= LOOK_HOLDER_FDS : st.st_size > LOOK_SMALL_FDS;
}

static int on_pid(void *arg, int dir, uint32_t pid)
{
    struct look_search *s = arg;
    struct holder h = {.search = s, .pid = pid};
    char path[32];
    (void)dir;
    (void)snprintf(path, sizeof path, "/proc/%u/fd", pid);
    if (is_left_out(s, pid, path))
        return 0;
    int err = look_descriptors(path, on_fd, &h);
    s->hidden |= err == -EACCES || err == -EPERM;
    return err == -ENOMEM || err == -E2BIG ? err : 0;
}

int look_holders(struct look_search *s)
{
    s->hidden = false;
    return s->n_inodes ? look_numbers("/proc", on_pid, s) : 0;
}

/* ---- pipes ------------------------------------------------------------------------------------------ */
/* Which end a descriptor is, the link's mode tells: 1 reads, 2 writes. */
static uint8_t end_of(const struct facts_fd *f)
{
    struct stat st;
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%u/fd/%d", f->pid, f->fd);
    if (wr_os_statat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW))
        return 0;
    return (uint8_t)((st.st_mode & S_IRUSR ? 1 : 0) | (st.st_mode & S_IWUSR ? 2 : 0));
}

int look_one_sided(const struct facts_look *l, uint32_t n_own, uint64_t *inodes, uint32_t *io_n)
{
    uint8_t *ends = wr_heap_zalloc(l->heap, *io_n);
    uint32_t n = *io_n, kept = 0;
    if (!ends)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_own; i++) {
        const struct facts_fd *f = &l->fds.v[i];
        uint32_t at = FACTS_FIRST_NOT(n, k, inodes[k] < f->inode);
        if (f->kind != FACTS_FD_PIPE || at == n || inodes[at] != f->inode)
            continue;
        look_pause(l->pace);
        ends[at] |= end_of(f);
    }
    for (uint32_t i = 0; i < n; i++)
        if (ends[i] != 3)
            inodes[kept++] = inodes[i];
    wr_heap_free(l->heap, ends, n);
    *io_n = kept;
    return 0;
}

/* ---- listeners -------------------------------------------------------------------------------------- */
static int on_listener(void *arg, const struct facts_fd *held)
{
    struct facts_look *l = arg;
    return FACTS_ADD(&l->fds, l->heap, held);
}

static bool is_found(const struct facts_look *l, uint32_t first, uint64_t inode)
{
    for (uint32_t i = first; i < l->fds.n; i++)
        if (l->fds.v[i].inode == inode)
            return true;
    return false;
}

/* First where listeners usually are, among the first descriptors; the depth only for those nobody has there. */
static int search(struct facts_look *l, uint64_t *inodes, uint32_t n)
{
    struct look_search s = {
        .inodes = inodes, .n_inodes = n, .pace = l->pace, .fn = on_listener, .arg = l};
    uint32_t first = l->fds.n, left = 0;
    int err = look_holders(&s);
    if (s.hidden)
        facts_gap(l, "descriptors of other users' processes", 0, -EACCES);
    for (uint32_t i = 0; i < n; i++)
        if (!is_found(l, first, inodes[i]))
            inodes[left++] = inodes[i];
    s.n_inodes = left;
    s.deep = true;
    return err ? err : look_holders(&s);
}

int look_listeners(struct facts_look *l)
{
    FACTS_LIST(uint64_t) inodes = {0};
    int err = 0;
    for (uint32_t i = 0; !err && i < l->sockets.n; i++) {
        uint64_t inode = l->sockets.v[i].inode;
        if (l->sockets.v[i].state == FACTS_LISTEN && inode)
            err = FACTS_ADD(&inodes, l->heap, &inode);
    }
    if (!err)
        err = search(l, inodes.v, look_set64(inodes.v, inodes.n));
    FACTS_DROP(&inodes, l->heap);
    return err;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look.h"

#include "libweir/os/os.h"

#include <errno.h>
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
    if (++h->seen > LOOK_HOLDER_FDS)
        return -ECANCELED;
    (void)snprintf(name, sizeof name, "%u", fd);
    ssize_t n = wr_os_readlink_at(dir, name, link, sizeof link);
    if (n <= 0)
        return 0;
    proc_link(wr_span(link, (size_t)n), &kind, &f.inode);
    f.kind = (uint8_t)kind;
    if (!f.inode || !look_has64(h->search->inodes, h->search->n_inodes, f.inode))
        return 0;
    int err = h->search->fn(h->search->arg, &f);
    return err < 0 ? err : 0;
}

/* Once searched without finding anything, and so large that it would cost again what it did. */
static bool is_known(const struct look_search *s, uint32_t pid, const char *path)
{
    struct stat st;
    return s->is_again && !look_has32(s->again, s->n_again, pid) &&
           wr_os_stat(path, &st) == 0 && st.st_size > LOOK_SMALL_FDS;
}

static int on_pid(void *arg, int dir, uint32_t pid)
{
    struct look_search *s = arg;
    struct holder h = {.search = s, .pid = pid};
    char path[32];
    (void)dir;
    if (look_has32(s->skip, s->n_skip, pid))
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%u/fd", pid);
    if (is_known(s, pid, path))
        return 0;
    int err = look_numbers(path, on_fd, &h);
    s->hidden |= err == -EACCES || err == -EPERM;
    return err == -ENOMEM || err == -E2BIG ? err : 0;
}

int look_holders(struct look_search *s)
{
    s->hidden = false;
    return s->n_inodes ? look_numbers("/proc", on_pid, s) : 0;
}

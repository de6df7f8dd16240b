/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files: a flat table of paths. A write to a stuck disk blocks its task (regular files do, also when
 * the descriptor is non-blocking); a full one answers ENOSPC after the bytes that fit.
 */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SHARED_MAX (64u << 20)

static struct sim_inode *inode_new(const char *path)
{
    struct sim_inode *i = calloc(1, sizeof *i);
    WR_ASSERT(i);
    snprintf(i->path, sizeof i->path, "%s", path);
    i->mode = S_IFREG | 0644;
    i->number = ++sim_world->next_order;
    sim_list_add(&sim_world->inodes, &i->node);
    return i;
}

static void inode_drop(struct sim_inode *i)
{
    if (--i->refs > 0)
        return;
    sim_list_del(&i->node);
    if (i->memfd)
        munmap(i->data, i->room);
    else
        free(i->data);
    if (!i->memfd)
        sim_world->disk_used -= i->size;
    free(i);
}

static struct sim_inode *inode_find(const char *path)
{
    SIM_EACH_SAFE(&sim_world->inodes, it, next)
    {
        struct sim_inode *i = wr_container_of(it, struct sim_inode, node);
        if (i->named && strcmp(i->path, path) == 0)
            return i;
    }
    return NULL;
}

static int inode_resize(struct sim_inode *i, size_t n)
{
    if (i->memfd) {
        if (n > i->room)
            return -ENOSPC;
        i->size = n;
        return 0;
    }
    if (n > i->size && sim_world->opt.disk_bytes &&
        sim_world->disk_used + (n - i->size) > sim_world->opt.disk_bytes)
        return -ENOSPC;
    if (n > i->room) {
        size_t room = i->room ? i->room : 256;
        while (room < n)
            room *= 2;
        i->data = realloc(i->data, room);
        WR_ASSERT(i->data);
        i->room = room;
    }
    if (n > i->size)
        memset(i->data + i->size, 0, n - i->size);
    sim_world->disk_used += n - i->size;
    i->size = n;
    i->mtime_ns = sim_world->now;
    return 0;
}

static uint32_t regular_poll(struct sim_file *f)
{
    (void)f;
    return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
}

static void regular_release(struct sim_file *f)
{
    struct sim_regular *r = wr_container_of(f, struct sim_regular, f);
    inode_drop(r->inode);
    free(r);
}

ssize_t sim_regular_read(struct sim_regular *r, const struct iovec *v, size_t n, size_t at)
{
    struct sim_inode *i = r->inode;
    if ((r->flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    if (S_ISDIR(i->mode))
        return -EISDIR;
    if (i->device_null || i->capture || at >= i->size)
        return 0;
    size_t want = sim_iov_size(v, n), got = i->size - at < want ? i->size - at : want;
    sim_iov_put(v, n, 0, i->data + at, got);
    return (ssize_t)got;
}

static ssize_t capture_write(const struct iovec *v, size_t n)
{
    for (size_t k = 0; k < n; k++)
        sim_capture(v[k].iov_base, v[k].iov_len);
    return (ssize_t)sim_iov_size(v, n);
}

ssize_t sim_regular_write(struct sim_regular *r, const struct iovec *v, size_t n, size_t at)
{
    struct sim_inode *i = r->inode;
    if ((r->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (i->capture)
        return capture_write(v, n);
    size_t want = sim_iov_size(v, n);
    if (i->device_null)
        return (ssize_t)want;
    if (i->device_full)
        return -ENOSPC;
    while (sim_world->disk_stuck && !i->memfd)
        (void)sim_park(sim_world->disk_wait, UINT64_MAX);
    if (at + want > i->size) {
        while (want > 0 && inode_resize(i, at + want) != 0)
            want /= 2;
        if (want == 0)
            return -ENOSPC;
    }
    sim_iov_get(v, n, 0, i->data + at, want);
    return (ssize_t)want;
}

static ssize_t regular_recv(struct sim_file *f, struct msghdr *m, int flags)
{
    struct sim_regular *r = wr_container_of(f, struct sim_regular, f);
    (void)flags;
    ssize_t got = sim_regular_read(r, m->msg_iov, m->msg_iovlen, r->at);
    if (got > 0)
        r->at += (size_t)got;
    return got;
}

static ssize_t regular_send(struct sim_file *f, const struct msghdr *m, int flags)
{
    struct sim_regular *r = wr_container_of(f, struct sim_regular, f);
    (void)flags;
    if (r->flags & O_APPEND)
        r->at = r->inode->size;
    ssize_t put = sim_regular_write(r, m->msg_iov, m->msg_iovlen, r->at);
    if (put > 0)
        r->at += (size_t)put;
    return put;
}

static struct sim_file *regular_new(struct sim_inode *i, int flags)
{
    static const struct sim_file_ops ops = {regular_poll, regular_release, regular_recv,
                                            regular_send};
    struct sim_regular *r = calloc(1, sizeof *r);
    WR_ASSERT(r);
    sim_file_init(&r->f, SIM_REGULAR, &ops);
    r->inode = i;
    r->flags = flags;
    i->refs++;
    return &r->f;
}

struct sim_file *sim_file_open(const char *path, int flags, mode_t mode, int *err)
{
    struct sim_inode *i = inode_find(path);
    if (i && (flags & O_CREAT) && (flags & O_EXCL)) {
        *err = -EEXIST;
        return NULL;
    }
    if (!i && !(flags & O_CREAT)) {
        *err = -ENOENT;
        return NULL;
    }
    if (!i) {
        i = inode_new(path);
        i->mode = S_IFREG | (mode & 0777);
        i->named = true;
        i->refs = 1;
    }
    if ((flags & O_TRUNC) && !i->device_null && !i->capture)
        (void)inode_resize(i, 0);
    return regular_new(i, flags);
}

/* Shared memory has one address in all processes, and reserves its limit so that it never moves. */
struct sim_file *sim_file_memfd(size_t size)
{
    if (size > SHARED_MAX)
        return NULL;
    struct sim_inode *i = inode_new("memfd");
    i->memfd = true;
    i->room = SHARED_MAX;
    i->data = mmap(NULL, SHARED_MAX, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    WR_ASSERT(i->data != MAP_FAILED);
    i->size = size;
    return regular_new(i, O_RDWR);
}

static void fstat_fill(const struct sim_inode *i, struct stat *out)
{
    memset(out, 0, sizeof *out);
    out->st_ino = i->number;
    out->st_mode = i->mode;
    out->st_size = (off_t)i->size;
    out->st_nlink = i->named ? 1 : 0;
    out->st_mtim.tv_sec = (time_t)(i->mtime_ns / SIM_S);
}

int wr_os_fstat(int fd, struct stat *out)
{
    sim_enter();
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    if (f->kind == SIM_REGULAR) {
        fstat_fill(wr_container_of(f, struct sim_regular, f)->inode, out);
        return 0;
    }
    memset(out, 0, sizeof *out);
    out->st_mode = f->kind == SIM_PIPE_READ || f->kind == SIM_PIPE_WRITE ? S_IFIFO | 0600
                   : sim_sock_of(f)                                      ? S_IFSOCK | 0777
                                                                         : 0600;
    return 0;
}

int wr_os_stat(const char *path, struct stat *out)
{
    sim_enter();
    struct sim_inode *i = inode_find(path);
    if (!i)
        return -ENOENT;
    fstat_fill(i, out);
    return 0;
}

/* The simulated disk is flat: no directories, links or watches. */
int wr_os_openat2(int dirfd, const char *path, int flags, uint64_t resolve)
{
    (void)dirfd, (void)path, (void)flags, (void)resolve;
    return -ENOSYS;
}

int wr_os_statat(int dirfd, const char *path, struct stat *out, int flags)
{
    (void)flags;
    return dirfd == AT_FDCWD ? wr_os_stat(path, out) : -ENOSYS;
}

ssize_t wr_os_getdents(int fd, void *p, size_t n)
{
    (void)fd, (void)p, (void)n;
    return -ENOSYS;
}

int wr_os_fs_type(int fd, uint64_t *out)
{
    (void)fd, (void)out;
    return -ENOSYS;
}

int wr_os_read_ahead(int fd)
{
    (void)fd;
    return 0;
}

int wr_os_inotify(void)
{
    return -ENOSYS;
}

int wr_os_inotify_add(int fd, const char *path, uint32_t mask)
{
    (void)fd, (void)path, (void)mask;
    return -ENOSYS;
}

int wr_os_inotify_remove(int fd, int watch)
{
    (void)fd, (void)watch;
    return -ENOSYS;
}

int wr_os_ftruncate(int fd, off_t n)
{
    sim_enter();
    struct sim_file *f = sim_fd_get(fd);
    if (!f)
        return -EBADF;
    if (f->kind != SIM_REGULAR)
        return -EINVAL;
    return inode_resize(wr_container_of(f, struct sim_regular, f)->inode, (size_t)n);
}

int wr_os_rename(const char *from, const char *to)
{
    sim_enter();
    struct sim_inode *i = inode_find(from), *old = inode_find(to);
    if (!i)
        return -ENOENT;
    if (old && old != i) {
        old->named = false;
        inode_drop(old);
    }
    snprintf(i->path, sizeof i->path, "%s", to);
    return 0;
}

int wr_os_mkdir(const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    return -ENOSYS;
}

int wr_os_unlink(const char *path)
{
    sim_enter();
    struct sim_inode *i = inode_find(path);
    if (!i)
        return -ENOENT;
    i->named = false;
    inode_drop(i);
    return 0;
}

int sim_file_put(const char *path, const void *bytes, size_t n)
{
    struct sim_inode *i = inode_find(path);
    if (!i) {
        i = inode_new(path);
        i->named = true;
        i->refs = 1;
    }
    int r = inode_resize(i, n);
    if (r == 0 && n > 0)
        memcpy(i->data, bytes, n);
    return r;
}

ssize_t sim_file_get(const char *path, const char **out)
{
    struct sim_inode *i = inode_find(path);
    if (!i)
        return -ENOENT;
    *out = i->data;
    return (ssize_t)i->size;
}

void sim_disk_stuck(bool stuck)
{
    sim_world->disk_stuck = stuck;
    if (!stuck)
        sim_wake(sim_world->disk_wait, 0);
}

void sim_disk_limit(uint64_t bytes)
{
    sim_world->opt.disk_bytes = bytes;
}

static void put_text(const char *path, const char *text)
{
    WR_ASSERT(sim_file_put(path, text, strlen(text)) == 0);
}

void sim_files_open_all(void)
{
    struct sim_world *w = sim_world;
    sim_list_init(&w->inodes);
    char text[64];
    snprintf(text, sizeof text, "%u\n", w->opt.somaxconn);
    put_text("/proc/sys/net/core/somaxconn", text);
    snprintf(text, sizeof text, "%u\t%u\n", w->opt.port_min, w->opt.port_max);
    put_text("/proc/sys/net/ipv4/ip_local_port_range", text);
    put_text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n10.0.0.1 machine\n"
                           "10.0.0.2 origin\n10.0.0.3 flaky\n");
    put_text("/etc/resolv.conf", "nameserver 10.0.0.53\n");
    put_text("/dev/null", "");
    put_text("/dev/stderr", "");
    put_text("/dev/full", "");
    SIM_EACH_SAFE(&w->inodes, it, next)
    {
        struct sim_inode *i = wr_container_of(it, struct sim_inode, node);
        i->device_null = strcmp(i->path, "/dev/null") == 0;
        i->capture = strcmp(i->path, "/dev/stderr") == 0;
        i->device_full = strcmp(i->path, "/dev/full") == 0;
    }
    w->disk_wait = sim_eventfd_new(0, false);
}

void sim_files_close_all(void)
{
    sim_file_drop(sim_world->disk_wait);
    SIM_EACH_SAFE(&sim_world->inodes, it, next)
    {
        struct sim_inode *i = wr_container_of(it, struct sim_inode, node);
        i->refs = 1;
        inode_drop(i);
        (void)next;
    }
}

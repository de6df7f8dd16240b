/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as it is: time, randomness, memory, files and descriptors.
 */
#include "libweir/os/os_linux.h"
#include "libweir/base/heap.h"
#include "libweir/os/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- time, randomness, memory -------------------------------------------------------------- */
uint64_t wr_os_now_ns(clockid_t clock)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int wr_os_sleep_ns(uint64_t ns)
{
    uint64_t until = wr_os_now_ns(CLOCK_MONOTONIC) + ns;
    struct timespec t = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    int err;
    do
        err = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    while (err == EINTR);
    return -err;
}

int wr_os_random(void *out, size_t n)
{
    char *p = out;
    while (n > 0) {
        ssize_t got = WR_OS_RETRY(getrandom(p, n, 0));
        if (got < 0)
            return (int)got;
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

const struct wr_heap *wr_os_heap(void)
{
    return wr_heap_libc();
}

void *wr_os_map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void *wr_os_map_shared(int fd, size_t n, bool writable)
{
    void *p = mmap(NULL, n, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

int wr_os_unmap(void *p, size_t n)
{
    return WR_OS_ONCE(munmap(p, n));
}

int wr_os_madvise(void *p, size_t n, int advice)
{
    return WR_OS_RETRY(madvise(p, n, advice));
}

int wr_os_mprotect(void *p, size_t n, int prot)
{
    return WR_OS_ONCE(mprotect(p, n, prot));
}

int wr_os_memfd(const char *name, size_t size)
{
    int fd = WR_OS_ONCE(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0)
        return fd;
    int err = wr_os_ftruncate(fd, (off_t)size);
    if (!err)
        err = WR_OS_ONCE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    if (err < 0) {
        (void)wr_os_close(fd);
        return err;
    }
    return fd;
}

/* ---- files and descriptors ------------------------------------------------------------------- */
int wr_os_open(const char *path, int flags, mode_t mode)
{
    return WR_OS_RETRY(open(path, flags | O_CLOEXEC, mode));
}

int wr_os_close(int fd)
{
    /* Linux has released the number even when it says EINTR: trying again would close a stranger's. */
    int err = WR_OS_ONCE(close(fd));
    return err == -EINTR ? 0 : err;
}

/* The gaps between the kept ones, in rising order, each in one call. */
int wr_os_close_except(const int *keep, unsigned n)
{
    unsigned from = 3;
    for (;;) {
        unsigned next = ~0U;
        for (unsigned i = 0; i < n; i++)
            if (keep[i] >= (int)from && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        if (next > from && close_range(from, next == ~0U ? next : next - 1, 0) != 0)
            return -errno;
        if (next == ~0U)
            return 0;
        from = next + 1;
    }
}

int wr_os_dup(int fd)
{
    return WR_OS_ONCE(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int wr_os_set_nonblocking(int fd, bool on)
{
    int flags = WR_OS_ONCE(fcntl(fd, F_GETFL));
    if (flags < 0)
        return flags;
    int want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return want == flags ? 0 : WR_OS_ONCE(fcntl(fd, F_SETFL, want));
}

ssize_t wr_os_read(int fd, void *p, size_t n)
{
    return WR_OS_RETRY(read(fd, p, n));
}

ssize_t wr_os_write(int fd, const void *p, size_t n)
{
    return WR_OS_RETRY(write(fd, p, n));
}

ssize_t wr_os_readv(int fd, const struct iovec *v, int n)
{
    return WR_OS_RETRY(readv(fd, v, n));
}

ssize_t wr_os_writev(int fd, const struct iovec *v, int n)
{
    return WR_OS_RETRY(writev(fd, v, n));
}

ssize_t wr_os_pread(int fd, void *p, size_t n, off_t at)
{
    return WR_OS_RETRY(pread(fd, p, n, at));
}

ssize_t wr_os_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return WR_OS_RETRY(pwrite(fd, p, n, at));
}

int wr_os_fstat(int fd, struct stat *out)
{
    return WR_OS_ONCE(fstat(fd, out));
}

int wr_os_stat(const char *path, struct stat *out)
{
    return WR_OS_ONCE(stat(path, out));
}

int wr_os_ftruncate(int fd, off_t n)
{
    return WR_OS_RETRY(ftruncate(fd, n));
}

int wr_os_fsync(int fd)
{
    return WR_OS_RETRY(fsync(fd));
}

int wr_os_rename(const char *from, const char *to)
{
    return WR_OS_ONCE(rename(from, to));
}

int wr_os_mkdir(const char *path, mode_t mode)
{
    return WR_OS_ONCE(mkdir(path, mode));
}

int wr_os_unlink(const char *path)
{
    return WR_OS_ONCE(unlink(path));
}

int wr_os_openat2(int dirfd, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .mode = flags & O_CREAT ? 0644 : 0,
                           .resolve = resolve};
    return (int)WR_OS_RETRY(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
}

int wr_os_statat(int dirfd, const char *path, struct stat *out, int flags)
{
    return WR_OS_ONCE(fstatat(dirfd, path, out, flags));
}

ssize_t wr_os_getdents(int fd, void *p, size_t n)
{
    return WR_OS_ONCE(getdents64(fd, p, n));
}

int wr_os_fs_type(int fd, uint64_t *out)
{
    struct statfs s;
    int err = WR_OS_RETRY(fstatfs(fd, &s));
    if (!err)
        *out = (uint64_t)s.f_type;
    return err;
}

int wr_os_read_ahead(int fd)
{
    return -posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

int wr_os_inotify(void)
{
    return WR_OS_ONCE(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

int wr_os_inotify_add(int fd, const char *path, uint32_t mask)
{
    return WR_OS_ONCE(inotify_add_watch(fd, path, mask));
}

int wr_os_inotify_remove(int fd, int watch)
{
    return WR_OS_ONCE(inotify_rm_watch(fd, watch));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as it is: what one process may see of another without the other noticing.
 */
#include "libweir/os/os.h"
#include "libweir/os/os_linux.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

int wr_os_pidfd_open(pid_t pid)
{
    return (int)WR_OS_ONCE(pidfd_open(pid, 0));
}

int wr_os_pidfd_getfd(int pidfd, int fd)
{
    return (int)WR_OS_ONCE(pidfd_getfd(pidfd, fd, 0));
}

ssize_t wr_os_process_read(pid_t pid, uint64_t at, void *out, size_t n)
{
    struct iovec here = {.iov_base = out, .iov_len = n};
    struct iovec there = {.iov_base = (void *)(uintptr_t)at, .iov_len = n};
    return WR_OS_ONCE(process_vm_readv(pid, &here, 1, &there, 1, 0));
}

int wr_os_join_net(int namespace_fd)
{
    return (int)WR_OS_ONCE(setns(namespace_fd, CLONE_NEWNET));
}

int wr_os_pipe_fill(int fd, uint32_t *out_held, uint32_t *out_room)
{
    int held = 0;
    int room = (int)WR_OS_ONCE(fcntl(fd, F_GETPIPE_SZ));
    if (room < 0)
        return room;
    int err = (int)WR_OS_ONCE(ioctl(fd, FIONREAD, &held));
    if (err < 0)
        return err;
    *out_held = (uint32_t)held;
    *out_room = (uint32_t)room;
    return 0;
}

ssize_t wr_os_getxattr(const char *path, const char *name, void *out, size_t n)
{
    return WR_OS_ONCE(getxattr(path, name, out, n));
}

int wr_os_statfs(const char *path, struct statfs *out)
{
    return WR_OS_ONCE(statfs(path, out));
}

ssize_t wr_os_readlink_at(int dirfd, const char *path, char *out, size_t n)
{
    return WR_OS_ONCE(readlinkat(dirfd, path, out, n));
}

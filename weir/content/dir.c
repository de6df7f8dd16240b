/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/content/dir.h"

#include "libweir/os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define NAMES_SLICE 256 /* looked at in one turn */

int dir_open(struct web_req *r, struct wr_span path, struct dir_reader *out)
{
    struct file_call call;
    out->fd = -1;
    out->at = out->n = 0;
    int err = file_call_init(r, path, FILE_DIRECTORY, &call);
    if (!err)
        err = file_call(&call);
    out->fd = call.fd;
    return err;
}

void dir_close(struct dir_reader *d)
{
    if (d->fd >= 0)
        (void)wr_os_close(d->fd);
    d->fd = -1;
}

/* 1: a name, 0: the end, or -errno. */
static int next(struct dir_reader *d, struct dir_name *out)
{
    for (;;) {
        if (d->at == d->n) {
            ssize_t n = wr_os_getdents(d->fd, d->buf, sizeof d->buf);
            if (n <= 0)
                return (int)n;
            d->at = 0;
            d->n = (size_t)n;
        }
        const struct dirent64 *e = (const void *)(d->buf + d->at);
        d->at += e->d_reclen;
        if (e->d_name[0] == '.')
            continue;
        *out = (struct dir_name){e->d_name, strlen(e->d_name), e->d_type};
        return 1;
    }
}

int dir_slice(struct dir_reader *d, int (*each)(const struct dir_name *name, void *arg),
              void *arg)
{
    struct dir_name name;
    int rc = 1, err;
    for (int i = 0; i < NAMES_SLICE && (rc = next(d, &name)) > 0; i++)
        if ((err = each(&name, arg)))
            return err;
    return rc;
}

int dir_stat(const struct dir_reader *d, const char *name, struct stat *out)
{
    int err = wr_os_statat(d->fd, name, out, 0);
    if (err == -ENOENT || err == -ELOOP)
        err = wr_os_statat(d->fd, name, out, AT_SYMLINK_NOFOLLOW);
    return err;
}

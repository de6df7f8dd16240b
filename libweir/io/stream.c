/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/stream.h"

#include "libweir/base/chain.h"
#include "libweir/io/iov.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>

#define IOV_MAX_PIECES 64

static size_t iov_bytes(const struct iovec *v, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    return sum;
}

/* ---- the plain one ----------------------------------------------------------------------------------- */

/* recv and send for the usual single piece: the kernel's shortest way. */
static ssize_t plain_read(struct wr_stream *s, void *p, size_t n)
{
    ssize_t got = wr_os_recv(s->fd, p, n, 0);
    if (got == -EAGAIN || (got > 0 && !s->until_dry && (size_t)got < n))
        s->readable = false;
    return got;
}

static ssize_t plain_write(struct wr_stream *s, const void *p, size_t n, int flags)
{
    ssize_t put = wr_os_send(s->fd, p, n, flags);
    if (put == -EAGAIN || (put >= 0 && (size_t)put < n))
        s->writable = false;
    return put;
}

static ssize_t plain_readv(struct wr_stream *s, const struct iovec *v, int n)
{
    if (n == 1)
        return plain_read(s, v->iov_base, v->iov_len);
    ssize_t got = wr_os_readv(s->fd, v, n);
    if (got == -EAGAIN || (got > 0 && !s->until_dry && (size_t)got < iov_bytes(v, n)))
        s->readable = false;
    return got;
}

static ssize_t plain_writev(struct wr_stream *s, const struct iovec *v, int n, bool more)
{
    int flags = more ? MSG_MORE : 0;
    if (n == 1)
        return plain_write(s, v->iov_base, v->iov_len, flags);
    struct msghdr m = {.msg_iovlen = (size_t)n};
    memcpy(&m.msg_iov, &v, sizeof v); /* sendmsg only reads it */
    ssize_t put = wr_os_sendmsg(s->fd, &m, flags);
    if (put == -EAGAIN || (put >= 0 && (size_t)put < iov_bytes(v, n)))
        s->writable = false;
    return put;
}

static ssize_t plain_sendfile(struct wr_stream *s, int file_fd, uint64_t offset, size_t n)
{
    off_t at = (off_t)offset;
    ssize_t put = wr_os_sendfile(s->fd, file_fd, &at, n);
    if (put == -EINVAL || put == -ENOSYS)
        return -EOPNOTSUPP; /* a file that has no pages */
    if (put == -EAGAIN)
        s->writable = false; /* a short count may also be the file's end */
    return put;
}

static int plain_shutdown(struct wr_stream *s)
{
    return wr_sock_shutdown_write(s->fd);
}

const struct wr_stream_ops wr_stream_plain_ops_ = {
    .name = "plain",
    .readv = plain_readv,
    .writev = plain_writev,
    .sendfile = plain_sendfile,
    .shutdown = plain_shutdown,
    .plain = true,
};

void wr_stream_init(struct wr_stream *s, int fd)
{
    *s = (struct wr_stream){
        .ops = &wr_stream_plain_ops_, .fd = fd, .readable = true, .writable = true};
    s->in_ready = s->out_ready = true;
}

/* ---- for all ---------------------------------------------------------------------------------------- */

void wr_stream_events(struct wr_stream *s, uint32_t events)
{
    if (WR_UNLIKELY(events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        s->until_dry = true;
        s->hang_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->readable = s->in_ready = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        s->writable = s->out_ready = true;
}

static inline ssize_t count_in(struct wr_stream *s, ssize_t got)
{
    if (got > 0)
        s->bytes_in += (uint64_t)got;
    else if (got == 0)
        s->eof = true;
    return got;
}

static inline ssize_t count_out(struct wr_stream *s, ssize_t put)
{
    if (put > 0)
        s->bytes_out += (uint64_t)put;
    return put;
}

ssize_t wr_stream_readv(struct wr_stream *s, const struct iovec *v, int n)
{
    return count_in(s, s->ops->readv(s, v, n));
}

ssize_t wr_stream_read(struct wr_stream *s, void *p, size_t n)
{
    if (WR_LIKELY(s->ops == &wr_stream_plain_ops_))
        return count_in(s, plain_read(s, p, n));
    return wr_stream_readv(s, &(struct iovec){p, n}, 1);
}

ssize_t wr_stream_read_chain(struct wr_stream *s, struct wr_chain *chain, size_t max)
{
    struct wr_iov iov[2];
    int pieces = wr_chain_reserve(chain, max, iov, 2);
    if (pieces < 0)
        return pieces;
    ssize_t got = wr_stream_readv(s, wr_iov_os(iov), pieces);
    wr_chain_commit(chain, got > 0 ? (size_t)got : 0);
    return got;
}

ssize_t wr_stream_writev(struct wr_stream *s, const struct iovec *v, int n, bool more)
{
    return count_out(s, s->ops->writev(s, v, n, more));
}

ssize_t wr_stream_write(struct wr_stream *s, const void *p, size_t n)
{
    if (WR_LIKELY(s->ops == &wr_stream_plain_ops_))
        return count_out(s, plain_write(s, p, n, 0));
    struct iovec v = {.iov_len = n};
    memcpy(&v.iov_base, &p, sizeof p); /* writing only reads it */
    return wr_stream_writev(s, &v, 1, false);
}

ssize_t wr_stream_write_chain(struct wr_stream *s, struct wr_chain *chain, bool more)
{
    struct wr_iov iov[IOV_MAX_PIECES];
    int pieces = wr_chain_iov(chain, iov, IOV_MAX_PIECES);
    if (pieces == 0)
        return 0;
    ssize_t put = wr_stream_writev(s, wr_iov_os(iov), pieces, more);
    if (put > 0)
        wr_chain_consume(chain, (size_t)put);
    return put;
}

ssize_t wr_stream_sendfile(struct wr_stream *s, int file_fd, uint64_t offset, size_t n)
{
    if (!s->ops->sendfile)
        return -EOPNOTSUPP;
    ssize_t put = s->ops->sendfile(s, file_fd, offset, n);
    if (put > 0)
        s->bytes_out += (uint64_t)put;
    return put;
}

int wr_stream_flush(struct wr_stream *s)
{
    return s->held ? s->ops->flush(s) : 0;
}

void wr_stream_bye(struct wr_stream *s)
{
    if (s->ops->bye && !s->wrote_fin && !s->eof)
        s->ops->bye(s);
}

int wr_stream_shutdown(struct wr_stream *s)
{
    if (s->wrote_fin)
        return 0;
    int err = s->ops->shutdown(s);
    if (!err)
        s->wrote_fin = true;
    return err;
}

void wr_stream_deinit(struct wr_stream *s)
{
    if (s->ops && s->ops->deinit)
        s->ops->deinit(s);
    s->ops = NULL;
    s->impl = NULL;
    s->fd = -1;
    s->held = 0;
    s->readable = s->writable = false;
}

void wr_stream_close(struct wr_stream *s)
{
    int fd = s->fd;
    wr_stream_deinit(s);
    if (fd >= 0)
        (void)wr_os_close(fd);
}

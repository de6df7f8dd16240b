/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_STREAM_H
#define WR_IO_STREAM_H

/*
 * Bytes in and out of a connection, whatever lies between: a plain socket here, TLS elsewhere, behind
 * one small table of functions.
 *
 * A stream remembers what the last edge said and what the last call told: `readable` and `writable`
 * are set by wr_stream_events and cleared by the call that found the socket dry or full. For a plain
 * socket a short read or write is such a finding (one system call less than reading until EAGAIN),
 * except when the peer's FIN, an error or urgent data was announced together with the bytes.
 *
 * 1. Results: > 0 bytes, 0 the peer's FIN (reads only), -EAGAIN dry or full, else the error.
 * 2. While readable (writable) is true the owner must come back without waiting for an edge.
 * 3. What a stream holds back (wr_stream.held: records of TLS) counts as written; the owner calls
 *    wr_stream_flush when it may be written again.
 * 4. The stream does not own the registration with the loop; wr_stream_close closes the descriptor
 *    unless the owner closes it through wr_io_close and only deinits.
 *
 * Owner loop only.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct wr_stream;
struct wr_chain;

struct wr_stream_ops {
    const char *name; /* "plain", "tls" */
    ssize_t (*readv)(struct wr_stream *s, const struct iovec *v, int n);
    /* more: other bytes follow at once (a head before its file): do not push a segment yet */
    ssize_t (*writev)(struct wr_stream *s, const struct iovec *v, int n, bool more);
    ssize_t (*sendfile)(struct wr_stream *s, int file_fd, uint64_t offset,
                        size_t n);        /* or NULL */
    int (*shutdown)(struct wr_stream *s); /* 0, -EAGAIN: call again when writable */
    int (*flush)(struct wr_stream *s);    /* or NULL: nothing is ever held */
    void (*bye)(struct wr_stream *s); /* or NULL: last words before a close, if they go now */
    void (*deinit)(struct wr_stream *s); /* or NULL; does not close fd */
    bool plain; /* fd carries the bytes themselves: splice is allowed */
};

struct wr_stream {
    const struct wr_stream_ops *ops;
    void *impl; /* of the ops */
    int fd;
    uint32_t held; /* bytes taken by writev (and their wrapping) that the kernel has not */
    bool readable, writable;
    bool in_ready,
        out_ready; /* of what lies below: the socket as the last edge or call left it */
    bool hang_up;  /* RDHUP, HUP or ERR was announced: only 0 or an error ends reading */
    bool
        until_dry; /* so it was, or urgent data, at whose mark a read ends: a short one says nothing */
    bool eof, wrote_fin;
    uint64_t bytes_in, bytes_out;
};

/* A plain stream over a connected, non-blocking descriptor; readable and writable start true. */
void wr_stream_init(struct wr_stream *s, int fd);

/* What epoll said. */
void wr_stream_events(struct wr_stream *s, uint32_t events);

WR_MUST ssize_t wr_stream_readv(struct wr_stream *s, const struct iovec *v, int n);
WR_MUST ssize_t wr_stream_read(struct wr_stream *s, void *p, size_t n);

/* Reads up to max bytes behind the chain's end, in one system call; budget or memory refused:
 * WR_E_BUDGET or -ENOMEM with nothing read. */
WR_MUST ssize_t wr_stream_read_chain(struct wr_stream *s, struct wr_chain *chain, size_t max);

WR_MUST ssize_t wr_stream_writev(struct wr_stream *s, const struct iovec *v, int n, bool more);
WR_MUST ssize_t wr_stream_write(struct wr_stream *s, const void *p, size_t n);

/* Writes from the chain's front what one system call takes and consumes it. */
WR_MUST ssize_t wr_stream_write_chain(struct wr_stream *s, struct wr_chain *chain, bool more);

/* -EOPNOTSUPP when this stream cannot: read the file and write. */
WR_MUST ssize_t wr_stream_sendfile(struct wr_stream *s, int file_fd, uint64_t offset, size_t n);

/* What is held goes out: 0, -EAGAIN: some is left, come back when writable; or the error. */
WR_MUST int wr_stream_flush(struct wr_stream *s);

/* Before a close without FIN and linger: TLS says close_notify if the socket takes it at once. */
void wr_stream_bye(struct wr_stream *s);

/* FIN (TLS: close_notify before it). Reading goes on. */
WR_MUST int wr_stream_shutdown(struct wr_stream *s);

void wr_stream_deinit(struct wr_stream *s); /* leaves the descriptor alone; s->fd becomes -1 */
void wr_stream_close(struct wr_stream *s);  /* and closes it, for descriptors not in a loop */

extern const struct wr_stream_ops
    wr_stream_plain_ops_; /* for streams that turn out to be plain */

#endif

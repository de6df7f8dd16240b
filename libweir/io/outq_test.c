/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/outq.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <errno.h>

/* A stream into memory that takes at most `step` bytes a call and is full after every `full_every`. */
struct sink {
    struct wr_stream s;
    char got[4096];
    size_t n, step;
    unsigned calls, full_every, mores;
    bool no_sendfile;
    int fail;
};

static ssize_t take(struct sink *k, const char *p, size_t n)
{
    if (k->fail)
        return k->fail;
    if (k->full_every && ++k->calls % k->full_every == 0) {
        k->s.writable = false;
        return -EAGAIN;
    }
    if (n > k->step)
        n = k->step;
    memcpy(k->got + k->n, p, n);
    k->n += n;
    return (ssize_t)n;
}

static ssize_t sink_writev(struct wr_stream *s, const struct iovec *v, int n, bool more)
{
    struct sink *k = wr_container_of(s, struct sink, s);
    k->mores += more;
    (void)n;
    return take(k, v[0].iov_base, v[0].iov_len);
}

static ssize_t sink_sendfile(struct wr_stream *s, int fd, uint64_t offset, size_t n)
{
    struct sink *k = wr_container_of(s, struct sink, s);
    char buf[64];
    if (k->no_sendfile)
        return -EOPNOTSUPP;
    ssize_t got = wr_os_pread(fd, buf, n < sizeof buf ? n : sizeof buf, (off_t)offset);
    return got > 0 ? take(k, buf, (size_t)got) : got;
}

static const struct wr_stream_ops sink_ops = {
    .name = "sink", .writev = sink_writev, .sendfile = sink_sendfile};

static void sink_init(struct sink *k, size_t step)
{
    memset(k, 0, sizeof *k);
    k->s.ops = &sink_ops;
    k->s.writable = true;
    k->step = step;
}

static int released;

static void on_release(void *arg, int fd)
{
    (void)arg;
    (void)fd;
    released++;
}

static int digits_file(void)
{
    int fd = wr_os_memfd("digits", 0);
    if (fd >= 0 && wr_os_pwrite(fd, "0123456789", 10, 0) != 10)
        return -1;
    return fd;
}

/* head, a part of a file, text, the whole file, tail: in order, whatever the stream takes at once */
static void fill(struct wr_outq *q, int fd)
{
    struct wr_outq_file part = {.fd = fd, .offset = 2, .len = 3, .release = on_release};
    struct wr_outq_file whole = {.fd = fd, .len = 10, .release = on_release};
    ok(wr_outq_put_copy(q, "head ", 5) == 0 && wr_outq_put_file(q, &part) == 0 &&
           wr_outq_put_copy(q, " text ", 6) == 0 && wr_outq_put_file(q, &whole) == 0 &&
           wr_outq_put_copy(q, " tail", 5) == 0,
       "five pieces");
    wr_outq_validate(q);
}

static void run(struct mem_kit *kit, size_t step, unsigned full_every, size_t budget,
                bool no_sendfile)
{
    struct wr_outq q;
    struct sink k;
    int fd = digits_file(), state = 0, turns = 0;
    uint64_t sent = 0, total = 0;
    sink_init(&k, step);
    k.full_every = full_every;
    k.no_sendfile = no_sendfile;
    released = 0;
    wr_outq_init(&q, &kit->blocks, &kit->worker, wr_heap_libc(), 1000);
    fill(&q, fd);
    is_int(wr_outq_queued(&q), 29, "queued");
    do {
        state = wr_outq_flush(&q, &k.s, budget, &sent);
        total += sent;
        wr_outq_validate(&q);
        if (state == WR_OUTQ_FULL)
            k.s.writable = true;
    } while (state > WR_OUTQ_DONE && ++turns < 1000);
    is_int(state, WR_OUTQ_DONE, "step %zu, full every %u, budget %zu: %d turns", step,
           full_every, budget, turns);
    is_int(total, 29, "all counted");
    ok(k.n == 29 && memcmp(k.got, "head 234 text 0123456789 tail", 29) == 0, "in order");
    is_int(released, 2, "ranges released once");
    ok(k.mores >= 2, "bytes before a file say that more follows");
    wr_outq_deinit(&q);
    (void)wr_os_close(fd);
}

static void test_limits(struct mem_kit *kit)
{
    struct wr_outq q;
    struct sink k;
    int fd = digits_file();
    struct wr_outq_file file = {.fd = fd, .len = 10, .release = on_release};
    wr_outq_init(&q, &kit->blocks, &kit->worker, wr_heap_libc(), 16);
    is_int(wr_outq_put_copy(&q, "0123456789", 10), 0, "ten of sixteen");
    is_int(wr_outq_put_copy(&q, "0123456789", 10), WR_E_HARD_LIMIT, "ten more are refused");
    is_int(wr_outq_put_file(&q, &file), WR_E_HARD_LIMIT, "a file of ten too");
    struct wr_bytes big = WR_BYTES_LIT("0123456789");
    is_int(wr_outq_put_bytes(&q, &big), WR_E_HARD_LIMIT, "and owned bytes");
    is_int(big.n, 10, "which stay the caller's");
    is_int(wr_outq_queued(&q), 10, "nothing was taken");
    wr_outq_validate(&q);
    file.len = 6;
    released = 0;
    is_int(wr_outq_put_file(&q, &file), 0, "six fit");
    wr_outq_deinit(&q);
    is_int(released, 1, "dropped ranges are released");
    wr_outq_init(&q, &kit->blocks, &kit->worker, wr_heap_libc(), 100);
    file.len = 12;
    ok(wr_outq_put_file(&q, &file) == 0, "a range longer than its file");
    sink_init(&k, 100);
    is_int(wr_outq_flush(&q, &k.s, 1000, NULL), -EIO, "is an error");
    is_int(k.n, 10, "after what there was");
    wr_outq_deinit(&q);
    wr_outq_init(&q, &kit->blocks, &kit->worker, wr_heap_libc(), 100);
    ok(wr_outq_put_copy(&q, "x", 1) == 0, "a byte");
    k.fail = -EPIPE;
    is_int(wr_outq_flush(&q, &k.s, 1000, NULL), -EPIPE, "an error of the stream is passed on");
    wr_outq_validate(&q);
    wr_outq_deinit(&q);
    (void)wr_os_close(fd);
}

/* The real thing: bytes and a file through a socket that is soon full. */
static void test_socket(struct mem_kit *kit)
{
    struct wr_outq q;
    struct wr_stream s;
    int fds[2], fd = wr_os_memfd("big", 0), state;
    static char block[100000], got[400000];
    size_t n = 0;
    uint64_t sent;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7);
    ok(wr_os_socketpair(AF_UNIX, SOCK_STREAM, fds) == 0 &&
           wr_os_pwrite(fd, block, sizeof block, 0) == (ssize_t)sizeof block,
       "ready");
    wr_stream_init(&s, fds[0]);
    wr_outq_init(&q, &kit->blocks, &kit->worker, wr_heap_libc(), 1 << 20);
    struct wr_outq_file file = {.fd = fd, .len = sizeof block};
    ok(wr_outq_put_copy(&q, block, sizeof block) == 0 && wr_outq_put_file(&q, &file) == 0 &&
           wr_outq_put_copy(&q, block, sizeof block) == 0,
       "300000 bytes");
    bool was_full = false;
    do {
        state = wr_outq_flush(&q, &s, 256 << 10, &sent);
        was_full |= state == WR_OUTQ_FULL;
        for (ssize_t r; (r = wr_os_recv(fds[1], got + n, sizeof got - n, 0)) > 0;)
            n += (size_t)r;
        s.writable = true;
    } while (state > WR_OUTQ_DONE);
    is_int(state, WR_OUTQ_DONE, "all sent");
    for (ssize_t r; (r = wr_os_recv(fds[1], got + n, sizeof got - n, 0)) > 0;)
        n += (size_t)r;
    is_int(n, 300000, "all arrived");
    ok(memcmp(got, block, 100000) == 0 && memcmp(got + 100000, block, 100000) == 0 &&
           memcmp(got + 200000, block, 100000) == 0,
       "unchanged");
    ok(was_full, "the socket was full meanwhile");
    is_int(s.bytes_out, 300000, "counted");
    wr_outq_deinit(&q);
    wr_stream_close(&s);
    (void)wr_os_close(fds[1]);
    (void)wr_os_close(fd);
}

/* Whatever is refused: an error code, a sound queue, nothing left behind. */
static int use(struct wr_outq *q, struct wr_block_pool *blocks, int fd)
{
    struct sink k;
    struct wr_chain chain;
    struct wr_outq_file file = {.fd = fd, .len = 5, .release = on_release};
    sink_init(&k, 2);
    k.no_sendfile = true;
    wr_chain_init(&chain, blocks, NULL);
    int err = wr_chain_append_copy(&chain, "chain", 5);
    for (int i = 0; i < 6 && !err; i++) {
        err = wr_outq_put_copy(q, "copy", 4);
        if (!err)
            err = wr_outq_put_file(q, &file);
        wr_outq_validate(q);
    }
    if (!err)
        err = wr_outq_put_chain(q, &chain);
    wr_outq_validate(q);
    if (!err)
        err = wr_outq_flush(q, &k.s, 20, NULL);
    wr_outq_validate(q);
    wr_chain_deinit(&chain);
    return err == WR_OUTQ_AGAIN ? 0 : err;
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct mem_kit kit;
    struct wr_outq q;
    int err = mem_kit_init(&kit, heap, NULL);
    if (err)
        return err;
    wr_outq_init(&q, &kit.blocks, &kit.worker, heap, 1 << 20);
    err = use(&q, &kit.blocks, *(int *)arg);
    wr_outq_deinit(&q);
    mem_kit_deinit(&kit);
    return err;
}

int main(void)
{
    struct mem_kit kit;
    int fd = digits_file();
    if (mem_kit_init(&kit, wr_heap_libc(), NULL))
        return 1;
    for (size_t step = 1; step <= 8; step++)
        run(&kit, step, 0, 1000, false);
    run(&kit, 3, 2, 1000, false);
    run(&kit, 100, 3, 1000, true);
    run(&kit, 1, 2, 1000, true);
    run(&kit, 100, 0, 4, false);
    run(&kit, 100, 0, 1, true);
    test_limits(&kit);
    test_socket(&kit);
    mem_kit_deinit(&kit);
    nth_every("outq", scenario, &fd);
    (void)wr_os_close(fd);
    return tap_done();
}

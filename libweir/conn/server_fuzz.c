/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The framed server whole, over a socket pair. Four bytes choose a codec, how the stream is cut, how it
 * ends, and options; the rest is the stream. A frame's first byte tells what is done with it: most
 * are echoed. The same stream is sent in one piece and in small ones.
 *
 * After each: on_open and on_close came once and in that order, the frames were the same and so was the
 * echo, kept messages did not change, and all memory and descriptors are back.
 */
#include "libweir/conn/server.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mem_budget.h"
#include "libweir/os/os.h"

#include <errno.h>

#define KEPT_MAX 16
#define OUT_MAX  (4u << 20)

enum { /* the options byte */
    PAUSING = 1,
    FEW_FRAMES = 2,
    KEEPING = 4,
    BY_VIEW = 8,
};

enum { /* the ending byte, modulo */
    END_CLOSE,
    END_FIN,
    END_STOP,
    END_SERVER,
    ENDINGS,
};

static const struct wr_codec codecs[] = {
    WR_CODEC_LINES(2000),
    WR_CODEC_LEN16(3000),
    WR_CODEC_VARINT(100000),
    {.kind = WR_CODEC_LENGTH,
              .max = 70000,
              .width = 4,
              .offset = 4,
              .header_bytes = 8,
              .counts_header = true,
              .whole = true},
    {.kind = WR_CODEC_RAW,             .max = 4096},
};

struct run {
    struct wr_loop *loop;
    struct wr_server *server;
    struct wr_conn *conn;
    unsigned options, floods;
    int client, fd, opens, closes, stopped;
    bool eof, ended, cut; /* cut: the program ended the connection, or an error did */
    uint64_t frames, hash, echoed, echo_hash;
    unsigned n_kept;
    struct wr_bytes kept[KEPT_MAX];
    uint64_t kept_hash[KEPT_MAX];
    size_t out_n;
};

static char out[OUT_MAX];
static char flood[64 << 10];
#define FLOODS_MAX (OUT_MAX / 2 / sizeof flood) /* the echo has the other half */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t h, struct wr_span s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 0x100000001b3ULL;
    return (h ^ s.n) * 0x100000001b3ULL;
}

/* ---- the program -------------------------------------------------------------------------------------- */

static struct run *run_of(struct wr_conn *c)
{
    struct run *r = wr_conn_arg(c);
    WR_ASSERT(r->opens == 1 && r->closes == 0 && r->conn == c);
    return r;
}

static int on_open(struct wr_conn *c)
{
    struct run *r = wr_conn_arg(c);
    r->opens++;
    r->conn = c;
    return 0;
}

static void keep(struct run *r, struct wr_view v)
{
    struct wr_bytes b;
    if (r->n_kept == KEPT_MAX || wr_view_keep(v, &b) != 0)
        return;
    r->kept_hash[r->n_kept] = mix(0, wr_bytes_span(&b));
    r->kept[r->n_kept++] = b;
}

static int send_back(struct run *r, struct wr_conn *c, struct wr_view v)
{
    struct wr_span s = wr_view_span(v);
    int rc = r->options & BY_VIEW ? wr_conn_send_view(c, v) : wr_conn_send(c, s);
    if (rc >= 0) {
        r->echoed++;
        r->echo_hash = mix(r->echo_hash, s);
    }
    r->cut |= rc < 0;
    return rc;
}

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    struct run *r = run_of(c);
    struct wr_span s = wr_view_span(v);
    r->frames++;
    r->hash = mix(r->hash, s);
    if (r->options & KEEPING)
        keep(r, v);
    if (r->options & PAUSING)
        wr_conn_pause_reading(c, true);
    switch (s.n ? s.p[0] : 0) {
    case 'A':
        r->cut = true;
        wr_conn_abort(c);
        return 0;
    case 'E':
        r->cut = true;
        return WR_E_PROTO;
    case 'S':
        r->cut = true;
        wr_conn_shutdown(c);
        return 0;
    case 'Q':
        return WR_FRAME_QUIET;
    case 'F':
        r->cut = true;
        if (r->floods++ < FLOODS_MAX)
            (void)wr_conn_send(c, wr_span(flood, sizeof flood));
        return 0;
    default:
        return send_back(r, c, v);
    }
}

static void on_high(struct wr_conn *c, uint64_t queued)
{
    (void)run_of(c);
    WR_ASSERT(queued > 0);
}

static void on_drain(struct wr_conn *c)
{
    (void)run_of(c);
}

static void on_close(struct wr_conn *c, enum wr_close why, int err)
{
    struct run *r = run_of(c);
    (void)err;
    r->cut |= why != WR_CLOSE_PEER;
    r->closes++;
    r->conn = NULL;
}

static const struct wr_proto proto = {.on_open = on_open,
                                      .on_frame = on_frame,
                                      .on_high = on_high,
                                      .on_drain = on_drain,
                                      .on_close = on_close};

/* ---- the client --------------------------------------------------------------------------------------- */

static bool receive(struct run *r)
{
    size_t had = r->out_n;
    ssize_t n = -EAGAIN;
    while (!r->ended && (n = wr_os_recv(r->client, out + r->out_n, OUT_MAX - r->out_n, 0)) > 0)
        r->out_n += (size_t)n;
    r->eof |= !r->ended && n != -EAGAIN;
    WR_ASSERT(r->out_n < OUT_MAX);
    return r->out_n != had;
}

static void rest(struct run *r)
{
    uint64_t frames = r->frames;
    for (int quiet = 0; quiet < 2; quiet++) {
        WR_ASSERT(wr_loop_turn(r->loop, 0) == 0);
        if (receive(r) || frames != r->frames)
            quiet = -1;
        frames = r->frames;
        if (r->conn && r->options & PAUSING)
            wr_conn_pause_reading(r->conn, false);
    }
}

static void send_bytes(struct run *r, const uint8_t *p, size_t n, unsigned cut)
{
    unsigned state = cut;
    size_t least = 1 + n / 64; /* every piece costs a turn */
    while (n && !r->eof) {
        state = state * 1103515245u + 12345u;
        size_t piece = cut ? least + (state >> 16) % cut : n;
        ssize_t sent = wr_os_send(r->client, p, piece < n ? piece : n, 0);
        if (sent < 0 && sent != -EAGAIN)
            return;
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        if (sent < 0)
            rest(r);
        else
            WR_ASSERT(wr_loop_turn(r->loop, 0) == 0);
    }
}

static void hang_up(struct run *r)
{
    if (!r->ended)
        (void)wr_os_close(r->client);
    r->ended = true;
}

static void on_stopped(struct wr_server *s, void *arg)
{
    struct run *r = arg;
    WR_ASSERT(wr_server_stats(s).open == 0);
    r->stopped++;
}

static void end(struct run *r, unsigned ending)
{
    if (ending == END_FIN)
        (void)wr_os_shutdown(r->client, SHUT_WR);
    else if (ending == END_STOP)
        wr_server_stop(r->server, 0, on_stopped, r);
    else if (ending == END_SERVER)
        wr_server_close(&r->server);
    rest(r);
    hang_up(r);
    rest(r);
    /* Somebody who reads /proc/PID/fd may hold our end of the pair for a moment longer than we do. */
    for (int tries = 0; tries < 1000 && r->closes == 0; tries++)
        WR_ASSERT(wr_loop_turn(r->loop, 10) == 0);
    WR_ASSERT(r->opens == 1 && r->closes == 1);
    if (r->server) {
        struct wr_server_stats s = wr_server_stats(r->server);
        WR_ASSERT(s.open == 0 && s.links.opened == 1 && s.frames_in == r->frames);
    }
    wr_server_close(&r->server);
    WR_ASSERT(wr_loop_turn(r->loop, 0) == 0);
}

/* ---- what must hold ----------------------------------------------------------------------------------- */

static void check_echo(const struct run *r, const struct wr_codec *codec)
{
    struct wr_codec_scan scan = {0};
    struct wr_span in = wr_span(out, r->out_n);
    uint64_t n = 0, hash = 0;
    struct wr_frame f;
    while (in.n && wr_codec_next(codec, &scan, in, &f) == WR_CODEC_FRAME) {
        hash = mix(hash, wr_span_sub(in, f.at, f.n));
        in = wr_span_sub(in, f.total, SIZE_MAX);
        n++;
    }
    WR_ASSERT(in.n == 0 && n == r->echoed && hash == r->echo_hash);
}

static void check_kept(struct run *r)
{
    for (unsigned i = 0; i < r->n_kept; i++) {
        WR_ASSERT(mix(0, wr_bytes_span(&r->kept[i])) == r->kept_hash[i]);
        wr_bytes_drop(&r->kept[i]);
    }
}

static void one_run(struct run *r, struct wr_loop *loop, struct wr_span stream, unsigned cut,
                    const uint8_t *choice)
{
    const struct wr_codec *codec = &codecs[choice[0] % WR_ARRAY_LEN(codecs)];
    int s[2];
    *r = (struct run){.loop = loop, .options = choice[3]};
    struct wr_server_options o = {
        .conn = {.proto = &proto,
                 .codec = codec,
                 .arg = r,
                 .frames_per_turn = choice[3] & FEW_FRAMES ? 2 : 0,
                 .high = 32 << 10}
    };
    WR_ASSERT(wr_server_open(loop, &o, &r->server) == 0);
    WR_ASSERT(wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) == 0);
    r->fd = s[0];
    r->client = s[1];
    WR_ASSERT(wr_server_adopt(r->server, s[0]) == 0);
    send_bytes(r, (const uint8_t *)stream.p, stream.n, cut);
    rest(r);
    if (!r->cut && codec->kind != WR_CODEC_RAW)
        check_echo(r, codec);
    end(r, choice[2] % ENDINGS);
    check_kept(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run one, two;
    if (size < 4)
        return 0;
    struct wr_span stream = wr_span(data + 4, size - 4);
    struct wr_heap_counting heap;
    struct wr_budget budget;
    struct wr_loop *loop;
    wr_heap_counting_init(&heap, wr_heap_libc());
    wr_budget_init(&budget, NULL, "fuzz", WR_BUDGET_NONE, WR_BUDGET_NONE);
    struct wr_loop_options lo = {
        .heap = &heap.heap, .budget = &budget, .max_posts = 8, .max_events = 8};
    WR_ASSERT(wr_loop_new(&lo, &loop) == 0);
    one_run(&one, loop, stream, 0, data);
    one_run(&two, loop, stream, 1 + data[1], data);
    wr_loop_free(&loop);
    wr_budget_deinit(&budget);
    WR_ASSERT(heap.objects == 0 && heap.bytes == 0 && one.fd == two.fd);
    if (codecs[data[0] % WR_ARRAY_LEN(codecs)].kind != WR_CODEC_RAW)
        WR_ASSERT(one.frames == two.frames && one.hash == two.hash);
    return 0;
}

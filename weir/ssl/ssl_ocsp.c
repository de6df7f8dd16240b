/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/ssl/ssl_ocsp.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/http/body.h"
#include "libweir/http/parse.h"
#include "libweir/io/connect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_MS 10000U
#define HEAD_MAX   8192U
#define FIELDS_MAX 64U
#define OCSP_ROOM  (OCSP_ANSWER_MAX + 2 * HEAD_MAX) /* the answer, its head, and its chunks */
#define TYPE       "application/ocsp-response"

struct ocsp_flight {
    struct wr_parse parse;
    struct wr_head head;
    struct wr_field fields[FIELDS_MAX];
    struct wr_body body;
    bool has_head;
    size_t sent, n;       /* of the request; bytes read */
    size_t seen;          /* of those, taken by the parsers */
    size_t body_n;        /* bytes of the answer, which begins behind the head */
    char room[OCSP_ROOM]; /* last: only what is read is touched */
};

/* ---- the end ------------------------------------------------------------------------------------------------- */

static void put_down(struct ocsp_fetch *f)
{
    wr_scope_deinit(&f->scope);
    wr_loop_timer_cancel(&f->deadline);
    wr_io_close(&f->io);
}

static void end(struct ocsp_fetch *f, struct wr_span answer, const struct ocsp_why *why)
{
    struct ocsp_flight *flight = f->flight;
    struct wr_loop *loop = f->loop;
    f->flight = NULL;
    put_down(f);
    f->done(f, answer, why);
    wr_heap_free(wr_loop_heap(loop), flight, sizeof *flight);
}

WR_PRINTF(3, 4) static void fail(struct ocsp_fetch *f, const char *what, const char *fmt, ...)
{
    struct ocsp_why why;
    va_list ap;
    va_start(ap, fmt);
    (void)snprintf(why.what, sizeof why.what, "%s", what);
    (void)vsnprintf(why.text, sizeof why.text, fmt, ap);
    va_end(ap);
    end(f, wr_span(NULL, 0), &why);
}

static void on_deadline(struct wr_timer *t)
{
    fail(wr_container_of(t, struct ocsp_fetch, deadline), "OCSP responder", "timed out");
}

/* ---- what it says ---------------------------------------------------------------------------------------------- */

/* False: the fetch has ended. */
static bool take_head(struct ocsp_fetch *f)
{
    struct ocsp_flight *l = f->flight;
    enum wr_parsed parsed = wr_parse_head(&l->parse, wr_span(l->room, l->n));
    if (parsed == WR_PARSED_MORE)
        return true;
    if (parsed == WR_PARSED_BAD) {
        fail(f, "OCSP responder", "sent invalid response");
        return false;
    }
    struct wr_span type = wr_head_get(&l->head, WR_H_CONTENT_TYPE);
    if (l->head.status != 200) {
        fail(f, "OCSP responder", "answered %u", l->head.status);
        return false;
    }
    if (!wr_span_ieq(type, WR_LIT(TYPE))) {
        fail(f, "OCSP responder", "sent invalid \"Content-Type\" header: \"%.*s\"",
             type.n < 64 ? (int)type.n : 64, type.p ? type.p : "");
        return false;
    }
    wr_body_init_head(&l->body, &l->head, NULL);
    l->has_head = true;
    l->seen = l->head.size;
    return true;
}

/* The pieces of the answer move together, into the place of their framing. False: the fetch has ended, and f may be
 * gone, or at work on the next one. */
static bool take_body(struct ocsp_fetch *f)
{
    struct ocsp_flight *l = f->flight;
    struct wr_span in = wr_span(l->room + l->seen, l->n - l->seen), data;
    enum wr_body_event event;
    char *answer = l->room + l->head.size;
    while ((event = wr_body_next(&l->body, &in, &data)) == WR_BODY_DATA) {
        memmove(answer + l->body_n, data.p, data.n);
        l->body_n += data.n;
    }
    l->seen = l->n - in.n;
    if (l->body_n <= OCSP_ANSWER_MAX && event != WR_BODY_BAD && event != WR_BODY_DONE)
        return true;
    if (l->body_n > OCSP_ANSWER_MAX)
        fail(f, "OCSP responder", "sent more than %u bytes", OCSP_ANSWER_MAX);
    else if (event == WR_BODY_BAD)
        fail(f, "OCSP responder", "sent invalid response");
    else
        end(f, wr_span(answer, l->body_n), NULL);
    return false;
}

static void take_end(struct ocsp_fetch *f)
{
    struct ocsp_flight *l = f->flight;
    if (l->has_head && wr_body_eof(&l->body) == WR_BODY_DONE)
        end(f, wr_span(l->room + l->head.size, l->body_n), NULL);
    else
        fail(f, "OCSP responder", "prematurely closed connection");
}

/* What was read last. False: the fetch has ended. */
static bool take(struct ocsp_fetch *f)
{
    struct ocsp_flight *l = f->flight;
    return (l->has_head || take_head(f)) && (!l->has_head || take_body(f));
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

/* True: as far as the socket took it. */
static bool send_request(struct ocsp_fetch *f)
{
    struct ocsp_flight *l = f->flight;
    const struct wr_span all = f->subject->request;
    while (l->sent < all.n && f->stream.writable) {
        ssize_t k = wr_stream_write(&f->stream, all.p + l->sent, all.n - l->sent);
        if (k > 0)
            l->sent += (size_t)k;
        else if (k != -EAGAIN) {
            fail(f, "send()", "failed (%d: %s)", (int)-k, wr_err_text((int)k));
            return false;
        }
    }
    return true;
}

static void receive(struct ocsp_fetch *f)
{
    while (f->stream.readable) {
        struct ocsp_flight *l = f->flight;
        if (l->n == sizeof l->room) {
            fail(f, "OCSP responder", "sent more than %u bytes", OCSP_ANSWER_MAX);
            return;
        }
        ssize_t k = wr_stream_read(&f->stream, l->room + l->n, sizeof l->room - l->n);
        if (k == -EAGAIN)
            return;
        if (k < 0) {
            fail(f, "recv()", "failed (%d: %s)", (int)-k, wr_err_text((int)k));
            return;
        }
        if (k == 0) {
            take_end(f);
            return;
        }
        l->n += (size_t)k;
        if (!take(f))
            return;
    }
}

static void on_io(struct wr_io *io, uint32_t events)
{
    struct ocsp_fetch *f = wr_container_of(io, struct ocsp_fetch, io);
    wr_stream_events(&f->stream, events);
    if (send_request(f))
        receive(f);
}

static void on_connected(void *arg, int err, const struct wr_connected *c)
{
    struct ocsp_fetch *f = arg;
    if (!ocsp_fetching(f)) /* it is being stopped */
        return;
    if (err && c->stage == WR_CONNECT_DNS) {
        const struct wr_span name = f->subject->responder.name;
        char what[96];
        (void)snprintf(what, sizeof what, "%.*s", (int)name.n, name.p);
        fail(f, what, "could not be resolved (%s)", wr_err_text(err));
        return;
    }
    if (!err) {
        wr_stream_init(&f->stream, c->fd);
        err = wr_io_open(f->loop, &f->io, c->fd, WR_IO_EDGE, on_io);
        if (err)
            wr_stream_close(&f->stream);
    }
    if (err)
        fail(f, "connect()", "failed (%d: %s)", -err, wr_err_text(err));
}

static struct ocsp_flight *flight_new(const struct wr_heap *heap)
{
    struct wr_http_limits limits = WR_HTTP_LIMITS_DEFAULT;
    struct ocsp_flight *l = wr_heap_alloc(heap, sizeof *l);
    if (!l)
        return NULL;
    memset(l, 0, offsetof(struct ocsp_flight, room));
    limits.max_head = limits.max_field = HEAD_MAX;
    wr_head_init(&l->head, l->fields, FIELDS_MAX);
    wr_parse_init_response(&l->parse, &l->head, WR_METHOD_GET, &limits);
    return l;
}

int ocsp_fetch(struct ocsp_fetch *f, struct wr_loop *loop, struct wr_resolver *resolver,
               const struct ocsp_subject *s, uint64_t connect_ms)
{
    const struct wr_connect_options options = {
        .timeout_ms =
            connect_ms && connect_ms < CONNECT_MS ? (unsigned)connect_ms : CONNECT_MS};
    struct ocsp_flight *l = flight_new(wr_loop_heap(loop));
    if (!l)
        return -ENOMEM;
    f->subject = s;
    f->loop = loop;
    f->deadline = (struct wr_timer){.fn = on_deadline};
    f->io = (struct wr_io){0};
    wr_scope_init(&f->scope, loop, NULL, 0);
    int err = wr_connect(&f->scope, resolver, &s->responder, &options, on_connected, f);
    if (err) {
        wr_scope_deinit(&f->scope);
        wr_heap_free(wr_loop_heap(loop), l, sizeof *l);
        return err;
    }
    f->flight = l;
    wr_loop_timer_arm(loop, &f->deadline, OCSP_FETCH_MS);
    return 0;
}

void ocsp_fetch_stop(struct ocsp_fetch *f)
{
    struct ocsp_flight *l = f->flight;
    if (!l)
        return;
    f->flight = NULL;
    put_down(f);
    wr_heap_free(wr_loop_heap(f->loop), l, sizeof *l);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as what a responder says over HTTP. The first byte says how they are cut. The fetch ends exactly once, with the
 * bytes of the body or a reason, and however the bytes are cut, as if they had come at once.
 */
#include "weir/ssl/ssl_ocsp.c"

#include "libweir/base/assert.h"
#include "libweir/os/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct ocsp_fetch f; /* first */
    unsigned ends;
    bool good;
    size_t n;
    char answer[OCSP_ROOM];
    struct ocsp_why why;
};

static void on_done(struct ocsp_fetch *f, struct wr_span answer, const struct ocsp_why *why)
{
    struct outcome *o = wr_container_of(f, struct outcome, f);
    o->ends++;
    o->good = answer.p != NULL;
    o->n = answer.n;
    WR_ASSERT(answer.n <= OCSP_ANSWER_MAX && o->good == !why);
    if (o->good)
        memcpy(o->answer, answer.p, answer.n);
    else
        o->why = *why;
}

static void hear(struct outcome *o, struct wr_loop *loop, struct wr_span all, size_t step)
{
    struct ocsp_fetch *f = &o->f;
    o->ends = 0;
    *f = (struct ocsp_fetch){.done = on_done, .loop = loop, .deadline = {.fn = on_deadline}};
    wr_scope_init(&f->scope, loop, NULL, 0);
    struct ocsp_flight *l = f->flight = flight_new(wr_loop_heap(loop));
    WR_ASSERT(l);
    for (size_t at = 0; ocsp_fetching(f) && at < all.n;) {
        size_t n = step && step < all.n - at ? step : all.n - at;
        size_t room = sizeof l->room - l->n;
        n = n < room ? n : room;
        if (n == 0) {
            fail(f, "OCSP responder", "sent more than %u bytes", OCSP_ANSWER_MAX);
            break;
        }
        memcpy(l->room + l->n, all.p + at, n);
        l->n += n;
        at += n;
        (void)take(f);
    }
    if (ocsp_fetching(f))
        take_end(f);
    WR_ASSERT(o->ends == 1 && !ocsp_fetching(f));
    WR_ASSERT(o->good || (*o->why.what && *o->why.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wr_loop *loop;
    static struct outcome whole, cut;
    if (!loop)
        WR_ASSERT(wr_loop_new(NULL, &loop) == 0);
    if (size < 1)
        return 0;
    struct wr_span all = wr_span(data + 1, size - 1);
    hear(&whole, loop, all, 0);
    hear(&cut, loop, all, data[0]);
    if (all.n <= OCSP_ANSWER_MAX)
        WR_ASSERT(whole.good == cut.good &&
                  (!whole.good ||
                   (whole.n == cut.n && memcmp(whole.answer, cut.answer, cut.n) == 0)));
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "tests/tap.h"

#include <stdlib.h>

/* ---- plain cases --------------------------------------------------------------------------------- */
static char trace[64];

struct named {
    struct wr_op op;
    char name;
    int why;
};

static void on_cancel(struct wr_op *op, int why)
{
    struct named *n = wr_container_of(op, struct named, op);
    size_t at = strlen(trace);
    n->why = why;
    if (at + 1 < sizeof trace)
        trace[at] = n->name;
}

static void on_done(struct wr_scope *s, int why)
{
    (void)s;
    (void)why;
    size_t at = strlen(trace);
    if (at + 1 < sizeof trace)
        trace[at] = '!';
}

static void test_order(void)
{
    struct wr_scope session, request;
    struct named a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};
    memset(trace, 0, sizeof trace);
    wr_scope_init(&session, NULL, NULL, 0);
    wr_scope_init(&request, NULL, &session, 0);
    session.done = request.done = on_done;
    is_int(wr_op_begin(&session, &a.op, on_cancel), 0, "begins");
    is_int(wr_op_begin(&session, &b.op, on_cancel), 0, "another");
    is_int(wr_op_begin(&request, &c.op, on_cancel), 0, "in a child");
    is_int(wr_scope_pending(&session), 3, "three pending");
    ok(wr_op_end(&a.op) && !wr_op_end(&a.op), "ends once");
    ok(wr_scope_left_ms(&request) == UINT64_MAX, "no deadline");
    wr_scope_cancel(&session, -5);
    is_str(trace, "c!b!", "children first, then its own, then done");
    ok(a.why == 0 && b.why == -5 && c.why == -5, "each with the reason");
    wr_scope_cancel(&session, -6);
    is_str(trace, "c!b!", "once");
    is_int(wr_op_begin(&request, &d.op, on_cancel), -5, "nothing begins any more");
    ok(!wr_op_pending(&d.op), "and is not called");
    struct wr_scope late;
    wr_scope_init(&late, NULL, &session, 0);
    is_int(wr_scope_why(&late), -5, "born cancelled");
    wr_scope_deinit(&late);
    wr_scope_deinit(&session);
    wr_scope_deinit(&request);
}

static void test_deadline(void)
{
    struct wr_loop *l;
    struct wr_scope outer, inner;
    struct named a = {.name = 'a'};
    if (wr_loop_new(NULL, &l))
        WR_PANIC("no loop");
    wr_scope_init(&outer, l, NULL, 20);
    wr_scope_init(&inner, l, &outer, 60000);
    ok(wr_scope_left_ms(&inner) <= 20, "the parent's deadline bounds the child's");
    is_int(wr_op_begin(&inner, &a.op, on_cancel), 0, "begins");
    for (int i = 0; i < 100 && !a.why; i++)
        (void)wr_loop_turn(l, 1000);
    is_int(a.why, WR_E_DEADLINE, "and is told that time is up");
    wr_scope_deinit(&inner);
    wr_scope_deinit(&outer);
    wr_loop_free(&l);
}

struct killer {
    struct wr_op op;
    struct wr_scope *victim;
};

static void on_kill(struct wr_op *op, int why)
{
    struct killer *k = wr_container_of(op, struct killer, op);
    (void)why;
    wr_scope_deinit(k->victim);
    free(k->victim);
}

/* Session, request, operation; the request's operation destroys the session from its callback. */
static void test_destroy_within(void)
{
    struct wr_scope *session = malloc(sizeof *session), *request = malloc(sizeof *request);
    struct killer k = {.victim = session};
    struct named a = {.name = 'a'}, b = {.name = 'b'};
    if (!session || !request)
        return;
    memset(trace, 0, sizeof trace);
    wr_scope_init(session, NULL, NULL, 0);
    wr_scope_init(request, NULL, session, 0);
    is_int(wr_op_begin(request, &k.op, on_kill) | wr_op_begin(request, &a.op, on_cancel) |
               wr_op_begin(session, &b.op, on_cancel),
           0, "three operations");
    session->done = request->done = on_done;
    wr_scope_cancel(session, -7);
    is_str(trace, "ab!", "all completed before deinit returned; the dead scope is silent");
    wr_scope_deinit(request);
    free(request);
}

/* ---- model --------------------------------------------------------------------------------------- */
/*
 * Random trees of scopes and operations, whose callbacks do random things in turn. The model counts, for
 * every operation begun, how often it ended, and knows which scopes are dead: an end in a dead scope,
 * a second end, or a missing one is a failure.
 */
enum {
    SCOPES = 6,
    OPS = 12
};

struct model_scope {
    struct wr_scope s;
    bool live; /* between init and deinit */
    bool busy; /* being deinited further up the stack */
};

struct model_op {
    struct wr_op op;
    struct model_scope *in;
    bool begun;
};

static struct world {
    struct model_scope *scope[SCOPES];
    struct model_op op[OPS];
    uint64_t rng;
    unsigned depth;
    uint64_t begun, ended, cancelled;
    const char *broken;
} w;

static unsigned pick(unsigned n)
{
    w.rng ^= w.rng << 13;
    w.rng ^= w.rng >> 7;
    w.rng ^= w.rng << 17;
    return (unsigned)(w.rng % n);
}

static void broken(const char *what)
{
    if (!w.broken)
        w.broken = what;
}

static void random_act(void);

static void model_cancel(struct wr_op *op, int why)
{
    struct model_op *m = wr_container_of(op, struct model_op, op);
    if (!m->begun)
        broken("an operation completed twice, or without having begun");
    if (!m->in->live)
        broken("a callback after deinit");
    if (why >= 0)
        broken("without a reason");
    if (wr_scope_why(&m->in->s) != why)
        broken("another reason than the scope's");
    m->begun = false;
    w.cancelled++;
    if (w.depth < 6)
        random_act();
}

static void model_done(struct wr_scope *s, int why)
{
    struct model_scope *m = wr_container_of(s, struct model_scope, s);
    (void)why;
    if (!m->live)
        broken("done after deinit");
    if (!wr_list_empty(&s->ops) || !wr_list_empty(&s->children))
        broken("done before everything had completed");
    if (w.depth < 6)
        random_act();
}

static struct model_scope *some_scope(void)
{
    return w.scope[pick(SCOPES)];
}

static void act_scope(void)
{
    unsigned i = pick(SCOPES);
    if (w.scope[i])
        return;
    struct model_scope *parent = some_scope(), *m = calloc(1, sizeof *m);
    if (!m)
        return;
    if (parent && parent->busy)
        parent = NULL;
    wr_scope_init(&m->s, NULL, parent ? &parent->s : NULL, 0);
    m->s.done = pick(2) ? model_done : NULL;
    m->live = true;
    w.scope[i] = m;
}

static void act_begin(void)
{
    struct model_op *op = &w.op[pick(OPS)];
    struct model_scope *m = some_scope();
    if (op->begun || !m || m->busy)
        return;
    bool dead = wr_scope_why(&m->s) != 0;
    int err = wr_op_begin(&m->s, &op->op, model_cancel);
    if (dead != (err != 0))
        broken("began in a dead scope, or not in a living one");
    if (err)
        return;
    op->begun = true;
    op->in = m;
    w.begun++;
}

static void act_end(void)
{
    struct model_op *op = &w.op[pick(OPS)];
    bool begun = op->begun;
    op->begun = false;
    if (wr_op_end(&op->op) != begun)
        broken("end does not agree");
    w.ended += begun;
}

static void act_cancel(void)
{
    struct model_scope *m = some_scope();
    if (m)
        wr_scope_cancel(&m->s, -1 - (int)pick(9));
}

/* Deinit and free at once, wherever on the stack this is. */
static void act_deinit(void)
{
    unsigned i = pick(SCOPES);
    struct model_scope *m = w.scope[i];
    if (!m || m->busy)
        return;
    m->busy = true;
    wr_scope_deinit(&m->s);
    for (int k = 0; k < OPS; k++)
        if (w.op[k].begun && w.op[k].in == m)
            broken("pending after deinit");
    m->live = false;
    w.scope[i] = NULL;
    free(m);
}

static void random_act(void)
{
    w.depth++;
    for (unsigned n = 1 + pick(3); n > 0; n--)
        switch (pick(w.depth > 1 ? 6 : 9)) {
        case 0:
            act_cancel();
            break;
        case 1:
            act_deinit();
            break;
        case 2:
            act_end();
            break;
        case 3:
            act_scope();
            break;
        default:
            act_begin();
            break;
        }
    w.depth--;
}

static void run_sequence(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 40 && !w.broken; i++) {
        random_act();
        for (int k = 0; k < SCOPES; k++)
            if (w.scope[k] && !wr_scope_validate(&w.scope[k]->s))
                broken("validate");
    }
    w.depth = 100; /* the callbacks of the end start nothing */
    for (int k = 0; k < SCOPES; k++)
        if (w.scope[k]) {
            struct model_scope *m = w.scope[k];
            m->busy = true;
            wr_scope_deinit(&m->s);
            m->live = false;
            w.scope[k] = NULL;
            free(m);
        }
    for (int k = 0; k < OPS; k++)
        if (w.op[k].begun)
            broken("pending at the end");
    if (w.begun != w.ended + w.cancelled)
        broken("the sum does not agree");
}

static void test_model(void)
{
    uint64_t begun = 0, cancelled = 0, seed;
    for (seed = 1; seed <= 100000 && !w.broken; seed++) {
        run_sequence(seed);
        begun += w.begun;
        cancelled += w.cancelled;
    }
    ok(!w.broken, "100000 random sequences: each operation once, then silence");
    if (w.broken)
        printf("# seed %llu: %s\n", (unsigned long long)(seed - 1), w.broken);
    ok(cancelled > 100000 && begun > cancelled, "and something happened in them");
    printf("# %llu begun, %llu cancelled\n", (unsigned long long)begun,
           (unsigned long long)cancelled);
}

int main(void)
{
    test_order();
    test_deadline();
    test_destroy_within();
    test_model();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/finding.h"

#include "libweir/base/assert.h"

#include <string.h>

/* clang-format off */
static const struct evidence_row rows[EVIDENCE_COUNT] = {
#define X(NAME, key, unit, src, en, zh) [EVIDENCE_##NAME] = {key, UNIT_##unit, src, {en, zh}},
#include "weir/doctor/rules/evidence.def"
#undef X
};
/* clang-format on */

const struct evidence_row *evidence_row(enum evidence_name name)
{
    WR_ASSERT(name < EVIDENCE_COUNT);
    return &rows[name];
}

void findings_init(struct findings *f)
{
    f->n = f->lost = f->leading = 0;
}

struct finding *finding_add(struct findings *f, enum rule_name rule)
{
    struct finding *x = &f->spill;
    if (f->n < FINDINGS_MAX)
        x = &f->row[f->n++];
    else
        f->lost++;
    memset(x, 0, sizeof *x);
    x->rule = rule;
    x->severity = rule_get(rule)->severity;
    x->certainty = rule_get(rule)->certainty;
    x->cause = FINDING_ALONE;
    return x;
}

static void keep(char *to, size_t room, struct wr_span s)
{
    size_t n = s.n < room - 1 ? s.n : room - 1;
    if (n > 0)
        memcpy(to, s.p, n);
    to[n] = '\0';
}

void finding_subject(struct finding *f, int32_t pid, int32_t tid, struct wr_span comm)
{
    f->subject.pid = pid;
    f->subject.tid = tid;
    keep(f->subject.comm, sizeof f->subject.comm, comm);
}

void finding_listener(struct finding *f, struct wr_span addr)
{
    keep(f->subject.listener, sizeof f->subject.listener, addr);
}

void finding_peer(struct finding *f, struct wr_span addr)
{
    keep(f->subject.peer, sizeof f->subject.peer, addr);
}

void finding_weaken(struct finding *f, enum certainty at_most)
{
    if (f->certainty > at_most)
        f->certainty = at_most;
}

static struct evidence *line(struct finding *f, enum evidence_name name)
{
    if (f->n_evidence == EVIDENCE_MAX)
        return NULL;
    struct evidence *e = &f->evidence[f->n_evidence++];
    e->name = name;
    return e;
}

void finding_value(struct finding *f, enum evidence_name name, uint64_t a, uint64_t b)
{
    struct evidence *e = line(f, name);
    if (e) {
        e->a = a;
        e->b = b;
    }
}

void finding_of(struct finding *f, enum evidence_name name, uint64_t a, uint64_t b,
                uint64_t limit)
{
    struct evidence *e = line(f, name);
    if (e) {
        e->a = a;
        e->b = b;
        e->limit = limit;
        e->has_limit = true;
    }
}

void finding_text(struct finding *f, enum evidence_name name, struct wr_span text)
{
    struct evidence *e = line(f, name);
    if (e)
        keep(e->text, sizeof e->text, text);
}

void finding_over(struct finding *f, const struct thresholds *t, enum threshold_name name)
{
    if (f->n_evidence > 0) {
        f->evidence[f->n_evidence - 1].over = name;
        f->evidence[f->n_evidence - 1].threshold = t->value[name];
    }
}

const struct evidence *finding_evidence(const struct finding *f, enum evidence_name name)
{
    for (unsigned i = 0; i < f->n_evidence; i++) {
        if (f->evidence[i].name == name)
            return &f->evidence[i];
    }
    return NULL;
}

static bool differ(const char *a, const char *b)
{
    return *a && *b && strcmp(a, b) != 0; /* one that names nothing means all */
}

static bool is_any(const char *addr)
{
    return strncmp(addr, "0.0.0.0:", 8) == 0 || strncmp(addr, "[::]:", 5) == 0;
}

static bool is_loopback(const char *addr)
{
    return strncmp(addr, "127.", 4) == 0 || strncmp(addr, "[::1]:", 6) == 0;
}

/* Who connects there comes to this listener. One on every address is known by its port from loopback only: elsewhere
 * the same port may be another host's. */
static bool leads_to(const char *peer, const char *listener)
{
    const char *a = strrchr(peer, ':'), *b = strrchr(listener, ':');
    return strcmp(peer, listener) == 0 ||
           (a && b && strcmp(a, b) == 0 && is_any(listener) && is_loopback(peer));
}

/* All findings are of one target; within it a listener's trouble explains that listener's only, and a
 * destination's that destination's. */
static bool same_subject(const struct finding *cause, const struct finding *x)
{
    switch (rule_get(cause->rule)->scope) {
    case SCOPE_LISTENER:
        if (x->subject.peer[0] && !x->subject.listener[0])
            return leads_to(x->subject.peer, cause->subject.listener);
        return !differ(cause->subject.listener, x->subject.listener);
    case SCOPE_PEER:
        return !differ(cause->subject.peer, x->subject.peer);
    case SCOPE_TARGET:
    case SCOPE_HOST:
        break;
    }
    return true;
}

static void find_cause(struct findings *f, unsigned i)
{
    struct finding *x = &f->row[i];
    x->cause = FINDING_ALONE;
    for (unsigned k = 0; k < f->n; k++) {
        const struct finding *c = &f->row[k];
        /* A guess explains nothing away. */
        if (c->certainty == CERTAINTY_HINT || !rule_explains(c->rule, x->rule) ||
            !same_subject(c, x))
            continue;
        if (x->cause == FINDING_ALONE || c->certainty > f->row[x->cause].certainty)
            x->cause = (int)k;
    }
}

/* "Explains" has no cycle: the walk ends. */
static int root_of(const struct findings *f, int cause)
{
    while (f->row[cause].cause != FINDING_ALONE)
        cause = f->row[cause].cause;
    return cause;
}

static bool before(const struct finding *a, const struct finding *b)
{
    if ((a->cause == FINDING_ALONE) != (b->cause == FINDING_ALONE))
        return a->cause == FINDING_ALONE;
    if (a->severity != b->severity)
        return a->severity > b->severity;
    if (a->certainty != b->certainty)
        return a->certainty > b->certainty;
    if (a->victims != b->victims)
        return a->victims > b->victims;
    return a->rule < b->rule;
}

void findings_settle(struct findings *f)
{
    f->leading = 0;
    for (unsigned i = 0; i < f->n; i++)
        find_cause(f, i);
    for (unsigned i = 0; i < f->n; i++) {
        if (f->row[i].cause != FINDING_ALONE)
            f->row[i].cause = root_of(f, f->row[i].cause);
        else
            f->leading++;
    }
    for (unsigned i = 0; i < f->n; i++) { /* by insertion: equal ones stay as they were added */
        unsigned at = i;
        for (; at > 0 && before(&f->row[i], &f->row[f->order[at - 1]]); at--)
            f->order[at] = f->order[at - 1];
        f->order[at] = (uint8_t)i;
    }
}

bool findings_worst(const struct findings *f, enum severity *out)
{
    if (f->leading == 0)
        return false;
    *out = f->row[f->order[0]].severity;
    return true;
}

static bool same_finding(const struct finding *a, const struct finding *b)
{
    return a->rule == b->rule && a->subject.pid == b->subject.pid &&
           strcmp(a->subject.listener, b->subject.listener) == 0 &&
           strcmp(a->subject.peer, b->subject.peer) == 0;
}

static bool worse(const struct finding *a, const struct finding *b)
{
    if (a->severity != b->severity)
        return a->severity > b->severity;
    if (a->certainty != b->certainty)
        return a->certainty > b->certainty;
    return a->victims > b->victims;
}

static void keep_one(struct findings *io, const struct finding *x)
{
    for (unsigned k = 0; k < io->n; k++) {
        if (!same_finding(&io->row[k], x))
            continue;
        if (worse(x, &io->row[k]))
            io->row[k] = *x;
        return;
    }
    if (io->n < FINDINGS_MAX)
        io->row[io->n++] = *x;
    else
        io->lost++;
}

void findings_merge(struct findings *io, const struct findings *more)
{
    for (unsigned i = 0; i < more->n; i++)
        keep_one(io, &more->row[i]);
    io->lost += more->lost;
}

void findings_move(struct findings *io, bool (*pick)(const struct finding *f),
                   struct findings *out)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < io->n; i++) {
        if (pick(&io->row[i]))
            keep_one(out, &io->row[i]);
        else if (kept != i)
            io->row[kept++] = io->row[i];
        else
            kept++;
    }
    io->n = kept;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/command_private.h"

#include "libweir/os/os.h"
#include "weir/doctor/look/look.h"
#include "weir/doctor/report/say.h"

#include <errno.h>
#include <stdlib.h>

#define UPSTREAM_DEPTH 4
#define UPSTREAM_PIDS  256

/* ---- output ----------------------------------------------------------------------------------------- */
void run_say(const struct run *r, struct stats_text *text)
{
    if (text->failed)
        (void)run_no_memory(r, -ENOMEM);
    else
        (void)say(1, wr_span(text->p, text->n));
    stats_text_free(text);
}

void run_print(const struct run *r, struct cases *c)
{
    struct stats_text t = {.heap = r->heap};
    if (r->o->json)
        report_json(&t, &c->report, r->style.lang);
    else if (r->o->quiet)
        report_brief(&t, &c->report, &r->style, r->o->fail_on);
    else
        report_tell(&t, &c->report, &r->style);
    run_say(r, &t);
}

/* ---- one examination -------------------------------------------------------------------------------- */
unsigned run_ports(const struct target_groups *g, uint16_t out[RUN_PORTS])
{
    unsigned n = 0;
    for (uint32_t i = 0; i < g->rows.n && n < RUN_PORTS; i++)
        if (g->rows.v[i].n == 0)
            out[n++] = g->rows.v[i].port;
    return n;
}

struct examine run_question(const struct run *r, const struct target_groups *g,
                            const uint16_t *ports)
{
    struct examine e = {.pids = g->pids.v,
                        .n_pids = g->pids.n,
                        .wait_ms = r->o->wait_ms,
                        .aside_ms = RUN_ASIDE(r->o->wait_ms)};
    if (e.n_pids > EXAMINE_PIDS)
        e.n_pids = EXAMINE_PIDS;
    if (e.n_pids == 0) { /* only hidden ones */
        e.ports = ports;
        while (e.n_ports < RUN_PORTS && e.n_ports < g->rows.n)
            e.n_ports++;
    }
    return e;
}

int run_result(const struct run *r, int result)
{
    if (result == -ESRCH || result == EXAMINE_ENDED) {
        say_error("doctor", "%s", WORD(r->o->lang, D_ENDED));
        return DOCTOR_NO_TARGET;
    }
    return result < 0 ? run_no_memory(r, result) : 0;
}

/* A master that dies leaves its workers: they are not what was asked about. */
static bool leader_has_ended(const struct target_groups *g, const struct facts *f)
{
    uint32_t lead = g->rows.n == 1 ? g->rows.v[0].lead : 0;
    const struct facts_process *p = lead ? facts_process(&f->b, lead) : NULL;
    return lead && (!p || p->state == 'Z');
}

static int look(const struct run *r, const struct target_groups *g, struct facts *out)
{
    uint16_t ports[RUN_PORTS];
    (void)run_ports(g, ports);
    struct examine e = run_question(r, g, ports);
    int result = examine(&e, out);
    if (result >= 0 && leader_has_ended(g, out))
        result = EXAMINE_ENDED;
    int status = run_result(r, result);
    if (!status)
        target_note(out, g);
    return status;
}

/* The facts of one run: cases point into them. */
#define SHELF 20

struct shelf {
    struct facts f[SHELF];
    unsigned n;
};

static struct facts *next_facts(struct shelf *s, const struct wr_heap *heap)
{
    if (s->n == SHELF)
        return NULL;
    facts_init(&s->f[s->n], heap);
    return &s->f[s->n++];
}

/* ---- --upstream ------------------------------------------------------------------------------------- */
static bool is_known(const struct cases *c, uint32_t pid)
{
    for (uint32_t i = 0; i < c->shown.n; i++)
        for (unsigned k = 0; k < c->shown.v[i].n_pids; k++)
            if (c->shown.v[i].pids[k] == pid)
                return true;
    return false;
}

/* Groups of the processes behind these facts that are no case yet. */
static int find_behind(const struct run *r, const struct facts *f,
                       const struct target_groups *g, const struct cases *c,
                       struct target_groups *out)
{
    uint32_t pids[UPSTREAM_PIDS];
    struct facts_look l;
    int n = examine_upstream(f, g->pids.v, g->pids.n, pids, UPSTREAM_PIDS);
    if (n <= 0)
        return n;
    facts_look_init(&l, r->heap);
    look_begin(&l);
    int err = look_processes(&l, 0);
    if (!err)
        err = facts_seal(&l);
    for (int i = 0; !err && i < n && i < UPSTREAM_PIDS; i++) {
        struct target t = {.kind = TARGET_PID, .pid = pids[i]};
        if (!is_known(c, pids[i]))
            err = target_find(&l, &t, (uint32_t)wr_os_getpid(), out);
        err = err > 0 ? 0 : err;
    }
    facts_look_deinit(&l);
    return err;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int follow(const struct run *r, struct cases *c, struct shelf *shelf,
                  struct target_groups *g, unsigned depth)
{
    const struct facts *f = &shelf->f[shelf->n - 1];
    struct facts *more = depth && g->pids.n ? next_facts(shelf, r->heap) : NULL;
    struct target_groups behind;
    char name[sizeof c->rooms.v->name];
    if (!more)
        return 0;
    qsort(g->pids.v, g->pids.n, sizeof *g->pids.v, by_number);
    memcpy(name, c->rooms.v[c->rooms.n - 1].name, sizeof name);
    target_groups_init(&behind, r->heap);
    int err = find_behind(r, f, g, c, &behind);
    int status = err < 0 ? run_no_memory(r, err) : 0;
    if (!status && behind.rows.n > 0) {
        const struct case_options o = {.limits = &r->o->limits, .behind = name};
        status = look(r, &behind, more);
        if (!status && (err = cases_judge(c, more, &behind, &o)) != 0)
            status = run_no_memory(r, err);
        if (!status)
            status = follow(r, c, shelf, &behind, depth - 1);
    }
    target_groups_deinit(&behind);
    return status;
}

/* ---- once -------------------------------------------------------------------------------------------- */
/* One network namespace: its groups are examined and judged into *c. */
static int one_net(const struct run *r, const struct target_groups *all, uint64_t net,
                   struct cases *c, struct shelf *shelf)
{
    const struct case_options o = {.limits = &r->o->limits, .whole_host = run_whole_host(r)};
    struct target_groups g;
    struct facts *f = next_facts(shelf, r->heap);
    target_groups_init(&g, r->heap);
    int err = f ? run_scout_net(all, net, &g) : -E2BIG;
    int status = err ? run_no_memory(r, err) : look(r, &g, f);
    if (!status && (err = cases_judge(c, f, &g, &o)) != 0)
        status = run_no_memory(r, err);
    if (!status && r->o->upstream)
        status = follow(r, c, shelf, &g, UPSTREAM_DEPTH);
    target_groups_deinit(&g);
    return status;
}

static unsigned list_nets(const struct target_groups *g, uint64_t *out, unsigned room)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < g->rows.n; i++) {
        unsigned k = 0;
        while (k < n && out[k] != g->rows.v[i].net)
            k++;
        if (k == n && n < room)
            out[n++] = g->rows.v[i].net;
    }
    return n;
}

#define NETS 16

static bool is_idle(const struct cases *c, uint32_t i)
{
    const struct doctor_case *d = &c->shown.v[i];
    return !*c->rooms.v[i].listener && !c->rooms.v[i].blind && d->findings->n == 0 &&
           d->connections == 0;
}

/* Of what was named something must have been there to examine: no socket and no finding is no health. */
static int check_idle(const struct run *r, const struct cases *c)
{
    for (uint32_t i = 0; i < c->shown.n; i++)
        if (!is_idle(c, i))
            return 0;
    if (c->shown.n == 0)
        return 0;
    say_error("doctor", WORD(r->o->lang, D_IDLE), (int)c->shown.v[0].pid, c->shown.v[0].name);
    return DOCTOR_NO_TARGET;
}

static int look_everywhere(const struct run *r, const struct target_groups *g, struct cases *c,
                           struct shelf *shelf)
{
    uint64_t net[NETS];
    unsigned nets = list_nets(g, net, NETS);
    int status = 0, err;
    if (nets > 1 && r->o->record) {
        say_error("doctor", WORD(r->o->lang, D_NETS), nets);
        return DOCTOR_USAGE;
    }
    for (unsigned i = 0; !status && i < nets; i++)
        status = one_net(r, g, net[i], c, shelf);
    if (!status && r->o->record)
        status = run_record(r, &shelf->f[0]);
    if (!status && (err = cases_report(c, &shelf->f[0], run_whole_host(r), r->o->fail_on)) != 0)
        status = run_no_memory(r, err);
    if (!status && !run_whole_host(r))
        status = check_idle(r, c);
    return status;
}

static int once(const struct run *r)
{
    struct target_groups g;
    struct cases c;
    struct shelf *shelf = wr_heap_zalloc(r->heap, sizeof *shelf);
    target_groups_init(&g, r->heap);
    int err = cases_init(&c, r->heap);
    int status = err || !shelf ? run_no_memory(r, -ENOMEM) : run_scout(r, &g);
    if (!status)
        status = look_everywhere(r, &g, &c, shelf);
    if (!status) {
        run_print(r, &c);
        status = c.report.exit;
    }
    while (shelf && shelf->n > 0)
        facts_deinit(&shelf->f[--shelf->n]);
    wr_heap_free(r->heap, shelf, sizeof *shelf);
    cases_deinit(&c);
    target_groups_deinit(&g);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------ */
static bool show(const struct run *r)
{
    struct stats_text t = {.heap = r->heap};
    if (r->o->help)
        stats_put(&t, wr_span_str(WORD(r->o->lang, DOCTOR_HELP)));
    else if (r->o->explain)
        doctor_show_rule(&t, rule_find(r->o->explain), r->o, &r->style);
    else if (r->o->rules)
        doctor_show_rules(&t, r->o, &r->style);
    else
        return false;
    run_say(r, &t);
    return true;
}

int doctor_command(int argc, char **argv)
{
    struct doctor_options o;
    char error[256];
    if (doctor_options(argc, argv, lang_locale(), &o, error, sizeof error)) {
        say_error("doctor", "%s", error);
        return DOCTOR_USAGE;
    }
    const struct run r = {
        .o = &o,
        .heap = wr_os_heap(),
        .style = {.lang = o.lang,
                  .width = say_width(1),
                  .colour = say_colour(1),
                  .verbose = o.verbose},
    };
    if (show(&r))
        return DOCTOR_WELL;
    look_behind();
    return o.from      ? run_from(&r)
           : o.command ? run_while(&r)
           : o.watch   ? run_watch(&r)
                       : once(&r);
}

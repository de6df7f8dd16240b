/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The resolver against name servers that lose, delay, lie, cut and fail, with callers that wait, share a
 * question, give up or are cancelled. Every call is answered exactly once, with the name's own addresses
 * or with a reason that its case allows; when the servers are well again every answer must be whole.
 */

#include "libweir/base/err.h"
#include "libweir/io/loop.h"
#include "libweir/io/resolve.h"
#include "libweir/io/scope.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/names.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER     2u
#define LONGEST_MS 60000u
#define WELL_JOBS  40u

struct resolve_case {
    struct wr_resolver_options options;
    unsigned mood; /* 0: bad; 1: nothing is asked; 2: well */
    struct names_mood names;
    unsigned names_count, every_ms, hasty;
    uint64_t asked, answered, no_name, failed, given_up, well_asked, well_answered;
    struct wr_resolver_stats stats;
};

struct app {
    struct resolve_case *h;
    struct wr_loop *loop;
    struct wr_resolver *resolver;
    struct wr_signal signals;
    struct wr_timer tick;
    unsigned jobs;
    bool stopping;
};

struct job {
    struct app *app;
    struct wr_scope scope;
    struct wr_timer impatience;
    enum wr_resolve_want want;
    bool must, may_end, cancelling;
    unsigned told;
    uint64_t begun_ms;
    char name[32];
};

/* both-7.sim has as many addresses as 7 says, of both families; and so on. */
static void meaning(const char *name, struct names_meaning *out)
{
    unsigned k = 0;
    char what[8] = "";
    if (sscanf(name, "%7[a-z]-%u.sim", what, &k) != 2 || strcmp(what, "nx") == 0)
        return;
    out->exists = true;
    bool four = strcmp(what, "both") == 0 || strcmp(what, "four") == 0;
    bool six = strcmp(what, "both") == 0 || strcmp(what, "six") == 0;
    for (unsigned i = 0; four && i <= k % NAMES_ADDRS; i++, out->v4_count++)
        memcpy(out->v4[i], (uint8_t[4]){10, 9, (uint8_t)k, (uint8_t)i}, 4);
    for (unsigned i = 0; six && i <= k % NAMES_ADDRS; i++, out->v6_count++)
        memcpy(out->v6[i], (uint8_t[16]){0x20, 1, [14] = (uint8_t)k, (uint8_t)i}, 16);
}

/* ---- the program -------------------------------------------------------------------------------------- */
static void job_end(struct job *j, int err)
{
    struct app *a = j->app;
    struct resolve_case *h = a->h;
    if (j->told++)
        sim_violation("resolve: %s was answered twice", j->name);
    if (wr_loop_now_ms(a->loop) - j->begun_ms > LONGEST_MS)
        sim_violation("resolve: %s took %llu ms", j->name,
                      (unsigned long long)(wr_loop_now_ms(a->loop) - j->begun_ms));
    bool ended = err == WR_E_CANCELED || err == WR_E_DEADLINE;
    if (ended && !j->may_end && !a->stopping)
        sim_violation("resolve: %s was cancelled by nobody: %s", j->name, wr_err_name(err));
    if (err < 0 && !ended && err != WR_E_DNS_NONAME && (j->must || err != WR_E_DNS) &&
        !(err == WR_E_QUEUE_FULL && !j->must))
        sim_violation("resolve: %s: %s", j->name, wr_err_name(err));
    h->answered += err == 0;
    h->no_name += err == WR_E_DNS_NONAME;
    h->given_up += ended;
    h->failed += err < 0 && !ended && err != WR_E_DNS_NONAME;
    h->well_answered += j->must && (err == 0 || err == WR_E_DNS_NONAME);
    a->jobs--;
    wr_loop_timer_cancel(&j->impatience);
    if (!j->cancelling) /* else who cancels it is still in it */
        wr_scope_deinit(&j->scope);
    if (!j->cancelling)
        wr_heap_free(wr_os_heap(), j, sizeof *j);
}

static bool has(const struct wr_resolved *r, const struct wr_addr *want)
{
    for (unsigned i = 0; i < r->addr_count; i++)
        if (wr_addr_eq(&r->addrs[i], want))
            return true;
    return false;
}

/* How many of the family are there, all of them right. */
static unsigned addrs_right(const struct names_meaning *m, const struct wr_resolved *r,
                            bool six)
{
    unsigned n = 0, right = 0;
    for (unsigned i = 0; i < r->addr_count; i++)
        n += (r->addrs[i].kind == WR_ADDR_V6) == six;
    for (unsigned i = 0; i < (six ? m->v6_count : m->v4_count); i++) {
        struct wr_addr a = six ? wr_addr_v6(m->v6[i], 0, 80) : wr_addr_v4(m->v4[i], 80);
        right += has(r, &a);
    }
    if (n != right)
        sim_violation("I1 resolve: %u addresses, of which %u belong to the name", n, right);
    return n;
}

static void answer_check(const struct job *j, const struct wr_resolved *r)
{
    struct names_meaning m = {0};
    meaning(j->name, &m);
    unsigned six = addrs_right(&m, r, true), four = addrs_right(&m, r, false);
    unsigned want6 = j->want & WR_RESOLVE_V6 ? m.v6_count : 0;
    unsigned want4 = j->want & WR_RESOLVE_V4 ? m.v4_count : 0;
    /* One family may have failed when the servers are bad; half a family is never an answer. */
    bool part = !j->must && six + four > 0;
    if ((six != want6 && !(part && six == 0)) || (four != want4 && !(part && four == 0)))
        sim_violation("resolve: %s: %u and %u addresses instead of %u and %u", j->name, six,
                      four, want6, want4);
    for (unsigned i = 1; i < r->addr_count; i++)
        if (r->addrs[i].kind == WR_ADDR_V6 && r->addrs[i - 1].kind != WR_ADDR_V6)
            sim_violation("resolve: %s: v6 comes first", j->name);
}

static void job_resolved(void *arg, int err, const struct wr_resolved *answer)
{
    struct job *j = arg;
    struct names_meaning m = {0};
    meaning(j->name, &m);
    if (err == 0)
        answer_check(j, answer);
    unsigned there =
        (j->want & WR_RESOLVE_V6 ? m.v6_count : 0) + (j->want & WR_RESOLVE_V4 ? m.v4_count : 0);
    if (err == WR_E_DNS_NONAME && there > 0 &&
        (j->must || (m.v4_count > 0) + (m.v6_count > 0) == 1))
        sim_violation("resolve: %s has %u addresses and was said to have none", j->name, there);
    job_end(j, err);
}

static void job_impatient(struct wr_timer *t)
{
    struct job *j = wr_container_of(t, struct job, impatience);
    j->cancelling = true;
    wr_scope_cancel(&j->scope, WR_E_CANCELED);
    if (!j->told)
        sim_violation("resolve: %s was not answered when its scope was cancelled", j->name);
    wr_scope_deinit(&j->scope);
    wr_heap_free(wr_os_heap(), j, sizeof *j);
}

static void job_start(struct app *a)
{
    static const char *const kinds[] = {"both", "both", "four", "six", "none", "nx"};
    static const enum wr_resolve_want wants[] = {WR_RESOLVE_ANY, WR_RESOLVE_V4, WR_RESOLVE_V6};
    struct resolve_case *h = a->h;
    struct job *j = wr_heap_zalloc(wr_os_heap(), sizeof *j);
    if (!j)
        return;
    j->app = a;
    j->must = h->mood == 2;
    j->want = wants[sim_rand(3)];
    j->impatience.fn = job_impatient;
    j->begun_ms = wr_loop_now_ms(a->loop);
    (void)snprintf(j->name, sizeof j->name, "%s-%u.sim", kinds[sim_rand(6)],
                   (unsigned)sim_rand(h->names_count));
    bool hasty = !j->must && sim_rand(1000) < h->hasty;
    j->may_end = hasty;
    wr_scope_init(&j->scope, a->loop, NULL, hasty && sim_rand(2) ? 1 + sim_rand(1500) : 0);
    h->asked++;
    h->well_asked += j->must;
    a->jobs++;
    if (hasty)
        wr_loop_timer_arm(a->loop, &j->impatience, sim_rand(2000));
    int err =
        wr_resolve(a->resolver, &j->scope, wr_span_str(j->name), 80, j->want, job_resolved, j);
    if (err < 0)
        job_end(j, err);
    else if (j->told)
        sim_violation("resolve: answered before the call returned");
}

static void on_tick(struct wr_timer *t)
{
    struct app *a = wr_container_of(t, struct app, tick);
    struct resolve_case *h = a->h;
    if (sim_rand(10) == 0)
        wr_resolver_validate(a->resolver);
    unsigned n = h->mood == 0 ? 1 + (unsigned)sim_rand(4) : 0;
    if (h->mood == 2) /* one at a time finds room in the smallest resolver */
        n = h->well_asked < WELL_JOBS && a->jobs == 0;
    if (sim_rand(200) == 0)
        wr_resolver_flush(a->resolver);
    while (n-- > 0 && a->jobs < 200)
        job_start(a);
    wr_loop_timer_arm(a->loop, t, 1 + sim_rand(h->every_ms));
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct app *a = wr_container_of(s, struct app, signals);
    (void)info;
    a->stopping = true;
    wr_loop_stop(a->loop);
}

static int resolve_main(void *arg)
{
    struct app a = {.h = arg, .tick.fn = on_tick};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_resolver_new(a.loop, &a.h->options, &a.resolver);
    if (!r) {
        wr_loop_timer_arm(a.loop, &a.tick, 3000);
        r = wr_loop_run(a.loop);
        a.h->stats = *wr_resolver_stats(a.resolver);
    }
    wr_loop_timer_cancel(&a.tick);
    wr_resolver_free(&a.resolver); /* who waits is told */
    if (a.jobs)
        sim_violation("resolve: %u callers were forgotten at the end", a.jobs);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

/* ---- the case ------------------------------------------------------------------------------------------ */
static void books_check(const struct resolve_case *h)
{
    if (sim_violated())
        return;
    if (h->asked != h->answered + h->no_name + h->failed + h->given_up)
        sim_violation("I2 resolve: %llu asked, %llu answered, %llu no name, %llu failed, %llu "
                      "given up",
                      (unsigned long long)h->asked, (unsigned long long)h->answered,
                      (unsigned long long)h->no_name, (unsigned long long)h->failed,
                      (unsigned long long)h->given_up);
    else if (h->well_answered != WELL_JOBS)
        sim_violation("resolve: only %llu of %u were answered by servers that are well",
                      (unsigned long long)h->well_answered, WELL_JOBS);
}

static unsigned badness(struct sim_case *c, uint64_t most)
{
    return case_often(c, 500) ? (unsigned)case_draw(c, most) : 0;
}

/* 0 stands for plenty; a question for both families takes two. */
static unsigned few(struct sim_case *c, uint64_t most)
{
    return case_often(c, 500) ? 2 + (unsigned)case_draw(c, most) : 0;
}

static void moods_draw(struct sim_case *c, struct resolve_case *h)
{
    h->names = (struct names_mood){.lost = badness(c, 900),
                                   .wrong_id = badness(c, 500),
                                   .wrong_question = badness(c, 500),
                                   .cut = badness(c, 600),
                                   .fail = badness(c, 300),
                                   .garbage = badness(c, 300),
                                   .tcp_mute = badness(c, 400),
                                   .tcp_hang_up = badness(c, 400),
                                   .delay_ns = case_draw(c, 1500) * SIM_MS,
                                   .ttl_max_s = 1 + (unsigned)case_draw(c, 20)};
}

static void resolve_run(struct sim_case *c)
{
    static const char *const confs[] = {
        "nameserver 10.0.0.2\noptions timeout:1\n",
        "nameserver 10.0.0.2\nnameserver 10.0.0.3\noptions timeout:1 rotate\n",
        "nameserver 10.0.0.9\nnameserver 10.0.0.2\noptions timeout:1 attempts:3\n"};
    struct sim_options o = {0};
    case_weather(c, &o);
    struct resolve_case h = {.names_count = 1 + (unsigned)case_draw(c, 60),
                             .every_ms = 1 + (unsigned)case_draw(c, 100),
                             .hasty = badness(c, 700)};
    h.options = (struct wr_resolver_options){.max_entries = few(c, 60),
                                             .max_flights = few(c, 30),
                                             .no_stale = case_often(c, 500),
                                             .stale_max_s = badness(c, 60)};
    moods_draw(c, &h);
    case_open(c, &o);
    const char *conf = confs[case_draw(c, WR_ARRAY_LEN(confs))];
    (void)sim_file_put("/etc/resolv.conf", conf, strlen(conf));
    struct names *first = names_serve(SERVER, &h.names, meaning);
    struct names *second = names_serve(SERVER + 1, &h.names, meaning);
    case_start(c, "resolve", resolve_main, &h);
    (void)sim_run(sim_now() + (5 + case_draw(c, 30)) * SIM_S);
    h.mood = 1;
    (void)sim_run(sim_now() + 90 * SIM_S);
    if (!sim_violated() && h.asked != h.answered + h.no_name + h.failed + h.given_up)
        sim_violation("I4 resolve: somebody still waits after 90 s");
    h.names = (struct names_mood){.delay_ns = SIM_MS, .ttl_max_s = 5};
    h.mood = 2;
    (void)sim_run(sim_now() + 60 * SIM_S);
    bool amid = case_often(c, 300); /* stopped while callers wait */
    if (amid) {
        h.names.lost = 1000;
        h.mood = 0;
        (void)sim_run(sim_now() + case_draw(c, 800) * SIM_MS);
    } else {
        case_rest(c, false);
    }
    case_stop(c, SIGTERM, 5 * SIM_S);
    books_check(&h);
    c->answers = h.answered + h.no_name;
    names_free(&first);
    names_free(&second);
}

const struct scenario scenario_resolve = {
    "resolve", "names from servers that lose, lie and cut", resolve_run};

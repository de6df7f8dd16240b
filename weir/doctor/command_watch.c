/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --watch: examination after examination until a signal comes; what is new, what stays, what has gone.
 *
 * It costs at most one percent of a processor: the next examination begins no earlier than a hundred times the
 * processor time of the last one after its begin. Where one follows the other at once, the second look of one is the
 * first of the next.
 */
#include "weir/doctor/command_private.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/say.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#define KNOWN_MAX     256
#define SHARE         100 /* one part in so many of a processor */
#define MS            1000000ULL
#define LOOKS_A_SCOUT 5 /* after so many it is asked again who is meant */

struct known { /* a finding of an earlier look */
    struct finding f;
    char name[64];
    uint32_t lead;
    uint64_t since_ns;
    bool seen;
};

struct watch {
    const struct run *r;
    int signals; /* signalfd */
    struct known *known;
    unsigned n;
    int status; /* of the last look */
    unsigned rounds;
    struct target_groups groups;
    uint16_t ports[RUN_PORTS];
    struct facts facts;
    struct examination e;
    unsigned looks; /* since it was asked who is meant; 0: nothing is being looked at */
};

/* ---- words ------------------------------------------------------------------------------------------ */
enum change {
    CHANGE_NEW,
    CHANGE_STILL,
    CHANGE_GONE
};

static void put_clock(struct stats_text *t)
{
    struct tm tm;
    wr_os_calendar((int64_t)(wr_os_now_ns(CLOCK_REALTIME) / 1000000000), false, &tm);
    stats_printf(t, "%02d:%02d:%02d  ", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_change(struct stats_text *out, const struct watch *w, const struct known *k,
                       enum change change)
{
    static const char *const words[][LANG_COUNT] = {
        [CHANGE_NEW] = WORDS(WATCH_NEW),
        [CHANGE_STILL] = WORDS(WATCH_STILL),
        [CHANGE_GONE] = WORDS(WATCH_GONE),
    };
    enum doctor_lang lang = w->r->style.lang;
    put_clock(out);
    stats_put(out, wr_span_str(words[change][lang]));
    if (change != CHANGE_NEW)
        catalogue_value(out, lang, UNIT_MS, (wr_os_now_ns(CLOCK_MONOTONIC) - k->since_ns) / MS);
    stats_printf(out, "  %s  ", word_severity(lang, k->f.severity));
    if (k->lead)
        stats_printf(out, "pid %u ", k->lead);
    plain_put(out, wr_span_str(k->name));
    stats_printf(out, "  %s", rule_get(k->f.rule)->id);
    if (change == CHANGE_STILL) {
        stats_put(out, WR_LIT(": "));
        catalogue_fill(out, lang, catalogue_text(k->f.rule, lang)->sentence, &k->f);
    }
    stats_put(out, WR_LIT("\n"));
}

/* ---- comparing -------------------------------------------------------------------------------------- */
static struct known *find(struct watch *w, uint32_t lead, const struct finding *f)
{
    for (unsigned i = 0; i < w->n; i++) {
        struct known *k = &w->known[i];
        if (k->lead == lead && k->f.rule == f->rule &&
            strcmp(k->f.subject.listener, f->subject.listener) == 0 &&
            strcmp(k->f.subject.peer, f->subject.peer) == 0)
            return k;
    }
    return NULL;
}

static struct known *add(struct watch *w, const struct case_room *room, const struct finding *f)
{
    if (w->n == KNOWN_MAX)
        return NULL;
    struct known *k = &w->known[w->n++];
    *k = (struct known){.f = *f, .lead = room->lead, .since_ns = wr_os_now_ns(CLOCK_MONOTONIC)};
    memcpy(k->name, room->name, sizeof k->name);
    return k;
}

static void compare_case(struct watch *w, const struct cases *c, uint32_t i,
                         struct stats_text *out)
{
    const struct doctor_case *d = &c->shown.v[i];
    for (unsigned x = 0; x < d->findings->leading; x++) {
        unsigned which = d->findings->order[x];
        const struct finding *f = &d->findings->row[which];
        if (f->severity == SEVERITY_INFO && !w->r->o->verbose)
            continue;
        struct known *k = find(w, c->rooms.v[i].lead, f);
        enum change change = k ? CHANGE_STILL : CHANGE_NEW;
        if (!k)
            k = add(w, &c->rooms.v[i], f);
        if (!k)
            continue; /* so many that nobody reads them */
        k->f = *f;
        k->seen = true;
        put_change(out, w, k, change);
        if (change == CHANGE_NEW && !w->r->o->quiet)
            report_finding(out, d, &w->r->style, which);
    }
}

static void compare(struct watch *w, const struct cases *c, struct stats_text *out)
{
    for (unsigned i = 0; i < w->n; i++)
        w->known[i].seen = false;
    for (uint32_t i = 0; i < c->shown.n; i++)
        compare_case(w, c, i, out);
    unsigned kept = 0;
    for (unsigned i = 0; i < w->n; i++) {
        if (!w->known[i].seen)
            put_change(out, w, &w->known[i], CHANGE_GONE);
        else if (kept != i)
            w->known[kept++] = w->known[i];
        else
            kept++;
    }
    w->n = kept;
}

/* ---- looking ---------------------------------------------------------------------------------------- */
/* True: a signal has come, the watch is over. */
static bool wait_ms(const struct watch *w, uint64_t ms)
{
    return wr_os_poll(w->signals, POLLIN, ms > INT32_MAX ? INT32_MAX : (int)ms) != 0;
}

static void stop_looking(struct watch *w)
{
    examine_drop(&w->e);
    facts_deinit(&w->facts);
    target_groups_deinit(&w->groups);
    w->looks = 0;
}

/* A watch has one view of the machine: one network namespace. */
static int find_groups(struct watch *w)
{
    struct target_groups all;
    target_groups_init(&all, w->r->heap);
    target_groups_init(&w->groups, w->r->heap);
    int status = run_scout(w->r, &all);
    if (!status && run_scout_one(w->r, &all, w->rounds > 0, &w->groups))
        status = run_no_memory(w->r, -ENOMEM);
    target_groups_deinit(&all);
    return status;
}

/* Who is meant, and the first look at them; or the last look becomes the first one. */
static int begin_look(struct watch *w)
{
    if (w->looks > 0 && w->looks < LOOKS_A_SCOUT) {
        examine_again(&w->e);
        return 0;
    }
    stop_looking(w);
    facts_init(&w->facts, w->r->heap);
    int status = find_groups(w);
    if (status)
        return status;
    (void)run_ports(&w->groups, w->ports);
    struct examine what = run_question(w->r, &w->groups, w->ports);
    return run_result(w->r, examine_begin(&w->e, &what, &w->facts));
}

/* As the rest of examine(), but a signal ends it: *out_over. */
static int finish_look(struct watch *w, bool *out_over)
{
    int result = 0;
    while (result >= 0) {
        *out_over = wait_ms(w, examine_due_ms(&w->e));
        if (*out_over)
            return 0;
        if (examine_is_last(&w->e))
            return run_result(w->r, examine_end(&w->e));
        result = examine_glance(&w->e);
    }
    return run_result(w->r, result);
}

static void say_round(struct watch *w, struct cases *c)
{
    struct stats_text t = {.heap = w->r->heap};
    w->status = c->report.exit;
    if (w->r->o->json) {
        report_json(&t, &c->report, w->r->style.lang);
    } else {
        compare(w, c, &t);
        if (w->rounds == 0 && w->n == 0 && !w->r->o->quiet) {
            put_clock(&t);
            stats_put(&t, wr_span_str(WORD(w->r->style.lang, WATCH_WELL)));
        }
    }
    w->rounds++;
    run_say(w->r, &t);
}

static int judge(struct watch *w)
{
    const struct run *r = w->r;
    const struct case_options o = {.limits = &r->o->limits, .whole_host = run_whole_host(r)};
    struct cases c;
    int err = cases_init(&c, r->heap);
    if (!err)
        err = cases_judge(&c, &w->facts, &w->groups, &o);
    if (!err)
        err = cases_report(&c, &w->facts, run_whole_host(r), r->o->fail_on);
    if (!err)
        say_round(w, &c);
    cases_deinit(&c);
    return err ? run_no_memory(r, err) : 0;
}

static int one_round(struct watch *w, bool *out_over)
{
    int status = begin_look(w);
    if (!status)
        status = finish_look(w, out_over);
    if (!status && !*out_over) {
        w->looks++;
        status = judge(w);
    }
    if (status)
        stop_looking(w);
    return status;
}

/* Long pauses lie between examinations, short ones lengthen them. */
static uint64_t plan_next(struct watch *w, uint64_t cost_ns, uint64_t spent_ns)
{
    uint64_t least = w->r->o->wait_ms ? w->r->o->wait_ms : EXAMINE_WAIT_MS;
    uint64_t interval = w->r->o->watch_ms;
    if (interval < cost_ns * SHARE / MS)
        interval = cost_ns * SHARE / MS;
    if (w->looks > 0 && interval <= 2 * least) {
        w->e.what.wait_ms = (uint32_t)(interval > least ? interval : least);
        return 0;
    }
    stop_looking(w);
    return spent_ns / MS < interval ? interval - spent_ns / MS : 0;
}

static int watch(struct watch *w)
{
    bool over = false;
    while (!over) {
        uint64_t begun = wr_os_now_ns(CLOCK_MONOTONIC);
        uint64_t cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID);
        int status = one_round(w, &over);
        if (status && (w->rounds == 0 || status != DOCTOR_NO_TARGET))
            return status;
        cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        if (!over)
            over = wait_ms(w, plan_next(w, cpu, wr_os_now_ns(CLOCK_MONOTONIC) - begun));
    }
    return w->status;
}

static int attend(struct watch *w)
{
    target_groups_init(&w->groups, w->r->heap);
    facts_init(&w->facts, w->r->heap);
    int status = watch(w);
    stop_looking(w);
    return status;
}

int run_watch(const struct run *r)
{
    struct watch w = {.r = r};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)wr_os_sigmask(SIG_BLOCK, &set, NULL);
    w.signals = wr_os_signalfd(&set);
    w.known = wr_heap_array(r->heap, KNOWN_MAX, sizeof *w.known);
    int status = w.signals < 0 || !w.known ? run_no_memory(r, -ENOMEM) : attend(&w);
    wr_heap_free(r->heap, w.known, KNOWN_MAX * sizeof *w.known);
    if (w.signals >= 0)
        (void)wr_os_close(w.signals);
    return status;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --watch: examination after examination until a signal comes; what is new, what stays, what has gone.
 *
 * It costs at most one percent of a processor: the next examination begins no earlier than a hundred times the
 * processor time of the last one after its begin.
 */
#include "weir/doctor/command_private.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/say.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#define KNOWN_MAX 256
#define SHARE     100 /* one part in so many of a processor */
#define MS        1000000ULL

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
    static const char *const words[LANG_COUNT][3] = {
        [LANG_EN] = {"new",       "still there, for ", "gone, lasted "      },
        [LANG_ZH] = {"新出现", "仍存在，已 ",  "已消失，持续 "},
    };
    enum doctor_lang lang = w->r->style.lang;
    put_clock(out);
    stats_put(out, wr_span_str(words[lang][change]));
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

/* As examine(), but a signal ends it: *out_over. */
static int examine_or_stop(struct watch *w, const struct examine *what, struct facts *out,
                           bool *out_over)
{
    struct examination e;
    int result = examine_begin(&e, what, out);
    while (result >= 0) {
        *out_over = wait_ms(w, examine_due_ms(&e));
        if (*out_over)
            break;
        if (examine_is_last(&e)) {
            result = examine_end(&e);
            break;
        }
        result = examine_glance(&e);
    }
    examine_drop(&e);
    return result;
}

static void say_round(struct watch *w, struct cases *c)
{
    static const char *const well[] = {"nothing found; watching\n", "没有发现问题；继续观察\n"};
    struct stats_text t = {.heap = w->r->heap};
    w->status = c->report.exit;
    if (w->r->o->json) {
        report_json(&t, &c->report, w->r->style.lang);
    } else {
        compare(w, c, &t);
        if (w->rounds == 0 && w->n == 0 && !w->r->o->quiet) {
            put_clock(&t);
            stats_put(&t, wr_span_str(well[w->r->style.lang]));
        }
    }
    w->rounds++;
    run_say(w->r, &t);
}

static int one_look(struct watch *w, const struct target_groups *g, bool *out_over)
{
    const struct run *r = w->r;
    const struct case_options o = {.limits = &r->o->limits, .whole_host = run_whole_host(r)};
    uint16_t ports[RUN_PORTS];
    struct facts f;
    struct cases c;
    (void)run_ports(g, ports);
    struct examine what = run_question(r, g, ports);
    facts_init(&f, r->heap);
    int err = cases_init(&c, r->heap);
    int result = err ? err : examine_or_stop(w, &what, &f, out_over);
    int status = *out_over ? 0 : run_result(w->r, result);
    if (!status && !*out_over) {
        err = cases_judge(&c, &f, g, &o);
        if (!err)
            err = cases_report(&c, &f, run_whole_host(r), r->o->fail_on);
        status = err ? run_no_memory(w->r, err) : 0;
        if (!err)
            say_round(w, &c);
    }
    cases_deinit(&c);
    facts_deinit(&f);
    return status;
}

/* A watch has one view of the machine: one network namespace. */
static int one_round(struct watch *w, bool *out_over)
{
    struct target_groups all, g;
    target_groups_init(&all, w->r->heap);
    target_groups_init(&g, w->r->heap);
    int status = run_scout(w->r, &all);
    if (!status && run_scout_one(w->r, &all, w->rounds > 0, &g))
        status = run_no_memory(w->r, -ENOMEM);
    if (!status)
        status = one_look(w, &g, out_over);
    target_groups_deinit(&all);
    target_groups_deinit(&g);
    return status;
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
        uint64_t interval = (uint64_t)w->r->o->watch_ms * MS, spent;
        if (interval < cpu * SHARE)
            interval = cpu * SHARE;
        spent = wr_os_now_ns(CLOCK_MONOTONIC) - begun;
        if (!over)
            over = wait_ms(w, spent < interval ? (interval - spent) / MS : 0);
    }
    return w->status;
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
    int status = w.signals < 0 || !w.known ? run_no_memory(r, -ENOMEM) : watch(&w);
    wr_heap_free(r->heap, w.known, KNOWN_MAX * sizeof *w.known);
    if (w.signals >= 0)
        (void)wr_os_close(w.signals);
    return status;
}

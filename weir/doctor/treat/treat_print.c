/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir treat says: the plan, the result, one JSON object, one line of log.
 *
 *   {"v":1,"rule","way","pid","comm","does","costs","result":"planned|done|no-help|refused|...","why",
 *    "changed":[{"name","fd","values":[{"k","before","after"}],"error"}],"undo","findings":[ids that lead now]}
 *
 * Keys are added, never renamed. "findings" is what the last look found.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/doctor/report/say.h"
#include "weir/stats/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>

#define ROWS 8   /* hands that are shown one by one */
#define FDS  256 /* in an undo */

static void tell(int fd, struct stats_text *t)
{
    (void)(say(fd, wr_span(t->p, t->n)) < 0); /* nobody reads: nothing to be done */
    stats_text_free(t);
}

static struct doctor_style style_of(const struct treat *t)
{
    return (struct doctor_style){.lang = t->o->lang, .width = TREAT_WIDTH};
}

/* "  Does      " and the text, broken below the width. */
static void put_line(struct stats_text *out, const struct treat *t, const char *label,
                     struct wr_span text)
{
    const struct doctor_style style = style_of(t);
    report_label(out, &style, label);
    report_wrap(out, &style, REPORT_BODY, text);
}

static const char *comm_of(const struct treat *t, char out[17])
{
    const struct facts_process *p = facts_process(&t->facts.b, t->pid);
    (void)snprintf(out, 17, "%.16s", p ? p->comm : "");
    return out;
}

static void put_value(struct stats_text *out, enum doctor_lang lang, enum evidence_unit unit,
                      uint64_t v)
{
    if (v == FACTS_UNKNOWN)
        stats_put(out, WR_LIT("?"));
    else if (unit == UNIT_HEX)
        stats_printf(out, "%08" PRIx64, v);
    else
        catalogue_value(out, lang, unit, v);
}

/* {pid} {to} {was} {fds} of an undo; what was before is that of the first hand. */
static void put_fds(struct stats_text *out, const struct treat *t)
{
    bool any = false;
    for (uint32_t i = 0; i < t->hands.n && i < FDS; i++) {
        if (t->hands.v[i].error || t->hands.v[i].fd < 0)
            continue;
        stats_printf(out, "%s%d", any ? "," : "", (int)t->hands.v[i].fd);
        any = true;
    }
}

static void put_undo(struct stats_text *out, const struct treat *t)
{
    struct wr_span rest = wr_span_str(t->treatment->undo);
    while (rest.n) {
        ptrdiff_t open = wr_span_find_char(rest, '{'), close = wr_span_find_char(rest, '}');
        if (open < 0 || close < open) {
            stats_put(out, rest);
            return;
        }
        stats_put(out, wr_span_sub(rest, 0, (size_t)open));
        struct wr_span name = wr_span_sub(rest, (size_t)open + 1, (size_t)(close - open - 1));
        if (wr_span_eq(name, WR_LIT("pid")))
            stats_printf(out, "%u", t->pid);
        else if (wr_span_eq(name, WR_LIT("was")))
            stats_printf(out, "%" PRIu64, t->hands.n ? t->hands.v[0].before[0] : 0);
        else
            put_fds(out, t);
        rest = wr_span_sub(rest, (size_t)close + 1, rest.n);
    }
}

static bool can_undo(const struct treat *t)
{
    return t->treatment->undo[0] && !t->o->undo && t->hands.n <= FDS;
}

static void put_row(struct stats_text *out, const struct treat *t, const struct hand *h,
                    bool both)
{
    const struct treat_kind *k = t->treatment->kind;
    plain_put(out, wr_span_str(h->name));
    if (h->fd >= 0)
        stats_printf(out, " (fd %d)", (int)h->fd);
    const char *comma = " ";
    for (unsigned i = 0; i < 2 && k->label[i][LANG_EN][0]; i++) {
        if (h->before[i] == FACTS_UNKNOWN)
            continue;
        stats_printf(out, "%s %s ", comma, k->label[i][t->o->lang]);
        comma = ",";
        put_value(out, t->o->lang, k->unit[i], h->before[i]);
        if (both) {
            stats_put(out, WR_LIT(" -> "));
            put_value(out, t->o->lang, k->unit[i], h->after[i]);
        }
    }
    if (h->error)
        stats_printf(out, WORD(t->o->lang, T_NOT_CHANGED), wr_err_name(h->error));
    stats_put(out, WR_LIT("\n"));
}

static void put_rows(struct stats_text *out, const struct treat *t, const char *label,
                     bool both)
{
    const struct doctor_style style = style_of(t);
    for (uint32_t i = 0; i < t->hands.n && i < ROWS; i++) {
        if (i == 0)
            report_label(out, &style, label);
        else
            report_spaces(out, REPORT_BODY);
        put_row(out, t, &t->hands.v[i], both);
    }
    if (t->hands.n > ROWS) {
        report_spaces(out, REPORT_BODY);
        stats_printf(out, WORD(t->o->lang, T_MORE), t->hands.n - ROWS);
        stats_put(out, WR_LIT("\n"));
    }
}

static void put_intent(struct stats_text *out, const struct treat *t)
{
    enum doctor_lang lang = t->o->lang;
    struct stats_text sentence = {.heap = t->heap};
    catalogue_fill(&sentence, lang, catalogue_text(t->o->rule, lang)->sentence, &t->finding);
    put_line(out, t, WORD(lang, T_L_FINDING), wr_span(sentence.p, sentence.n));
    put_line(out, t, WORD(lang, T_L_DOES), wr_span_str(t->treatment->does[lang]));
    put_line(out, t, WORD(lang, T_L_COSTS), wr_span_str(t->treatment->costs[lang]));
    stats_text_free(&sentence);
}

void treat_print_plan(const struct treat *t)
{
    struct stats_text out = {.heap = t->heap};
    enum doctor_lang lang = t->o->lang;
    char comm[17];
    stats_printf(&out, "weir treat  %s  pid %u ", rule_get(t->o->rule)->id, t->pid);
    plain_put(&out, wr_span_str(comm_of(t, comm)));
    stats_put(&out, WR_LIT("\n"));
    if (!t->o->undo) {
        put_intent(&out, t);
    } else {
        stats_put(&out, WR_LIT("  "));
        stats_printf(&out, WORD(lang, T_TAKES_BACK), t->treatment->way);
        stats_put(&out, WR_LIT("\n"));
    }
    put_rows(&out, t, WORD(lang, T_L_BEFORE), false);
    if (t->o->dry_run)
        stats_printf(&out, "  %s\n", WORD(lang, T_DRY_RUN));
    tell(1, &out);
}

/* In one line, as the undo: there is a command in it to copy. */
static void put_found(struct stats_text *out, const struct treat *t, const struct finding *f)
{
    const struct doctor_style style = style_of(t);
    enum doctor_lang lang = t->o->lang;
    report_label(out, &style, WORD(lang, T_L_NOW_FINDS));
    stats_printf(out, "%s (`weir doctor --explain %s`)\n", catalogue_text(f->rule, lang)->title,
                 rule_get(f->rule)->id);
}

void treat_print_result(const struct treat *t, bool helped, const struct findings *now)
{
    struct stats_text out = {.heap = t->heap};
    enum doctor_lang lang = t->o->lang;
    put_rows(&out, t, WORD(lang, T_L_AFTER), true);
    if (!t->o->undo && helped)
        put_line(&out, t, WORD(lang, T_L_DONE), wr_span_str(WORD(lang, T_DONE)));
    else if (!t->o->undo)
        put_line(&out, t, WORD(lang, T_L_NO_HELP), wr_span_str(WORD(lang, T_NO_HELP)));
    for (unsigned i = 0; i < now->leading && i < 3; i++)
        if (now->row[now->order[i]].rule != t->o->rule)
            put_found(&out, t, &now->row[now->order[i]]);
    if (can_undo(t)) {
        const struct doctor_style style = style_of(t);
        report_label(&out, &style, WORD(lang, T_L_UNDO));
        put_undo(&out, t); /* whole: it is to be copied */
        stats_put(&out, WR_LIT("\n"));
    }
    tell(1, &out);
}

bool treat_ask(const struct treat *t)
{
    struct stats_text out = {.heap = t->heap};
    char answer[16];
    stats_put(&out, wr_span_str(WORD(t->o->lang, T_ASK)));
    tell(1, &out);
    ssize_t n = wr_os_read(0, answer, sizeof answer);
    return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- JSON ------------------------------------------------------------------------------------------------ */
static const char *word_of(const struct treat *t, enum treat_exit r)
{
    switch (r) {
    case TREAT_DONE:
        return t->o->dry_run ? "planned" : "done";
    case TREAT_NO_HELP:
        return "no-help";
    case TREAT_REFUSED:
        return "refused";
    case TREAT_NO_TARGET:
        return "no-target";
    case TREAT_NO_PRIVILEGE:
        return "no-privilege";
    case TREAT_USAGE:
        break;
    }
    return "usage";
}

static void member(struct stats_text *out, const char *comma, const char *key,
                   const char *value)
{
    stats_printf(out, "%s\"%s\":", comma, key);
    report_json_string(out, wr_span_str(value));
}

static void json_value(struct stats_text *out, const char *comma, const char *key, uint64_t v)
{
    if (v != FACTS_UNKNOWN)
        stats_printf(out, "%s\"%s\":%" PRIu64, comma, key, v);
}

static void json_hand(struct stats_text *out, const struct treat *t, const struct hand *h)
{
    const struct treat_kind *k = t->treatment->kind;
    member(out, "{", "name", h->name);
    if (h->fd >= 0)
        stats_printf(out, ",\"fd\":%d", (int)h->fd);
    stats_put(out, WR_LIT(",\"values\":["));
    for (unsigned i = 0; i < 2 && k->label[i][LANG_EN][0]; i++) {
        member(out, i ? ",{" : "{", "k", k->label[i][LANG_EN]);
        json_value(out, ",", "before", h->before[i]);
        json_value(out, ",", "after", h->after[i]);
        stats_put(out, WR_LIT("}"));
    }
    stats_put(out, WR_LIT("]"));
    if (h->error)
        member(out, ",", "error", wr_err_name(h->error));
    stats_put(out, WR_LIT("}"));
}

void treat_print_json(const struct treat *t, enum treat_exit r, const char *why,
                      const struct findings *now)
{
    struct stats_text out = {.heap = t->heap}, undo = {.heap = t->heap};
    char comm[17];
    stats_put(&out, WR_LIT("{\"v\":1"));
    member(&out, ",", "rule", rule_get(t->o->rule)->id);
    member(&out, ",", "way", t->treatment->way);
    stats_printf(&out, ",\"pid\":%u", t->pid);
    member(&out, ",", "comm", comm_of(t, comm));
    member(&out, ",", "does", t->treatment->does[t->o->lang]);
    member(&out, ",", "costs", t->treatment->costs[t->o->lang]);
    member(&out, ",", "result", word_of(t, r));
    member(&out, ",", "why", why);
    stats_put(&out, WR_LIT(",\"changed\":["));
    for (uint32_t i = 0; i < t->hands.n; i++) {
        stats_printf(&out, "%s", i ? "," : "");
        json_hand(&out, t, &t->hands.v[i]);
    }
    if (can_undo(t) && t->hands.n)
        put_undo(&undo, t);
    stats_put(&out, WR_LIT("],\"undo\":"));
    report_json_string(&out, wr_span(undo.p, undo.n));
    stats_put(&out, WR_LIT(",\"findings\":["));
    for (unsigned i = 0; now && i < now->leading; i++) {
        stats_printf(&out, "%s", i ? "," : "");
        report_json_string(&out, wr_span_str(rule_get(now->row[now->order[i]].rule)->id));
    }
    stats_put(&out, WR_LIT("]}\n"));
    stats_text_free(&undo);
    tell(1, &out);
}

int treat_refuse(const struct treat *t, enum treat_exit r, const char *fmt, ...)
{
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    if (t->o->json) {
        treat_print_json(t, r, why, t->found);
        return r;
    }
    struct stats_text out = {.heap = t->heap};
    stats_printf(&out, "weir treat: %s\n", why);
    tell(2, &out);
    return r;
}

/* ---- the log ----------------------------------------------------------------------------------------------- */
#define DAEMON_NOTICE (3 << 3 | 5)

/* To the system's log, where there is one. */
static void to_system(struct wr_span line)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char datagram[1024];
    int fd = wr_os_socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return;
    int n =
        snprintf(datagram, sizeof datagram, "<%d>weir: %.*s", DAEMON_NOTICE, WR_SPANF(line));
    if (n > 0 && wr_os_connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
        (void)(wr_os_send(fd, datagram,
                          (size_t)n < sizeof datagram ? (size_t)n : sizeof datagram - 1,
                          0) < 0);
    (void)wr_os_close(fd);
}

void treat_log(const struct treat *t, bool helped)
{
    struct stats_text out = {.heap = t->heap};
    char comm[17];
    struct tm tm;
    uint32_t failed = 0;
    const struct treat_kind *k = t->treatment->kind;
    const struct hand *h = &t->hands.v[0];
    for (uint32_t i = 0; i < t->hands.n; i++)
        failed += t->hands.v[i].error != 0;
    wr_os_calendar((int64_t)(wr_os_now_ns(CLOCK_REALTIME) / 1000000000), true, &tm);
    stats_printf(&out,
                 "%04d-%02d-%02dT%02d:%02d:%02dZ notice treat %s rule=%s way=%s uid=%u pid=%u "
                 "comm=\"",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 t->o->undo ? "undone" : "applied", rule_get(t->o->rule)->id, t->treatment->way,
                 wr_os_uid(), t->pid);
    plain_put(&out, wr_span_str(comm_of(t, comm)));
    stats_printf(&out, "\" changed=%u failed=%u what=\"%s\" before=", t->hands.n - failed,
                 failed, k->label[0][LANG_EN]);
    put_value(&out, LANG_EN, k->unit[0], h->before[0]);
    stats_put(&out, WR_LIT(" after="));
    put_value(&out, LANG_EN, k->unit[0], h->after[0]);
    stats_printf(&out, " result=%s", helped ? "done" : "no-help");
    to_system(wr_span(out.p, out.n));
    stats_put(&out, WR_LIT("\n"));
    tell(2, &out);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/catalogue.h"

#include "libweir/base/assert.h"
#include "weir/doctor/report/phrase.h"
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/words.h"
#include "weir/stats/text.h"

#include <inttypes.h>

static const struct rule_text texts[RULE_COUNT][LANG_COUNT] = {
#define X(NAME, lang, title, sentence, why, now, fix, not_it) \
    [RULE_##NAME][LANG_##lang] = {title, sentence, why, now, fix, not_it},
#include "weir/doctor/report/catalogue.def"
#undef X
};

const struct rule_text *catalogue_text(enum rule_name rule, enum doctor_lang lang)
{
    WR_ASSERT(rule < RULE_COUNT && lang < LANG_COUNT);
    return &texts[rule][lang];
}

static void put_ms(struct stats_text *out, enum doctor_lang lang, uint64_t ms)
{
    if (ms < 1000)
        stats_printf(out, WORD(lang, U_MS), ms);
    else if (ms < 120000)
        stats_printf(out, WORD(lang, U_SECONDS), ms / 1000, ms / 100 % 10);
    else if (ms < 7200000)
        stats_printf(out, WORD(lang, U_MINUTES), ms / 60000, ms / 1000 % 60);
    else
        stats_printf(out, WORD(lang, U_HOURS), ms / 3600000, ms / 60000 % 60);
}

static void put_bytes(struct stats_text *out, enum doctor_lang lang, uint64_t n)
{
    if (n < 10240)
        stats_printf(out, WORD(lang, U_BYTES), n);
    else if (n < 10485760)
        stats_printf(out, "%" PRIu64 " KiB", n / 1024);
    else
        stats_printf(out, "%" PRIu64 " MiB", n / 1048576);
}

void catalogue_value(struct stats_text *out, enum doctor_lang lang, enum evidence_unit unit,
                     uint64_t value)
{
    switch (unit) {
    case UNIT_MS:
        put_ms(out, lang, value);
        return;
    case UNIT_BYTES:
        put_bytes(out, lang, value);
        return;
    case UNIT_PERCENT:
        stats_printf(out, "%" PRIu64 " %%", value);
        return;
    case UNIT_HEX:
        stats_printf(out, "0x%" PRIx64, value);
        return;
    case UNIT_COUNT:
    case UNIT_MOVED:
    case UNIT_NUMBER:
    case UNIT_TEXT:
        break;
    }
    stats_printf(out, "%" PRIu64, value);
}

enum {
    FIELD_PID,
    FIELD_TID,
    FIELD_COMM,
    FIELD_LISTENER,
    FIELD_PEER,
    FIELD_EVIDENCE
};

/* A FIELD, or FIELD_EVIDENCE + its number, or -1. */
static int field(struct wr_span name)
{
    static const char *const subject[] = {"pid", "tid", "comm", "listener", "peer"};
    for (int i = 0; i < FIELD_EVIDENCE; i++) {
        if (wr_span_eq(name, wr_span_str(subject[i])))
            return i;
    }
    for (int i = 0; i < EVIDENCE_COUNT; i++) {
        if (wr_span_eq(name, wr_span_str(evidence_row((enum evidence_name)i)->key)))
            return FIELD_EVIDENCE + i;
    }
    return -1;
}

static void put_text(struct stats_text *out, const char *text)
{
    if (*text)
        plain_put(out, wr_span_str(text));
    else
        stats_put(out, WR_LIT("?"));
}

static void put_id(struct stats_text *out, int32_t id)
{
    if (id > 0)
        stats_printf(out, "%d", (int)id);
    else
        stats_put(out, WR_LIT("?"));
}

static void put_evidence(struct stats_text *out, enum doctor_lang lang, const struct finding *f,
                         enum evidence_name name)
{
    const struct evidence *e = finding_evidence(f, name);
    if (!e)
        stats_put(out, WR_LIT("?"));
    else if (evidence_row(name)->unit == UNIT_TEXT)
        phrase_put(out, lang, *e->text ? e->text : "?");
    else
        catalogue_value(out, lang, evidence_row(name)->unit, e->b);
}

static void put_field(struct stats_text *out, enum doctor_lang lang, const struct finding *f,
                      struct wr_span name)
{
    int which = field(name);
    switch (which) {
    case FIELD_PID:
        put_id(out, f->subject.pid);
        return;
    case FIELD_TID:
        put_id(out, f->subject.tid);
        return;
    case FIELD_COMM:
        put_text(out, f->subject.comm);
        return;
    case FIELD_LISTENER:
        put_text(out, f->subject.listener);
        return;
    case FIELD_PEER:
        put_text(out, f->subject.peer);
        return;
    default:
        break;
    }
    if (which >= FIELD_EVIDENCE)
        put_evidence(out, lang, f, (enum evidence_name)(which - FIELD_EVIDENCE));
    else
        stats_printf(out, "{%.*s}", WR_SPANF(name));
}

/* The next {name} from p on; NULL where there is none. *out_end is behind the brace. */
static const char *next_field(const char *p, const char **out_end)
{
    const char *open = strchr(p, '{');
    const char *end = open ? strchr(open, '}') : NULL;
    if (end)
        *out_end = end + 1;
    return end ? open : NULL;
}

void catalogue_fill(struct stats_text *out, enum doctor_lang lang, const char *template,
                    const struct finding *f)
{
    const char *end = NULL;
    for (const char *open; (open = next_field(template, &end)); template = end) {
        stats_put(out, wr_span(template, (size_t)(open - template)));
        put_field(out, lang, f, wr_span(open + 1, (size_t)(end - open) - 2));
    }
    stats_put(out, wr_span_str(template));
}

bool catalogue_known(const char *template)
{
    const char *end = NULL;
    for (const char *open; (open = next_field(template, &end)); template = end) {
        if (field(wr_span(open + 1, (size_t)(end - open) - 2)) < 0)
            return false;
    }
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened to the sockets while a command ran: the counters that moved.
 */
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/doctor/report/words.h"
#include "weir/stats/text.h"

#include <inttypes.h>

struct line {
    enum facts_counter counter;
    const char *text[LANG_COUNT];
};

/* In the order in which a person wants to know. Only those that moved are printed. */
static const struct line lines[] = {
    {FACTS_PASSIVE_OPENS,      WORDS(LOAD_PASSIVE_OPENS)     },
    {FACTS_ACTIVE_OPENS,       WORDS(LOAD_ACTIVE_OPENS)      },
    {FACTS_LISTEN_OVERFLOWS,   WORDS(LOAD_LISTEN_OVERFLOWS)  },
    {FACTS_LISTEN_DROPS,       WORDS(LOAD_LISTEN_DROPS)      },
    {FACTS_ATTEMPT_FAILS,      WORDS(LOAD_ATTEMPT_FAILS)     },
    {FACTS_ESTAB_RESETS,       WORDS(LOAD_ESTAB_RESETS)      },
    {FACTS_RETRANS_SEGS,       WORDS(LOAD_RETRANS_SEGS)      },
    {FACTS_SYN_RETRANS,        WORDS(LOAD_SYN_RETRANS)       },
    {FACTS_TIMEOUTS,           WORDS(LOAD_TIMEOUTS)          },
    {FACTS_TIME_WAIT_MADE,     WORDS(LOAD_TIME_WAIT_MADE)    },
    {FACTS_TIME_WAIT_OVERFLOW, WORDS(LOAD_TIME_WAIT_OVERFLOW)},
    {FACTS_SYNCOOKIES_SENT,    WORDS(LOAD_SYNCOOKIES_SENT)   },
    {FACTS_REQQ_FULL_DROP,     WORDS(LOAD_REQQ_FULL_DROP)    },
    {FACTS_ABORT_ON_DATA,      WORDS(LOAD_ABORT_ON_DATA)     },
    {FACTS_ABORT_ON_TIMEOUT,   WORDS(LOAD_ABORT_ON_TIMEOUT)  },
};

void report_load(struct stats_text *out, const struct doctor_load *l,
                 const struct doctor_style *s)
{
    struct stats_text t = {.heap = out->heap}, head = {.heap = out->heap};
    plain_put(&head, wr_span_str(l->command));
    stats_put(&head, wr_span("", 1));
    stats_printf(&t, WORD(s->lang, LOAD_TOOK), head.p ? head.p : "?", l->ended,
                 l->ran_ms / 1000, l->ran_ms / 100 % 10, l->looks);
    stats_text_free(&head);
    stats_put(out, WR_LIT("\n"));
    report_colour(out, s, "1");
    report_wrap_text(out, s, 2, &t);
    report_colour(out, s, "0");
    unsigned n = 0;
    for (size_t i = 0; i < WR_ARRAY_LEN(lines); i++) {
        uint64_t v = l->rise[lines[i].counter];
        if (v == 0 || v == FACTS_UNKNOWN)
            continue;
        n++;
        stats_printf(out, "  %10" PRIu64 "  ", v);
        report_wrap(out, s, 14, wr_span_str(lines[i].text[s->lang]));
    }
    if (l->worst_backlog > 0) {
        stats_printf(out, "  %10u  ", l->worst_queue);
        stats_printf(&t, WORD(s->lang, LOAD_QUEUE), l->worst_backlog);
        report_wrap_text(out, s, 14, &t);
    }
    if (n == 0)
        stats_printf(out, "  %s%s\n", WORD(s->lang, LOAD_WHILE), WORD(s->lang, LOAD_NOTHING));
}

void report_load_json(struct stats_text *out, const struct doctor_load *l)
{
    bool any = false;
    stats_put(out, WR_LIT(",\"while\":{\"command\":"));
    report_json_string(out, wr_span_str(l->command));
    stats_put(out, WR_LIT(",\"ended\":"));
    report_json_string(out, wr_span_str(l->ended));
    stats_printf(out,
                 ",\"status\":%d,\"ran_ms\":%" PRIu64
                 ",\"looks\":%u,\"longest_queue\":%u,\"backlog\":%u,\"most_connections\":%u",
                 l->status, l->ran_ms, l->looks, l->worst_queue, l->worst_backlog,
                 l->connections);
    stats_put(out, WR_LIT(",\"counters\":{"));
    for (size_t i = 0; i < WR_ARRAY_LEN(lines); i++) {
        uint64_t v = l->rise[lines[i].counter];
        if (v == 0 || v == FACTS_UNKNOWN)
            continue;
        stats_printf(out, "%s\"%s\":%" PRIu64, any ? "," : "",
                     facts_counter_name(lines[i].counter), v);
        any = true;
    }
    stats_put(out, WR_LIT("}}"));
}

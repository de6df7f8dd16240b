/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened to the sockets while a command ran: the counters that moved.
 */
#include "weir/doctor/report/plain.h"
#include "weir/doctor/report/report_text.h"
#include "weir/stats/text.h"

#include <inttypes.h>

struct line {
    enum facts_counter counter;
    const char *text[LANG_COUNT];
};

/* In the order in which a person wants to know. Only those that moved are printed. */
static const struct line lines[] = {
    {FACTS_PASSIVE_OPENS,      {"connections accepted by this host", "本机接受的连接"}              },
    {FACTS_ACTIVE_OPENS,       {"connections opened by this host", "本机发起的连接"}                },
    {FACTS_LISTEN_OVERFLOWS,
     {"handshakes that found an accept queue full", "遇到 accept 队列已满的握手"}                 },
    {FACTS_LISTEN_DROPS,       {"handshakes dropped at a listener", "在监听套接字被丢弃的握手"}},
    {FACTS_ATTEMPT_FAILS,      {"connection attempts that failed", "失败的连接尝试"}                },
    {FACTS_ESTAB_RESETS,       {"connections reset", "被复位的连接"}                                 },
    {FACTS_RETRANS_SEGS,       {"segments sent again", "重传的段"}                                     },
    {FACTS_SYN_RETRANS,        {"SYNs sent again", "重传的 SYN"}                                        },
    {FACTS_TIMEOUTS,           {"retransmission timeouts", "重传超时"}                                 },
    {FACTS_TIME_WAIT_MADE,     {"TIME_WAIT made", "产生的 TIME_WAIT"}                                   },
    {FACTS_TIME_WAIT_OVERFLOW,
     {"TIME_WAIT that found the table full", "遇到 TIME_WAIT 表已满"}                                 },
    {FACTS_SYNCOOKIES_SENT,    {"SYN cookies sent", "发出的 SYN cookie"}                                },
    {FACTS_REQQ_FULL_DROP,     {"SYNs dropped because the queue was full", "因队列满而丢弃的 SYN"} },
    {FACTS_ABORT_ON_DATA,
     {"connections closed by us with data unread", "有数据未读就被本机关闭的连接"}           },
    {FACTS_ABORT_ON_TIMEOUT,
     {"connections given up after retransmissions", "多次重传后放弃的连接"}                      },
};

void report_load(struct stats_text *out, const struct doctor_load *l,
                 const struct doctor_style *s)
{
    static const char *const while_[] = {"while it ran: ", "运行期间："};
    static const char *const took[] = {"%s: %s after %" PRIu64 ".%" PRIu64 " s, %u looks",
                                       "%s:%s，历时 %" PRIu64 ".%" PRIu64 " 秒，%u 次观察"};
    struct stats_text t = {.heap = out->heap}, head = {.heap = out->heap};
    plain_put(&head, wr_span_str(l->command));
    stats_put(&head, wr_span("", 1));
    stats_printf(&t, took[s->lang], head.p ? head.p : "?", l->ended, l->ran_ms / 1000,
                 l->ran_ms / 100 % 10, l->looks);
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
        static const char *const queue[] = {"longest accept queue seen, of %u",
                                            "所见最长的 accept 队列，上限 %u"};
        stats_printf(out, "  %10u  ", l->worst_queue);
        stats_printf(&t, queue[s->lang], l->worst_backlog);
        report_wrap_text(out, s, 14, &t);
    }
    if (n == 0)
        stats_printf(out, "  %s%s\n", while_[s->lang],
                     s->lang == LANG_ZH ? "没有连接计数变化" : "no connection counter moved");
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

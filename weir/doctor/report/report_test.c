/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/report.h"

#include "libweir/base/heap.h"
#include "tests/tap.h"
#include "weir/doctor/report/plain.h"
#include "weir/stats/text.h"

static struct findings f;
static struct stats_text out;

static const char *text(void)
{
    stats_put(&out, wr_span("", 1));
    return out.p ? out.p : "";
}

static void fresh(void)
{
    stats_text_free(&out);
    out = (struct stats_text){.heap = wr_heap_libc()};
}

static struct doctor_case stuck(const char *name)
{
    struct thresholds t;
    thresholds_init(&t);
    findings_init(&f);
    struct finding *x = finding_add(&f, RULE_ET_LISTENER);
    finding_subject(x, 103834, 103834, wr_span_str(name));
    finding_listener(x, WR_LIT("192.168.56.2:11111"));
    finding_of(x, EVIDENCE_ACCEPT_QUEUE, 6, 6, 5);
    finding_value(x, EVIDENCE_UNACCEPTED, 6, 6);
    finding_over(x, &t, THRESHOLD_unaccepted_min);
    finding_value(x, EVIDENCE_OLDEST_MS, 41200, 41200);
    finding_text(x, EVIDENCE_SYSCALL, WR_LIT("epoll_wait"));
    finding_value(x, EVIDENCE_LISTENER_DROPS, 115887, 115926);
    finding_add(&f, RULE_BACKLOG_CLIPPED);
    findings_settle(&f);
    return (struct doctor_case){.name = name,
                                .pid = 103834,
                                .processes = 1,
                                .threads = 3,
                                .listener = ":11111",
                                .span_ms = 2000,
                                .looks = 2,
                                .uid = 1000,
                                .findings = &f};
}

static struct doctor_report report(const struct doctor_case *c)
{
    return (struct doctor_report){
        .cases = c, .n_cases = 1, .span_ms = 2000, .looks = 2, .uid = 1000};
}

static void doctor_tell(struct stats_text *to, const struct doctor_case *c,
                        const struct doctor_style *s)
{
    const struct doctor_report r = report(c);
    report_tell(to, &r, s);
}

static void doctor_json(struct stats_text *to, const struct doctor_case *c,
                        enum doctor_lang lang)
{
    const struct doctor_report r = report(c);
    report_json(to, &r, lang);
}

#define has(s)   ok(strstr(text(), (s)) != NULL, "has: %s", (s))
#define hasnt(s) ok(strstr(text(), (s)) == NULL, "has not: " #s)

static void test_person(void)
{
    struct doctor_case c = stuck("test_multiproc");
    struct doctor_style s = {.lang = LANG_EN, .width = 80};
    fresh();
    doctor_tell(&out, &c, &s);
    has("weir doctor  pid 103834 test_multiproc  :11111\n");
    has("looked 2 times in 2.0 s");
    has("CRITICAL  edge-triggered listener is not drained");
    has("certain\n");
    has("\n  6 clients finished the TCP handshake and nobody will accept them.\n");
    has("accept queue: 6 of 5 at both looks");
    has("115887 -> 115926");
    has("41.2 s");
    has("unaccepted_min 1)");
    hasnt("\033");
    hasnt("backlog is short");
    fresh();
    s.colour = s.verbose = true;
    doctor_tell(&out, &c, &s);
    has("\033[1;31mCRITICAL\033[0m");
    has("also follows from it: backlog is short (backlog-clipped)");
}

static unsigned widest(const char *p)
{
    unsigned best = 0, n = 0;
    struct wr_span s = wr_span_str(p);
    for (size_t at = 0; at < s.n;) {
        int32_t c = plain_next(s, &at);
        n = c == '\n' ? 0 : n + plain_columns(c);
        best = n > best ? n : best;
    }
    return best;
}

static void test_width(void)
{
    struct doctor_case c = stuck("test_multiproc");
    for (unsigned lang = 0; lang < LANG_COUNT; lang++) {
        for (unsigned width = 60; width <= 120; width += 20) {
            struct doctor_style s = {.lang = (enum doctor_lang)lang, .width = width};
            fresh();
            doctor_tell(&out, &c, &s);
            ok(widest(text()) <= width, "language %u, %u columns: widest line has %u", lang,
               width, widest(text()));
        }
    }
    has("边沿触发的监听套接字没有取空");
}

static void test_nothing(void)
{
    struct unreadable no[] = {
        {"/proc/3301/fd", "permission denied", false}
    };
    struct doctor_case c = stuck("quiet");
    findings_init(&f);
    findings_settle(&f);
    c.unreadable = no;
    c.n_unreadable = 1;
    struct doctor_style s = {.lang = LANG_EN, .width = 80};
    fresh();
    doctor_tell(&out, &c, &s);
    has("OK        no finding");
    has("as uid 1000");
    has("  /proc/3301/fd: permission denied\n");
}

static void test_hostile(void)
{
    struct doctor_case c = stuck("a\033[2Jb\n\xe2\x80\xae\"\\\xff");
    struct doctor_style s = {.lang = LANG_EN, .width = 80};
    fresh();
    doctor_tell(&out, &c, &s);
    has("a\\x1b[2Jb\\x0a\\xe2\\x80\\xae\"\\\\\\xff");
    hasnt("\033");
    fresh();
    doctor_json(&out, &c, LANG_EN);
    has("\"name\":\"a\\u001b[2Jb\\u000a\\u202e\\\"\\\\\\ufffd\"");
    hasnt("\033");
}

static void test_json(void)
{
    struct doctor_case c = stuck("srv");
    fresh();
    doctor_json(&out, &c, LANG_ZH);
    has("{\"v\":1,\"looked_at\":[0,2000000000],\"looks\":2,\"exit\":0,\"host\":null");
    has("\"target\":{\"pid\":103834,\"name\":\"srv\"");
    has("{\"target\":0,\"id\":\"et-listener-not-drained\",\"severity\":\"critical\",\"sure\":"
        "\"proof\"");
    has("{\"k\":\"acceptq\",\"a\":6,\"b\":6,\"limit\":5,\"src\":\"inet_diag rqueue\"}");
    has("\"threshold\":{\"name\":\"unaccepted_min\",\"value\":1}");
    has("\"explains\":[\"backlog-clipped\"]");
    has("\"follows\":[{\"target\":0,\"id\":\"backlog-clipped\",\"from\":\"et-listener-not-"
        "drained\"}]");
    has("边沿触发的监听套接字没有取空");
}

static void test_plain(void)
{
    struct wr_span s = WR_LIT("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe4\xb8");
    bool bad = true;
    for (size_t at = 0; at < s.n;)
        bad &= plain_next(s, &at) == -1;
    ok(bad, "overlong, surrogate, too large, cut short: no UTF-8");
    size_t at = 0;
    is_int(plain_next(WR_LIT("\xe4\xb8\xad"), &at), 0x4e2d, "a Chinese character");
    is_int(at, 3, "of three bytes");
    is_int(plain_columns(0x4e2d), 2, "and two columns");
}

int main(void)
{
    test_person();
    test_width();
    test_nothing();
    test_hostile();
    test_json();
    test_plain();
    stats_text_free(&out);
    return tap_done();
}

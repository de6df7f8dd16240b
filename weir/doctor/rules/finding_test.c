/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/finding.h"

#include "tests/tap.h"

static struct findings f;

static void test_suppression(void)
{
    findings_init(&f);
    finding_add(&f, RULE_ACCEPT_OVERFLOW);
    finding_add(&f, RULE_LOOP_BLOCKED);
    finding_add(&f, RULE_LOG_WRITE);
    findings_settle(&f);
    is_int(f.leading, 1, "one cause leads");
    is_int(f.row[f.order[0]].rule, RULE_LOG_WRITE, "it is the first cause");
    is_int(f.row[0].cause, 2, "a consequence of a consequence names the root");
    is_int(f.row[1].cause, 2, "so does the one between");
}

static void test_scopes(void)
{
    findings_init(&f);
    struct finding *cause = finding_add(&f, RULE_PORTS);
    finding_peer(cause, WR_LIT("10.0.0.7:443"));
    finding_peer(finding_add(&f, RULE_CONNECT_PILE_UP), WR_LIT("10.0.0.7:443"));
    finding_peer(finding_add(&f, RULE_CONNECT_PILE_UP), WR_LIT("10.0.0.8:443"));
    findings_settle(&f);
    is_int(f.leading, 2, "a destination explains its own trouble only");
    is_int(f.row[1].cause, 0, "the same destination follows");
    is_int(f.row[2].cause, FINDING_ALONE, "the other one stands");
}

/* Of the connects to four places: which come to that listener? */
static unsigned explained_at(const char *listener)
{
    static const char *const to[] = {"10.0.0.7:80", "127.0.0.1:80", "127.0.0.1:81", "[::1]:80"};
    unsigned n = 0;
    findings_init(&f);
    finding_listener(finding_add(&f, RULE_ACCEPT_OVERFLOW), wr_span_str(listener));
    for (unsigned i = 0; i < 4; i++)
        finding_peer(finding_add(&f, RULE_CONNECT_PILE_UP), wr_span_str(to[i]));
    findings_settle(&f);
    for (unsigned i = 0; i < 4; i++)
        n |= (unsigned)(f.row[1 + i].cause == 0) << i;
    return n;
}

static void test_far_end(void)
{
    is_int(explained_at("10.0.0.7:80"), 1, "connects to a listener that takes none");
    is_int(explained_at("127.0.0.1:81"), 4, "by its address and port");
    is_int(explained_at("0.0.0.0:80"), 2 + 8, "one on every address: what goes to loopback");
    is_int(explained_at("[::]:9"), 0, "another port");
}

static void test_hint(void)
{
    findings_init(&f);
    finding_weaken(finding_add(&f, RULE_LOOP_BLOCKED), CERTAINTY_HINT);
    finding_add(&f, RULE_ACCEPT_OVERFLOW);
    findings_settle(&f);
    is_int(f.leading, 2, "a guess explains nothing away");
    is_int(f.order[0], 1, "what is certain comes first");
}

static void test_order(void)
{
    enum severity worst = SEVERITY_CRIT;
    findings_init(&f);
    ok(!findings_worst(&f, &worst), "nothing found");
    finding_add(&f, RULE_HERD);
    finding_add(&f, RULE_CLOSE_WAIT);
    finding_add(&f, RULE_NO_PROTOCOL)->victims = 7;
    findings_settle(&f);
    is_int(f.row[f.order[0]].rule, RULE_NO_PROTOCOL, "more victims first");
    is_int(f.row[f.order[2]].rule, RULE_HERD, "what only costs comes last");
    ok(findings_worst(&f, &worst), "something found");
    is_int(worst, SEVERITY_WARN, "the worst of them");
}

static void test_bounds(void)
{
    findings_init(&f);
    for (unsigned i = 0; i < FINDINGS_MAX + 3; i++)
        finding_add(&f, RULE_CLOSE_WAIT);
    findings_settle(&f);
    is_int(f.n, FINDINGS_MAX, "as many as fit");
    is_int(f.lost, 3, "the others are counted");
    findings_init(&f);
    struct finding *x = finding_add(&f, RULE_CLOSE_WAIT);
    for (unsigned i = 0; i < EVIDENCE_MAX + 2; i++)
        finding_value(x, EVIDENCE_CLOSE_WAIT, i, i);
    is_int(x->n_evidence, EVIDENCE_MAX, "evidence is bounded");
    char name[200];
    memset(name, 'x', sizeof name);
    finding_subject(x, 1, 0, wr_span(name, sizeof name));
    is_int(strlen(x->subject.comm), sizeof x->subject.comm - 1, "a long name is cut");
}

static bool is_overflow(const struct finding *x)
{
    return x->rule == RULE_ACCEPT_OVERFLOW;
}

static void test_merge(void)
{
    static struct findings more, moved;
    findings_init(&f);
    findings_init(&more);
    findings_init(&moved);
    finding_peer(finding_add(&f, RULE_LOSS), WR_LIT("10.0.0.1:80"));
    finding_add(&f, RULE_ACCEPT_OVERFLOW)->victims = 3;
    finding_peer(finding_add(&more, RULE_LOSS), WR_LIT("10.0.0.2:80"));
    finding_add(&more, RULE_ACCEPT_OVERFLOW)->victims = 9;
    finding_add(&more, RULE_STOPPED);
    findings_merge(&f, &more);
    findings_merge(&f, &more);
    is_int(f.n, 4, "of one rule and subject one stays");
    is_int(f.row[1].victims, 9, "the worse");
    findings_settle(&f);
    is_int(f.row[f.order[0]].rule, RULE_STOPPED, "a cause that came later");
    is_int(f.leading, 3, "explains what was there before");
    findings_move(&f, is_overflow, &moved);
    is_int(f.n, 3, "what is wanted is taken out");
    is_int(f.row[1].rule, RULE_LOSS, "the others close up");
    ok(moved.n == 1 && moved.row[0].victims == 9, "and is whole");
    for (unsigned i = 0; i < FINDINGS_MAX; i++) {
        more.row[i] = (struct finding){.rule = RULE_HERD};
        more.row[i].subject.pid = (int32_t)i + 1;
    }
    more.n = FINDINGS_MAX;
    findings_merge(&f, &more);
    ok(f.n == FINDINGS_MAX && f.lost > 0, "what does not fit is counted");
}

int main(void)
{
    test_suppression();
    test_scopes();
    test_far_end();
    test_hint();
    test_order();
    test_bounds();
    test_merge();
    return tap_done();
}

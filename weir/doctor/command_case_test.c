/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/command_case.h"

#include "tests/tap.h"
#include "weir/doctor/command.h"

#include <errno.h>

static struct facts facts;
static struct target_groups groups;
static struct thresholds limits;

static void process(struct facts_look *l, uint32_t pid, char state, uint32_t unread)
{
    struct facts_process p = {
        .pid = pid, .start = pid, .state = state, .threads = 2, .unread = unread, .uid = 33};
    memcpy(p.comm, "srv", 4);
    if (FACTS_ADD(&l->processes, l->heap, &p))
        abort();
}

static void group(uint32_t lead, uint32_t n, uint16_t port)
{
    struct target_group row = {.first = groups.pids.n, .n = n, .lead = lead, .port = port};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t pid = lead + i;
        if (FACTS_ADD(&groups.pids, groups.heap, &pid))
            abort();
    }
    if (FACTS_ADD(&groups.rows, groups.heap, &row))
        abort();
}

/* Two processes in one group, the second in this state; unread: of the first. */
static void examine_two(char state, uint32_t unread)
{
    facts_init(&facts, wr_heap_libc());
    target_groups_init(&groups, wr_heap_libc());
    thresholds_init(&limits);
    struct facts_look *looks[] = {&facts.a, &facts.b};
    for (int i = 0; i < 2; i++) {
        process(looks[i], 10, 'S', unread);
        process(looks[i], 11, state, 0);
        facts_gap(looks[i], "a file", 0, -EACCES);
        if (facts_seal(looks[i]))
            abort();
    }
    facts.b.looker = 1000;
    group(10, 2, 0);
}

static void drop(void)
{
    facts_deinit(&facts);
    target_groups_deinit(&groups);
}

static int judge(struct cases *c, bool whole_host, enum severity fail_on)
{
    const struct case_options o = {.limits = &limits, .whole_host = whole_host};
    int err = cases_judge(c, &facts, &groups, &o);
    return err ? err : cases_report(c, &facts, whole_host, fail_on);
}

static int verdict(char state, uint32_t unread, bool whole_host, enum severity fail_on)
{
    struct cases c;
    examine_two(state, unread);
    if (cases_init(&c, wr_heap_libc()) || judge(&c, whole_host, fail_on))
        abort();
    int exit = c.report.exit;
    cases_deinit(&c);
    drop();
    return exit;
}

static void test_verdict(void)
{
    is_int(verdict('S', 0, false, SEVERITY_WARN), DOCTOR_WELL, "well");
    is_int(verdict('T', 0, false, SEVERITY_WARN), DOCTOR_CRITICAL, "stopped");
    is_int(verdict('S', FACTS_UNREAD_FDS, false, SEVERITY_WARN), DOCTOR_UNDECIDED,
           "descriptors closed to us");
    is_int(verdict('S', FACTS_UNREAD_SYSCALL, false, SEVERITY_WARN), DOCTOR_WELL,
           "system calls alone are not that much");
    is_int(verdict('T', FACTS_UNREAD_FDS, false, SEVERITY_WARN), DOCTOR_CRITICAL,
           "what is seen counts");
    is_int(verdict('S', FACTS_UNREAD_FDS, true, SEVERITY_WARN), DOCTOR_UNDECIDED,
           "a host of which nothing could be seen");
}

static void test_case(void)
{
    struct cases c, more;
    examine_two('T', FACTS_UNREAD_FDS);
    if (cases_init(&c, wr_heap_libc()) || judge(&c, false, SEVERITY_WARN))
        abort();
    const struct doctor_case *d = c.report.cases;
    is_int(c.report.n_cases, 1, "a group is a case");
    is_str(d->name, "srv", "named by its leader");
    ok(d->pid == 10 && d->processes == 2 && d->threads == 4, "of so many");
    is_int(d->findings->row[0].subject.pid, 11, "the finding is the worker's");
    is_int(d->n_unreadable, 2, "what was closed to us is listed");
    is_str(d->unreadable[0].what, "pid 10 srv (uid 33): descriptors", "whose and what");
    if (cases_init(&more, wr_heap_libc()) || cases_merge(&more, &c) || cases_merge(&more, &c) ||
        cases_report(&more, &facts, false, SEVERITY_WARN))
        abort();
    ok(more.report.n_cases == 1 && more.report.cases[0].findings->n == 1,
       "of two judgements of one group one case stays");
    is_int(more.report.exit, DOCTOR_CRITICAL, "with its verdict");
    cases_deinit(&more);
    cases_deinit(&c);
    drop();
}

static void test_memory(void)
{
    struct wr_heap_counting count;
    wr_heap_counting_init(&count, wr_heap_libc());
    bool good = true;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct wr_heap_failing f;
        struct cases c, more;
        wr_heap_failing_init(&f, &count.heap, nth, 0, 1);
        examine_two('T', FACTS_UNREAD_FDS);
        int err = cases_init(&c, &f.heap);
        if (!err)
            err = judge(&c, true, SEVERITY_WARN);
        if (!err && !(err = cases_init(&more, &f.heap))) {
            err = cases_merge(&more, &c);
            cases_deinit(&more);
        }
        good = good && (err == 0 || err == -ENOMEM);
        cases_deinit(&c);
        drop();
    }
    ok(good, "every refusal of memory is survived or told");
    is_int(count.objects, 0, "nothing is left behind");
}

int main(void)
{
    test_verdict();
    test_case();
    test_memory();
    return tap_done();
}

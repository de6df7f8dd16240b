/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/record.h"

#include "tests/tap.h"
#include "weir/doctor/look/look.h"

#include <errno.h>
#include <unistd.h>

struct paper {
    char *p;
    size_t n;
    bool torn;
};

static int keep(void *arg, struct wr_span piece)
{
    struct paper *k = arg;
    if (k->torn)
        return -ENOSPC;
    k->p = realloc(k->p, k->n + piece.n);
    memcpy(k->p + k->n, piece.p, piece.n);
    k->n += piece.n;
    return 0;
}

static int invent(struct facts *f)
{
    struct facts_process p = {.pid = 7, .state = 'S', .comm = "a b)\n%", .fds = FACTS_UNKNOWN};
    struct facts_thread t = {
        .pid = 7, .tid = 8, .syscall = -1, .arg = {1, UINT64_MAX},
                   .wchan = "x"
    };
    struct facts_socket s = {
        .cookie = UINT64_MAX - 1, .local = {127, 0, 0, 1},
               .tcp = FACTS_NONE
    };
    int err = facts_text_add(&f->a, WR_LIT("/bin/\xff -\x1b[31m"), &p.exe);
    if (!err)
        err = facts_text_add(&f->a, WR_LIT("-"), &p.cgroup);
    if (!err)
        err = FACTS_ADD(&f->a.processes, f->a.heap, &p);
    if (!err)
        err = FACTS_ADD(&f->a.threads, f->a.heap, &t);
    if (!err)
        err = FACTS_ADD(&f->b.sockets, f->b.heap, &s);
    if (!err)
        err = FACTS_ADD(&f->glance[0].threads, f->a.heap, &t);
    f->glances = 1;
    f->b.counter[FACTS_LISTEN_DROPS] = 17;
    f->b.sysctl[FACTS_SYS_PORT_RANGE][0] = 1, f->b.sysctl[FACTS_SYS_PORT_RANGE][1] = 2;
    return err;
}

static void test_back(void)
{
    struct facts f, g;
    struct paper one = {0}, two = {0};
    unsigned line = 0;
    facts_init(&f, wr_heap_libc());
    facts_init(&g, wr_heap_libc());
    ok(invent(&f) == 0 && record_write(&f, keep, &one) == 0, "written");
    is_int(record_read(wr_span(one.p, one.n), &g, &line), 0, "read");
    const struct facts_process *p = facts_process(&g.a, 7);
    ok(p && p->state == 'S' && p->fds == FACTS_UNKNOWN, "the process");
    is_str(p ? p->comm : NULL, "a b)\n%", "its hostile name");
    is_str(p ? facts_text(&g.a, p->exe) : NULL, "/bin/\xff -\x1b[31m", "its hostile path");
    is_str(p ? facts_text(&g.a, p->cgroup) : NULL, "-", "a text that looks like none");
    ok(g.a.threads.n == 1 && memcmp(g.a.threads.v, f.a.threads.v, sizeof *f.a.threads.v) == 0,
       "the thread");
    ok(g.glances == 1 && g.glance[0].threads.n == 1, "the glance");
    const struct facts_socket *s = facts_socket(&g.b, UINT64_MAX - 1);
    ok(s && s->tcp == FACTS_NONE && s->local[0] == 127, "the socket");
    ok(g.b.counter[FACTS_LISTEN_DROPS] == 17 &&
           g.a.counter[FACTS_LISTEN_DROPS] == FACTS_UNKNOWN &&
           g.b.sysctl[FACTS_SYS_PORT_RANGE][1] == 2 &&
           g.b.sysctl[FACTS_SYS_PORT_RANGE][2] == FACTS_UNKNOWN,
       "counters and sysctls");
    bool clean = true;
    for (size_t i = 0; i < one.n; i++)
        clean = clean && (one.p[i] == '\n' || (one.p[i] >= 0x20 && one.p[i] < 0x7f));
    ok(clean, "the file is plain text");
    ok(record_write(&g, keep, &two) == 0 && two.n == one.n && memcmp(one.p, two.p, one.n) == 0,
       "written again, it is the same file");
    two.torn = true;
    is_int(record_write(&g, keep, &two), -ENOSPC, "a disk that is full");
    facts_deinit(&f);
    facts_deinit(&g);
    bool good = true;
    for (size_t n = 0; n + 1 < one.n; n++) {
        facts_init(&g, wr_heap_libc());
        good = good && record_read(wr_span(one.p, n), &g, &line) == -EPROTO;
        facts_deinit(&g);
    }
    ok(good, "cut off anywhere, it is refused");
    free(one.p);
    free(two.p);
}

static void test_real(void)
{
    struct facts f, g;
    struct paper one = {0}, two = {0};
    unsigned line = 0;
    facts_init(&f, wr_heap_libc());
    facts_init(&g, wr_heap_libc());
    look_begin(&f.a);
    ok(look_inet(&f.a, &(struct look_ask){.proto = FACTS_TCP, .states = LOOK_ALL_STATES}) ==
               0 &&
           look_unix(&f.a) == 0 &&
           look_process(&f.a, (uint32_t)getpid(), LOOK_FDS | LOOK_SETS | LOOK_THREADS, NULL) ==
               0,
       "a look at this machine");
    look_net(&f.a, 0);
    look_end(&f.a);
    ok(facts_seal(&f.a) == 0 && record_write(&f, keep, &one) == 0, "written");
    is_int(record_read(wr_span(one.p, one.n), &g, &line), 0, "read");
    ok(record_write(&g, keep, &two) == 0 && one.n == two.n && memcmp(one.p, two.p, one.n) == 0,
       "and it is the same");
    facts_deinit(&f);
    facts_deinit(&g);
    free(one.p);
    free(two.p);
}

static void test_other_versions(void)
{
    static const struct wr_span text = WR_LIT(
        "weir-facts 1\nlook a 1 2 3 4 0 100 4096\n!pipe room colour inode\npipe 9 red 5\n"
        "!planet name\nplanet mars\ncounter SOMETHING_NEW 4\nlook b 1 2 3 4 0 100 4096\nend\n");
    struct facts f;
    unsigned line = 0;
    facts_init(&f, wr_heap_libc());
    is_int(record_read(text, &f, &line), 0, "columns and lines that are not known");
    ok(facts_pipe(&f.a, 5) && facts_pipe(&f.a, 5)->room == 9, "are passed over");
    facts_deinit(&f);
    facts_init(&f, wr_heap_libc());
    ok(record_read(WR_LIT("weir-facts 1\nlook a 1 2 3 4 0 100 4096\npipe 1 2\n"), &f, &line) ==
               -EPROTO &&
           line == 3,
       "a row before its columns: the line's number");
    facts_deinit(&f);
}

int main(void)
{
    test_back();
    test_real();
    test_other_versions();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/target.h"

#include "tests/tap.h"

#include <errno.h>

static struct facts_look look;
static struct target_groups groups;

static void process(uint32_t pid, uint32_t parent, const char *comm, const char *exe,
                    const char *cgroup)
{
    struct facts_process p = {.pid = pid, .parent = parent, .start = pid, .uid = 70};
    memcpy(p.comm, comm, strlen(comm) < 15 ? strlen(comm) : 15);
    if (facts_text_add(&look, wr_span_str(exe), &p.exe) ||
        facts_text_add(&look, wr_span_str(cgroup), &p.cgroup) ||
        FACTS_ADD(&look.processes, wr_heap_libc(), &p))
        abort();
}

static void holds(uint32_t pid, uint64_t inode)
{
    struct facts_fd fd = {
        .pid = pid, .fd = (int)inode, .inode = inode, .kind = FACTS_FD_SOCKET};
    if (FACTS_ADD(&look.fds, wr_heap_libc(), &fd))
        abort();
}

static void listener(uint32_t inode, uint16_t port, uint8_t first_octet)
{
    struct facts_socket s = {
        .cookie = inode,
        .inode = inode,
        .proto = FACTS_TCP,
        .family = AF_INET,
        .state = FACTS_LISTEN,
        .local = {first_octet, 0, 0, first_octet ? 1 : 0},
        .local_port = port,
        .uid = 33,
        .tcp = FACTS_NONE
    };
    if (FACTS_ADD(&look.sockets, wr_heap_libc(), &s))
        abort();
}

/* A host with a master and workers, a reuseport pair, one that talks only, and one that is not ours. */
static void host(void)
{
    facts_look_init(&look, wr_heap_libc());
    target_groups_init(&groups, wr_heap_libc());
    process(1, 0, "init", "/sbin/init", "0::/init.scope");
    process(811, 1, "nginx", "/usr/sbin/nginx", "0::/system.slice/nginx.service");
    process(812, 811, "nginx", "/usr/sbin/nginx (deleted)", "0::/system.slice/nginx.service");
    process(813, 811, "nginx", "/usr/sbin/nginx", "0::/system.slice/nginx.service");
    process(901, 1, "gateway-with-a-long-name", "", "12:pids:/system.slice/gw.service/part");
    process(902, 1, "gateway-with-a-long-name", "", "0::/user.slice");
    process(950, 1, "cron", "/usr/sbin/cron", "0::/system.slice/nginx.service.d");
    process(960, 1, "nginx", "/opt/other/nginx", "0::/");
    listener(80, 8080, 0);
    holds(811, 80), holds(812, 80), holds(813, 80);
    listener(81, 9000, 127), listener(82, 9000, 127);
    holds(901, 81), holds(902, 82);
    listener(83, 5432, 127); /* nobody is seen to hold it */
    listener(84, 7000, 127);
    holds(960, 84);
    if (facts_seal(&look))
        abort();
}

static void finish(void)
{
    facts_look_deinit(&look);
    target_groups_deinit(&groups);
}

static int find(const char *word)
{
    struct target t = {.kind = TARGET_HOST};
    const char *why = "";
    finish();
    host();
    if (*word && target_parse(wr_span_str(word), LANG_EN, &t, &why))
        return -1;
    return target_find(&look, &t, 4711, &groups);
}

static void test_words(void)
{
    static const char *const bad[] = {
        "",     "0",     "99999999999", ":",       ":0",       ":65536",
        "a:80", "unit:", "cgroup:",     "[::1:80", "1.2.3:80", ":80:90"};
    struct target t;
    const char *why;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        why = NULL;
        is_int(target_parse(wr_span_str(bad[i]), LANG_EN, &t, &why), -EINVAL, "refused: \"%s\"",
               bad[i]);
        ok(why && strlen(why) > 20, "and says why");
    }
    is_int(target_parse(WR_LIT("[::1]:443"), LANG_EN, &t, &why), 0, "an address of IPv6");
    is_int(t.addr.kind, WR_ADDR_V6, "is one");
    is_int(t.port, 443, "with its port");
    is_int(target_parse(WR_LIT("*:443"), LANG_EN, &t, &why), 0, "as ss prints it");
    is_int(t.addr.kind, WR_ADDR_NONE, "means any address");
    is_int(target_parse(WR_LIT("java"), LANG_EN, &t, &why), 0, "a name");
    is_int(t.kind, TARGET_NAME, "is a name");
}

static void test_one(void)
{
    is_int(find("811"), 1, "a master by its pid");
    is_int(groups.rows.v[0].n, 3, "brings its workers, also of the program that was replaced");
    is_int(find("812"), 1, "a worker by its pid");
    is_int(groups.rows.v[0].n, 1, "is that worker");
    is_int(find("4000"), 0, "a pid that is not there");
    is_int(find(":8080"), 1, "a port");
    is_int(groups.rows.v[0].lead, 811, "leads to the master");
    is_int(groups.rows.v[0].n, 3, "and its workers");
    is_int(find("10.0.0.1:8080"), 1, "an address, where one listens on all");
    is_int(find("10.0.0.1:9000"), 0, "an address where nobody listens");
    is_int(find("127.0.0.1:9000"), 1, "SO_REUSEPORT members are one");
    is_int(groups.rows.v[0].n, 2, "of two");
    is_int(find(":5432"), 1, "a listener of somebody who cannot be seen");
    is_int(groups.rows.v[0].n, 0, "has no processes");
    is_int(groups.rows.v[0].uid, 33, "but a user");
    is_int(find(":1"), 0, "a port where nobody listens");
}

static void test_several(void)
{
    is_int(find("nginx"), 2, "two programs of one name");
    is_int(groups.rows.v[0].n, 3, "the first with its workers");
    is_int(groups.rows.v[1].lead, 960, "the second alone");
    is_int(find("gateway-with-a-long-name"), 1, "a name longer than the kernel keeps");
    is_int(find("unit:nginx.service"), 1, "a unit");
    is_int(groups.rows.v[0].n, 3, "is all in its cgroup, and nobody of a longer name");
    is_int(find("unit:nginx"), 1, "without its ending");
    is_int(find("cgroup:/system.slice"), 1, "a cgroup");
    is_int(groups.rows.v[0].n, 5, "with those below, in any hierarchy");
    is_int(find(""), 4, "the host: everybody who listens");
    is_int(groups.rows.v[3].lead, 0, "and the hidden one at the end");
    struct target t;
    const char *why;
    if (target_parse(WR_LIT(":8080"), LANG_EN, &t, &why))
        abort();
    is_int(target_find(&look, &t, 4711, &groups), 1, "one that is there already");
    is_int(groups.rows.n, 4, "is not added again");
    finish();
}

static void test_memory(void)
{
    struct wr_heap_counting count;
    wr_heap_counting_init(&count, wr_heap_libc());
    for (uint64_t nth = 1; nth < 8; nth++) {
        struct wr_heap_failing f;
        struct target t = {.kind = TARGET_HOST};
        wr_heap_failing_init(&f, &count.heap, nth, 0, 1);
        host();
        groups.heap = &f.heap;
        int n = target_find(&look, &t, 4711, &groups);
        ok(n == 4 || n == -ENOMEM, "refusal %llu is survived", (unsigned long long)nth);
        target_groups_deinit(&groups);
        facts_look_deinit(&look);
    }
    is_int(count.objects, 0, "nothing is left behind");
}

int main(void)
{
    test_words();
    test_one();
    test_several();
    test_memory();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_KIT_TEST_H
#define DOCTOR_JUDGE_KIT_TEST_H

/*
 * Invented facts for tests of rules: world() begins, PUT and BOTH add rows to one look or to both, judge() seals them
 * and runs all rules; led_by and found look at what came out.
 *
 *     world();
 *     BOTH(threads, .pid = 7, .tid = 7, .syscall = SYS_read, .voluntary = 9, .state = 'S');
 *     judge();
 *
 * 1. The looks are 2 s apart, clocks tick 100 times a second, every process is uid 0's, no counter has risen.
 * 2. One test program, one world at a time.
 */

#include "weir/doctor/rules/judge.h"

#include "tests/tap.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#ifdef SYS_epoll_wait
#define TEST_EPOLL SYS_epoll_wait
#else
#define TEST_EPOLL SYS_epoll_pwait
#endif

static struct facts facts;
static struct findings findings;
static uint32_t targets[8];
static struct judge_target target = {.pids = targets};

static inline struct facts_look *look(int which)
{
    return which ? &facts.b : &facts.a;
}

#define PUT_ROW(which, list, row)                                 \
    do {                                                          \
        if (FACTS_ADD(&look(which)->list, wr_heap_libc(), (row))) \
            abort();                                              \
    } while (0)
#define PUT(which, list, ...)                              \
    do {                                                   \
        __typeof__(*look(0)->list.v) row_ = {__VA_ARGS__}; \
        PUT_ROW(which, list, &row_);                       \
    } while (0)
#define BOTH(list, ...)            \
    do {                           \
        PUT(0, list, __VA_ARGS__); \
        PUT(1, list, __VA_ARGS__); \
    } while (0)

static inline void world(void)
{
    facts_init(&facts, wr_heap_libc());
    target.n_pids = 0;
    facts.a.at_ns = 5000000000;
    facts.b.at_ns = 7000000000;
    facts.a.ticks = facts.b.ticks = 100;
    facts.a.page = facts.b.page = 4096;
    memset(facts.a.counter, 0, sizeof facts.a.counter);
    memset(facts.b.counter, 0, sizeof facts.b.counter);
}

static inline uint32_t text_at(int which, const char *s)
{
    uint32_t at;
    if (facts_text_add(look(which), wr_span_str(s), &at))
        abort();
    return at;
}

static inline void process(uint32_t pid, const char *comm, const char *exe)
{
    for (int w = 0; w < 2; w++) {
        struct facts_process p = {.pid = pid,
                                  .parent = 1,
                                  .start = 1,
                                  .state = 'S',
                                  .fds = 9,
                                  .nofile_soft = 1024,
                                  .exe = text_at(w, exe)};
        memcpy(p.comm, comm, strnlen(comm, 15));
        PUT_ROW(w, processes, &p);
    }
}

static inline struct facts_thread a_thread(uint32_t pid, uint32_t tid, const char *comm,
                                           int call, uint64_t arg)
{
    struct facts_thread t = {.pid = pid,
                             .tid = tid,
                             .start = 1,
                             .state = 'S',
                             .syscall = call,
                             .arg = {arg},
                             .voluntary = 100,
                             .ran_ns = FACTS_UNKNOWN,
                             .waited_ns = FACTS_UNKNOWN};
    memcpy(t.comm, comm, strnlen(comm, 15));
    return t;
}

/* Asleep in one call; woken: how often between the looks. */
static inline void thread(uint32_t pid, uint32_t tid, const char *comm, int call, uint64_t arg,
                          uint64_t woken)
{
    struct facts_thread t = a_thread(pid, tid, comm, call, arg);
    PUT_ROW(0, threads, &t);
    t.voluntary += woken;
    PUT_ROW(1, threads, &t);
}

static inline void fd(uint32_t pid, int number, enum facts_fd_kind kind, uint64_t inode)
{
    BOTH(fds, .pid = pid, .fd = number, .kind = (uint8_t)kind, .inode = inode,
         .flags = FACTS_NONE);
}

static inline void file(uint32_t pid, int number, enum facts_fd_kind kind, const char *path)
{
    for (int w = 0; w < 2; w++)
        PUT(w, fds, .pid = pid, .fd = number, .kind = (uint8_t)kind, .path = text_at(w, path),
            .flags = FACTS_NONE);
}

static inline void watch(uint32_t pid, int epoll, int number, uint64_t inode, uint32_t events)
{
    BOTH(watches, .pid = pid, .epoll = epoll, .fd = number, .inode = inode, .events = events);
}

/* 127.0.0.1:port, inode as cookie; held as descriptor `number` of pid (0: nobody's). */
static inline void listener(uint32_t pid, int number, uint32_t inode, uint16_t port,
                            uint32_t rqueue, uint32_t backlog)
{
    BOTH(sockets, .cookie = inode, .inode = inode, .proto = FACTS_TCP, .family = AF_INET,
         .state = FACTS_LISTEN, .local = {127, 0, 0, 1}, .local_port = port, .rqueue = rqueue,
         .wqueue = backlog, .tcp = FACTS_NONE);
    if (pid)
        fd(pid, number, FACTS_FD_SOCKET, inode);
}

/* n connections in the queue of that port that nobody accepted, the same at both looks. */
static inline void unaccepted(uint64_t cookie, uint16_t port, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        BOTH(sockets, .cookie = cookie + i, .proto = FACTS_TCP, .family = AF_INET,
             .state = FACTS_ESTABLISHED, .local = {127, 0, 0, 1}, .local_port = port,
             .remote = {10, 0, 0, 9}, .remote_port = (uint16_t)(40000 + i), .tcp = FACTS_NONE);
}

struct a_conn {
    uint32_t pid, inode;
    int fd;
    uint16_t local_port, remote_port;
    uint32_t rqueue;
    uint64_t in_bytes; /* since it began, at both looks */
    uint64_t out_bytes;
    uint32_t sent_ms, received_ms; /* ago, at look B */
    uint32_t moved;                /* bytes that came between the looks */
    uint8_t state;                 /* 0: established */
};

static inline void connection(struct a_conn c)
{
    for (int w = 0; w < 2; w++) {
        uint32_t back = w ? 0 : 2000;
        PUT(w, tcps, .known = 200, .bytes_received = c.in_bytes + (w ? c.moved : 0),
            .bytes_sent = c.out_bytes, .bytes_acked = c.out_bytes,
            .last_data_sent_ms = c.sent_ms > back ? c.sent_ms - back : 0,
            .last_data_recv_ms = c.received_ms > back ? c.received_ms - back : 0);
        PUT(w, sockets, .cookie = c.inode, .inode = c.inode, .proto = FACTS_TCP,
            .family = AF_INET, .state = c.state ? c.state : FACTS_ESTABLISHED,
            .local = {127, 0, 0, 1}, .remote = {10, 0, 0, 7}, .local_port = c.local_port,
            .remote_port = c.remote_port, .rqueue = c.rqueue, .tcp = look(w)->tcps.n - 1);
    }
    fd(c.pid, c.fd, FACTS_FD_SOCKET, c.inode);
}

static inline void judge(void)
{
    if (facts_seal(&facts.a) || facts_seal(&facts.b))
        abort();
    if (judge_all(&facts, &target, &findings))
        abort();
    facts_deinit(&facts);
}

/* What leads, or RULE_COUNT. */
static inline enum rule_name leader(void)
{
    return findings.leading ? findings.row[findings.order[0]].rule : RULE_COUNT;
}

/* Never NULL: an empty one where the rule found nothing. */
static inline const struct finding *finding_of_rule(enum rule_name rule)
{
    static const struct finding none = {.rule = RULE_COUNT};
    for (unsigned i = 0; i < findings.n; i++)
        if (findings.row[i].rule == rule)
            return &findings.row[i];
    return &none;
}

static inline void led_by(enum rule_name rule, enum certainty certainty, const char *what)
{
    judge();
    is_str(leader() == RULE_COUNT ? "nothing" : rule_get(leader())->id, rule_get(rule)->id,
           "%s", what);
    const struct finding *f = finding_of_rule(rule);
    is_int(f->rule == rule ? (int)f->certainty : -1, certainty, "%s: certainty", what);
}

static inline void silent(const char *what)
{
    judge();
    is_str(leader() == RULE_COUNT ? "nothing" : rule_get(leader())->id, "nothing", "%s", what);
}

static inline uint64_t value_of(enum rule_name rule, enum evidence_name name)
{
    const struct finding *f = finding_of_rule(rule);
    const struct evidence *e = finding_evidence(f, name);
    return e ? e->b : FACTS_UNKNOWN;
}

static inline const char *text_of(enum rule_name rule, enum evidence_name name)
{
    const struct finding *f = finding_of_rule(rule);
    const struct evidence *e = finding_evidence(f, name);
    return e ? e->text : "(no such line)";
}

#endif

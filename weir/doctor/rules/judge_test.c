/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge.h"

#include "tests/tap.h"

#include <sys/socket.h>
#include <sys/syscall.h>

static struct facts facts;
static struct findings found;
static const struct judge_target everything;

static void fresh(void)
{
    facts_init(&facts, wr_heap_libc());
}

static struct facts_look *look(int which)
{
    return which ? &facts.b : &facts.a;
}

static void socket_at(int which, struct facts_socket s)
{
    s.proto = FACTS_TCP;
    s.family = AF_INET;
    s.local_port = 11111;
    s.tcp = FACTS_NONE;
    if (FACTS_ADD(&look(which)->sockets, wr_heap_libc(), &s))
        abort();
}

static void process_at(int which, struct facts_process p)
{
    p.pid = 7;
    p.start = 1;
    memcpy(p.comm, "patient", 8);
    if (FACTS_ADD(&look(which)->processes, wr_heap_libc(), &p))
        abort();
}

static void judge(void)
{
    if (facts_seal(&facts.a) || facts_seal(&facts.b))
        abort();
    if (judge_all(&facts, &everything, &found))
        abort();
    facts_deinit(&facts);
}

/* What leads, or RULE_COUNT. */
static enum rule_name leader(void)
{
    return found.leading ? found.row[found.order[0]].rule : RULE_COUNT;
}

/* A listener watched by edge, n sockets in its queue; woken: the loop's wake-ups between the looks. */
static void edge_listener(unsigned n, uint64_t woken, uint32_t mask, uint64_t cookie_step)
{
    fresh();
    for (int w = 0; w < 2; w++) {
        process_at(w, (struct facts_process){.state = 'S', .fds = 9, .nofile_soft = 1024});
        socket_at(
            w,
            (struct facts_socket){
                .cookie = 1, .inode = 38174, .state = FACTS_LISTEN, .rqueue = n, .wqueue = 5});
        for (unsigned i = 0; i < n; i++)
            socket_at(w,
                      (struct facts_socket){.cookie = 10 + i + w * cookie_step,
                                            .state = i ? FACTS_CLOSE_WAIT : FACTS_ESTABLISHED});
        struct facts_watch watch = {
            .inode = 38174, .pid = 7, .epoll = 4, .fd = 3, .events = mask};
        struct facts_thread t = {.pid = 7,
                                 .tid = 7,
                                 .start = 1,
                                 .syscall = SYS_epoll_pwait,
                                 .arg = {4},
                                 .voluntary = 100 + w * woken,
                                 .state = 'S'};
        if (FACTS_ADD(&look(w)->watches, wr_heap_libc(), &watch) ||
            FACTS_ADD(&look(w)->threads, wr_heap_libc(), &t))
            abort();
    }
    judge();
}

static void test_edge(void)
{
    edge_listener(6, 0, 0x80000019, 0);
    is_int(leader(), RULE_ET_LISTENER,
           "a queue that stands under a sleeping edge-triggered loop");
    is_int(found.leading, 1, "what follows from it does not lead");
    const struct finding *f = &found.row[found.order[0]];
    is_int(f->certainty, CERTAINTY_PROOF, "is proof");
    is_int(finding_evidence(f, EVIDENCE_UNACCEPTED)->b, 6, "six wait");
    is_int(finding_evidence(f, EVIDENCE_GAVE_UP)->b, 5, "five gave up");
    edge_listener(0, 0, 0x80000019, 0);
    is_int(leader(), RULE_COUNT, "the bit alone means nothing");
    edge_listener(6, 12, 0x80000019, 1000);
    is_int(leader(), RULE_BACKLOG_CLIPPED,
           "a queue that moves under a loop that wakes is load");
    edge_listener(1, 0, 0x00000019, 0);
    is_int(leader(), RULE_COUNT, "level-triggered: not this disease");
}

/* Six stood in the queue; one is gone from it and another came, as one new client wakes the loop. */
static void moving_queue(uint64_t woken)
{
    fresh();
    for (int w = 0; w < 2; w++) {
        process_at(w, (struct facts_process){.state = 'S', .fds = 9, .nofile_soft = 1024});
        socket_at(
            w,
            (struct facts_socket){
                .cookie = 1, .inode = 38174, .state = FACTS_LISTEN, .rqueue = 6, .wqueue = 5});
        for (unsigned i = 0; i < 6; i++)
            socket_at(w,
                      (struct facts_socket){.cookie = 10 + i + w, .state = FACTS_ESTABLISHED});
        struct facts_watch watch = {
            .inode = 38174, .pid = 7, .epoll = 4, .fd = 3, .events = 0x80000019};
        struct facts_thread t = {.pid = 7,
                                 .tid = 7,
                                 .start = 1,
                                 .syscall = SYS_epoll_pwait,
                                 .arg = {4},
                                 .voluntary = 100 + w * woken,
                                 .state = 'S'};
        if (FACTS_ADD(&look(w)->watches, wr_heap_libc(), &watch) ||
            FACTS_ADD(&look(w)->threads, wr_heap_libc(), &t))
            abort();
    }
    judge();
}

static void test_moving(void)
{
    moving_queue(1);
    is_int(leader(), RULE_ET_LISTENER, "one wake-up, one taken, five stay");
    is_int(found.row[found.order[0]].certainty, CERTAINTY_LIKELY, "is likely, no proof");
    moving_queue(40);
    is_int(leader(), RULE_COUNT, "a loop that does other work is at its limit");
}

/* Six came after the first look; the loop sleeps since slept_ms before the second. */
static void young_queue(uint32_t age_ms, uint32_t slept_ms, uint32_t mask)
{
    fresh();
    facts.a.at_ns = 1000000000, facts.b.at_ns = 3000000000;
    struct facts_thread t = {
        .pid = 7, .tid = 7, .start = 1, .syscall = SYS_epoll_pwait, .arg = {4}, .state = 'S'};
    for (int w = 0; w < 2; w++) {
        struct facts_watch watch = {
            .inode = 38174, .pid = 7, .epoll = 4, .fd = 3, .events = mask};
        process_at(w, (struct facts_process){.state = 'S', .fds = 9, .nofile_soft = 1024});
        socket_at(w, (struct facts_socket){.cookie = 1,
                                           .inode = 38174,
                                           .state = FACTS_LISTEN,
                                           .rqueue = w ? 6 : 0,
                                           .wqueue = 5,
                                           .drops = w ? 12 : 0});
        look(w)->counter[FACTS_LISTEN_OVERFLOWS] = 100 + 12 * w;
        t.voluntary = 100 + w;
        if (FACTS_ADD(&look(w)->watches, wr_heap_libc(), &watch) ||
            FACTS_ADD(&look(w)->threads, wr_heap_libc(), &t))
            abort();
    }
    for (unsigned i = 0; i < 6; i++) {
        struct facts_tcp tcp = {.last_data_recv_ms = age_ms};
        socket_at(1, (struct facts_socket){.cookie = 10 + i, .state = FACTS_ESTABLISHED});
        facts.b.sockets.v[facts.b.sockets.n - 1].tcp = facts.b.tcps.n;
        if (FACTS_ADD(&facts.b.tcps, wr_heap_libc(), &tcp))
            abort();
    }
    for (facts.glances = 0; facts.glances < FACTS_GLANCES; facts.glances++) {
        struct facts_glance *g = &facts.glance[facts.glances];
        g->at_ns = facts.a.at_ns + 222000000ULL * (facts.glances + 1);
        t.voluntary = 100 + (facts.b.at_ns - g->at_ns <= slept_ms * 1000000ULL);
        if (FACTS_ADD(&g->threads, wr_heap_libc(), &t))
            abort();
    }
    judge();
}

static void test_young(void)
{
    young_queue(900, 1000, 0x80000019);
    is_int(leader(), RULE_ET_LISTENER, "ignored for as long as the loop slept");
    is_int(found.row[found.order[0]].certainty, CERTAINTY_LIKELY,
           "likely: they were seen once");
    young_queue(100, 1000, 0x80000019);
    is_int(leader(), RULE_ACCEPT_OVERFLOW, "they came just now: the queue overflows");
    is_int(found.row[found.order[0]].certainty, CERTAINTY_HINT, "and why, is a guess");
    is_int(found.row[found.order[1]].rule, RULE_BACKLOG_CLIPPED, "that it is short");
    is_int(found.row[found.order[1]].certainty, CERTAINTY_HINT, "is one too");
    young_queue(900, 100, 0x80000019);
    is_int(leader(), RULE_ACCEPT_OVERFLOW, "the loop was awake a moment ago");
    young_queue(900, 1000, 0x00000019);
    is_int(leader(), RULE_ACCEPT_OVERFLOW, "level-triggered: no such thing");
    is_int(found.row[found.order[0]].certainty, CERTAINTY_PROOF, "and no doubt");
}

static void one_process(struct facts_process a, struct facts_process b)
{
    fresh();
    process_at(0, a);
    process_at(1, b);
    judge();
}

static void test_process(void)
{
    struct facts_process p = {.state = 'T', .fds = 9, .nofile_soft = 1024};
    struct facts_process well = {.state = 'S', .fds = 9, .nofile_soft = 1024};
    one_process(p, p);
    is_int(leader(), RULE_STOPPED, "stopped at both looks");
    one_process(p, well);
    is_int(leader(), RULE_COUNT, "stopped at one look only");
}

static void overflow(uint32_t drops, uint64_t overflows)
{
    fresh();
    for (int w = 0; w < 2; w++) {
        socket_at(w, (struct facts_socket){.cookie = 1,
                                           .inode = 5,
                                           .state = FACTS_LISTEN,
                                           .rqueue = 2,
                                           .wqueue = 5,
                                           .drops = 24 + w * drops});
        look(w)->counter[FACTS_LISTEN_OVERFLOWS] = 100 + w * overflows;
    }
    judge();
}

static void test_overflow(void)
{
    overflow(12, 12);
    is_int(leader(), RULE_ACCEPT_OVERFLOW, "its own drops and the host's overflows rise");
    overflow(0, 12);
    is_int(leader(), RULE_COUNT, "another listener's overflows");
    overflow(12, 0);
    is_int(leader(), RULE_COUNT, "drops without overflows: a flood, not the accept queue");
}

/* n sockets in CLOSE_WAIT that pid 7 keeps, `more` of them new at the second look; the kth has k unread bytes. */
static void close_wait(unsigned n, unsigned more, uint32_t age_ms, bool owned)
{
    fresh();
    for (int w = 0; w < 2; w++) {
        process_at(w, (struct facts_process){.state = 'S', .fds = 9, .nofile_soft = 1024});
        for (unsigned i = 0; i < n + (w ? more : 0); i++) {
            struct facts_tcp tcp = {.last_data_recv_ms = age_ms};
            struct facts_socket s = {.proto = FACTS_TCP,
                                     .family = AF_INET,
                                     .cookie = 50 + i,
                                     .inode = owned ? 900 + i : 0,
                                     .state = FACTS_CLOSE_WAIT,
                                     .rqueue = i % 3,
                                     .local_port = 80,
                                     .tcp = look(w)->tcps.n};
            struct facts_fd fd = {
                .pid = 7, .fd = (int)i + 10, .inode = 900 + i, .kind = FACTS_FD_SOCKET};
            if (FACTS_ADD(&look(w)->tcps, wr_heap_libc(), &tcp) ||
                FACTS_ADD(&look(w)->sockets, wr_heap_libc(), &s) ||
                FACTS_ADD(&look(w)->fds, wr_heap_libc(), &fd))
                abort();
        }
    }
    judge();
}

static void test_close_wait(void)
{
    close_wait(12, 3, 60000, true);
    is_int(leader(), RULE_CLOSE_WAIT, "twelve kept, and more come");
    const struct finding *f = &found.row[found.order[0]];
    is_int(finding_evidence(f, EVIDENCE_EOF_READ)->b, 4, "four read to the end and not closed");
    is_int(finding_evidence(f, EVIDENCE_REQUEST_UNREAD)->b, 4, "four requests never read");
    is_int(f->evidence[0].over, THRESHOLD_close_wait_grow, "the threshold is named");
    close_wait(12, 0, 60000, true);
    is_int(leader(), RULE_COUNT, "twelve that do not grow are normal");
    close_wait(60, 0, 60000, true);
    is_int(leader(), RULE_CLOSE_WAIT, "sixty are not");
    close_wait(60, 3, 10, true);
    is_int(leader(), RULE_COUNT, "young ones are work in flight");
    close_wait(60, 3, 60000, false);
    is_int(leader(), RULE_COUNT, "nobody's are no leak");
}

static void unaccepted(unsigned gone, uint32_t room, bool held)
{
    fresh();
    for (int w = 0; w < 2; w++) {
        struct facts_fd fd = {.pid = 7, .fd = 3, .inode = 5, .kind = FACTS_FD_SOCKET};
        if (held && FACTS_ADD(&look(w)->fds, wr_heap_libc(), &fd))
            abort();
        socket_at(
            w,
            (struct facts_socket){
                .cookie = 1, .inode = 5, .state = FACTS_LISTEN, .rqueue = 3, .wqueue = room});
        for (unsigned i = 0; i < 3; i++)
            socket_at(w, (struct facts_socket){.cookie = 10 + i,
                                               .state = i < gone ? FACTS_CLOSE_WAIT
                                                                 : FACTS_ESTABLISHED});
    }
    judge();
}

static void test_unaccepted(void)
{
    unaccepted(2, 5, true);
    is_int(leader(), RULE_UNACCEPTED, "clients gave up in the queue");
    is_int(finding_evidence(&found.row[0], EVIDENCE_UNACCEPTED)->b, 3, "three stand in it");
    unaccepted(0, 5, false);
    is_int(leader(), RULE_COUNT, "a queue whose clients are still there");
    unaccepted(0, 2, false);
    is_int(leader(), RULE_ACCEPT_OVERFLOW, "but a full one that nobody touches, of whomever");
    const struct finding *f = &found.row[found.order[0]];
    is_int(f->certainty, CERTAINTY_PROOF, "is proof");
    ok(strstr(finding_evidence(f, EVIDENCE_OWNER)->text, "not known"),
       "what is unknown is said");
    unaccepted(0, 2, true);
    ok(leader() != RULE_ACCEPT_OVERFLOW, "where the process is seen, its rules tell more");
}

int main(void)
{
    test_edge();
    test_moving();
    test_young();
    test_process();
    test_overflow();
    test_close_wait();
    test_unaccepted();
    return tap_done();
}

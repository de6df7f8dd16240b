/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_model.h"

#include "tests/tap.h"
#include "weir/doctor/top/top_kit.h"

static struct kit k;

static void make(const char *name)
{
    kit_seal(&k, name);
    kit_model(&k);
}

static const struct top_worker *worker(uint32_t tid)
{
    static const struct top_worker none;
    for (uint32_t i = 0; i < k.model.workers.n; i++)
        if (k.model.workers.v[i].tid == tid)
            return &k.model.workers.v[i];
    return &none;
}

static const struct top_peer *peer(const char *name)
{
    static const struct top_peer none;
    for (uint32_t i = 0; i < k.model.peers.n; i++)
        if (strcmp(k.model.peers.v[i].name, name) == 0)
            return &k.model.peers.v[i];
    return &none;
}

static void test_ages(void)
{
    const struct top_model *m = &k.model;
    is_int(m->unaccepted.n, 1, "one waits for accept");
    is_int(m->unaccepted.ms, 41200, "since its handshake");
    is_str(m->unaccepted.who, "10.0.0.1:8080", "at this listener");
    is_int(m->unread.n, 1, "one was not read");
    is_int(m->unread.ms, 3100, "since it came");
    is_int(m->owed.n, 1, "one answer is owed");
    is_int(m->owed.ms, 210, "since the request came");
    is_str(m->owed.who, "10.0.0.21:5001", "to this client");
    is_int(m->upstream.n, 1, "the upstream owes one");
    is_int(m->upstream.ms, 180, "since we asked");
    is_int(m->blocked.n, 1, "one thread is blocked");
    is_int(m->blocked.ms, 2000, "as long as we have watched");
    is_str(m->blocked.who, "813 write pipe of logger 900 (full)", "in this");
}

static void test_head(void)
{
    const struct top_model *m = &k.model;
    is_str(m->name, "nginx", "name");
    is_str(m->listen, ":8080", "where it listens");
    is_int(m->processes, 3, "the logger is not shown");
    is_int(m->up_ms, 6000, "age of the process");
    is_int(m->in_per_s, 412, "opened to us");
    is_int(m->out_per_s, 10, "opened by us");
    is_int(m->queue.waiting, 131, "queue");
    is_int(m->queue.backlog, 511, "backlog");
    is_int(m->drops, 2, "drops between the looks");
    is_int(m->overflows, 0, "no overflow");
    is_int(m->state[FACTS_ESTABLISHED], 4, "established");
    is_int(m->state[FACTS_TIME_WAIT], 3, "TIME_WAIT towards our upstream");
    is_int(m->open, 3, "connections with an owner");
    is_str(m->ports.to, "10.0.0.7:443", "most ports go there");
    is_int(m->ports.used, 4, "so many");
    is_int(m->ports.range, 28232, "of these");
    is_int(m->fds, 12, "the process nearest to its limit");
    is_int(m->fds_limit, 1024, "its limit");
    is_int(m->rss, 3 * 2560 * 4096, "memory of all");
    ok(!m->slope_known, "no slope from one look");
    is_int(m->throttled, 125, "a quarter of a second of two, by quota");
}

static void test_rows(void)
{
    is_int(k.model.workers.n, 3, "threads of the target only");
    is_int(worker(812)->cpu, 310, "processor time in permille");
    is_int(worker(812)->wakes, 820, "wake-ups per second");
    is_int(worker(812)->waited, 10, "waited to run");
    is_int(worker(812)->conns, 2, "its connections");
    is_int(worker(812)->queue, 131, "the queue it should empty");
    is_str(worker(812)->doing, "epoll_pwait", "its call");
    is_int(worker(812)->wait, TOP_WAIT_IDLE, "that is idle");
    is_int(worker(813)->wait, TOP_WAIT_BLOCKED, "a full pipe blocks");
    is_str(worker(813)->doing, "write pipe of logger 900 (full)", "and is named");
    is_int(peer("10.0.0.7:443")->conns, 1, "upstream by port");
    is_int(peer("10.0.0.7:443")->time_wait, 3, "with its TIME_WAIT");
    is_int(peer("10.0.0.7:443")->owed, 1, "owes one");
    is_int(peer("10.0.0.7:443")->resent, 10, "bytes sent again, permille");
    is_int(peer("10.0.0.21")->owed, 1, "a client by address");
    is_int(peer("10.0.0.21")->port_share == FACTS_UNKNOWN, 1, "takes none of our ports");
    is_int(k.model.lists.n, 1, "one listener");
    is_str(k.model.lists.v[0].owner, "811 nginx", "held by");
    is_int(k.model.lists.v[0].owners, 3, "three times");
    is_int(k.model.lists.v[0].oldest_ms, 41200, "with its oldest");
    is_int(k.model.families.n, 3, "families are of one process");
    is_int(k.model.counters.n, 2, "counters that moved, amounts are none");
}

static void test_past(void)
{
    kit_later(&k, 2000);
    make("nginx");
    is_int(k.model.blocked.ms, 4000, "a thread that stands grows old");
    is_int(k.model.queue.peak, 131, "peak");
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    kit_look(&k, w)->threads.v[2].voluntary = (uint64_t)w;
    make("nginx");
    is_int(k.model.blocked.n, 0, "one that woke is young again");
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    {
        kit_look(&k, w)->threads.v[2].voluntary = 1;
        kit_look(&k, w)->sockets.v[0].rqueue = 3;
        kit_look(&k, w)->processes.v[0].rss_pages += 1536;
    }
    make("nginx");
    is_int(k.model.blocked.ms, 2000, "and counts from there");
    is_int(k.model.queue.waiting, 3, "the queue is shorter");
    is_int(k.model.queue.peak, 131, "its peak is remembered");
    kit_later(&k, 54000);
    KIT_LOOKS(w)
    kit_look(&k, w)->processes.v[0].rss_pages += 1536;
    make("nginx");
    ok(k.model.slope_known, "a minute makes a slope");
    is_int(k.model.rss_per_min, 1536 * 4096, "bytes in a minute");
}

static void test_changes(void)
{
    struct finding *f = finding_add(&k.found, RULE_LOG_WRITE);
    finding_subject(f, 813, 813, WR_LIT("nginx"));
    findings_settle(&k.found);
    kit_model(&k);
    is_int(k.model.changes.n, 1, "a finding came");
    ok(!k.model.changes.v[0].gone, "and is there");
    kit_later(&k, 2000);
    make("nginx");
    is_int(k.model.changes.n, 1, "the same again is the same");
    is_int(k.model.changes.v[0].seen_ms - k.model.changes.v[0].came_ms, 2000, "it lasts");
    findings_init(&k.found);
    findings_settle(&k.found);
    kit_later(&k, 2000);
    make("nginx");
    ok(k.model.changes.v[0].gone, "it went");
    for (int i = 0; i < TOP_CHANGES_MAX + 10; i++) {
        findings_init(&k.found);
        finding_subject(finding_add(&k.found, RULE_CLOSE_WAIT), i + 1, 0, WR_LIT("x"));
        findings_settle(&k.found);
        kit_later(&k, 2000);
        make("nginx");
    }
    is_int(k.model.changes.n, TOP_CHANGES_MAX, "history has an end");
    is_int(k.model.changes.v[0].subject.pid, TOP_CHANGES_MAX + 10, "the newest comes first");
    findings_init(&k.found);
    findings_settle(&k.found);
}

/* What sleeps is idle, unless a finding says that somebody waits for it. */
static void test_accused(void)
{
    kit_later(&k, 2000);
    make("nginx");
    is_int(worker(811)->wait, TOP_WAIT_IDLE, "a master waits for signals");
    finding_subject(finding_add(&k.found, RULE_LOOP_BLOCKED), 811, 811, WR_LIT("nginx"));
    findings_settle(&k.found);
    kit_later(&k, 2000);
    make("nginx");
    is_int(worker(811)->wait, TOP_WAIT_BLOCKED, "a finding names it: blocked");
    findings_init(&k.found);
    findings_settle(&k.found);
}

static void test_pulse(void)
{
    struct facts_look l;
    facts_look_init(&l, wr_heap_libc());
    struct facts_socket s = {.cookie = 1,
                             .inode = 100,
                             .proto = FACTS_TCP,
                             .state = FACTS_LISTEN,
                             .local_port = 8080,
                             .rqueue = 500,
                             .wqueue = 511,
                             .tcp = FACTS_NONE};
    if (FACTS_ADD(&l.sockets, wr_heap_libc(), &s) || facts_seal(&l))
        abort();
    top_model_pulse(&k.model, &l, &k.past);
    is_int(k.model.queue.waiting, 500, "a pulse moves the queue");
    is_int(k.model.queue.peak, 500, "and its peak");
    facts_look_deinit(&l);
}

static void test_host(void)
{
    top_past_free(&k.past);
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    {
        kit_socket(&k, w,
                   (struct facts_socket){.cookie = 50,
                                         .inode = 500,
                                         .state = FACTS_LISTEN,
                                         .local_port = 22,
                                         .wqueue = 128},
                   0, false);
        kit_process(&k, w, 500, 1, "sshd");
        KIT_ADD(&k, w, fds, {.pid = 500, .fd = 3, .inode = 500, .kind = FACTS_FD_SOCKET});
    }
    make(NULL);
    is_int(k.model.programs.n, 2, "two programs listen");
    ok(k.model.host, "it is a host");
    const struct top_program *p = &k.model.programs.v[0];
    is_str(p->name, "sshd", "in the order of their pids");
    p = &k.model.programs.v[1];
    is_str(p->listen, ":8080", "the other");
    is_int(p->processes, 3, "a master and its workers are one");
    is_int(p->unaccepted.ms, 41200, "with its oldest");
    is_int(p->worst_ms, 41200, "that is its worst");
    is_int(p->conns, 3, "and its connections");
}

static void doing(struct facts_thread t, const char *what, enum top_wait wait)
{
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    {
        t.pid = 812;
        t.tid = 3000;
        kit_thread(&k, w, t, "t");
        KIT_ADD(&k, w, fds,
                {.pid = 812,
                 .fd = 20,
                 .kind = FACTS_FD_FILE,
                 .path = kit_text(&k, w, "/var/log/x")});
        KIT_ADD(&k, w, futexes,
                {.pid = 812, .tid = 3000, .addr = 64, .owner = t.arg[1] ? 7 : 0});
    }
    make("nginx");
    is_str(worker(3000)->doing, what, "it does: %s", what);
    is_int(worker(3000)->wait, wait, "which is");
}

static void test_doing(void)
{
    doing((struct facts_thread){.syscall = SYS_recvfrom, .arg = {11}}, "recvfrom 10.0.0.7:443",
          TOP_WAIT_BLOCKED);
    doing((struct facts_thread){.syscall = SYS_recvfrom, .arg = {10}},
          "recvfrom 10.0.0.21:5001", TOP_WAIT_IDLE);
    doing((struct facts_thread){.syscall = SYS_accept4, .arg = {3}}, "accept4 10.0.0.1:8080",
          TOP_WAIT_IDLE);
    doing((struct facts_thread){.syscall = SYS_fsync, .arg = {20}}, "fsync /var/log/x",
          TOP_WAIT_BLOCKED);
    doing((struct facts_thread){.syscall = SYS_futex}, "futex", TOP_WAIT_PARKED);
    doing(
        (struct facts_thread){
            .syscall = SYS_futex, .arg = {0, 1}
    },
        "futex", TOP_WAIT_BLOCKED);
    doing((struct facts_thread){.syscall = FACTS_SYSCALL_RUNNING, .state = 'R'}, "running",
          TOP_WAIT_RUNNING);
    doing((struct facts_thread){.syscall = FACTS_SYSCALL_UNKNOWN, .wchan = "ep_poll"},
          "in ep_poll", TOP_WAIT_UNKNOWN);
    doing((struct facts_thread){.syscall = SYS_read, .state = 'T'}, "stopped",
          TOP_WAIT_BLOCKED);
    doing((struct facts_thread){.syscall = 9999}, "system call 9999", TOP_WAIT_UNKNOWN);
}

/* Somebody else's listener: its queue is everybody's to see, its processes are not. */
static void test_hidden(void)
{
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    kit_socket(&k, w,
               (struct facts_socket){.cookie = 60,
                                     .inode = 600,
                                     .uid = 70,
                                     .state = FACTS_LISTEN,
                                     .local_port = 5432,
                                     .rqueue = 600,
                                     .wqueue = 600},
               0, false);
    make(NULL);
    is_int(k.model.programs.n, 2, "it is not left out");
    const struct top_program *p = &k.model.programs.v[1];
    is_str(p->name, "uid 70", "by its user");
    is_str(p->listen, ":5432", "where it listens");
    is_int(p->queue, 600, "with its queue");
    is_int(p->conns == FACTS_UNKNOWN, 1, "its connections are not known");
    is_int(k.model.queue.waiting, 600, "the fullest queue of all");
    is_int(k.past.peaks.n, 2, "two peaks are remembered");
    kit_later(&k, 2000);
    make(NULL);
    is_int(k.past.peaks.n, 1, "that of a listener that has gone is not");
}

/* Every refusal of memory ends in an error, never in a crash. */
static void test_memory(void)
{
    int failed = 0;
    kit_later(&k, 2000);
    kit_seal(&k, "nginx");
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct wr_heap_failing heap;
        wr_heap_failing_init(&heap, wr_heap_libc(), nth, 0, 1);
        struct top_model m;
        struct top_past past;
        top_model_init(&m, &heap.heap);
        top_past_init(&past, &heap.heap);
        struct top_input in = {.facts = &k.facts, .groups = &k.groups, .findings = &k.found};
        int err = top_model_make(&m, &in, &past);
        failed += err != 0;
        top_model_free(&m);
        top_past_free(&past);
        if (heap.fault.refused == 0)
            break;
    }
    ok(failed > 5, "refusals of memory were errors: %d", failed);
}

int main(void)
{
    kit_init(&k);
    make("nginx");
    test_ages();
    test_head();
    test_rows();
    test_past();
    test_changes();
    test_accused();
    test_pulse();
    test_doing();
    test_host();
    test_hidden();
    test_memory();
    kit_free(&k);
    return tap_done();
}

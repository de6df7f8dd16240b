/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_thread.h"

#include "weir/doctor/rules/judge_kit_test.h"

enum {
    EPOLL = 4,
    LISTENER = 3,
    UPSTREAM = 7
};

/* A server of one thread: listener 3 (inode 100, port 80) and epoll set 4. */
static void server(int call, uint64_t arg, uint64_t woken)
{
    world();
    process(7, "patient", "/usr/bin/patient");
    listener(7, LISTENER, 100, 80, 0, 128);
    fd(7, EPOLL, FACTS_FD_EPOLL, 0);
    watch(7, EPOLL, LISTENER, 100, 0x19);
    thread(7, 7, "patient", call, arg, woken);
    connection((struct a_conn){.pid = 7,
                               .inode = 300,
                               .fd = UPSTREAM,
                               .local_port = 41000,
                               .remote_port = 9105,
                               .out_bytes = 77,
                               .sent_ms = 9000,
                               .received_ms = 9500});
}

static void client(uint32_t inode, uint32_t unread)
{
    connection((struct a_conn){.pid = 7,
                               .inode = inode,
                               .fd = (int)inode,
                               .local_port = 80,
                               .remote_port = 5000,
                               .rqueue = unread,
                               .in_bytes = 77,
                               .received_ms = 8000,
                               .sent_ms = 9000});
}

static void test_loop_of_one(void)
{
    server(SYS_recvfrom, UPSTREAM, 0);
    client(400, 77);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_PROOF, "the only thread sleeps in recvfrom");
    is_int(findings.leading, 1, "and nothing else leads");
    is_str(text_of(RULE_LOOP_BLOCKED, EVIDENCE_SYSCALL), "recvfrom", "its call is named");
    is_str(text_of(RULE_LOOP_BLOCKED, EVIDENCE_BLOCKED_ON), "tcp 10.0.0.7:9105",
           "and whom it waits for");
    is_int(value_of(RULE_LOOP_BLOCKED, EVIDENCE_ASLEEP_MS), 2000, "and for how long at least");
    is_int(value_of(RULE_LOOP_BLOCKED, EVIDENCE_UNREAD), 1, "one request is not read");

    server(SYS_recvfrom, UPSTREAM, 1);
    client(400, 77);
    silent("one that woke in between works");
    server(TEST_EPOLL, EPOLL, 0);
    client(400, 77);
    silent("one that waits for events waits by duty");
    server(SYS_recvfrom, UPSTREAM, 0);
    client(400, 0);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_PROOF, "the queue is empty, but an answer is owed");
    is_int(value_of(RULE_LOOP_BLOCKED, EVIDENCE_OWED), 1, "one");
}

static void test_loop_quiet(void)
{
    server(SYS_recvfrom, UPSTREAM, 0);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_LIKELY, "nobody has come yet");
    is_int(finding_of_rule(RULE_LOOP_BLOCKED)->severity, SEVERITY_WARN, "that is a warning");

    server(SYS_wait4, 0, 0);
    silent("a parent that waits for its child, with nobody who suffers");
    server(SYS_rt_sigsuspend, 0, 0);
    client(400, 77);
    silent("a master waits for signals");

    server(SYS_recvfrom, UPSTREAM, 0);
    process(8, "patient", "/usr/bin/patient");
    fd(8, LISTENER, FACTS_FD_SOCKET, 100);
    watch(8, EPOLL, LISTENER, 100, 0x19);
    thread(8, 8, "patient", TEST_EPOLL, EPOLL, 5);
    silent("a child with its parent's set, while the parent serves");
    server(SYS_recvfrom, UPSTREAM, 0);
    process(8, "patient", "/usr/bin/patient");
    fd(8, LISTENER, FACTS_FD_SOCKET, 100);
    watch(8, EPOLL, LISTENER, 100, 0x19);
    thread(8, 8, "patient", FACTS_SYSCALL_RUNNING, 0, 5);
    silent("also while the parent has so much to do that it is never seen to wait");
}

static void test_loop_unknown(void)
{
    server(FACTS_SYSCALL_UNKNOWN, 0, 0);
    client(400, 77);
    silent("a call that could not be read");
    world();
    process(7, "patient", "/usr/bin/patient");
    listener(7, LISTENER, 100, 80, 0, 128);
    watch(7, EPOLL, LISTENER, 100, 0x19);
    struct facts_thread t = a_thread(7, 7, "patient", SYS_recvfrom, UPSTREAM);
    t.voluntary = FACTS_UNKNOWN;
    PUT_ROW(0, threads, &t);
    PUT_ROW(1, threads, &t);
    client(400, 77);
    silent("wake-ups that could not be counted");
}

static void test_loop_without_epoll(void)
{
    server(SYS_poll, 0x7000, 0);
    client(400, 77);
    facts.a.threads.v[0].arg[1] = facts.b.threads.v[0].arg[1] = 1;
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_PROOF, "poll() that is not about the set");
    is_str(text_of(RULE_LOOP_BLOCKED, EVIDENCE_BLOCKED_ON), "events of 1 of its descriptors",
           "how many it asks for");
    server(SYS_poll, 0x7000, 0);
    client(400, 0);
    silent("a proxy that polls the set itself waits for its upstream");

    world(); /* http.server: one thread, no set, reads from a client that sends nothing */
    process(7, "python3", "/usr/bin/python3");
    listener(7, LISTENER, 100, 80, 3, 5);
    thread(7, 7, "python3", SYS_recvfrom, 400, 0);
    connection((struct a_conn){
        .pid = 7, .inode = 400, .fd = 400, .local_port = 80, .remote_port = 5000});
    unaccepted(900, 80, 3);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_PROOF,
           "a server of one thread reads from a mute client");
    is_int(value_of(RULE_LOOP_BLOCKED, EVIDENCE_UNACCEPTED), 3, "and three wait");
}

/* A server with a loop thread and a helper. */
static void two_threads(int call, const char *name, int helper_call)
{
    server(call, UPSTREAM, 0);
    thread(7, 8, name, helper_call, 0, 0);
    client(400, 77);
    watch(7, EPOLL, 400, 400, 0x2019);
}

/* Two workers that share a listener and both read from mute clients; or the second one is awake. */
static void two_workers(uint64_t woken)
{
    world();
    listener(7, LISTENER, 100, 80, 3, 64);
    for (uint32_t i = 0; i < 2; i++) {
        process(7 + i, "worker", "/usr/bin/patient");
        thread(7 + i, 7 + i, "worker", SYS_recvfrom, 400, i ? woken : 0);
        connection((struct a_conn){.pid = 7 + i,
                                   .inode = 400 + i,
                                   .fd = 400,
                                   .local_port = 80,
                                   .remote_port = (uint16_t)(5000 + i)});
    }
    fd(8, LISTENER, FACTS_FD_SOCKET, 100);
    unaccepted(900, 80, 3);
}

static void test_workers(void)
{
    two_workers(0);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_PROOF, "all workers read from mute clients");
    is_int(findings.leading, 1, "it is said once");
    two_workers(5);
    silent("one of them is awake: it is slow, not blocked");
    two_workers(0);
    process(6, "master", "/usr/bin/patient");
    fd(6, LISTENER, FACTS_FD_SOCKET, 100);
    thread(6, 6, "master", SYS_pselect6, 0, 2);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_PROOF,
           "a master that looks after them does not accept");
}

static void test_loop_of_many(void)
{
    two_threads(SYS_recvfrom, "helper", SYS_futex);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_LIKELY, "of several threads: likely");
    is_int(finding_of_rule(RULE_LOOP_BLOCKED)->subject.tid, 7, "the one that reads");
    two_threads(SYS_futex, "helper", SYS_futex);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_LIKELY, "a main thread at a lock");
    server(SYS_recvfrom, UPSTREAM, 0);
    thread(7, 8, "helper", TEST_EPOLL, EPOLL, 5);
    client(400, 77);
    silent("somebody waits on the set");
    two_threads(SYS_futex, "patient", SYS_futex);
    thread(7, 9, "patient", TEST_EPOLL, 19, 0);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_LIKELY, "a sibling of a loop, at a lock");
    two_threads(SYS_futex, "patient", SYS_futex);
    thread(7, 9, "patient", TEST_EPOLL, 19, 0);
    thread(7, 10, "patient", FACTS_SYSCALL_RUNNING, 0, 0);
    silent("a thread that runs may be the loop, under full load");
    server(TEST_EPOLL, 19, 0); /* node's execSync() */
    thread(7, 8, "patient", SYS_futex, 0, 0);
    client(400, 77);
    watch(7, EPOLL, 400, 400, 0x19);
    fd(7, 21, FACTS_FD_PIPE, 800);
    watch(7, 19, 21, 800, 0x19);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_LIKELY, "a loop inside the loop");
    is_int(finding_of_rule(RULE_LOOP_BLOCKED)->subject.tid, 7, "the main thread is in it");
    server(SYS_recvfrom, UPSTREAM, 0);
    thread(7, 8, "helper", SYS_futex, 0, 0);
    silent("nobody suffers: several threads prove nothing");
}

/* ---- writes ------------------------------------------------------------------------------------------ */
static void ipc(uint32_t wmem, uint64_t woken)
{
    server(SYS_sendto, 9, woken);
    fd(7, 9, FACTS_FD_SOCKET, 500);
    process(8, "child", "/usr/bin/patient");
    fd(8, 9, FACTS_FD_SOCKET, 500);
    fd(7, 10, FACTS_FD_SOCKET, 501);
    fd(8, 10, FACTS_FD_SOCKET, 501);
    thread(8, 8, "child", TEST_EPOLL, 5, 0);
    BOTH(unixes, .cookie = 500, .inode = 500, .peer = 501, .type = SOCK_STREAM, .wmem = wmem,
         .sndbuf = 212992);
    BOTH(unixes, .cookie = 501, .inode = 501, .peer = 500, .type = SOCK_STREAM, .rqueue = 277,
         .wmem = 0, .sndbuf = 212992);
    client(400, 77);
}

static void test_ipc(void)
{
    ipc(212736, 0);
    led_by(RULE_IPC_FULL, CERTAINTY_PROOF, "a full socket pair");
    is_int(findings.leading, 1, "it explains the blocked loop");
    is_str(text_of(RULE_IPC_FULL, EVIDENCE_READER), "pid 8 child (asleep)", "who should read");
    is_int(value_of(RULE_IPC_FULL, EVIDENCE_SEND_MEMORY), 212736, "its memory");
    const struct evidence *e =
        finding_evidence(finding_of_rule(RULE_IPC_FULL), EVIDENCE_SEND_MEMORY);
    is_int(e ? e->over : THRESHOLD_NONE, THRESHOLD_send_full_percent, "crossed its threshold");
    ipc(212736, 1);
    silent("a writer that gets on");
}

static void log_pipe(char reader_state, int number)
{
    server(SYS_write, (uint64_t)number, 0);
    fd(7, number, FACTS_FD_PIPE, 600);
    for (int w = 0; w < 2; w++)
        PUT(w, processes, .pid = 9, .parent = 1, .start = 1, .state = reader_state,
            .comm = "logd", .fds = 4, .nofile_soft = 1024, .exe = text_at(w, "/usr/bin/logd"));
    fd(9, 0, FACTS_FD_PIPE, 600);
    thread(9, 9, "logd", SYS_pause, 0, 0);
    BOTH(pipes, .inode = 600, .held = 64096, .room = 65536);
    targets[0] = 7;
    target.n_pids = 1;
    client(400, 77);
}

static void test_log(void)
{
    log_pipe('T', 1);
    led_by(RULE_LOG_WRITE, CERTAINTY_PROOF, "a full log pipe");
    is_int(findings.leading, 1, "it explains the blocked loop");
    is_str(text_of(RULE_LOG_WRITE, EVIDENCE_READER), "pid 9 logd (stopped)", "who should read");
    is_int(value_of(RULE_LOG_WRITE, EVIDENCE_PIPE_HELD), 64096, "what is in it");
    log_pipe('S', 12);
    led_by(RULE_LOG_WRITE, CERTAINTY_PROOF,
           "another program reads: a log, whatever its number");

    server(SYS_write, 12, 0);
    fd(7, 12, FACTS_FD_PIPE, 600);
    fd(7, 13, FACTS_FD_PIPE, 600);
    led_by(RULE_IPC_FULL, CERTAINTY_PROOF, "a pipe to oneself is a channel");
    server(SYS_write, 2, 0);
    file(7, 2, FACTS_FD_TTY, "/dev/pts/3");
    led_by(RULE_LOG_WRITE, CERTAINTY_PROOF, "a terminal that is held");
    is_str(text_of(RULE_LOG_WRITE, EVIDENCE_BLOCKED_ON), "/dev/pts/3", "it is named");
    server(SYS_write, 12, 0);
    led_by(RULE_LOOP_BLOCKED, CERTAINTY_LIKELY, "a descriptor nobody knows proves no channel");
}

/* ---- locks ------------------------------------------------------------------------------------------- */
static void lock(uint32_t tid, uint64_t addr, uint32_t owner, uint32_t kind)
{
    BOTH(futexes, .addr = addr, .pid = 7, .tid = tid, .word = 2, .owner = owner, .kind = kind);
}

static void test_fork_mutex(void)
{
    server(SYS_futex, 0x7f0010, 0);
    client(400, 77);
    lock(7, 0x7f0010, 6, 0);
    led_by(RULE_FORK_MUTEX, CERTAINTY_PROOF, "the owner is no thread of the process");
    is_int(findings.leading, 1, "it explains the blocked loop");
    is_int(value_of(RULE_FORK_MUTEX, EVIDENCE_LOCK_OWNER), 6, "who had it");
    server(SYS_futex, 0x7f0010, 0);
    thread(7, 6, "other", SYS_clock_nanosleep, 0, 0);
    lock(7, 0x7f0010, 6, 0);
    judge();
    ok(finding_of_rule(RULE_FORK_MUTEX)->rule != RULE_FORK_MUTEX, "an owner that lives");
    server(SYS_futex, 0x7f0010, 0);
    lock(7, 0x7f0010, 6, 128);
    judge();
    ok(finding_of_rule(RULE_FORK_MUTEX)->rule != RULE_FORK_MUTEX,
       "a lock of several processes");
    server(SYS_futex, 0x7f0010, 1);
    lock(7, 0x7f0010, 6, 0);
    silent("a lock that moves");
    server(SYS_futex, 0x7f0010, 0);
    lock(7, 0x7f0010, 6, 0);
    facts.b.processes.v[0].unread = FACTS_UNREAD_THREADS;
    silent("threads that could not be listed");
}

static void test_lock_owner(void)
{
    server(SYS_futex, 0x7f0010, 0);
    thread(7, 8, "other", SYS_recvfrom, UPSTREAM, 0);
    client(400, 77);
    watch(7, EPOLL, 400, 400, 0x19);
    lock(7, 0x7f0010, 8, 0);
    judge();
    is_str(text_of(RULE_LOOP_BLOCKED, EVIDENCE_BLOCKED_ON), "tcp 10.0.0.7:9105",
           "who holds the lock is nearer to the cause");
}

static void test_cycle(void)
{
    server(SYS_futex, 0x7f0010, 0);
    thread(7, 8, "other", SYS_futex, 0x7f0020, 0);
    client(400, 77);
    watch(7, EPOLL, 400, 400, 0x19);
    lock(7, 0x7f0010, 8, 0);
    lock(8, 0x7f0020, 7, 0);
    led_by(RULE_MUTEX_CYCLE, CERTAINTY_PROOF, "two wait for each other");
    is_int(findings.leading, 1, "it explains the blocked loop");
    is_int(value_of(RULE_MUTEX_CYCLE, EVIDENCE_CYCLE), 2, "a circle of two");
    server(SYS_futex, 0x7f0010, 0);
    thread(7, 8, "other", SYS_futex, 0x7f0020, 0);
    lock(7, 0x7f0010, 8, 0);
    judge();
    ok(finding_of_rule(RULE_MUTEX_CYCLE)->rule != RULE_MUTEX_CYCLE, "a chain is no circle");
}

/* ---- disk, names ------------------------------------------------------------------------------------- */
static void in_d(const char *wchan, int call, uint64_t woken)
{
    server(call, 12, woken);
    file(7, 12, FACTS_FD_FILE, "/var/log/access.log");
    for (int w = 0; w < 2; w++) {
        struct facts_thread *t = &look(w)->threads.v[0];
        t->state = 'D';
        (void)snprintf(t->wchan, sizeof t->wchan, "%s", wchan);
    }
    client(400, 77);
}

static void test_disk(void)
{
    in_d("percpu_rwsem_wait", SYS_write, 0);
    led_by(RULE_DISK_STALL, CERTAINTY_LIKELY, "state D at both looks");
    is_int(findings.leading, 1, "it explains the blocked loop");
    is_str(text_of(RULE_DISK_STALL, EVIDENCE_BLOCKED_ON), "/var/log/access.log", "the file");
    in_d("folio_wait_bit_common", FACTS_SYSCALL_UNKNOWN, 0);
    led_by(RULE_DISK_STALL, CERTAINTY_LIKELY, "a page fault has no call");
    in_d("percpu_rwsem_wait", SYS_write, 4);
    silent("one that wakes");
    in_d("__refrigerator", SYS_write, 0);
    judge();
    ok(finding_of_rule(RULE_DISK_STALL)->rule != RULE_DISK_STALL, "frozen on purpose");
}

static void asks_for_a_name(int call, uint64_t woken, uint16_t port)
{
    server(call, call == SYS_poll ? 0x7000 : 15, woken);
    facts.a.threads.v[0].arg[1] = facts.b.threads.v[0].arg[1] = 1;
    BOTH(sockets, .cookie = 700, .inode = 700, .proto = FACTS_UDP, .family = AF_INET,
         .state = FACTS_ESTABLISHED, .remote = {10, 0, 0, 2}, .remote_port = port,
         .local_port = 44444, .tcp = FACTS_NONE);
    fd(7, 15, FACTS_FD_SOCKET, 700);
    client(400, 77);
}

static void test_dns(void)
{
    asks_for_a_name(SYS_recvfrom, 0, 53);
    led_by(RULE_DNS, CERTAINTY_LIKELY, "asleep in a read from :53");
    is_int(findings.leading, 1, "it explains the blocked loop");
    is_str(finding_of_rule(RULE_DNS)->subject.peer, "10.0.0.2:53", "the name server");
    is_str(text_of(RULE_DNS, EVIDENCE_BLOCKED_ON), "udp 10.0.0.2:53", "the socket");
    asks_for_a_name(SYS_poll, 1, 53);
    led_by(RULE_DNS, CERTAINTY_LIKELY, "in poll, asked a second time");
    asks_for_a_name(SYS_poll, 50, 53);
    silent("a resolver that works");
    asks_for_a_name(SYS_recvfrom, 0, 5353);
    judge();
    ok(finding_of_rule(RULE_DNS)->rule != RULE_DNS, "another service");
}

/* ---- words ------------------------------------------------------------------------------------------- */
static void test_words(void)
{
    char out[17];
    judge_family("pool-1-thread-1", out);
    is_str(out, "pool-*-thread-*", "a family");
    judge_family("0123456789abcdef", out);
    is_str(out, "*abcdef", "digits are one star");
    ok(judge_is_runtime("GC Thread#1"), "a runtime's own");
    ok(!judge_is_runtime("http-worker-1"), "the program's own");
    struct facts_thread t = {.syscall = SYS_accept4};
    is_int(judge_call(&t)->kind, CALL_ACCEPT, "accept4 waits for connections");
    t.syscall = 99999;
    is_int(judge_call(&t)->kind, CALL_OTHER, "a call without a row");
}

int main(void)
{
    test_loop_of_one();
    test_loop_quiet();
    test_loop_unknown();
    test_loop_without_epoll();
    test_workers();
    test_loop_of_many();
    test_ipc();
    test_log();
    test_fork_mutex();
    test_lock_owner();
    test_cycle();
    test_disk();
    test_dns();
    test_words();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Patients of the accept path: clients finish their handshake, and then nobody takes them. */
#include "tests/patients/patient.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- et-once, et-worker-cap: an edge is used up before the queue is empty ----------------------------- */
static void et_server(int backlog, int accept_most)
{
    struct server s = {.listener = listen_on(PORT, backlog), .accept_most = accept_most};
    s.listener_events = EPOLLIN | EPOLLET;
    up();
    await_go(); /* the clients come in one burst, before the loop's first turn */
    serve(&s);
}

static void et_once(bool sick)
{
    et_server(5, sick ? 1 : 0); /* the bug is this line: one accept() for an edge */
}

static void et_worker_cap(bool sick)
{
    et_server(511, sick ? 100 : 0); /* the bug is this line: at most 100 for an edge */
}

static void burst(int n)
{
    int fds[256];
    crowd(fds, n, REQUEST);
    go();
    settle(fds, n);
}

static void burst_of_6(bool sick)
{
    (void)sick;
    burst(6);
}

static void burst_of_120(bool sick)
{
    (void)sick;
    burst(120);
}

/* ---- backlog5: every burst is longer than the queue ---------------------------------------------------- */
static void slow_accept(int backlog, unsigned each_ms)
{
    int listener = listen_on(PORT, backlog);
    up();
    for (;;) {
        char bytes[256];
        int fd = accept(listener, NULL, NULL);
        (void)!recv(fd, bytes, sizeof bytes, 0);
        nap_ms(each_ms);
        say(fd, "ok\n");
        close(fd);
    }
}

static void backlog5(bool sick)
{
    slow_accept(sick ? 5 : 4096, 2); /* the bug is this line */
}

static void bursts(bool sick)
{
    (void)sick;
    for (int i = 0; i < 150; i++) {
        int fds[30];
        crowd(fds, 30, REQUEST);
        nap_ms(200);
        close_all(fds, 30);
        if (i == 1)
            ready();
    }
}

/* ---- backlog-clipped: the queue is nearly full, though nothing is dropped yet ---------------------------- */
static void backlog_clipped(bool sick)
{
    slow_accept(sick ? 12 : 4096, 40); /* the bug is this line */
}

static void ten_waiting(bool sick)
{
    int fds[10];
    (void)sick;
    crowd(fds, 10, REQUEST);
    ready();
    for (int i = 0; i < 1500; i++) {
        settle(&fds[i % 10], 1);
        close_all(&fds[i % 10], 1);
        crowd(&fds[i % 10], 1, REQUEST);
    }
}

/* ---- accept-thread-died: the thread that accepts has ended, the process lives on --------------------------- */
struct acceptor {
    int listener;
    bool sick;
};

static void *accept_thread(void *arg)
{
    struct acceptor *a = arg;
    for (;;) {
        char bytes[256];
        int fd = accept(a->listener, NULL, NULL);
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0 && a->sick)
            return NULL; /* the bug is this line: one bad client ends the loop */
        say(fd, "ok\n");
        close(fd);
    }
}

static void accept_thread_died(bool sick)
{
    struct acceptor a = {listen_on(PORT, 128), sick};
    pthread_t t;
    check(pthread_create(&t, NULL, accept_thread, &a) == 0, "thread");
    up();
    sleep_for_ever();
}

static void one_bad_client(bool sick)
{
    int fds[6];
    (void)sick;
    close(connect_to("127.0.0.1", PORT, 0));
    nap_ms(100);
    crowd(fds, 6, REQUEST);
    settle(fds, 6);
}

/* ---- limit-dropped: over its limit the loop drops the listener, and never puts it back ------------------------ */
static void limit_dropped(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 128), .epoll = epoll_create1(0)};
    int open = 0;
    watch(&s, s.listener, EPOLLIN);
    up();
    for (;;) {
        struct epoll_event e;
        char bytes[256];
        if (epoll_wait(s.epoll, &e, 1, -1) != 1)
            continue;
        if (e.data.fd == s.listener) {
            watch(&s, accept(s.listener, NULL, NULL), EPOLLIN);
            if (++open == 4)
                epoll_ctl(s.epoll, EPOLL_CTL_DEL, s.listener, NULL);
        } else if (recv(e.data.fd, bytes, sizeof bytes, 0) > 0) {
            say(e.data.fd, "ok\n");
        } else {
            close(e.data.fd);
            if (--open == 3 && !sick) /* the bug is that this line is missing */
                watch(&s, s.listener, EPOLLIN);
        }
    }
}

static void over_the_limit(bool sick)
{
    int first[4], later[3];
    (void)sick;
    crowd(first, 4, REQUEST);
    settle(first, 4);
    close_all(first, 4);
    crowd(later, 3, REQUEST);
    settle(later, 3);
}

/* ---- stopped ------------------------------------------------------------------------------------------- */
static void stop_me(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    if (s->sick)
        raise(SIGSTOP); /* the bug is this line */
    say(fd, "ok\n");
}

static void stopped(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 5), .request = stop_me, .sick = sick};
    up();
    serve(&s);
}

static void four_clients(bool sick)
{
    int fds[4];
    (void)sick;
    crowd(fds, 4, REQUEST);
    settle(fds, 4);
}

/* ---- emfile-lt, emfile-et: accept() fails for want of descriptors --------------------------------------------- */
static void few_descriptors(bool few, uint32_t events)
{
    struct server s = {.listener = listen_on(PORT, 64), .listener_events = events};
    struct rlimit limit = {few ? 12 : 64, 64}; /* the bug is this line */
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    up();
    serve(&s);
}

static void emfile_lt(bool sick)
{
    few_descriptors(sick, EPOLLIN);
}

static void emfile_et(bool sick)
{
    few_descriptors(sick, EPOLLIN | EPOLLET);
}

static void twenty_clients(bool sick)
{
    int fds[20];
    (void)sick;
    crowd(fds, 20, REQUEST);
    settle(fds, 20);
}

/* ---- reuseport-dead: one of four workers with a listener each does nothing --------------------------------------- */
static void reuseport_dead(bool sick)
{
    struct server s[4];
    for (int i = 0; i < 4; i++)
        s[i] = (struct server){.listener = listen_shared(PORT, 64)};
    for (int i = 0; i < 4; i++) {
        if (fork_child() == 0) {
            for (int k = 0; k < 4; k++) {
                if (k != i)
                    close(s[k].listener);
            }
            if (sick && i == 2)
                sleep_for_ever(); /* the bug is this line */
            serve(&s[i]);
        }
    }
    for (int i = 0; i < 4; i++)
        close(s[i].listener);
    up();
}

static void sixty_clients(bool sick)
{
    int fds[60];
    (void)sick;
    crowd(fds, 60, REQUEST);
    settle(fds, 60);
}

/* ---- inherited: a program started by an earlier server holds its listener ------------------------------------------ */
static void inherited(bool sick)
{
    int listener = listen_on(PORT, 64);
    pid_t helper = fork();
    if (helper == 0) {
        if (sick)
            dup2(listener, 9); /* the bug is this line: a descriptor that exec does not close */
        execlp("sleep", "sleep", "60", (char *)NULL);
        _exit(1);
    }
    nap_ms(200);     /* until it has become the other program */
    close(listener); /* a restart: the new server binds again, or cannot */
    struct server s = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
    if (!sick)
        s.listener = listen_on(PORT, 64);
    up();
    if (!sick)
        serve(&s);
}

/* ---- herd: every process wakes for every connection ------------------------------------------------------------------- */
static void shared_by(int processes, uint32_t events)
{
    struct server s = {.listener = listen_on(PORT, 511), .listener_events = events};
    for (int i = 0; i < processes; i++) {
        if (fork_child() == 0)
            serve(&s);
    }
    close(s.listener);
    up();
}

static void herd(bool sick)
{
    shared_by(8, sick ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE); /* the bug is this line */
}

static void one_after_the_other(bool sick)
{
    (void)sick;
    ready();
    ask_anew(6000, 5);
}

/* ---- imbalance: the last one to sleep is the first to wake, so one process gets nearly all ------------------------------ */
static void imbalance(bool sick)
{
    if (sick) {
        shared_by(4, EPOLLIN | EPOLLEXCLUSIVE); /* the bug is this line: the queue is shared */
        return;
    }
    for (int i = 0; i < 4; i++) {
        struct server s = {.listener = listen_shared(PORT, 511)};
        if (fork_child() == 0)
            serve(&s);
        close(s.listener);
    }
    up();
}

static void two_hundred_stay(bool sick)
{
    static int fds[200];
    (void)sick;
    for (int i = 0; i < 200; i++) {
        crowd(&fds[i], 1, REQUEST);
        settle(&fds[i], 1);
    }
}

/* ---- never-accepts: nobody but the kernel takes them, and the clients gave up -------------------------------------------- */
static void compute_for_ever(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    for (uint64_t end = now_ms() + 60000;
         s->sick && now_ms() < end;) { /* the bug is this line */
    }
    say(fd, "ok\n");
}

static void loop_computes(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 64), .sick = sick};
    s.request = compute_for_ever;
    up();
    serve(&s);
}

/* One connection after the other, without a loop. */
static void computes(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 64), .sick = sick};
    char bytes[4096];
    up();
    for (;;) {
        int fd = accept(s.listener, NULL, NULL);
        if (recv(fd, bytes, sizeof bytes, 0) > 0)
            compute_for_ever(&s, fd, bytes, 0);
        close(fd);
    }
}

static void eight_give_up(bool sick)
{
    int first, fds[8];
    (void)sick;
    crowd(&first, 1, REQUEST);
    settle(&first, 1);
    crowd(fds, 8, REQUEST);
    settle(fds, 8);
    close_all(fds, 8);
}

static void four_wait(bool sick)
{
    int fds[4];
    crowd(fds, 4, "");
    say_when_connected(fds[0], REQUEST);
    settle(fds, sick ? 0 : 1);
    nap_ms(200);
    for (int i = 1; i < 4; i++)
        say(fds[i], REQUEST);
    nap_ms(200);
    ready();
    sleep_for_ever();
}

/* ---- oneshot: one way out of the handler does not arm again ----------------------------------------------------------------- */
static void answer_once(struct server *s, int fd, const char *bytes, size_t n)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};
    (void)bytes, (void)n;
    say(fd, "ok\n");
    if (!s->sick)
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &e); /* the bug is that this line is missing */
}

static void oneshot(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 64), .request = answer_once, .sick = sick};
    s.conn_events = EPOLLIN | EPOLLONESHOT;
    up();
    serve(&s);
}

static void ask_twice(bool sick)
{
    int fds[5];
    (void)sick;
    crowd(fds, 5, REQUEST);
    settle(fds, 5);
    for (int i = 0; i < 5; i++)
        say(fds[i], REQUEST);
    settle(fds, 5);
}

const struct patient accept_patients[] = {
    {"et-once",            et_once,            burst_of_6,          NULL},
    {"et-worker-cap",      et_worker_cap,      burst_of_120,        NULL},
    {"backlog5",           backlog5,           bursts,              NULL},
    {"backlog-clipped",    backlog_clipped,    ten_waiting,         NULL},
    {"accept-thread-died", accept_thread_died, one_bad_client,      NULL},
    {"limit-dropped",      limit_dropped,      over_the_limit,      NULL},
    {"stopped",            stopped,            four_clients,        NULL},
    {"emfile-lt",          emfile_lt,          twenty_clients,      NULL},
    {"emfile-et",          emfile_et,          twenty_clients,      NULL},
    {"reuseport-dead",     reuseport_dead,     sixty_clients,       NULL},
    {"inherited",          inherited,          four_clients,        NULL},
    {"herd",               herd,               one_after_the_other, NULL},
    {"imbalance",          imbalance,          two_hundred_stay,    NULL},
    {"computes",           computes,           eight_give_up,       NULL},
    {"loop-computes",      loop_computes,      four_wait,           NULL},
    {"oneshot",            oneshot,            ask_twice,           NULL},
    {NULL,                 NULL,               NULL,                NULL},
};

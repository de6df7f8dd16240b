/* SPDX-License-Identifier: BSD-2-Clause */
/* Patients whose threads wait, spin or multiply. */
#include "tests/patients/patient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the other ends, and what clients do ------------------------------------------------------------- */
/* Takes connections and requests, and never answers. */
static void silent(bool sick)
{
    int listener = listen_on(UPSTREAM, 128), fds[128];
    (void)sick;
    up();
    for (int n = 0; n < 128; n++) {
        fds[n] = accept(listener, NULL, NULL);
        (void)fds[n];
    }
}

/* A listener whose queue is full: handshakes with it are dropped. */
static void full(bool sick)
{
    listen_on(UPSTREAM, 0);
    (void)sick;
    connect_to("127.0.0.1", UPSTREAM, 0);
    up();
}

/* A resolver that does not answer. */
static void mute_resolver(bool sick)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    (void)sick;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind :53");
    up();
}

static void eight_clients(bool sick)
{
    int fds[8];
    (void)sick;
    crowd(fds, 8, REQUEST);
    settle(fds, 8);
}

/* ---- blocked-recv, blocked-connect, blocked-dns: the loop's thread waits for somebody ------------------------ */
static void ask_upstream(struct server *s, int fd, const char *bytes, size_t n)
{
    static int upstream = -1;
    char reply[256];
    if (upstream < 0)
        upstream = connect_to("127.0.0.1", UPSTREAM, 0);
    (void)!send(upstream, bytes, n, MSG_NOSIGNAL);
    (void)!recv(upstream, reply, sizeof reply,
                s->sick ? 0 : MSG_DONTWAIT); /* the bug is this line */
    say(fd, "ok\n");
}

static void serve_requests(bool sick,
                           void (*request)(struct server *, int, const char *, size_t))
{
    struct server s = {.listener = listen_on(PORT, 64), .request = request, .sick = sick};
    up();
    serve(&s);
}

static void blocked_recv(bool sick)
{
    serve_requests(sick, ask_upstream);
}

static void reach_upstream(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    close(connect_to("127.0.0.1", UPSTREAM,
                     s->sick ? 0 : SOCK_NONBLOCK)); /* the bug is this line */
    say(fd, "ok\n");
}

static void blocked_connect(bool sick)
{
    serve_requests(sick, reach_upstream);
}

static void look_up(struct server *s, int fd, const char *bytes, size_t n)
{
    static const char query[] = "\1\2\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct timeval patience = {0, 50000};
    int dns = socket(AF_INET, SOCK_DGRAM, 0);
    char reply[512];
    (void)bytes, (void)n;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(connect(dns, (struct sockaddr *)&a, sizeof a) == 0, "connect :53");
    (void)!send(dns, query, sizeof query - 1, 0);
    if (!s->sick)
        setsockopt(dns, SOL_SOCKET, SO_RCVTIMEO, &patience,
                   sizeof patience); /* the bug: missing */
    (void)!recv(dns, reply, sizeof reply, 0);
    close(dns);
    say(fd, "ok\n");
}

static void blocked_dns(bool sick)
{
    serve_requests(sick, look_up);
}

/* ---- socketpair-full: more notifications than the worker reads ------------------------------------------------- */
static void worker(int channel, bool sick)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    int set = epoll_create1(0);
    char byte;
    nap_ms(300); /* a long request */
    epoll_ctl(set, EPOLL_CTL_ADD, channel, &e);
    for (;;) {
        epoll_wait(set, &e, 1, -1);
        while (recv(channel, &byte, 1, MSG_DONTWAIT) == 1 &&
               !sick) { /* the bug is this line: one for an edge */
        }
    }
}

static int channel_to_worker;

static void notify(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)s, (void)bytes;
    for (size_t i = 0; i < n; i++)
        (void)!send(channel_to_worker, "n", 1, MSG_NOSIGNAL);
    say(fd, "ok\n");
}

static void socketpair_full(bool sick)
{
    int pair[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    if (fork_child() == 0) {
        close(pair[0]);
        worker(pair[1], sick);
    }
    close(pair[1]);
    channel_to_worker = pair[0];
    serve_requests(sick, notify);
}

static void many_jobs(bool sick)
{
    char jobs[401];
    int fds[3];
    (void)sick;
    memset(jobs, 'j', 400);
    jobs[400] = 0;
    crowd(fds, 3, jobs);
    settle(fds, 3);
}

/* ---- log-pipe-full: nobody reads the log ------------------------------------------------------------------------ */
static int log_fd;

static void log_line(struct server *s, int fd, const char *bytes, size_t n)
{
    static char line[4000];
    (void)s, (void)bytes, (void)n;
    memset(line, 'l', sizeof line);
    line[sizeof line - 1] = '\n';
    (void)!write(log_fd, line, sizeof line);
    say(fd, "ok\n");
}

static void log_pipe_full(bool sick)
{
    int ends[2];
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    if (fork_child() == 0) {
        close(ends[1]);
        prctl(PR_SET_NAME, "logger");
        sleep_for_ever();
    }
    close(ends[0]);
    log_fd = ends[1];
    if (!sick)
        nonblocking(log_fd); /* the bug is that this line is missing */
    serve_requests(sick, log_line);
}

static void thirty_clients(bool sick)
{
    int fds[30];
    (void)sick;
    crowd(fds, 30, REQUEST);
    settle(fds, 30);
}

/* ---- d-state: the log's file system is frozen ---------------------------------------------------------------------- */
static void open_log(void)
{
    const char *dir = getenv("PATIENT_DIR");
    check(dir && chdir(dir) == 0, "PATIENT_DIR");
    log_fd = open("access.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void d_state(bool sick)
{
    open_log();
    serve_requests(sick, log_line);
}

static void freeze(bool sick)
{
    int fds[8], dir = open(getenv("PATIENT_DIR"), O_RDONLY | O_CLOEXEC);
    if (sick)
        check(ioctl(dir, FIFREEZE, 0) == 0,
              "FIFREEZE"); /* the bug is this line; the harness thaws */
    crowd(fds, 8, REQUEST);
    settle(fds, 8);
}

/* ---- disk-full: the log has filled its file system; further lines are lost, and nobody looks ------------------------------ */
static void log_rotated(struct server *s, int fd, const char *bytes, size_t n)
{
    struct stat st;
    if (!s->sick && fstat(log_fd, &st) == 0 && st.st_size > 20000)
        (void)!ftruncate(log_fd, 0); /* the bug: missing */
    log_line(s, fd, bytes, n);
}

static void disk_full(bool sick)
{
    open_log();
    serve_requests(sick, log_rotated);
}

static void thirty_and_more(bool sick)
{
    thirty_clients(sick);
    ready();
    ask_again(10);
}

/* ---- inodes-full: every request leaves a temporary file open, and room for one more is only in bytes ---------------------- */
static void buffer_in_file(struct server *s, int fd, const char *bytes, size_t n)
{
    int file = open("body", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    (void)!unlink("body");
    (void)!write(file, bytes, n);
    say(fd, "ok\n");
    if (!s->sick)
        close(file); /* the bug: missing */
}

static void inodes_full(bool sick)
{
    open_log();
    serve_requests(sick, buffer_in_file);
}

/* ---- fork-mutex: a lock that was held when the process forked ----------------------------------------------------------- */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t held;

static void *hold(void *arg)
{
    pthread_mutex_lock(&log_lock); /* writes a line to the log, and is in the midst of it */
    sem_post(&held);
    sleep_for_ever();
    return arg;
}

static void log_locked(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)s, (void)bytes, (void)n;
    pthread_mutex_lock(&log_lock);
    pthread_mutex_unlock(&log_lock);
    say(fd, "ok\n");
}

static void fork_mutex(bool sick)
{
    pthread_t t;
    sem_init(&held, 0, 0);
    check(pthread_create(&t, NULL, hold, NULL) == 0, "thread");
    sem_wait(&held);
    if (fork_child() == 0) {
        if (!sick)
            pthread_mutex_init(&log_lock, NULL); /* the bug is that this line is missing */
        serve_requests(sick, log_locked);
    }
    sleep_for_ever();
}

/* ---- mutex-cycle: two locks, two orders ------------------------------------------------------------------------------------- */
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, two = PTHREAD_MUTEX_INITIALIZER;

static void both(pthread_mutex_t *first, pthread_mutex_t *second)
{
    pthread_mutex_lock(first);
    nap_ms(200);
    pthread_mutex_lock(second);
    pthread_mutex_unlock(second);
    pthread_mutex_unlock(first);
}

static void *housekeeper(void *arg)
{
    bool sick = *(bool *)arg;
    sem_wait(&held);
    both(sick ? &two : &one, sick ? &one : &two); /* the bug is this line: the other order */
    sleep_for_ever();
}

static void lock_both(struct server *s, int fd, const char *bytes, size_t n)
{
    static bool told;
    (void)s, (void)bytes, (void)n;
    if (!told)
        sem_post(&held);
    told = true;
    both(&one, &two);
    say(fd, "ok\n");
}

static void mutex_cycle(bool sick)
{
    pthread_t t;
    sem_init(&held, 0, 0);
    check(pthread_create(&t, NULL, housekeeper, &sick) == 0, "thread");
    serve_requests(sick, lock_both);
}

/* ---- a server with one thread a connection ------------------------------------------------------------------------------------ */
struct job {
    int fd;
    bool sick;
};

static void thread_per_connection(bool sick, void *(*run)(void *))
{
    int listener = listen_on(PORT, 128);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    up();
    for (;;) {
        struct job *j = malloc(sizeof *j);
        pthread_t t;
        *j = (struct job){accept(listener, NULL, NULL), sick};
        check(pthread_create(&t, &small, run, j) == 0, "thread");
    }
}

/* ---- slow-upstream: those who should answer us do not -------------------------------------------------------------------------- */
static void *proxy(void *arg)
{
    struct job *j = arg;
    char bytes[512];
    int upstream = connect_to("127.0.0.1", UPSTREAM, 0);
    for (;;) {
        ssize_t n = recv(j->fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            break;
        (void)!send(upstream, bytes, (size_t)n, MSG_NOSIGNAL);
        if (recv(upstream, bytes, sizeof bytes, 0) > 0)
            say(j->fd, "ok\n");
    }
    close(upstream);
    close(j->fd);
    return NULL;
}

static void slow_upstream(bool sick)
{
    thread_per_connection(sick, proxy);
}

static void query(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    if (!s->sick)
        say(fd, "row\n"); /* the bug is that this line is missing */
}

static void database(bool sick)
{
    struct server s = {.listener = listen_on(UPSTREAM, 64), .request = query, .sick = sick};
    up();
    serve(&s);
}

static void healthy_database(bool sick)
{
    (void)sick;
    database(false);
}

static void ten_clients_wait(bool sick)
{
    int fds[10];
    crowd(fds, 10, REQUEST);
    settle(fds, 10);
    if (sick)
        nap_ms(1000); /* an answer is overdue after a second */
}

/* ---- pool-leak: borrowed connections are not given back --------------------------------------------------------------------------- */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    int idle[3], n;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .returned = PTHREAD_COND_INITIALIZER};

static int borrow(void)
{
    pthread_mutex_lock(&pool.lock);
    while (pool.n == 0)
        pthread_cond_wait(&pool.returned, &pool.lock);
    int fd = pool.idle[--pool.n];
    pthread_mutex_unlock(&pool.lock);
    return fd;
}

static void give_back(int fd)
{
    pthread_mutex_lock(&pool.lock);
    pool.idle[pool.n++] = fd;
    pthread_cond_signal(&pool.returned);
    pthread_mutex_unlock(&pool.lock);
}

static void *ask_pool(void *arg)
{
    struct job *j = arg;
    char bytes[512];
    while (recv(j->fd, bytes, sizeof bytes, 0) > 0) {
        int upstream = borrow();
        say(upstream, "select 1\n");
        (void)!recv(upstream, bytes, sizeof bytes, 0);
        say(j->fd, "ok\n");
        if (!j->sick)
            give_back(upstream); /* the bug is that this line is missing */
    }
    close(j->fd);
    return NULL;
}

static void pool_leak(bool sick)
{
    for (pool.n = 0; pool.n < 3; pool.n++)
        pool.idle[pool.n] = connect_to("127.0.0.1", UPSTREAM, 0);
    thread_per_connection(sick, ask_pool);
}

/* ---- worker-pool: both workers wait, and work piles up behind them ------------------------------------------------------------------ */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    int fds[256], first, last;
    bool sick, closed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void *pool_worker(void *arg)
{
    static sem_t never;
    char bytes[512], name[16];
    snprintf(name, sizeof name, "pool-1-thread-%d", (int)(intptr_t)arg);
    prctl(PR_SET_NAME, name);
    while (!queue.closed) {
        pthread_mutex_lock(&queue.lock);
        while (queue.first == queue.last)
            pthread_cond_wait(&queue.more, &queue.lock);
        int fd = queue.fds[queue.first++ % 256];
        pthread_mutex_unlock(&queue.lock);
        (void)!recv(fd, bytes, sizeof bytes, 0);
        if (queue.sick)
            sem_wait(&never); /* the bug is this line: a task that waits without a limit */
        say(fd, "ok\n");
        close(fd);
    }
    return NULL;
}

static void worker_pool(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 128), .epoll = epoll_create1(0)};
    pthread_t t;
    queue.sick = sick;
    for (intptr_t i = 1; i <= 2; i++)
        check(pthread_create(&t, NULL, pool_worker, (void *)i) == 0, "thread");
    watch(&s, s.listener, EPOLLIN);
    up();
    for (;;) {
        struct epoll_event e;
        if (epoll_wait(s.epoll, &e, 1, -1) != 1)
            continue;
        if (e.data.fd == s.listener) {
            watch(&s, accept(s.listener, NULL, NULL), EPOLLIN);
            continue;
        }
        epoll_ctl(s.epoll, EPOLL_CTL_DEL, e.data.fd, NULL);
        pthread_mutex_lock(&queue.lock);
        queue.fds[queue.last++ % 256] = e.data.fd;
        pthread_cond_signal(&queue.more);
        pthread_mutex_unlock(&queue.lock);
    }
}

/* ---- threads, zombies: what is started does not end ---------------------------------------------------------------------------------- */
static void *thread_for_a_request(void *arg)
{
    struct job *j = arg;
    char bytes[512];
    (void)!recv(j->fd, bytes, sizeof bytes, 0);
    say(j->fd, "ok\n");
    close(j->fd);
    if (j->sick)
        sleep_for_ever(); /* the bug is this line */
    free(j);
    return NULL;
}

static void threads(bool sick)
{
    thread_per_connection(sick, thread_for_a_request);
}

static void fork_for_request(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)s, (void)bytes, (void)n;
    if (fork_child() == 0)
        _exit(0);
    say(fd, "ok\n");
}

static void zombies(bool sick)
{
    if (!sick)
        signal(SIGCHLD, SIG_IGN); /* the bug is that this line is missing */
    serve_requests(sick, fork_for_request);
}

static void fifty_a_second(bool sick)
{
    (void)sick;
    ask_anew(100, 2);
    ready();
    ask_anew(1000, 20);
}

/* ---- busy-spin: an event that is reported for ever and never handled --------------------------------------------------------------------- */
static void busy_spin(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 64), .conn_events = EPOLLIN | EPOLLRDHUP};
    s.keep_broken = sick; /* the bug is this line */
    up();
    serve(&s);
}

static void one_hangs_up(bool sick)
{
    int fds[3];
    (void)sick;
    crowd(fds, 3, REQUEST);
    settle(fds, 3);
    close(fds[0]);
    nap_ms(200);
}

static void one_resets(bool sick)
{
    struct linger now = {1, 0};
    int fds[3];
    (void)sick;
    crowd(fds, 3, REQUEST);
    settle(fds, 3);
    setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fds[0]);
    nap_ms(200);
}

/* ---- starved, throttled: it would run, and may not --------------------------------------------------------------------------------------------- */
static void burn(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)s, (void)bytes, (void)n;
    for (volatile unsigned i = 0; i < 3000000; i++) {
    }
    say(fd, "ok\n");
}

static void starved(bool sick)
{
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    check(sched_setaffinity(0, sizeof first, &first) == 0, "affinity");
    for (int i = 0; i < (sick ? 8 : 0);
         i++) { /* the bug is this line: neighbours on the same processor */
        if (fork_child() == 0) {
            for (uint64_t end = now_ms() + 30000; now_ms() < end;) {
            }
            _exit(0);
        }
    }
    serve_requests(sick, burn);
}

static void throttled(bool sick)
{
    const char *group = getenv("PATIENT_CGROUP");
    FILE *f = sick ? fopen(group, "we") : NULL; /* the bug is this line: a quota of 10 % */
    if (f) {
        fprintf(f, "%d\n", (int)getpid());
        fclose(f);
    }
    serve_requests(sick, burn);
}

static void steady(bool sick)
{
    (void)sick;
    ready();
    ask_again(10);
}

/* ---- session-pile-up: sessions begin, and none ends ---------------------------------------------------------------------------------------------- */
static void session(struct server *s, int fd, const char *bytes, size_t n)
{
    static char *volatile memories[1000];
    static int sessions;
    char *memory = memories[sessions++ % 1000] = malloc(65536);
    memset(memory, bytes[0], 65536);
    (void)n;
    if (s->sick)
        return; /* the bug is this line: the session stays, with all its memory */
    free(memory);
    sessions--;
    say(fd, "ok\n");
}

static void session_pile_up(bool sick)
{
    serve_requests(sick, session);
}

static void more_and_more(bool sick)
{
    static int fds[900];
    for (int i = 0; i < 900; i++) {
        crowd(&fds[i], 1, REQUEST);
        nap_ms(25);
        if (i == (sick ? 130 : 30)) /* the first has waited for three seconds */
            ready();
    }
}

const struct patient thread_patients[] = {
    {"blocked-recv",    blocked_recv,    eight_clients,    silent          },
    {"blocked-connect", blocked_connect, eight_clients,    full            },
    {"blocked-dns",     blocked_dns,     eight_clients,    mute_resolver   },
    {"socketpair-full", socketpair_full, many_jobs,        NULL            },
    {"log-pipe-full",   log_pipe_full,   thirty_clients,   NULL            },
    {"d-state",         d_state,         freeze,           NULL            },
    {"disk-full",       disk_full,       thirty_and_more,  NULL            },
    {"inodes-full",     inodes_full,     thirty_and_more,  NULL            },
    {"fork-mutex",      fork_mutex,      eight_clients,    NULL            },
    {"mutex-cycle",     mutex_cycle,     eight_clients,    NULL            },
    {"slow-upstream",   slow_upstream,   ten_clients_wait, database        },
    {"pool-leak",       pool_leak,       ten_clients_wait, healthy_database},
    {"worker-pool",     worker_pool,     eight_clients,    NULL            },
    {"threads",         threads,         fifty_a_second,   NULL            },
    {"zombies",         zombies,         fifty_a_second,   NULL            },
    {"busy-spin",       busy_spin,       one_hangs_up,     NULL            },
    {"busy-spin-reset", busy_spin,       one_resets,       NULL            },
    {"starved",         starved,         steady,           NULL            },
    {"throttled",       throttled,       steady,           NULL            },
    {"session-pile-up", session_pile_up, more_and_more,    NULL            },
    {NULL,              NULL,            NULL,             NULL            },
};

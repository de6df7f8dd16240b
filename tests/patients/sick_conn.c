/* SPDX-License-Identifier: BSD-2-Clause */
/* Patients that do not look after a connection: kept too long, opened too often, asked of nobody. */
#include "tests/patients/patient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve_requests(bool sick,
                           void (*request)(struct server *, int, const char *, size_t))
{
    struct server s = {.listener = listen_on(PORT, 511), .request = request, .sick = sick};
    up();
    serve(&s);
}

/* ---- closewait-0, -1, -n: the client has hung up ------------------------------------------------------- */
static void closewait_0(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 511)};
    s.keep_ended = sick; /* the bug is this line: the end is read, and the socket stays open */
    up();
    serve(&s);
}

static void answer_and_forget(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    say(fd, "ok\n");
    if (s->sick)
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd,
                  NULL); /* the bug is this line: nobody watches it any more */
}

static void closewait_1(bool sick)
{
    serve_requests(sick, answer_and_forget);
}

static void closewait_n(bool sick)
{
    struct server s = {.listener = listen_on(PORT, 511)};
    s.deaf = sick; /* the bug is this line: accepted, and never read */
    up();
    serve(&s);
}

static void sixty_hang_up(bool sick)
{
    int fds[60];
    (void)sick;
    crowd(fds, 60, REQUEST);
    settle(fds, 60);
    close_all(fds, 60);
    nap_ms(100);
}

/* ---- noproto-new, -reset, -bound: sockets that are nothing any more, or not yet ----------------------------- */
static void try_refused(struct server *s, int fd, const char *bytes, size_t n)
{
    int upstream = connect_to("127.0.0.1", UPSTREAM + 1, 0);
    (void)bytes, (void)n;
    if (!s->sick)
        close(upstream); /* the bug is that this line is missing: refused, and kept */
    say(fd, "ok\n");
}

static void noproto_new(bool sick)
{
    serve_requests(sick, try_refused);
}

static void ask_resetting(struct server *s, int fd, const char *bytes, size_t n)
{
    char reply[64];
    int upstream = connect_to("127.0.0.1", UPSTREAM, 0);
    (void)!send(upstream, bytes, n, MSG_NOSIGNAL);
    ssize_t got = recv(upstream, reply, sizeof reply, 0);
    if (got >= 0 || !s->sick) /* the bug is this line: ECONNRESET has no close() */
        close(upstream);
    say(fd, "ok\n");
}

static void noproto_reset(bool sick)
{
    serve_requests(sick, ask_resetting);
}

static void resetting(bool sick)
{
    int listener = listen_on(UPSTREAM, 64);
    struct linger at_once = {1, 0};
    (void)sick;
    up();
    for (;;) {
        char bytes[256];
        int fd = accept(listener, NULL, NULL);
        (void)!recv(fd, bytes, sizeof bytes, 0);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
}

static void bind_only(struct server *s, int fd, const char *bytes, size_t n)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)bytes, (void)n;
    check(bind(out, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    if (!s->sick)
        close(out); /* the bug is that this line is missing: bound, and left */
    say(fd, "ok\n");
}

static void noproto_bound(bool sick)
{
    serve_requests(sick, bind_only);
}

static void ten_clients(bool sick)
{
    int fds[10];
    (void)sick;
    crowd(fds, 10, REQUEST);
    settle(fds, 10);
}

/* ---- stale-pool: the other side has closed, the pool has not seen it ------------------------------------------ */
static void stale_pool(bool sick)
{
    (void)sick;
    for (int i = 0; i < 5; i++) {
        char bytes[64];
        int fd = connect_to("127.0.0.1", UPSTREAM, 0);
        say(fd, "select 1\n");
        (void)!recv(fd, bytes, sizeof bytes, 0);
    }
    serve_requests(false, NULL);
}

static void impatient(bool sick)
{
    int listener = listen_on(UPSTREAM, 64), fds[5];
    up();
    for (int i = 0; i < 5; i++) {
        char bytes[64];
        fds[i] = accept(listener, NULL, NULL);
        (void)!recv(fds[i], bytes, sizeof bytes, 0);
        say(fds[i], "row\n");
    }
    for (int i = 0; i < 3 && sick; i++)
        close(fds[i]); /* the bug is this line: its idle limit is below the pool's */
}

/* ---- time-wait, ephemeral: a new connection for every request; the harness narrows the port range to 200 ------- */
static int kept_upstream = -1;

static void one_shot_upstream(struct server *s, int fd, const char *bytes, size_t n)
{
    char reply[64];
    if (kept_upstream < 0)
        kept_upstream = connect_to("127.0.0.1", UPSTREAM, 0);
    (void)!send(kept_upstream, bytes, n, MSG_NOSIGNAL);
    (void)!recv(kept_upstream, reply, sizeof reply, 0);
    if (s->sick) {
        close(
            kept_upstream); /* the bug is this line: one connection a request, and we close first */
        kept_upstream = -1;
    }
    say(fd, "ok\n");
}

static void reconnects(bool sick)
{
    (void)connect_to("127.0.0.1", UPSTREAM, 0); /* of another part of the program, and kept */
    serve_requests(sick, one_shot_upstream);
}

static void backend(bool sick)
{
    struct server s = {.listener = listen_on(UPSTREAM, 511)};
    (void)sick;
    up();
    serve(&s);
}

static void ask_times(int n)
{
    char bytes[64];
    int fd = connect_to("127.0.0.1", PORT, 0);
    for (int i = 0; i < n; i++) {
        say(fd, REQUEST);
        (void)!recv(fd, bytes, sizeof bytes, 0);
    }
}

static void ask_150(bool sick)
{
    (void)sick;
    ask_times(150);
}

static void ask_on_and_on(bool sick)
{
    (void)sick;
    ask_times(230);
    ready();
    ask_again(100);
}

/* ---- time-wait-server: closed by the server first, as HTTP/1.0 does: harmless, and the doctor says so ----------- */
static void answer_and_close(struct server *s, int fd, const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    say(fd, "ok\n");
    if (s->sick)
        close(fd); /* the bug is this line, if it is one */
}

static void time_wait_server(bool sick)
{
    serve_requests(sick, answer_and_close);
}

static void seven_thousand(bool sick)
{
    for (int i = 0; i < 7000; i++) {
        char bytes[64];
        int fd = connect_to("127.0.0.1", PORT, 0);
        say(fd, REQUEST);
        while (recv(fd, bytes, sizeof bytes, 0) > 0 &&
               sick) { /* until its end, so that the server was first */
        }
        close(fd);
    }
}

/* ---- synsent: connects that nobody answers, without a limit in time ------------------------------------------------ */
static void reach_nowhere(struct server *s, int fd, const char *bytes, size_t n)
{
    int upstream = connect_to(NOWHERE, 5432, SOCK_NONBLOCK);
    (void)bytes, (void)n;
    nap_ms(5);
    if (!s->sick)
        close(upstream); /* the bug is that this line is missing: a limit for connecting */
    say(fd, "ok\n");
}

static void synsent(bool sick)
{
    serve_requests(sick, reach_nowhere);
}

static void twenty_then_wait(bool sick)
{
    int fds[20];
    crowd(fds, 20, REQUEST);
    settle(fds, 20);
    if (sick)
        nap_ms(1200); /* the first SYN is sent again after a second */
}

/* ---- no-timeouts: half a request, and no limit for the rest --------------------------------------------------------- */
static void wait_for_the_rest(bool sick)
{
    int listener = listen_on(PORT, 64), set = epoll_create1(0), fds[64], n = 0;
    struct epoll_event e = {.events = EPOLLIN};
    char bytes[512];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &e);
    up();
    for (;;) {
        int got = epoll_wait(set, &e, 1,
                             sick ? -1 : 200); /* the bug is this line: no limit for a head */
        if (got == 1 && n < 64) {
            fds[n] = accept(listener, NULL, NULL);
            (void)!recv(fds[n++], bytes, sizeof bytes, 0);
        }
        while (got == 0 && n > 0)
            close(fds[--n]);
    }
}

static void half_a_request(bool sick)
{
    static int fds[10];
    (void)sick;
    crowd(fds, 10, "GET / HTTP/1.1\r\nHo");
    nap_ms(600);
    close_all(fds, sick ? 0 : 10);
}

/* ---- idle-crowd: connections without keep-alive probes; the harness makes them old --------------------------------------- */
static void idle_crowd(bool sick)
{
    struct server s = {.listener = listen_anywhere(511)};
    int one = 1;
    if (!sick)
        setsockopt(s.listener, SOL_SOCKET, SO_KEEPALIVE, &one,
                   sizeof one); /* the bug: missing */
    up();
    serve(&s);
}

static void a_crowd_is_answered(bool sick)
{
    static int fds[20000];
    const char *said = getenv("PATIENT_CROWD");
    int n = said ? (int)strtol(said, NULL, 10) : 30;
    (void)sick;
    go_far_away();
    for (int i = 0; i < n; i += 100) {
        int some = n - i < 100 ? n - i : 100;
        crowd(fds + i, some, REQUEST);
        settle(fds + i, some);
    }
}

/* ---- half-open: the clients have vanished, and nothing ends what is sent to them ------------------------- */
static void half_open(bool sick)
{
    int listener = listen_anywhere(64), fds[5], patience = 600;
    up();
    for (int i = 0; i < 5; i++) {
        fds[i] = accept(listener, NULL, NULL);
        if (!sick)
            setsockopt(fds[i], IPPROTO_TCP, TCP_USER_TIMEOUT, &patience,
                       sizeof patience); /* the bug: missing */
    }
    for (int beats = 0; beats < 300; beats++) {
        for (int i = 0; i < 5; i++) {
            if (fds[i] >= 0 && send(fds[i], "beat\n", 5, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
        nap_ms(200);
    }
}

static void five_vanish(bool sick)
{
    int fds[5];
    go_far_away();
    crowd(fds, 5, REQUEST);
    settle(fds, 5);
    at_the_far_end("ip addr del 10.8.0.2/24 dev v1");
    nap_ms(sick ? 4500 : 2500); /* until it has been sent again four times */
}

/* ---- tcp-memory: what it has is the machine's; the harness writes it into the recording ------------------ */
static void well(bool sick)
{
    (void)sick;
    serve_requests(false, NULL);
}

/* ---- conntrack: each datagram is a new flow, until the table is full and further on ----------------------- */
static unsigned table_room(void)
{
    unsigned n = 0;
    FILE *f = fopen("/proc/sys/net/netfilter/nf_conntrack_max", "re");
    check(f && fscanf(f, "%u", &n) == 1, "nf_conntrack_max");
    fclose(f);
    return n;
}

static void flows(bool sick)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    unsigned room = table_room(), end = room + 60000;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (unsigned i = 0; i < end; i++) {
        unsigned flow = sick ? i : 0; /* the bug is this line */
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + flow / 60000);
        a.sin_port = htons((uint16_t)(2000 + flow % 60000));
        (void)!sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof a);
        if (i == room + 100)
            ready();
        if (i > room + 100)
            nap_ms(1);
    }
}

/* ---- tcp-memory-group: a control group's own limit for sockets, and a reader that lets them fill ---------- */
static void enter_group(void)
{
    FILE *f = fopen(getenv("PATIENT_CGROUP"), "we");
    check(f && fprintf(f, "%d\n", (int)getpid()) > 0 && fclose(f) == 0, "cgroup");
}

#define PUSHERS 60

static void late_reader(bool sick)
{
    int fds[PUSHERS], small = 4096;
    char bytes[16384];
    enter_group();
    int listener = listen_on(PORT, 64);
    if (!sick)
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small,
                   sizeof small); /* the bug: missing */
    up();
    for (int i = 0; i < PUSHERS; i++)
        fds[i] = accept(listener, NULL, NULL);
    for (unsigned turn = 0;; turn++, nap_ms(3)) /* never all at once: they stay full */
        for (unsigned i = turn % 6; i < PUSHERS; i += 6)
            (void)!recv(fds[i], bytes, sizeof bytes, MSG_DONTWAIT);
}

static void all_push(bool sick)
{
    static const char bytes[65536];
    int fds[PUSHERS];
    (void)sick;
    crowd(fds, PUSHERS, "");
    for (int round = 0; round < 6000; round++) {
        for (int i = 0; i < PUSHERS; i++)
            (void)!send(fds[i], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (round == 250)
            ready();
        nap_ms(10);
    }
}

const struct patient conn_patients[] = {
    {"closewait-0",      closewait_0,       sixty_hang_up,       NULL     },
    {"closewait-1",      closewait_1,       sixty_hang_up,       NULL     },
    {"closewait-n",      closewait_n,       sixty_hang_up,       NULL     },
    {"noproto-new",      noproto_new,       ten_clients,         NULL     },
    {"noproto-reset",    noproto_reset,     ten_clients,         resetting},
    {"noproto-bound",    noproto_bound,     ten_clients,         NULL     },
    {"stale-pool",       stale_pool,        ten_clients,         impatient},
    {"time-wait",        reconnects,        ask_150,             backend  },
    {"ephemeral",        reconnects,        ask_on_and_on,       backend  },
    {"time-wait-server", time_wait_server,  seven_thousand,      NULL     },
    {"synsent",          synsent,           twenty_then_wait,    NULL     },
    {"no-timeouts",      wait_for_the_rest, half_a_request,      NULL     },
    {"idle-crowd",       idle_crowd,        a_crowd_is_answered, NULL     },
    {"half-open",        half_open,         five_vanish,         NULL     },
    {"tcp-memory",       well,              ten_clients,         NULL     },
    {"tcp-memory-group", late_reader,       all_push,            NULL     },
    {"conntrack",        well,              flows,               NULL     },
    {NULL,               NULL,              NULL,                NULL     },
};

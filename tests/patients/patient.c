/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/patients/patient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What main and its processes share: two pipes and who the server is. */
static struct {
    int up[2], go[2];
    pid_t server;
} us;

void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "patient: %s: %s\n", what, strerror(errno));
    exit(1);
}

void up(void)
{
    check(write(us.up[1], "u", 1) == 1, "up");
    close(us.up[0]);
    close(us.up[1]);
    close(us.go[1]);
}

void await_go(void)
{
    char c;
    check(read(us.go[0], &c, 1) == 1, "await_go");
}

void go(void)
{
    check(write(us.go[1], "g", 1) == 1, "go");
}

void ready(void)
{
    printf("READY %d\n", (int)us.server);
    fflush(stdout);
}

pid_t fork_child(void)
{
    pid_t parent = getpid(), pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

void sleep_for_ever(void)
{
    for (;;)
        pause();
}

void nap_ms(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) && errno == EINTR) {
    }
}

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- sockets ------------------------------------------------------------------------------------- */
static struct sockaddr_in at(const char *addr, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, addr, &a.sin_addr);
    return a;
}

static int listen_as(unsigned port, int backlog, int option)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = at("127.0.0.1", port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
    check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    check(listen(fd, backlog) == 0, "listen");
    return fd;
}

int listen_on(unsigned port, int backlog)
{
    return listen_as(port, backlog, SO_REUSEADDR);
}

int listen_shared(unsigned port, int backlog)
{
    return listen_as(port, backlog, SO_REUSEPORT);
}

static const char *server_address = "127.0.0.1";

int listen_anywhere(int backlog)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    check(listen(fd, backlog) == 0, "listen");
    return fd;
}

void at_the_far_end(const char *command)
{
    if (command && *command)
        check(system(command) == 0, command);
}

void go_far_away(void)
{
    int ends[2], status;
    char to[16], byte;
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    snprintf(to, sizeof to, "%d", (int)getpid());
    pid_t helper = fork_child();
    if (helper == 0) {
        (void)!read(ends[0], &byte, 1); /* until its parent has left this namespace */
        execlp("ip", "ip", "link", "set", "v1", "netns", to, (char *)NULL);
        _exit(1);
    }
    check(unshare(CLONE_NEWNET) == 0, "unshare");
    check(write(ends[1], "", 1) == 1 && waitpid(helper, &status, 0) == helper && status == 0,
          "ip link set netns");
    at_the_far_end("ip addr add 10.8.0.2/24 dev v1 && ip link set v1 up");
    at_the_far_end(getenv("PATIENT_FAR"));
    server_address = "10.8.0.1";
}

int connect_to(const char *addr, unsigned port, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    struct sockaddr_in a = at(addr, port);
    check(fd >= 0, "socket");
    int err = connect(fd, (struct sockaddr *)&a, sizeof a);
    check(err == 0 || errno == EINPROGRESS || errno == ECONNREFUSED || errno == EADDRNOTAVAIL,
          "connect");
    return fd;
}

void say_when_connected(int fd, const char *text)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (strcmp(server_address, "127.0.0.1") != 0) /* over loopback it is, or never will be */
        poll(&p, 1, 5000);
    say(fd, text);
}

void say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

void nonblocking(int fd)
{
    check(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0, "O_NONBLOCK");
}

/* ---- clients ---------------------------------------------------------------------------------------- */
void crowd(int fds[], int n, const char *request)
{
    for (int i = 0; i < n; i++) {
        fds[i] = connect_to(server_address, PORT, SOCK_NONBLOCK);
        if (*request)
            say_when_connected(fds[i], request);
    }
}

int settle(const int fds[], int n)
{
    uint64_t last = now_ms();
    int got = 0;
    bool *have = calloc((size_t)n, sizeof *have);
    while (got < n && now_ms() - last < 400) {
        for (int i = 0; i < n; i++) {
            char bytes[4096];
            if (!have[i] && recv(fds[i], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
                have[i] = true;
                last = now_ms();
                got++;
            }
        }
        nap_ms(5);
    }
    free(have);
    return got;
}

void close_all(int fds[], int n)
{
    char bytes[4096];
    for (int i = 0; i < n; i++) {
        while (recv(fds[i], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
        close(fds[i]);
    }
}

void ask_anew(int n, unsigned every_ms)
{
    for (int i = 0; i < n; i++) {
        char ok[3];
        int fd = connect_to("127.0.0.1", PORT, 0);
        say(fd, REQUEST);
        (void)!recv(fd, ok, sizeof ok, MSG_WAITALL);
        close(fd);
        nap_ms(every_ms);
    }
}

void ask_again(unsigned every_ms)
{
    int fd = connect_to("127.0.0.1", PORT, 0);
    for (uint64_t end = now_ms() + 60000; now_ms() < end; nap_ms(every_ms)) {
        char bytes[4096];
        say(fd, REQUEST);
        if (recv(fd, bytes, sizeof bytes, 0) <= 0)
            break;
    }
    close(fd);
}

/* ---- a server with one epoll loop -------------------------------------------------------------------- */
void watch(const struct server *s, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    check(epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
}

static void take(const struct server *s)
{
    for (int i = 0; i < (s->accept_most ? s->accept_most : MOST); i++) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (!s->deaf)
            watch(s, fd, s->conn_events ? s->conn_events : EPOLLIN);
    }
}

static void answer(struct server *s, int fd)
{
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n > 0 && s->request)
        s->request(s, fd, bytes, (size_t)n);
    else if (n > 0)
        say(fd, "ok\n");
    else if (n < 0 && errno == EAGAIN)
        return;
    else if (s->keep_ended)
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
    else
        close(fd);
}

void serve(struct server *s)
{
    nonblocking(s->listener);
    if (s->epoll <= 0)
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(s, s->listener, s->listener_events ? s->listener_events : EPOLLIN);
    for (;;) {
        struct epoll_event e[64];
        int n = epoll_wait(s->epoll, e, 64, -1);
        for (int i = 0; i < n; i++) {
            if (e[i].data.fd == s->listener)
                take(s);
            else if (!(e[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
                answer(s, e[i].data.fd);
            else if (!s->keep_broken)
                close(e[i].data.fd);
        }
    }
}

/* ---- the table ------------------------------------------------------------------------------------- */
static const struct patient *find(const char *name)
{
    const struct patient *lists[] = {accept_patients, thread_patients, conn_patients,
                                     path_patients};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const struct patient *p = lists[i]; p->name; p++) {
            if (strcmp(p->name, name) == 0)
                return p;
        }
    }
    return NULL;
}

static pid_t start(void (*run)(bool sick), bool sick)
{
    char c;
    check(pipe2(us.up, O_CLOEXEC) == 0 && pipe2(us.go, O_CLOEXEC) == 0, "pipe");
    pid_t pid = fork_child();
    if (pid == 0) {
        run(sick);
        sleep_for_ever();
    }
    close(us.up[1]);
    close(us.go[0]);
    check(read(us.up[0], &c, 1) == 1, "the server ended");
    return pid;
}

int main(int argc, char **argv)
{
    const struct patient *p = argc == 3 ? find(argv[1]) : NULL;
    if (!p || (strcmp(argv[2], "sick") != 0 && strcmp(argv[2], "healthy") != 0)) {
        fprintf(stderr, "usage: patient NAME sick|healthy\n");
        return 64;
    }
    bool sick = strcmp(argv[2], "sick") == 0;
    signal(SIGPIPE, SIG_IGN);
    if (p->other)
        start(p->other, sick);
    us.server = start(p->server, sick);
    p->clients(sick);
    ready();
    sleep_for_ever();
}

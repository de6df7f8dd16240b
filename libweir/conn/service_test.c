/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole services, each in a process of its own, seen from outside: served, stopped by signal, its log
 * read afterwards.
 */
#include "libweir/conn/service.h"

#include "libweir/base/err.h"
#include "libweir/io/proc_testing.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char log_path[64];

/* What the processes of the service count, in memory that this one sees. */
static struct counts {
    int starts, stops, hups, latest_pid;
} * counts;

static void add(int *n)
{
    __atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    (void)wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("status\n"));
}

static int on_start(struct wr_service *s)
{
    counts->latest_pid = (int)getpid();
    add(&counts->starts);
    return wr_service_loop(s) && wr_service_scope(s) && wr_service_server(s, 0) ? 0 : -EINVAL;
}

static void on_stop(struct wr_service *s)
{
    (void)s;
    add(&counts->stops);
}

static void on_hup(struct wr_service *s)
{
    (void)s;
    add(&counts->hups);
}

static int refuse_start(struct wr_service *s)
{
    (void)s;
    return -EPERM;
}

static const struct wr_proto echo = {.on_frame = on_frame};

static void nap(int ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

/* A free port, for the moment. */
static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&a, n) || getsockname(fd, (struct sockaddr *)&a, &n))
        exit(99);
    close(fd);
    return ntohs(a.sin_port);
}

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    struct timeval limit = {5, 0};
    for (int i = 0; i < 200; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
            return fd;
        close(fd);
        nap(20);
    }
    return -1;
}

static bool says(int fd, const char *text, const char *want)
{
    char out[512];
    size_t got = 0;
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return false;
    while (got < sizeof out - 1) {
        ssize_t n = recv(fd, out + got, sizeof out - 1 - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
        out[got] = 0;
        if (strstr(out, want))
            return true;
    }
    return false;
}

static bool logged(const char *text)
{
    static char all[65536];
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, all, sizeof all - 1);
    all[n > 0 ? n : 0] = 0;
    close(fd);
    return strstr(all, text) != NULL;
}

static pid_t start(const struct wr_service_options *o)
{
    (void)fflush(stdout);
    unlink(log_path);
    memset(counts, 0, sizeof *counts);
    pid_t pid = fork();
    if (pid == 0)
        _exit(wr_service_run(o));
    return pid;
}

static int wait_end(pid_t pid)
{
    int status = -1;
    for (int i = 0; i < 500; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        nap(20);
    }
    kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1000;
}

static void test_service(unsigned workers, const char *accept)
{
    char framed[32], http[32];
    int port = free_port(), web = free_port(), ones = workers ? (int)workers : 1;
    (void)snprintf(framed, sizeof framed, "127.0.0.1:%d", port);
    (void)snprintf(http, sizeof http, "127.0.0.1:%d", web);
    struct wr_service_options o = {.name = "test",
                                   .workers = workers,
                                   .accept = accept,
                                   .log_file = log_path,
                                   .servers = {{.addr = framed, .conn = {.proto = &echo}}},
                                   .http = {{.addr = http, .on_request = on_request}},
                                   .on_start = on_start,
                                   .on_stop = on_stop,
                                   .on_hup = on_hup};
    const char *name = accept ? accept : "alone";
    pid_t pid = start(&o);
    int fd = dial(port), idle = dial(port);
    ok(says(fd, "hello", "hello"), "%s: framed", name);
    close(fd);
    int served = 0;
    for (int i = 0; i < 20; i++) {
        fd = dial(web);
        served += says(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "status\n");
        close(fd);
    }
    is_int(served, 20, "%s: http", name);
    kill(pid, SIGHUP);
    for (int i = 0; i < 100 && counts->hups < ones; i++)
        nap(10);
    is_int(counts->hups, ones, "%s: SIGHUP reaches every process that serves", name);
    kill(pid, SIGUSR1);
    kill(pid, SIGTERM);
    is_int(wait_end(pid), 0, "%s: an orderly end", name);
    char c;
    is_int(recv(idle, &c, 1, 0), 0, "%s: an idle connection sees the end", name);
    close(idle);
    is_int(counts->starts, ones, "%s: started in each", name);
    is_int(counts->stops, ones, "%s: stopped in each", name);
    ok(logged("service listening addr=127.0.0.1:"), "%s: the log says where it listened", name);
    ok(logged("service stopped name=test"), "%s: and that it stopped", name);
}

/* The port that the log names; 0: none within some seconds. */
static int logged_port(void)
{
    char all[8192];
    int port = 0;
    for (int i = 0; i < 500 && !port; i++) {
        int fd = open(log_path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, all, sizeof all - 1);
        all[n > 0 ? n : 0] = 0;
        close(fd);
        const char *at = strstr(all, "listening addr=127.0.0.1:");
        if (!at || sscanf(at + strlen("listening addr=127.0.0.1:"), "%d", &port) != 1)
            nap(10);
    }
    return port;
}

static int listening_on(int port)
{
    char line[256], want[40];
    int n = 0;
    FILE *f = fopen("/proc/net/tcp", "re");
    (void)snprintf(want, sizeof want, ": 0100007F:%04X 00000000:0000 0A", (unsigned)port);
    while (f && fgets(line, sizeof line, f))
        n += strstr(line, want) != NULL;
    if (f)
        (void)fclose(f);
    return n;
}

static void test_any_port(void)
{
    struct wr_service_options o = {
        .name = "test",
        .workers = 3,
        .log_file = log_path,
        .servers = {{.addr = "127.0.0.1:0", .conn = {.proto = &echo}}}};
    pid_t pid = start(&o);
    int port = logged_port(), fd = dial(port);
    ok(says(fd, "hello", "hello"), "any port: the log says which");
    close(fd);
    is_int(listening_on(port), 3, "and it is that of every worker");
    kill(pid, SIGTERM);
    is_int(wait_end(pid), 0, "an orderly end");
}

/* What somebody else has opened is one socket: the workers share it. */
static void test_given(void)
{
    char given[32];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok(bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 8) == 0 &&
           getsockname(fd, (struct sockaddr *)&a, &n) == 0,
       "a listening socket");
    (void)snprintf(given, sizeof given, "fd:%d", fd);
    struct wr_service_options o = {.name = "test",
                                   .workers = 2,
                                   .log_file = log_path,
                                   .servers = {{.addr = given, .conn = {.proto = &echo}}}};
    pid_t pid = start(&o);
    close(fd);
    fd = dial(ntohs(a.sin_port));
    ok(says(fd, "hello", "hello"), "given to a service, it is served");
    close(fd);
    ok(logged_port() == ntohs(a.sin_port) && logged("accept=exclusive workers=2"),
       "by all workers, one of which wakes");
    kill(pid, SIGTERM);
    is_int(wait_end(pid), 0, "an orderly end");
}

static void test_worker_dies(void)
{
    char framed[32];
    int port = free_port();
    (void)snprintf(framed, sizeof framed, "127.0.0.1:%d", port);
    struct wr_service_options o = {.name = "test",
                                   .workers = 2,
                                   .log_file = log_path,
                                   .servers = {{.addr = framed, .conn = {.proto = &echo}}},
                                   .on_start = on_start};
    pid_t pid = start(&o);
    int fd = dial(port);
    ok(says(fd, "a", "a"), "served");
    close(fd);
    for (int i = 0; i < 100 && counts->starts < 2; i++)
        nap(10);
    is_int(kill(counts->latest_pid, SIGKILL), 0, "a worker is killed");
    for (int i = 0; i < 200 && counts->starts < 3; i++)
        nap(10);
    is_int(counts->starts, 3, "and replaced");
    int served = 0;
    for (int i = 0; i < 20; i++) {
        fd = dial(port);
        served += says(fd, "b", "b");
        close(fd);
    }
    is_int(served, 20, "everybody is served");
    kill(pid, SIGINT);
    is_int(wait_end(pid), 0, "an orderly end");
    ok(logged("worker_ended"), "the log names the death");
}

/* A service manager or a terminal signals the whole group: each process hears of one end twice. */
static void test_group_is_told(unsigned workers, uint64_t grace_ms)
{
    char framed[32];
    int port = free_port();
    (void)snprintf(framed, sizeof framed, "127.0.0.1:%d", port);
    struct wr_service_options o = {.name = "test",
                                   .workers = workers,
                                   .grace_ms = grace_ms,
                                   .log_file = log_path,
                                   .http = {{.addr = framed, .on_request = on_request}},
                                   .on_stop = on_stop};
    pid_t pid = start(&o);
    (void)setpgid(pid, pid);
    int fd = dial(port);
    ok(says(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "status\n"), "served");
    ok(send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16, "half a request");
    nap(100);
    is_int(kill(-pid, SIGTERM), 0, "the whole group is told to end");
    nap(2500);
    ok(says(fd, "Host: x\r\n\r\n", "status\n"),
       "%u workers: a request under way is finished all the same", workers);
    close(fd);
    is_int(wait_end(pid), 0, "an orderly end");
}

static void test_failures(void)
{
    char framed[32];
    int fd = free_port();
    (void)snprintf(framed, sizeof framed, "127.0.0.1:%d", fd);
    struct wr_service_options o = {
        .name = "test", .log_file = log_path, .servers = {{.addr = "nonsense:port:"}}};
    o.log_file = "/nonexistent/log";
    is_int(wait_end(start(&o)), 1, "a log that cannot be written");
    o.log_file = log_path;
    is_int(wait_end(start(&o)), 1, "an address that is none");
    ok(logged("service failed what=nonsense:port:") && logged("do=\"an address is "),
       "is named");
    o.workers = 2;
    is_int(wait_end(start(&o)), 1, "also with workers");
    ok(logged("service failed what=nonsense:port:"), "is named");
    o.servers[0].addr = framed;
    o.accept = "telepathy";
    is_int(wait_end(start(&o)), 1, "an accept mode that is none");
    ok(logged("what=telepathy"), "is named");
    o.workers = 0;
    o.on_start = refuse_start;
    is_int(wait_end(start(&o)), 1, "a program that does not want to start");
    ok(logged("service failed what=on_start err=EPERM"), "is named");
}

int main(void)
{
    if (!testing_has_pidfd()) {
        skip("no pidfd here");
        return tap_done();
    }
    (void)snprintf(log_path, sizeof log_path, "/tmp/weir-service-test.%d.log", (int)getpid());
    counts =
        mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        return 99;
    test_service(0, NULL);
    test_service(2, "reuseport");
    test_service(2, "exclusive");
    test_any_port();
    test_given();
    test_service(2, "notify");
    test_service(2, "fdpass");
    test_worker_dies();
    test_group_is_told(0, 0);
    test_group_is_told(2, 0);
    test_group_is_told(2, UINT64_MAX);
    test_failures();
    unlink(log_path);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept_modes [short=1] [ms=N] [backlog=N]
 *
 * One page, many ways to accept: `serial` takes one connection after the other, `pool` has 1, 2 or 4
 * workers and one of four accept modes; 1 to 3000 clients at once, on kept and on short connections. Type
 * accept_modes, wait four minutes (short=1: a few seconds), and read one table:
 *
 *     requests/s
 *     spread      the share of the least and of the most busy worker, in percent
 *     overflows   connections that found the kernel's queue full and had to knock again (whole machine)
 *     outside     who still knocked when the time was over
 *     lost        requests without an answer
 *
 * The last column is 0 everywhere. With backlog=5 the overflows come, and cost time, but still nothing is
 * lost: no mode depends on one wake-up for each connection.
 */
#include "examples/crowd.h"
#include "examples/option.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[2048]; /* of the programs */
static unsigned backlog;
static uint64_t lost;

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, n) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        perror("accept_modes");
    close(fd);
    return ntohs(at.sin_port);
}

static pid_t start(const char *mode, unsigned workers, uint16_t port)
{
    bool serial = workers == 0;
    char path[4096], at[64], workers_is[32], accept_is[32], backlog_is[32];
    (void)snprintf(path, sizeof path, "%s/%s", folder, serial ? "serial" : "pool");
    (void)snprintf(at, sizeof at, serial ? "%d" : "tcp://127.0.0.1:%d", port);
    (void)snprintf(workers_is, sizeof workers_is, "workers=%u", workers);
    (void)snprintf(accept_is, sizeof accept_is, "accept=%s", mode);
    (void)snprintf(backlog_is, sizeof backlog_is, "backlog=%u", backlog);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)!freopen("/dev/null", "w", stderr);
    (void)execl(path, path, at, backlog_is, workers_is, accept_is, (char *)NULL);
    _exit(127);
}

/* True when it answers; the other workers get a moment more. */
static bool ready(uint16_t port)
{
    struct crowd_plan knock = {port, 1, 1, 2000, false};
    struct crowd_result r = {0};
    for (int i = 0; i < 200 && r.answered == 0; i++) {
        (void)usleep(20000);
        if (crowd_run(&knock, &r) != 0)
            return false;
    }
    (void)usleep(150000);
    return r.answered > 0;
}

/* TcpExt ListenOverflows: a line of names, then a line of values. */
static uint64_t overflows(void)
{
    char names[8192], values[8192];
    uint64_t found = 0;
    FILE *f = fopen("/proc/net/netstat", "r");
    while (f && fgets(names, sizeof names, f) && fgets(values, sizeof values, f)) {
        char *n, *v, *name = strtok_r(names, " \n", &n), *value = strtok_r(values, " \n", &v);
        for (; name && value;
             name = strtok_r(NULL, " \n", &n), value = strtok_r(NULL, " \n", &v))
            if (strcmp(name, "ListenOverflows") == 0)
                found = strtoull(value, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return found;
}

static void measure(const char *mode, unsigned workers, const struct crowd_plan *plan)
{
    struct crowd_result r;
    uint64_t before = overflows(), least = UINT64_MAX, most = 0;
    if (crowd_run(plan, &r) != 0)
        lost++;
    for (unsigned i = 0; i < r.workers; i++) {
        least = r.worker[i].answered < least ? r.worker[i].answered : least;
        most = r.worker[i].answered > most ? r.worker[i].answered : most;
    }
    if (r.workers < workers || r.answered == 0)
        least = 0; /* somebody got nothing */
    double percent = r.answered ? 100.0 / (double)r.answered : 0;
    printf("%-10s %7u  %-5s %7u %10.0f  %3.0f-%-3.0f %9llu %7llu %6llu\n", mode, workers,
           plan->keep_alive ? "keep" : "short", plan->clients, (double)r.answered / r.seconds,
           (double)least * percent, (double)most * percent,
           (unsigned long long)(overflows() - before), (unsigned long long)r.outside,
           (unsigned long long)r.lost);
    (void)fflush(stdout);
    lost += r.lost;
}

static void try(const char *mode, unsigned workers, bool brief, unsigned run_ms)
{
    static const unsigned all[] = {1, 10, 100, 1000, 3000}, few[] = {1, 200};
    uint16_t port = free_port();
    pid_t pid = start(mode, workers, port);
    if (!ready(port)) {
        printf("%-10s %7u  did not start\n", mode, workers);
        lost++;
    }
    for (unsigned keep = workers > 0; keep < 2; keep--) /* serial keeps nothing */
        for (unsigned i = 0; i < (brief ? 2 : 5); i++)
            measure(mode, workers,
                    &(struct crowd_plan){.port = port,
                                         .clients = brief ? few[i] : all[i],
                                         .run_ms = run_ms,
                                         .patience_ms = 5000,
                                         .keep_alive = keep});
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"reuseport", "exclusive", "notify", "fdpass"};
    bool brief = option_number(argc, argv, "short", 0);
    unsigned run_ms = option_number(argc, argv, "ms", brief ? 60 : 1500);
    struct rlimit files;
    backlog = option_number(argc, argv, "backlog", 0);
    const char *slash = strrchr(argv[0], '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - argv[0]) : 1,
                   slash ? argv[0] : ".");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    printf("accept     workers  conns clients requests/s  spread  overflows outside   lost\n");
    try("serial", 0, brief, run_ms);
    for (unsigned m = 0; m < 4; m++)
        for (unsigned workers = 1; workers <= 4; workers *= 2)
            try(modes[m], workers, brief, run_ms);
    printf("lost in all: %llu\n", (unsigned long long)lost);
    return lost ? 1 : 0;
}

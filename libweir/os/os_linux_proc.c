/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as it is: processes, signals, threads.
 */
#include "libweir/base/assert.h"
#include "libweir/os/os.h"
#include "libweir/os/os_linux.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- processes ------------------------------------------------------------------------------- */
/* A thread that holds a lock at the moment of the fork does not exist in the child, the lock does. */
static void check_single_threaded(void)
{
    int threads = wr_os_thread_count();
    if (threads > 1)
        WR_PANIC("wr_os_spawn: this process has %d threads; a child would inherit locks that "
                 "nobody releases. Fork before the first thread is started",
                 threads);
}

pid_t wr_os_spawn(int (*fn)(void *arg), void *arg, int *out_pidfd)
{
    check_single_threaded();
    pid_t pid = WR_OS_ONCE(fork());
    if (pid < 0)
        return pid;
    if (pid == 0)
        _exit(fn(arg));
    if (!out_pidfd)
        return pid;
    int fd = WR_OS_ONCE(pidfd_open(pid, 0));
    if (fd < 0) { /* without a descriptor nobody would notice its end */
        (void)kill(pid, SIGKILL);
        (void)WR_OS_RETRY(waitpid(pid, NULL, 0));
        return fd;
    }
    *out_pidfd = fd;
    return pid;
}

WR_NORETURN void wr_os_exit(int status)
{
    _exit(status);
}

int wr_os_hostname(char *out, size_t n)
{
    if (gethostname(out, n) < 0)
        return -errno;
    out[n - 1] = '\0';
    return 0;
}

void wr_os_calendar(int64_t s, bool utc, struct tm *out)
{
    time_t t = (time_t)s;
    if (!(utc ? gmtime_r(&t, out) : localtime_r(&t, out)))
        *out = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_zone = "UTC"};
}

int wr_os_realpath(const char *path, char out[static 4096])
{
    return realpath(path, out) ? 0 : -errno;
}

pid_t wr_os_getpid(void)
{
    return getpid();
}

pid_t wr_os_getppid(void)
{
    return getppid();
}

int wr_os_thread_count(void)
{
    struct stat st;
    int err = wr_os_stat("/proc/self/task", &st);
    return err ? err
               : (int)st.st_nlink - 2; /* one directory per thread, besides "." and ".." */
}

int wr_os_reap(pid_t pid, int *out_status)
{
    int status = 0;
    pid_t got = WR_OS_RETRY(waitpid(pid, &status, WNOHANG));
    if (got <= 0)
        return got;
    *out_status = status;
    return 1;
}

int wr_os_pidfd_signal(int pidfd, int sig)
{
    return WR_OS_ONCE(pidfd_send_signal(pidfd, sig, NULL, 0));
}

int wr_os_kill(pid_t pid, int sig)
{
    return WR_OS_ONCE(kill(pid, sig));
}

int wr_os_parent_death_signal(int sig)
{
    return WR_OS_ONCE(prctl(PR_SET_PDEATHSIG, sig));
}

int wr_os_set_name(const char *name)
{
    return WR_OS_ONCE(prctl(PR_SET_NAME, name));
}

int wr_os_rlimit_get(int what, struct rlimit *out)
{
    return WR_OS_ONCE(getrlimit((__rlimit_resource_t)what, out));
}

int wr_os_rlimit_set(int what, const struct rlimit *in)
{
    return WR_OS_ONCE(setrlimit((__rlimit_resource_t)what, in));
}

int wr_os_set_affinity(unsigned cpu)
{
    if (cpu >= CPU_SETSIZE)
        return -EINVAL;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return WR_OS_ONCE(sched_setaffinity(0, sizeof set, &set));
}

int wr_os_cpu_count(void)
{
    cpu_set_t set;
    int err = WR_OS_ONCE(sched_getaffinity(0, sizeof set, &set));
    return err < 0 ? err : CPU_COUNT(&set);
}

/* ---- signals ----------------------------------------------------------------------------------- */
int wr_os_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    return -pthread_sigmask(how, set, old);
}

int wr_os_signalfd(const sigset_t *set)
{
    return WR_OS_ONCE(signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int wr_os_signalfd_read(int fd, struct signalfd_siginfo *out)
{
    ssize_t n = WR_OS_RETRY(read(fd, out, sizeof *out));
    return n < 0 ? (int)n : 1;
}

/* ---- threads ----------------------------------------------------------------------------------- */
struct wr_os_thread {
    pthread_t id;
    void (*fn)(void *arg);
    void *arg;
};

static void *thread_main(void *p)
{
    struct wr_os_thread *t = p;
    t->fn(t->arg);
    return NULL;
}

int wr_os_thread_start(void (*fn)(void *arg), void *arg, struct wr_os_thread **out)
{
    pthread_attr_t attr;
    sigset_t all;
    struct wr_os_thread *t = malloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    *t = (struct wr_os_thread){.fn = fn, .arg = arg};
    (void)sigfillset(&all);
    int err = pthread_attr_init(&attr);
    if (err)
        goto fail;
    /* Signals belong to the loop that reads them: no thread may be the one the kernel picks. */
    err = pthread_attr_setsigmask_np(&attr, &all);
    if (!err)
        err = pthread_create(&t->id, &attr, thread_main, t);
    (void)pthread_attr_destroy(&attr);
    if (err)
        goto fail;
    *out = t;
    return 0;
fail:
    free(t);
    return -err;
}

int wr_os_thread_join(struct wr_os_thread *t)
{
    int err = pthread_join(t->id, NULL);
    free(t);
    return -err;
}

uintptr_t wr_os_thread_self(void)
{
    return (uintptr_t)pthread_self();
}

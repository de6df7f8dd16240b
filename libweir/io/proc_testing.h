/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_PROC_TESTING_H
#define WR_IO_PROC_TESTING_H

/* For unit tests that start processes: end one and take its status, bounded in time. */

#include "libweir/os/os.h"

#include <signal.h>

static inline int testing_reap(pid_t pid, unsigned patience_ms)
{
    int status = -1;
    for (unsigned i = 0; i < patience_ms * 10; i++) {
        if (wr_os_reap(pid, &status) != 0)
            return status;
        (void)wr_os_sleep_ns(100000);
    }
    return -1;
}

/* Returns the status as waitpid's. */
static inline int testing_kill(pid_t pid)
{
    int err = wr_os_kill(pid, SIGKILL);
    return err < 0 ? err : testing_reap(pid, 5000);
}

static inline int testing_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* False under valgrind before 3.21, which does not know the call. */
static inline bool testing_has_pidfd(void)
{
    int pidfd;
    pid_t pid = wr_os_spawn(testing_nothing, NULL, &pidfd);
    if (pid < 0)
        return false;
    (void)wr_os_close(pidfd);
    return testing_reap(pid, 5000) == 0;
}

#endif

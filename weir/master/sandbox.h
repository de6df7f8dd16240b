/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_SANDBOX_H
#define MASTER_SANDBOX_H

/*
 * What a worker gives up before it sees the first byte of a stranger.
 *
 *   no_new_privs -> capabilities -> not dumpable -> Landlock (files, ports, signals) -> seccomp
 *
 * Landlock leaves the worker what it has to read (roots, files named by the configuration) and write (temporary
 * directories); seccomp leaves it the system calls of os_linux that a worker makes, some of them only with
 * certain arguments, and kills it on any other.
 *
 * 1. A step that the kernel does not have is left out with one warning; nothing else makes a worker start
 *    with more rights than planned: a step that fails although the kernel has it is an error.
 * 2. Nothing can be taken back; threads that are started later inherit all of it.
 * 3. Mode LOG enters seccomp only, and lets everything pass after the kernel has logged it.
 *
 * Called once per process, as the user that it will be, before its first thread.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

enum sandbox_mode {
    SANDBOX_OFF,
    SANDBOX_LOG,
    SANDBOX_ON
};

struct sandbox_path {
    const char *path;
    bool write;
};

struct sandbox_plan {
    enum sandbox_mode mode;
    const struct sandbox_path *paths;
    unsigned n_paths;
    const uint16_t *ports; /* that it may connect to */
    unsigned n_ports;
    bool any_port; /* to whatever port */
    bool netlink;  /* the watch asks the kernel about listeners */
    void (*say)(void *ctx, int level, const char *text); /* enum wr_log_level */
    void *ctx;
};

WR_MUST int sandbox_enter(const struct sandbox_plan *plan);

/* `weir --selftest sandbox`: tries what must be refused and prints each with its verdict to fd.
 * user: who it becomes when it is root. Returns the exit status: 0 when all was refused. */
int sandbox_selftest(int fd, const char *user);

#endif

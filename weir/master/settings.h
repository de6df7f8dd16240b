/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_SETTINGS_H
#define MASTER_SETTINGS_H

/*
 * What a configuration says about processes, worked out: numbers instead of names, full paths, masks.
 *
 * Read from core_main, master_conf and the tree (for the paths of the sandbox) into the configuration's arena,
 * in the master, before anything is started: whatever is wrong is said here.
 */

#include "weir/master/sandbox.h"
#include "weir/web/load.h"

#define SETTINGS_WORKERS   250U
#define SETTINGS_SPARE_FDS 64U /* of a worker, beside its connections */

struct settings_mask {
    uint64_t cpu[16];
};

struct settings {
    unsigned workers, connections;
    bool daemon, master_process, has_user;
    const char *user;
    uid_t uid;
    gid_t gid;
    int priority;
    uint64_t nofile, core; /* 0, UINT64_MAX: as they are */
    uint64_t shutdown_ms, watchdog_ms, memory;
    const struct settings_mask *masks; /* by worker modulo n_masks */
    unsigned n_masks;
    const char *directory;  /* NULL: as it is */
    const char *pid;        /* full path; NULL: none */
    const char *postmortem; /* directory; NULL: off */
    struct wr_span admin;   /* an address as wr_addr_parse takes it; empty: off */
    char **env;             /* of the workers */
    enum sandbox_mode sandbox;
    const struct sandbox_path *paths;
    unsigned n_paths;
    uint16_t ports[16]; /* that workers may connect to */
    unsigned n_ports;
    bool any_port; /* it cannot be known */
};

/* 0; WR_E_SYNTAX after say was called, -ENOMEM. */
WR_MUST int settings_read(struct web_config *config, struct settings *out,
                          void (*say)(void *ctx, int level, const char *text), void *ctx);

#endif

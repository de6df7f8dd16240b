/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * master: how processes are kept in order.
 *
 *   sandbox on | off | log;  sandbox_read path ...;  sandbox_write path ...;
 *   admin unix:path | 127.0.0.1:port | off;  postmortem_path directory | off;
 *   worker_memory size | off;  worker_watchdog time | off;
 */
#include "weir/master/directives.h"

#include "weir/master/sandbox.h"

static const struct conf_enum modes[] = {
    {"on",  SANDBOX_ON },
    {"off", SANDBOX_OFF},
    {"log", SANDBOX_LOG},
    {NULL,  0          }
};

#define FIELD(member) CONF_FIELD(struct master_conf, member)

/* clang-format off */
static const struct conf_row rows[] = {
    {"sandbox", CONF_MAIN, 1, 1, 0, CONF_AT_CORE,
     conf_set_enum, FIELD(sandbox), "on", modes,
     "on | off | log", "Whether workers give up rights that serving does not need."},
    {"sandbox_read", CONF_MAIN, 1, CONF_MANY, CONF_TWICE, CONF_AT_CORE,
     conf_set_texts, FIELD(sandbox_read), NULL, NULL,
     "path ...", "Further files and directories that workers may read."},
    {"sandbox_write", CONF_MAIN, 1, CONF_MANY, CONF_TWICE, CONF_AT_CORE,
     conf_set_texts, FIELD(sandbox_write), NULL, NULL,
     "path ...", "Further directories that workers may write to."},
    {"admin", CONF_MAIN, 1, 1, 0, CONF_AT_CORE,
     conf_set_text, FIELD(admin), NULL, NULL,
     "unix:path | address:port | off", "Where metrics and the status page are served; an address of loopback."},
    {"postmortem_path", CONF_MAIN, 1, 1, 0, CONF_AT_CORE,
     conf_set_text, FIELD(postmortem), NULL, NULL,
     "directory | off", "Where the last words of workers that died are kept."},
    {"worker_memory", CONF_MAIN, 1, 1, 0, CONF_AT_CORE,
     conf_set_size, FIELD(worker_memory), "off", "off",
     "size | off", "How much memory a worker may use for connections and requests: above four fifths of it new "
     "requests are answered 503 with Retry-After and idle connections are closed, at the whole of it the connection "
     "that asks for more is closed, and the log says when it begins and ends."},
    {"worker_watchdog", CONF_MAIN, 1, 1, 0, CONF_AT_CORE,
     conf_set_msec, FIELD(worker_watchdog_ms), "10s", "off",
     "time | off", "How long a worker may stand still before it is replaced."},
    {0},
};
/* clang-format on */

const struct web_module master_module = {
    .conf = {.name = "master",
             .size = {[CONF_AT_CORE] = sizeof(struct master_conf)},
             .rows = rows},
};

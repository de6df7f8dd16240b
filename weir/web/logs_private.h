/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_LOGS_PRIVATE_H
#define WEB_LOGS_PRIVATE_H

/*
 * Inside the module log: its structs, and what logs.c, errorlog.c, accesslog.c and log_format.c share.
 */

#include "weir/web/logs.h"
#include "weir/web/site.h"

/* ---- destinations (logs.c) ------------------------------------------------------------------------------ */

struct log_dest {
    struct log_dest *next; /* of the generation */
    struct wr_log_sink_def def;
    unsigned channel; /* 0 until registered: the main log */
    const struct conf_node *node;
    uint32_t word;
};

/* path as a directive gives it: a file, stderr, syslog:...; NULL after conf_fail. */
int log_dest_new(struct conf_load *load, const struct conf_node *node, uint32_t word,
                 struct wr_span path, bool is_error_log, struct log_dest **out);
/* Enters one; equal ones become one. NULL: no memory. */
struct log_dest *log_dest_add(const struct conf_scope *scope, struct wr_arena *arena,
                              const struct log_dest *dest);

/* ---- error_log (errorlog.c) ----------------------------------------------------------------------------- */

struct error_target {
    struct error_target *next;
    struct log_dest *dest; /* NULL: the main log */
    int level;
};
conf_setter log_set_error;

/* ---- log_format (log_format.c) -------------------------------------------------------------------------- */

enum log_escape {
    LOG_ESCAPE_DEFAULT,
    LOG_ESCAPE_JSON,
    LOG_ESCAPE_NONE
};

struct log_format {
    struct log_format *next;
    struct wr_span name;
    const struct log_op *ops;
    uint32_t nops;
    uint8_t escape;
};
conf_setter log_set_format;
struct log_format *log_format_find(struct log_format *list, struct wr_span name);
WR_MUST int log_format_combined(struct conf_load *load, struct log_format **out);
/* Returns the length, at most n; what does not fit is cut. */
size_t log_format_run(struct web_req *r, const struct log_format *f, char *out, size_t n);
/* The escaping of each kind; for log_format.c and its test. */
size_t log_escape(char *out, size_t n, struct wr_span text, enum log_escape kind);

/* ---- access_log (accesslog.c) --------------------------------------------------------------------------- */

struct access_target {
    struct access_target *next;
    struct log_dest *dest;
    const struct log_format *format;
    struct web_value path; /* with variables */
    struct web_value condition;
    bool named, conditional;
};

struct log_file_cache {
    bool on, set;
    uint32_t max, min_uses;
    uint64_t inactive_ms, valid_ms;
};

struct log_core_conf {
    struct error_target *errors;
    struct log_dest *dests; /* all logs of the generation */
};

struct log_http_conf {
    struct log_format *formats;
};

struct access_targets {
    struct access_target *first, *last;
    bool off;
};

struct log_location_conf {
    struct error_target *errors;
    struct access_targets access;
    struct log_file_cache cache;
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_CORE_H
#define WEB_CORE_H

/*
 * What the core directives set: main context and events, http, server, location. The rows are in core_rows.c; other modules read the fields here.
 *
 * Struct by level: web_generation_core(g, WEB_core) is struct core_main, web_main_conf(r, core) struct core_http,
 * web_server_conf(r, core) struct core_server, web_location_conf(r, core) struct core_location.
 * What requests need often is made ready when the scopes are settled (core_settle).
 */

#include "weir/web/web.h"

enum {
    CORE_AUTO = -1 /* worker_processes auto */
};

/* ---- main, events ----------------------------------------------------------------------------------------- */

struct wr_work_pool;

/* Of `thread_pool`, or named by `aio threads=`. */
struct core_thread_pool {
    struct core_thread_pool *next;
    struct wr_span name;
    const struct conf_node *node; /* that named it first */
    int64_t threads, max_queue;   /* threads 0: it is not known */
    bool used, defined;
    struct wr_work_pool *pool; /* a worker's, while it runs */
};

struct core_main {
    const char *user, *group; /* NULL: as built */
    int worker_processes;     /* or CORE_AUTO */
    struct conf_texts worker_cpu_affinity;
    int64_t worker_priority;
    int64_t worker_rlimit_nofile; /* 0: as it is */
    uint64_t worker_rlimit_core;  /* UINT64_MAX: as it is */
    uint64_t worker_shutdown_timeout_ms;
    uint64_t timer_resolution_ms;
    bool daemon, master_process, pcre_jit;
    struct wr_span pid, lock_file, working_directory;
    struct conf_texts env;
    int debug_points;
    int64_t worker_connections;
    bool accept_mutex, multi_accept;
    bool has_events;
    struct wr_span use;
    struct core_thread_pool *thread_pools;
};

/* ---- http, server ------------------------------------------------------------------------------------------ */

struct core_http {
    int64_t server_names_hash_bucket_size, server_names_hash_max_size;
    int64_t variables_hash_bucket_size, variables_hash_max_size;
};

struct core_server {
    uint64_t client_header_timeout_ms;
    uint64_t client_header_buffer_size;
    struct conf_bufs large_client_header_buffers;
    int64_t max_headers;
    uint64_t connection_pool_size, request_pool_size;
    bool ignore_invalid_headers, underscores_in_headers, merge_slashes;
    struct wr_http_head_limits head_limits; /* of the above */
};

/* ---- location ------------------------------------------------------------------------------------------------ */

struct core_root { /* root, alias */
    struct web_value path;
    bool alias;
    bool regex;      /* alias in a location given by a pattern: the path is all there is */
    uint32_t name_n; /* alias: what of the URI it stands for */
};

struct core_error_page {
    struct core_error_page *next;
    int status;
    int answer; /* what the client is told: -1 the status itself, 0 as the new answer says */
    struct web_value uri;
    struct wr_span args;
};

struct core_types; /* types.c */

struct core_tokens {
    int mode; /* enum core_tokens_mode */
    struct web_value text;
};
enum core_tokens_mode {
    CORE_TOKENS_OFF,
    CORE_TOKENS_ON,
    CORE_TOKENS_BUILD,
    CORE_TOKENS_TEXT,
};

enum core_satisfy {
    CORE_SATISFY_ALL,
    CORE_SATISFY_ANY
};
enum core_modified {
    CORE_MODIFIED_OFF,
    CORE_MODIFIED_EXACT,
    CORE_MODIFIED_BEFORE
};
enum core_in_file {
    CORE_IN_FILE_OFF,
    CORE_IN_FILE_ON,
    CORE_IN_FILE_CLEAN
};
enum core_symlinks {
    CORE_SYMLINKS_FOLLOW, /* disable_symlinks off */
    CORE_SYMLINKS_REFUSE, /* on */
    CORE_SYMLINKS_OWNER,  /* if_not_owner */
};
enum core_aio {
    CORE_AIO_OFF,
    CORE_AIO_ON,
    CORE_AIO_THREADS
};
enum core_disable { /* keepalive_disable */
    CORE_DISABLE_NONE = 1,
    CORE_DISABLE_MSIE6 = 2,
    CORE_DISABLE_SAFARI = 4
};

struct core_symlinks_conf {
    int mode;
    struct web_value from; /* text.n == 0: none */
};
struct core_temp_path {
    struct wr_span path; /* without a slash at its end */
    uint8_t level[3];
    uint8_t nlevels;
};
struct core_file_cache {
    bool on;
    uint64_t max, inactive_ms;
};
struct core_keepalive {
    uint64_t timeout_ms;
    uint64_t header_s; /* of Keep-Alive; 0: no such field */
};
struct core_resolver {
    struct conf_texts servers; /* addresses as written */
    uint64_t valid_ms;         /* 0: as the answer says */
    bool no_ipv4, no_ipv6;
};
struct core_location {
    struct core_root root;
    struct core_types *types;
    struct wr_span default_type;
    struct core_error_page *error_pages, **error_pages_tail;
    struct core_tokens tokens;
    struct core_keepalive keepalive;
    struct core_temp_path body_temp_path;
    struct core_symlinks_conf symlinks;
    struct core_file_cache file_cache;
    struct core_resolver resolver;
    struct web_value limit_rate, limit_rate_after;
    struct wr_span post_action; /* empty: none */
    struct web_values early_hints;
    int satisfy, if_modified_since, body_in_file_only, lingering_close, aio;
    uint32_t keepalive_disable;
    bool internal, etag, sendfile, tcp_nopush, tcp_nodelay, reset_timedout_connection,
        recursive_error_pages, server_name_in_redirect, port_in_redirect, absolute_redirect,
        chunked_transfer_encoding, msie_padding, msie_refresh, log_not_found, log_subrequest,
        body_in_single_buffer, file_cache_errors, aio_write;
    uint64_t client_body_timeout_ms, client_body_buffer_size, client_max_body_size;
    uint64_t keepalive_time_ms, keepalive_min_timeout_ms, send_timeout_ms, send_lowat;
    int64_t keepalive_requests;
    uint64_t lingering_time_ms, lingering_timeout_ms;
    struct core_thread_pool *thread_pool; /* aio threads */
    struct core_thread_pool *direct_pool; /* of directio, without aio threads */
    uint64_t sendfile_max_chunk, directio, directio_alignment, read_ahead, postpone_output;
    uint64_t subrequest_output_buffer_size;
    struct conf_bufs output_buffers;
    uint64_t file_cache_valid_ms;
    int64_t file_cache_min_uses;
    uint64_t resolver_timeout_ms;
    int64_t types_hash_max_size, types_hash_bucket_size;
    /* Made ready. */
    struct wr_http_conn_limits limits;
    struct wr_span server_line;     /* "Server: weir/1.2.3\r\n" */
    struct wr_span keep_alive_line; /* "Connection: keep-alive\r\n" and Keep-Alive */
    struct wr_span error_tail;      /* of built-in error pages */
};

static inline const struct core_location *core_of(const struct web_location *l)
{
    return l->conf[WEB_core];
}

/* ---- between the core's files -------------------------------------------------------------------------------- */

conf_setter core_set_error_page; /* error_page.c */
conf_setter core_set_types;      /* types.c */
/* The type of the extension, or default_type. */
struct wr_span core_type_of(const struct core_location *c, struct wr_span uri);
WR_MUST int core_types_default(struct wr_arena *a, struct core_types **out);

/* "weir/0.1.0" */
extern const struct wr_span core_server_token;

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_WEB_H
#define WEB_WEB_H

/*
 * The web server's inner shape: what a module sees of a request, of its configuration and of the answer.
 *
 *   wr_http_server --head--> request --site: server, location--> phases --> handler
 *                                                                             |
 *        wr_http_server <--sink-- main filters <--postpone-- body filters <---+ pieces
 *
 * A location is compiled when the configuration is loaded: it holds the list of the phase functions and
 * filters that apply there, so a plain location runs its handler and nothing else. A request walks that
 * list; a function that has to wait says WEB_LATER and calls web_resume when it knows. The handler sets up
 * r->out, calls web_send_head, then web_send with pieces until the one marked last.
 *
 * 1. A request ends exactly once, in web_finish; a handler that returns a status has asked for it.
 *    Afterwards nothing of it is touched. A client that goes away ends it too: r->scope is cancelled.
 * 2. Everything that belongs to a request lies in r->arena; everything of the configuration in the arena
 *    of its generation, which lives until its last connection has closed.
 * 3. A body filter gives pieces on in order, keeps those it cannot give on yet, and passes `last` on
 *    exactly once. web_send never waits: above the high mark it returns 1 and on_drain comes.
 * 4. Pieces, and spans in them, are valid until the call returns: who keeps something copies the piece and
 *    copies or references its bytes. What a piece owns (bytes, file) moves to whoever is called.
 * 5. A subrequest is a request whose answer goes into its parent's, in the order of their making.
 *
 * One loop, one thread. Modules include this header, conf.h and the library, and never each other.
 */

#include "libweir/conn/http_server.h"
#include "weir/conf/conf.h"

/* ---- modules by number --------------------------------------------------------------------------------- */

/* One row per module in modules.def, in the order of the filter chain and of phase functions within a
 * phase. WEB_gzip is the index into every conf array. */
enum web_module_id {
#define WEB_MODULE(name) WEB_##name,
#include "weir/web/modules.def"
#undef WEB_MODULE
    WEB_MODULES
};

/* ---- the site: what was configured ------------------------------------------------------------------ */

struct web_req;
struct web_server;
struct web_listen;
struct web_var;
struct web_file;
struct web_generation; /* site.h: one loaded configuration */

enum web_phase {
    WEB_POST_READ,      /* realip; before a location is chosen */
    WEB_SERVER_REWRITE, /* rewrite rules of the server; before a location is chosen */
    WEB_REWRITE,
    WEB_PRE_ACCESS,  /* limit_conn, limit_req */
    WEB_ACCESS,      /* allow, auth: combined by `satisfy` */
    WEB_PRE_CONTENT, /* try_files, mirror */
    WEB_CONTENT,     /* index, autoindex, static ...; a location's own handler replaces them */
    WEB_PHASES
};

/* What a phase function or handler says; a status code from 200 up means: finish with that. */
enum web_rc {
    WEB_NEXT = -1,  /* not mine: the next function (DECLINED) */
    WEB_OK = 0,     /* ACCESS: granted. Others: the phase is over */
    WEB_LATER = -2, /* web_resume (or web_finish) will follow */
    WEB_DONE = -3,  /* the answer is under way or complete: nothing more to do here */
    WEB_ERROR = -4, /* the answer has begun and cannot go on: close */
};

typedef int web_phase_fn(struct web_req *r);

struct web_location {
    struct wr_span name;
    void **conf;                            /* by module, level location */
    web_phase_fn *handler;                  /* instead of the content phase; NULL: the phase */
    web_phase_fn *const *phase[WEB_PHASES]; /* what applies here; each list ends with NULL */
    int (*const *head_filters)(struct web_req *r); /* likewise */
    int (*const *logs)(struct web_req *r);         /* likewise: when a request has ended */
    const struct web_server *server;
    bool exact, no_regex, named, internal, auto_redirect, is_if, limit_except;
    const struct conf_node *node; /* for explain; NULL for a server's own */
    void *private;                /* site.c: inner locations */
};

struct web_server {
    void **conf;                            /* by module, level server */
    void **main_conf;                       /* by module, level http */
    const struct web_location *outer;       /* the settings outside all locations */
    struct wr_span name;                    /* first name, as $server_name says it */
    web_phase_fn *const *phase[WEB_PHASES]; /* POST_READ and SERVER_REWRITE */
    struct web_generation *generation;
    const struct conf_node *node;
    void *private;
};

#define web_main_conf(r, NAME)     ((r)->server->main_conf[WEB_##NAME])
#define web_server_conf(r, NAME)   ((r)->server->conf[WEB_##NAME])
#define web_location_conf(r, NAME) ((r)->location->conf[WEB_##NAME])

/* ---- a connection ------------------------------------------------------------------------------------- */

struct web_conn {
    const struct web_listen *listen;
    const struct web_server *server; /* by SNI, else the default of the address */
    uint64_t number;                 /* $connection */
    uint64_t began_ms;
    struct wr_http_conn *http;
    struct wr_addr peer; /* as the kernel says */
    struct wr_addr
        local; /* likewise, but NONE until web_local was called: it is a system call */
    struct wr_addr proxy_peer, proxy_local; /* as PROXY protocol says; NONE without */
    bool tls, proxy_protocol;
};
/* It lives as long as the request: an idle connection has none. */
const struct wr_addr *web_local(struct web_req *r);

/* ---- the answer in the making --------------------------------------------------------------------------- */

struct web_header {
    struct web_header *next;
    struct wr_span name, value; /* value with p == NULL: taken out again */
};

#define WEB_LENGTH_UNKNOWN UINT64_MAX

struct web_out {
    int status;
    struct wr_span status_line; /* "200 Fine"; empty: the usual phrase */
    struct wr_span type;        /* Content-Type without charset */
    struct wr_span charset;
    struct wr_span
        location; /* of redirects: absolute or beginning with '/' (made absolute on the way) */
    struct wr_span etag, encoding, last_modified_text;
    int64_t last_modified; /* seconds; -1: none */
    uint64_t length;       /* of the body as it leaves; WEB_LENGTH_UNKNOWN */
    struct web_header *headers, **headers_tail; /* all others, in order */
    struct web_header *trailers, **trailers_tail;
    bool allow_ranges;    /* cleared by filters that change the body */
    bool expect_trailers; /* chunks, where the client can, even if the length is known */
    bool no_charset;
};

/* Appends; in r's arena: 0 or -ENOMEM. The spans are kept as they are. */
WR_MUST int web_header_add(struct web_req *r, struct wr_span name, struct wr_span value);
/* Case-insensitive; NULL when there is none. */
struct web_header *web_header_find(const struct web_out *out, struct wr_span name);
/* A body of another length or content than the handler thought of: no length, no ranges, and a strong
 * ETag becomes a weak one. */
void web_clear_length(struct web_req *r);
void web_clear_ranges(struct web_req *r);
void web_weaken_etag(struct web_req *r);

/* ---- bodies ------------------------------------------------------------------------------------------- */

enum web_piece_kind {
    WEB_MEM,
    WEB_BYTES,
    WEB_FILE_RANGE
};

struct web_piece {
    struct web_piece *next;
    uint8_t kind;
    bool last;             /* of this request's body; may be empty */
    bool flush;            /* do not hold back */
    struct wr_span mem;    /* MEM */
    struct wr_bytes bytes; /* BYTES: counted, the piece's own; whoever takes it drops it */
    struct web_file *file; /* FILE_RANGE: counted (web_file_ref/unref), the piece's own */
    uint64_t off, len;     /* FILE_RANGE; len of all kinds is web_piece_len */
};
uint64_t web_piece_len(const struct web_piece *p);
struct web_piece *web_piece_mem(struct web_req *r, struct wr_span mem,
                                bool last); /* NULL: no memory */
struct web_piece *web_piece_file(struct web_req *r, struct web_file *file, uint64_t off,
                                 uint64_t len, bool last); /* takes a reference of its own */
/* Gives up what it holds. */
void web_piece_drop(struct web_piece *p);

/* An open file, counted: from the open-file cache or alone. */
struct web_file {
    int fd;
    uint32_t refs;
    uint64_t size;
    int64_t mtime;
    uint64_t inode;
    const char *path;
    struct wr_span memory; /* all of it, when it is cached in memory; p == NULL otherwise */
    void (*gone)(struct web_file *f); /* the last reference went */
};
struct web_file *web_file_ref(struct web_file *f);
void web_file_unref(struct web_file **f);

struct web_filter {
    /* Takes in (NULL: go on with what is held). 0: all given on; 1: clogged or holding back;
     * negative: the request cannot go on. */
    int (*body)(struct web_filter *f, struct web_req *r, struct web_piece *in);
    struct web_filter *next; /* NULL: the parent's answer, or the sink */
    bool holds;              /* has what it was given and has not given on */
    bool in_main;            /* of the main chain; set by pushing */
};
/* From head filters: at the end of the chain so far, or before all others (ranges). main_only filters
 * work on what leaves the main request, subrequests included, and lie behind the others. */
void web_filter_push(struct web_req *r, struct web_filter *f);
void web_filter_push_front(struct web_req *r, struct web_filter *f);
void web_filter_push_main(struct web_req *r, struct web_filter *f);
/* For body functions: to the next one. */
int web_filter_next(struct web_filter *f, struct web_req *r, struct web_piece *in);
/* For one that gave up the rest of its turn, returned 1 and has another now: it is called with what it holds. May be
 * the request's end. */
void web_filter_go_on(struct web_filter *f, struct web_req *r);

/* ---- the request ---------------------------------------------------------------------------------------- */

struct web_val { /* of a variable */
    struct wr_span text;
    bool found; /* exists; an empty one that does not is "-" in logs */
    bool valid; /* has been looked up (the cache's) */
    bool no_cache;
};

struct web_sub_options {
    struct wr_span uri, args;
    bool in_memory;  /* the body is kept in sub->body instead of going to the client */
    bool no_body;    /* the answer's body is thrown away (auth_request, mirror) */
    bool background; /* nobody waits for its answer */
    bool clone_body; /* the parent's request body is the subrequest's too */
    bool logged;     /* whatever log_subrequest says */
    /* The subrequest has ended with this status; runs before the parent goes on. May be NULL. */
    void (*done)(struct web_req *sub, int rc, void *arg);
    void *arg;
};

struct web_req {
    struct wr_http_req *http; /* the main request's; NULL once the client has gone */
    struct web_conn *conn;
    struct web_req *main, *parent;
    const struct web_server *server;
    const struct web_location *location;
    struct wr_arena *arena;
    struct wr_scope *scope;
    const struct wr_head *head;
    enum wr_method method;
    struct wr_span method_text;
    struct wr_span line;    /* the request line as it came; $request */
    struct wr_span raw_uri; /* target's path and query as they came; $request_uri */
    struct wr_span uri;     /* decoded, normalised, rewritten; $uri */
    struct wr_span args;    /* behind '?', changed by rewrite; $args */
    struct wr_span host;    /* lower case, without port; of the line, else Host */
    struct wr_addr client;  /* $remote_addr; realip changes it */
    struct web_out out;
    struct web_filter *filters, *main_filters;
    struct web_val *vars;     /* by index; NULL until one is asked for */
    struct wr_span *captures; /* of the last regex: $0 .. */
    uint32_t ncaptures;
    void *ctx[WEB_MODULES]; /* a module's own, per request; emptied by an internal redirect */
    uint64_t began_ms;
    /* The request's body, when it was read (web_read_body): in memory, or in a file. */
    struct wr_span body;
    struct web_file *body_file;
    uint64_t body_len;
    void (*on_drain)(struct web_req *r); /* the output has room again */
    int (*resume)(struct web_req *r); /* instead of going on with the phases; see web_resume */
    uint8_t phase;
    uint16_t phase_at;
    uint8_t redirects; /* left of the limit of internal redirects */
    uint8_t subrequests_depth;
    bool handshake; /* it is none: see web_handshake_begin */
    bool internal, head_sent, header_only, uri_changed, no_keepalive, logged, error_page,
        discard_body, waiting,
        uri_behind_alias; /* try_files has chosen a name that stands behind a pattern's alias */
    uint16_t err_status;  /* error_page: what the client is told; 0: none */
    uint16_t access_code; /* `satisfy any`: what the last refusal was */
    uint8_t limit_req_status, limit_conn_status; /* $limit_req_status, $limit_conn_status */
    uint64_t limit_rate, limit_rate_after;       /* bytes a second; 0: as configured */
    uint64_t head_bytes, body_bytes;             /* of the answer, as given to the connection */
    void *private;                               /* request.c */
};

/* ---- doing ---------------------------------------------------------------------------------------------- */

/* Goes on with the phases (or r->resume) after WEB_LATER, with what the function would have returned.
 * Like web_finish it may be the request's end: nothing of it is touched behind either, unless in a function
 * that the request called. The request ends by itself behind the piece marked last. */
void web_resume(struct web_req *r, int rc);
/* Ends the request: rc is a status (an error page is made, or the redirect sent), WEB_DONE (complete), or
 * WEB_ERROR. */
void web_finish(struct web_req *r, int rc);
/* Runs the head filters and forms the head. 0; WEB_DONE: no body may follow (HEAD, 304, 204), finish; WEB_ERROR. */
WR_MUST int web_send_head(struct web_req *r);
/* 0; 1: above the high mark, wait for on_drain; negative: the request is lost. */
WR_MUST int web_send(struct web_req *r, struct web_piece *pieces);
/*
 * For a module that gives the same answer again and again: the heads of r->out as it is, for a connection that
 * stays and for one that ends. They lie in r's arena; the module takes copies and hands them to web_send_formed,
 * which renews the date in place.
 */
struct web_formed {
    struct wr_span keep, close;
    uint32_t date_at; /* of its 29 bytes, in both */
    int64_t date_s;
};
WR_MUST int web_form_heads(struct web_req *r, struct web_formed *out);
/* The whole answer at once, status 200, past all filters. What a handler returns. WEB_NEXT: subrequests are under
 * way, it has to be sent the usual way. */
int web_send_formed(struct web_req *r, struct web_formed *f, struct wr_span body);
/* A whole small answer: head, body, end. type may be empty. What a handler returns. */
int web_reply(struct web_req *r, int status, struct wr_span type, struct wr_span body);
/* 301, 302 ...: what a handler returns. */
int web_redirect(struct web_req *r, int status, struct wr_span location);
/* Another URI: location again, from WEB_SERVER_REWRITE. args with p == NULL: none. What a handler returns. */
int web_internal_redirect(struct web_req *r, struct wr_span uri, struct wr_span args);
int web_named_location(struct web_req *r, struct wr_span name); /* "@name" */
/* Of the location that r->uri has now; the engine's, and of rewrite's inner locations (`if`). */
void web_set_location(struct web_req *r, const struct web_location *location);
/* 0 and the subrequest, which runs when the caller has returned; or negative. */
WR_MUST int web_subrequest(struct web_req *r, const struct web_sub_options *options,
                           struct web_req **out_sub);
/* The whole body of the client, then fn; what comes after a web_finish does not. Returns WEB_LATER or a status;
 * when the body is there already fn has been called. */
int web_read_body(struct web_req *r, void (*fn)(struct web_req *r));
int web_discard_body(struct web_req *r); /* 0, or a status */
/* Path of the file that the URI stands for by root or alias, NUL-terminated; extra bytes are left free behind
 * it. *out_root_len: how much of it is root. NULL: no memory, or refused. */
char *web_map_path(struct web_req *r, size_t extra, struct wr_span *out_path,
                   size_t *out_root_len);
/* The Content-Type by the URI's extension, in r->out.type. */
void web_set_type(struct web_req *r);
/* "scheme://host[:port]/..." by absolute_redirect, server_name_in_redirect, port_in_redirect. */
int web_absolute(struct web_req *r, struct wr_span path, struct wr_span *out);
struct wr_span web_field(const struct web_req *r,
                         struct wr_span name); /* of the request; p == NULL */

/* The whole answer has been given to the connection: $request_completion. */
bool web_complete(const struct web_req *r);
/* $bytes_sent: what the kernel took when the request was cut short. */
uint64_t web_bytes_sent(const struct web_req *r);
struct wr_loop *web_loop(const struct web_req *r);
struct web_worker *web_worker_of(const struct web_req *r);
struct wr_log *web_log(const struct web_req *r);
/* One line of the error log in nginx's shape, with client, server, request, host behind it. level:
 * enum wr_log_level. Written when error_log says so here. err: -errno to be named, or 0. */
WR_PRINTF(4, 5)
void web_error(struct web_req *r, int level, int err, const char *fmt, ...);

/* ---- variables, values, patterns (variable.c, value.c, regex.c) ------------------------------------------ */

enum {
    WEB_VAR_NO_CACHE = 1,
    WEB_VAR_CHANGEABLE = 2, /* set, map, geo ... may define it again */
    WEB_VAR_PREFIX = 4,     /* arg_, http_, cookie_ ...: name is the beginning */
    WEB_VAR_WEAK = 8,       /* gives way to any other row of that name */
    WEB_VAR_FIELD =
        16, /* with PREFIX: of field names; once bound, data is enum wr_header + 1 */
};

struct web_var { /* a row; static in modules, in the arena when defined by set, map ... */
    const char *name;
    /* rest: behind the prefix. 0, or negative when memory is refused; leaves out->found false. */
    int (*get)(struct web_req *r, const struct web_var *v, struct wr_span rest,
               struct web_val *out);
    int (*set)(struct web_req *r, const struct web_var *v, struct wr_span value); /* or NULL */
    unsigned flags;
    uintptr_t data;
};

/* Load time. The index of a name without '$': defined later is as good; conf_fail when it never is. */
WR_MUST int web_var_index(struct conf_load *load, const struct conf_node *node, uint32_t word,
                          struct wr_span name, uint32_t *out_index);
/* Defines one (set, map, geo): name without '$'. v is kept; its name is set. */
WR_MUST int web_var_define(struct conf_load *load, const struct conf_node *node, uint32_t word,
                           struct wr_span name, struct web_var *v);
/* Run time. A borrowed value, valid as long as the request (no_cache ones: until asked again). */
const struct web_val *web_var_get(struct web_req *r, uint32_t index);
const struct web_val *web_var_get_fresh(struct web_req *r,
                                        uint32_t index); /* looked up anew when no_cache */
const struct web_val *web_var_by_name(struct web_req *r, struct wr_span name);
void web_var_put(struct web_req *r, uint32_t index, struct wr_span value); /* `set` */

/* Text with variables, compiled: a constant, or parts. */
struct web_value {
    struct wr_span text;          /* as written; the value itself when parts is NULL */
    const struct web_part *parts; /* opaque */
    uint32_t nparts;
};
WR_MUST int web_value_compile(struct conf_load *load, const struct conf_node *node,
                              uint32_t word, struct wr_span text, struct web_value *out);
/* NUL-terminated, in r's arena or constant. Negative: no memory. */
WR_MUST int web_value_eval(struct web_req *r, const struct web_value *v, struct wr_span *out);
static inline bool web_value_constant(const struct web_value *v)
{
    return v->parts == NULL;
}
conf_setter web_set_value;      /* struct web_value */
conf_setter web_set_value_size; /* struct web_value, checked when constant: limit_rate */
conf_setter web_set_values;     /* struct web_values: all arguments */
struct web_values {
    struct web_value *list;
    uint32_t n;
};
/* An if= parameter: is it neither empty nor "0"? */
bool web_value_true(struct web_req *r, const struct web_value *v);

struct web_regex; /* PCRE2, JIT, named captures become variables */
WR_MUST int web_regex_compile(struct conf_load *load, const struct conf_node *node,
                              uint32_t word, struct wr_span pattern, bool caseless,
                              struct web_regex **out);
/* 1 matched (r->captures are set, named ones put into variables), 0 not, negative: no memory or a match limit, logged. */
int web_regex_match(struct web_req *r, const struct web_regex *re, struct wr_span subject);

/* ---- a module ------------------------------------------------------------------------------------------- */

struct web_phase_row {
    uint8_t phase;
    web_phase_fn *fn;
    /* Does it apply there? Asked when the configuration is complete; NULL: always. For POST_READ and
     * SERVER_REWRITE location is the server's outer one. */
    bool (*wanted)(const struct web_location *location);
};

struct web_worker; /* worker.h: loop, log, seat, resolver ... of the process that serves */

struct web_module {
    struct conf_module conf;
    const struct web_phase_row *phases;    /* ends with fn NULL */
    int (*head_filter)(struct web_req *r); /* 0, or a status / WEB_ERROR */
    bool (*head_wanted)(const struct web_location *location);
    /* Its head filter does the same to every answer there, conditions and ranges of requests apart. NULL: no. */
    bool (*head_fixed)(const struct web_location *location);
    const struct web_var *variables; /* ends with name NULL */
    int (*log)(struct web_req *r);   /* when a request has ended: access logs */
    bool (*log_wanted)(const struct web_location *location);
    /* After everything was settled, in the master; conf_fail-like messages through load. */
    int (*ready)(struct conf_load *load, struct web_generation *g);
    /* In each worker, before it serves; and at its end. */
    int (*start)(struct web_worker *w, struct web_generation *g);
    void (*stop)(struct web_worker *w, struct web_generation *g);
};
extern const struct web_module *const web_modules[WEB_MODULES + 1];

/* For `ready` and `start`: walks. */
const struct web_server *web_server_next(const struct web_generation *g, uint32_t *cursor);
const struct web_location *web_location_next(const struct web_generation *g, uint32_t *cursor);
void *web_generation_main(const struct web_generation *g,
                          enum web_module_id m); /* http level */
void *web_generation_core(const struct web_generation *g,
                          enum web_module_id m); /* core level */

/* ---- memory that all workers share (zone.c): limit_req_zone, ssl_session_cache ... ------------------------- */

/* Made in the master before workers are forked; kept over a reload when name, size and owner agree. */
struct web_zone {
    struct wr_span name;
    uint64_t size;
    enum web_module_id owner;
    void *memory;    /* from `ready` on: zeroed when new; the same bytes in all workers */
    bool fresh;      /* nobody has laid it out yet */
    const void *tag; /* what the layout depends on, compared by the owner over reloads */
};
WR_MUST int web_zone_declare(struct conf_load *load, const struct conf_node *node,
                             uint32_t word, struct wr_span name, uint64_t size,
                             enum web_module_id owner, struct web_zone **out);
/* A lock word in such memory that a dead worker cannot hold for ever: it is taken from the dead. True: the last
 * holder died inside, mistrust the structure. */
WR_MUST bool web_zone_lock(uint32_t *word);
void web_zone_unlock(uint32_t *word);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_SITE_H
#define WEB_SITE_H

/*
 * A site: one loaded configuration, called a generation, with its servers, addresses and locations.
 *
 * web_generation_load runs the rows of all modules over the tree of nodes, lets the scopes inherit, and builds
 * what a request is led by: for each address a table of names, for each server a sorted table of
 * prefixes and a list of patterns, for each location the lists of what applies there. A connection
 * belongs to a web_listen, its Host chooses the server, the URI the location.
 *
 * 1. Nothing of a generation changes after web_generation_load, except by its modules' `start`.
 * 2. load->user is the generation from the first directive on.
 * 3. A scope's user is its web_server in `server`, its web_location in `location`, `if` and
 *    `limit_except`, NULL elsewhere.
 *
 * The arena of the load is the generation's memory and belongs to whoever made it; shared zones are
 * counted over generations. Loading is for one thread.
 */

#include "weir/web/web.h"

struct site_names; /* server names of an address */

/* `listen`: one address with its parameters. */
struct web_listen {
    struct wr_listen_options options; /* address included */
    struct wr_span text;              /* as messages say it: 0.0.0.0:80 */
    bool ssl, http2, proxy_protocol;
    bool bind;   /* has a socket of its own; else its connections come by `wild` */
    bool wild;   /* every address of its family */
    bool sealed; /* parameters of the socket were given: they may be only once */
    bool has_default;
    bool keepalive_set, keepalive_on; /* so_keepalive */
    int keep_idle_s, keep_interval_s, keep_count;
    int fastopen; /* length of the queue; 0: off */
    const struct web_server *default_server;
    struct web_server **servers; /* in the order of the file */
    uint32_t nservers, servers_cap;
    struct site_names *names;  /* NULL: there is but one */
    struct web_listen **inner; /* of a wild one: those without a socket */
    uint32_t ninner;
    const struct conf_node *node;
    struct wr_http_head_limits head_limits;
    /* Fills in how a server on this address does TLS; set by the ssl module, NULL otherwise. */
    int (*tls_options)(struct web_listen *l, struct wr_http_tls *out);
    void *tls;                 /* its own */
    struct web_worker *worker; /* in a worker: whose it is */
};

struct web_generation {
    struct wr_arena *arena;
    struct wr_span prefix; /* what relative paths stand behind, with its slash */
    void **core;           /* by module, core level */
    void **main;           /* by module, http level; NULL without an http block */
    void **outer_conf;     /* by module, location level of http */
    struct web_listen **listens;
    struct web_server **servers;
    struct web_location *
        *locations; /* all: nested, `if`, limit_except and the servers' outer ones */
    struct web_zone **zones;
    uint32_t nlistens, nservers, nlocations, nzones;
    uint32_t caps[4];
    void *vars;     /* variable.c's */
    uint32_t nvars; /* indexes in use: the length of web_req.vars */
    bool has_http;
};

struct web_load_options {
    struct wr_span prefix;            /* of relative paths: "/usr/share/weir/"; may be empty */
    const struct web_generation *old; /* whose zones may go on; may be NULL */
};

/* Takes nodes of conf_parse_*; messages through the load. */
WR_MUST int web_generation_load(struct conf_load *load, const struct conf_node *nodes,
                                const struct web_load_options *options,
                                struct web_generation **out);
/* Gives up the zones; the arena goes after it. Takes NULL. */
void web_generation_drop(struct web_generation **g);

/* For conf_load_init: web_modules as conf sees them. */
extern const struct conf_module *const web_conf_modules[WEB_MODULES + 1];

static inline struct web_generation *site_of(const struct conf_load *load)
{
    return load->user;
}

/* ---- while loading ------------------------------------------------------------------------------------ */

/* An inner location (location, if, limit_except) with a scope of its own; the caller applies the children. */
WR_MUST int site_location_new(struct conf_load *load, const struct conf_node *node,
                              uint32_t context, struct conf_scope **out_scope,
                              struct web_location **out_location);
/* The location or server of the scope that directives are applied in; NULL. */
struct web_location *site_scope_location(const struct conf_load *load);
struct web_server *site_scope_server(const struct conf_load *load);
/* Is the location (around an `if` in it) given by a pattern? */
bool site_location_is_regex(const struct web_location *l);
conf_setter site_set_server, site_set_location, site_set_listen, site_set_server_name,
    site_set_limit_except;
/* A larger array when it is full; for lists of pointers. */
WR_MUST int site_push(struct wr_arena *a, void ***list, uint32_t *n, uint32_t *cap, void *p);

/* A path behind the prefix unless it is absolute or begins with a variable; NUL-terminated. */
WR_MUST int site_path(const struct conf_load *load, struct wr_span path, struct wr_span *out);

/* ---- for requests ------------------------------------------------------------------------------------- */

/* The address that a connection came to: itself, or one of its inner ones. */
const struct web_listen *site_listen(const struct web_listen *l, const struct wr_addr *local);
/* The server of a host (lower case, without port); r takes captures of a regex, and may be NULL: then patterns
 * are not tried. Never NULL. */
const struct web_server *site_server(const struct web_listen *l, struct web_req *r,
                                     struct wr_span host);
/* The same, but NULL when no server has that name. */
const struct web_server *site_server_named(const struct web_listen *l, struct web_req *r,
                                           struct wr_span host);
enum site_found {
    SITE_NONE, /* the server's outer settings apply */
    SITE_FOUND,
    SITE_REDIRECT, /* the location wants a slash at the end of the URI */
    SITE_FAILED,   /* a pattern could not be run */
};
enum site_found site_location(struct web_req *r, const struct web_location **out);
const struct web_location *site_named(const struct web_server *s, struct wr_span name);
/* The location itself, or what limit_except has for this method. */
const struct web_location *site_for_method(const struct web_location *l, struct wr_span method);

#endif

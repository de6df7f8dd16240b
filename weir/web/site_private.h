/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_SITE_PRIVATE_H
#define WEB_SITE_PRIVATE_H

/*
 * What site.c (scopes and servers), names.c (names of servers), locations.c (which location a URI has) and
 * listen.c share. Nobody else includes it.
 */

#include "weir/web/site.h"

struct site_entry;

/* The inner locations of a location or server: as written, and as looked up once built. */
struct site_set {
    struct site_location *
        *list; /* in the order of the file; `if` and limit_except are not in it */
    uint32_t n, cap;
    struct site_entry *entries; /* sorted by name */
    uint32_t nentries;
    struct site_location **regexes;
    uint32_t nregexes;
    bool redirects; /* some location wants a slash added */
};

struct site_location {
    struct web_location l;        /* first */
    struct site_location *parent; /* NULL: a server's outer one */
    struct web_regex *regex;
    struct site_set inner;
    struct site_location *limit_except_at; /* its inner location of limit_except */
    uint32_t allowed;                      /* methods that limit_except leaves alone, as bits */
    uint32_t word;                         /* of the name in the node */
};

struct site_name {
    struct wr_span text;
    struct web_regex *regex;
    const struct conf_node *node;
    uint32_t word;
};

struct site_server {
    struct web_server s; /* first */
    struct site_location outer;
    struct site_name *names;
    uint32_t nnames;
    bool listens;
};

static inline struct site_location *site_inside(const struct web_location *l)
{
    return l->private;
}

/* locations.c: a bit per method that limit_except knows; 0: another one. */
uint32_t site_method_bit(struct wr_span name);
/* names.c */
WR_MUST int site_names_build(struct conf_load *load, struct web_listen *l);
/* locations.c */
WR_MUST int site_set_build(struct conf_load *load, struct site_set *set);
/* listen.c: the address of a server without `listen`; which addresses have sockets. */
WR_MUST int site_listen_default(struct conf_load *load, struct web_server *s,
                                const struct conf_node *node);
WR_MUST int site_listen_build(struct conf_load *load, struct web_generation *g);
/* zone.c */
WR_MUST int site_zones_attach(struct conf_load *load, struct web_generation *g,
                              const struct web_generation *old);
void site_zones_drop(struct web_generation *g);

#endif

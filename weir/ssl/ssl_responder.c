/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Responders of OCSP, as stapling and the check of clients' certificates both need them: which URL, whose name
 * servers, which ports.
 */

#include "weir/ssl/ssl.h"
#include "weir/ssl/ssl_ocsp.h"
#include "weir/web/core.h"
#include "weir/web/worker.h"

#include "libweir/io/board.h"
#include "libweir/io/resolve.h"

#include <errno.h>
#include <string.h>

#define SERVERS_MAX 8

int ssl_responder_url(struct wr_arena *arena, struct wr_span ours, X509 *cert, const char **out)
{
    STACK_OF(OPENSSL_STRING) *urls = NULL;
    const char *url = ours.n ? ours.p : "";
    if (!*url && (urls = X509_get1_ocsp(cert)) && sk_OPENSSL_STRING_num(urls) > 0)
        url = sk_OPENSSL_STRING_value(urls, 0);
    *out = wr_arena_strndup(arena, url, strlen(url));
    X509_email_free(urls);
    return *out ? 0 : -ENOMEM;
}

/* ---- run time: asking -------------------------------------------------------------------------------------------- */

static int make_resolver(const struct ssl_server *s, struct wr_loop *loop,
                         struct wr_resolver **out)
{
    const struct core_location *c = core_of(s->server->outer);
    struct wr_addr servers[SERVERS_MAX];
    struct wr_target t;
    struct wr_resolver_options o = {.servers = servers};
    for (uint32_t i = 0; i < c->resolver.servers.n && o.server_count < SERVERS_MAX; i++)
        if (wr_target_parse(c->resolver.servers.list[i], 53, &t) == 0 && t.addr.kind)
            servers[o.server_count++] = t.addr;
    if (o.server_count == 0)
        o.servers = NULL;
    if (c->resolver.valid_ms)
        o.ttl_min_s = o.ttl_max_s = (unsigned)(c->resolver.valid_ms / 1000);
    return wr_resolver_new(loop, &o, out);
}

int ssl_responder_ask(struct ocsp_fetch *f, struct web_worker *w, struct ssl_server *s,
                      const struct ocsp_subject *subject)
{
    int err = 0;
    if (subject->responder.addr.kind == WR_ADDR_NONE && !s->resolver)
        err = make_resolver(s, w->loop, &s->resolver);
    if (!err)
        err = ocsp_fetch(f, w->loop, s->resolver, subject,
                         core_of(s->server->outer)->resolver_timeout_ms);
    if (!err)
        wr_seat_count(w->seat, WR_COUNTER_OCSP_ASKED, 1);
    return err;
}

void ssl_responder_stop(struct ssl_server *s)
{
    wr_resolver_free(&s->resolver);
}

/* ---- configuration: what the sandbox has to leave open -------------------------------------------------------------- */

static void add_port(uint16_t *list, unsigned *n, unsigned max, uint16_t port)
{
    for (unsigned i = 0; i < *n; i++)
        if (list[i] == port)
            return;
    if (*n < max)
        list[(*n)++] = port;
}

void ssl_responder_note(struct ssl_server *s, const struct wr_target *t)
{
    add_port(s->responder_ports, &s->nresponder_ports, WR_ARRAY_LEN(s->responder_ports),
             t->addr.kind ? t->addr.port : t->port);
}

unsigned ssl_responder_ports(const struct web_generation *g, uint16_t *out, unsigned max)
{
    unsigned n = 0;
    uint32_t cursor = 0;
    for (const struct web_server *s; (s = web_server_next(g, &cursor));)
        for (unsigned i = 0; i < ssl_of(s)->nresponder_ports; i++)
            add_port(out, &n, max, ssl_of(s)->responder_ports[i]);
    return n;
}

bool ssl_responder_anywhere(const struct web_generation *g)
{
    uint32_t cursor = 0;
    for (const struct web_server *s; (s = web_server_next(g, &cursor));)
        if (ssl_of(s)->ctx && ssl_of(s)->ocsp && !ssl_of(s)->ocsp_responder.n)
            return true;
    return false;
}

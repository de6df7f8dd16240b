/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module ssl: TLS on addresses with `listen ... ssl`. The directives and what is checked of them; the rest is in
 * ssl_context.c, ssl_name.c, ssl_client.c, ssl_cache.c, ssl_ticket.c, ssl_vars.c.
 */

#include "weir/ssl/ssl.h"

#include "libweir/base/err.h"

#include <errno.h>
#include <string.h>

static bool ssl_wanted(const struct web_location *location)
{
    return ssl_of(location->server)->verify != SSL_CLIENT_OFF;
}

#define ZONE_MIN (8 * 4096)

/* ---- configuration ------------------------------------------------------------------------------------ */

static int set_again(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    (void)row;
    struct ssl_texts *t = field;
    const struct conf_node **list =
        wr_arena_alloc(load->arena, (t->n + 1) * sizeof(const struct conf_node *));
    if (!list)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->n; i++)
        list[i] = t->list[i];
    list[t->n++] = node;
    t->list = list;
    return 0;
}

/* Variables are bound when all directives have been read, so that the value is compiled here. */
static int set_pem(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    struct ssl_pems *p = field;
    struct ssl_pem *list = wr_arena_alloc(load->arena, (p->n + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    if (p->n)
        memcpy(list, p->list, p->n * sizeof *list);
    list[p->n].node = node;
    p->list = list;
    return web_value_compile(load, node, 1, conf_arg(node, 1), &list[p->n++].value);
}

static int set_node(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)load;
    (void)row;
    *(const struct conf_node **)field = node;
    return 0;
}

/* Clients fall back to the plain hello. */
static int set_ech(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    conf_warn(load, node, 0, "\"ssl_ech_file\" is not supported on this platform, ignored");
    return 0;
}

static int set_file(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    return conf_path(load, conf_arg(node, 1), field);
}

static int set_builtin(struct conf_load *load, const struct conf_node *node, uint32_t word,
                       struct wr_span size, struct ssl_cache *cache)
{
    if (size.n && (conf_read_num(size, &cache->builtin) || cache->builtin <= 0))
        return conf_fail(load, node, word, "invalid session cache \"%s\"",
                         conf_str(node, word));
    cache->mode = SSL_CACHE_BUILTIN;
    return 0;
}

/* shared:NAME:SIZE */
static int set_shared(struct conf_load *load, const struct conf_node *node, uint32_t word,
                      struct wr_span rest, struct ssl_cache *cache)
{
    ptrdiff_t colon = wr_span_find_char(rest, ':');
    uint64_t size = 0;
    if (colon <= 0 || conf_read_size(wr_span_sub(rest, (size_t)colon + 1, SIZE_MAX), &size))
        return conf_fail(load, node, word, "invalid session cache \"%s\"",
                         conf_str(node, word));
    if (size < ZONE_MIN)
        return conf_fail(load, node, word, "session cache \"%.*s\" is too small", (int)colon,
                         rest.p);
    return web_zone_declare(load, node, word, wr_span_sub(rest, 0, (size_t)colon), size,
                            WEB_ssl, &cache->zone);
}

static int set_cache(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    (void)row;
    struct ssl_cache *cache = field;
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span word = conf_arg(node, i);
        int rc = 0;
        if (wr_span_eq(word, WR_LIT("off")))
            cache->mode = SSL_CACHE_OFF;
        else if (wr_span_eq(word, WR_LIT("none")))
            cache->mode = SSL_CACHE_NONE;
        else if (wr_span_eq(word, WR_LIT("builtin")))
            rc = set_builtin(load, node, i, WR_LIT(""), cache);
        else if (wr_span_has_prefix(word, WR_LIT("builtin:")))
            rc = set_builtin(load, node, i, wr_span_sub(word, 8, SIZE_MAX), cache);
        else if (wr_span_has_prefix(word, WR_LIT("shared:")))
            rc = set_shared(load, node, i, wr_span_sub(word, 7, SIZE_MAX), cache);
        else
            rc = conf_fail(load, node, i, "invalid session cache \"%s\"", conf_str(node, i));
        if (rc)
            return rc;
    }
    return 0;
}

/* off | shared:NAME:SIZE. Its names are not those of session caches. */
static int set_ocsp_cache(struct conf_load *load, const struct conf_node *node,
                          const struct conf_row *row, void *field)
{
    (void)row;
    struct wr_span text = conf_arg(node, 1), rest = wr_span_sub(text, 7, text.n);
    ptrdiff_t colon = wr_span_find_char(rest, ':');
    uint64_t size = 0;
    *(struct web_zone **)field = NULL;
    if (wr_span_eq(text, WR_LIT("off")))
        return 0;
    if (!wr_span_has_prefix(text, WR_LIT("shared:")) || colon <= 0 ||
        conf_read_size(wr_span_sub(rest, (size_t)colon + 1, SIZE_MAX), &size))
        return conf_fail(load, node, 1, "invalid OCSP cache \"%s\"", conf_str(node, 1));
    if (size < ZONE_MIN)
        return conf_fail(load, node, 1, "OCSP cache \"%s\" is too small", conf_str(node, 1));
    char *name = wr_arena_printf(load->arena, "ocsp:%.*s", (int)colon, rest.p);
    return name ? web_zone_declare(load, node, 1, wr_span_str(name), size, WEB_ssl, field)
                : -ENOMEM;
}

enum {
    SSL_V2 = 1,
    SSL_V3 = 2,
    TLS_1 = 4,
    TLS_1_1 = 8,
    TLS_1_2 = 16,
    TLS_1_3 = 32
};
static const struct conf_enum protocols[] = {
    {"SSLv2",   SSL_V2 },
    {"SSLv3",   SSL_V3 },
    {"TLSv1",   TLS_1  },
    {"TLSv1.1", TLS_1_1},
    {"TLSv1.2", TLS_1_2},
    {"TLSv1.3", TLS_1_3},
    {NULL,      0      }
};
static const struct conf_enum ocsp_modes[] = {
    {"off",  SSL_OCSP_OFF },
    {"on",   SSL_OCSP_ON  },
    {"leaf", SSL_OCSP_LEAF},
    {NULL,   0            }
};
static const struct conf_enum verify_modes[] = {
    {"off",            SSL_CLIENT_OFF           },
    {"on",             SSL_CLIENT_ON            },
    {"optional",       SSL_CLIENT_OPTIONAL      },
    {"optional_no_ca", SSL_CLIENT_OPTIONAL_NO_CA},
    {NULL,             0                        }
};

#define HS            (CONF_HTTP | CONF_SERVER)
#define FIELD(member) CONF_FIELD(struct ssl_server, member)

static const struct conf_row rows[] = {
    {"ssl_certificate",                                                                       HS, 1, 1, CONF_TWICE, CONF_AT_SERVER, set_pem, FIELD(certificates),
     NULL, NULL, "file | data:text",
     "The server's certificate with its chain, PEM, one for each type of key; where variables "
     "name the file, or are it "
     "(data:$variable), workers read it."},
    {"ssl_certificate_key",                                                                                      HS, 1, 1, CONF_TWICE, CONF_AT_SERVER, set_pem, FIELD(keys), NULL,
     NULL, "file", "The key of the certificate, in the same order."},
    {"ssl_password_file",                                                                             HS, 1, 1, 0, CONF_AT_SERVER, set_file, FIELD(password_file), NULL,
     NULL, "file", "Passwords of keys, one a line, tried in turn."},
    {"ssl_certificate_cache",                                                                                HS, 1, 3, 0, CONF_AT_SERVER, set_node, FIELD(certificate_cache),
     NULL, NULL, "off | max=N [inactive=time] [valid=time]",
     "Keeps certificates from files that variables name; the others are read once, at load."},
    {"ssl_protocols",                                                                                    HS, 1, CONF_MANY, 0, CONF_AT_SERVER, conf_set_bits, FIELD(protocols),
     "TLSv1.2 TLSv1.3", protocols, "[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]",
     "The versions that are spoken."},
    {"ssl_ciphers",                                                                     HS, 1, 1, 0, CONF_AT_SERVER, conf_set_text, FIELD(ciphers),
     "HIGH:!aNULL:!MD5", NULL, "ciphers", "The ciphers up to TLS 1.2, in OpenSSL's words."},
    {"ssl_prefer_server_ciphers",                                                                                       HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag,
     FIELD(prefer_server_ciphers), "off", NULL, "on | off",
     "The server's order of ciphers counts, not the client's."},
    {"ssl_ecdh_curve",HS, 1, 1, 0, CONF_AT_SERVER, conf_set_text, FIELD(curves), "auto", NULL,
     "curve[:curve ...]", "The groups of key exchange, by preference."},
    {"ssl_dhparam",                                                                                      HS, 1, 1, 0, CONF_AT_SERVER, set_file, FIELD(dhparam), NULL, NULL, "file",
     "Parameters for DHE ciphers; without them there are none."},
    {"ssl_buffer_size",                                                                         HS, 1, 1, 0, CONF_AT_SERVER, conf_set_size, FIELD(buffer_size), "16k",
     NULL, "size", "The largest record that is sent."},
    {"ssl_session_cache",                                                                            HS, 1, 2, 0, CONF_AT_SERVER, set_cache, FIELD(cache), "none", NULL,
     "off | none | [builtin[:size]] [shared:name:size]", "Where sessions are kept."},
    {"ssl_session_timeout",                                                                                    HS, 1, 1, 0, CONF_AT_SERVER, conf_set_sec, FIELD(session_timeout_s),
     "5m", NULL, "time", "How long a session may be resumed."},
    {"ssl_session_tickets",                                       HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag, FIELD(tickets), "on",
     NULL, "on | off", "Sessions may be kept by clients, sealed."},
    {"ssl_session_ticket_key",                                                                     HS, 1, 1, CONF_TWICE, CONF_AT_SERVER, set_again,
     FIELD(ticket_keys), NULL, NULL, "file",
     "48 or 80 bytes that seal tickets; the first seals, all open; without any a key is "
     "drawn."},
    {"ssl_client_certificate",                                                                                      HS, 1, 1, 0, CONF_AT_SERVER, set_file, FIELD(client_ca), NULL,
     NULL, "file", "CAs of clients' certificates; their names are told to clients."},
    {"ssl_trusted_certificate",                                                                                      HS, 1, 1, 0, CONF_AT_SERVER, set_file, FIELD(trusted), NULL,
     NULL, "file", "CAs whose names are not told."},
    {"ssl_verify_client",                                                                               HS, 1, 1, 0, CONF_AT_SERVER, conf_set_enum, FIELD(verify), "off",
     verify_modes, "on | off | optional | optional_no_ca", "Asks clients for a certificate."},
    {"ssl_verify_depth",                                                                                   HS, 1, 1, 0, CONF_AT_SERVER, conf_set_num, FIELD(verify_depth), "1",
     NULL, "number", "How long a client's chain may be."},
    {"ssl_crl",                                                                                 HS, 1, 1, 0, CONF_AT_SERVER, set_file, FIELD(crl), NULL, NULL, "file",
     "Revoked certificates of clients, PEM."},
    {"ssl_ocsp",                                                                                       HS, 1, 1, 0, CONF_AT_SERVER, conf_set_enum, FIELD(ocsp), "off", ocsp_modes,
     "on | off | leaf", "Asks responders about the client's certificate, with on also about those between it and "
     "the trusted one."},
    {"ssl_ocsp_cache",      HS, 1, 1, 0, CONF_AT_SERVER, set_ocsp_cache, FIELD(ocsp_cache), NULL,
     NULL, "off | shared:name:size",
     "Keeps what responders said of clients' certificates, for all workers."},
    {"ssl_ocsp_responder",                                                                                      HS, 1, 1, 0, CONF_AT_SERVER, conf_set_text, FIELD(ocsp_responder),
     NULL, NULL, "url",
     "Who is asked about clients' certificates, http://host[:port][/path], in place of the one "
     "that each names."},
    {"ssl_stapling",                                                                         HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag, FIELD(stapling), "off", NULL,
     "on | off", "Sends the OCSP answer of ssl_stapling_file, or of the responder that is asked."},
    {"ssl_stapling_file",                                                               HS, 1, 1, 0, CONF_AT_SERVER, set_file, FIELD(staple_file), NULL, NULL,
     "file", "The OCSP answer for the certificate, DER, as `openssl ocsp` writes it; nobody is asked."},
    {"ssl_stapling_responder",                                                                                   HS, 1, 1, 0, CONF_AT_SERVER, conf_set_text,
     FIELD(stapling_responder), NULL, NULL, "url",
     "Who is asked, http://host[:port][/path], in place of the one that the certificate "
     "names."},
    {"ssl_stapling_verify", HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag, FIELD(stapling_verify),
     "off", NULL, "on | off",
     "The signer of a fetched answer has to be the issuer, or trusted by "
     "ssl_trusted_certificate."},
    {"ssl_reject_handshake",                                                                         HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag,
     FIELD(reject_handshake), "off", NULL, "on | off",
     "Ends handshakes for this server; then it needs no certificate."},
    {"ssl_early_data",                                                                                      HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag, FIELD(early_data), "off",
     NULL, "on | off",
     "Takes requests in TLS 1.3 early data, which can be replayed: $ssl_early_data."},
    {"ssl_certificate_compression",                                                                                      HS, 1, 1, 0, CONF_AT_SERVER, conf_set_flag,
     FIELD(compression), "off", NULL, "on | off",
     "Certificates may be sent compressed in TLS 1.3, where OpenSSL can do it (3.2)."},
    {"ssl_ech_file",                                                                          HS, 1, 1, CONF_NOTE | CONF_TWICE, CONF_AT_SERVER, set_ech, CONF_NO_FIELD,
     NULL, NULL, "file",
     "Accepted without effect: encrypted client hellos need a later OpenSSL."},
    {"ssl_conf_command",                                                                       HS, 2, 2, CONF_TWICE, CONF_AT_SERVER, set_again, FIELD(commands), NULL,
     NULL, "name value", "A command of OpenSSL's configuration, as SSL_CONF_cmd takes it."},
    {0                               },
};

/* Every server that can be reached over TLS has a context, or a reason to have none. */
static int make_context(struct conf_load *load, const struct web_listen *l,
                        const struct web_server *server, bool is_default)
{
    struct ssl_server *s = ssl_of(server);
    if (s->ctx)
        return 0;
    s->server = server;
    if (s->certificates.n == 0 && !s->reject_handshake) {
        if (!is_default)
            return 0; /* the default server's certificate serves */
        return conf_fail(
            load, l->node, 0,
            "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
    }
    return ssl_context_new(load, s);
}

static int ssl_ready(struct conf_load *load, struct web_generation *g)
{
    int rc = 0;
    for (uint32_t i = 0; i < g->nlistens && !rc; i++) {
        struct web_listen *l = g->listens[i];
        if (!l->ssl)
            continue;
        l->tls_options = ssl_listen_options;
        rc = make_context(load, l, l->default_server, true);
        for (uint32_t k = 0; k < l->nservers && !rc; k++)
            rc = make_context(load, l, l->servers[k], false);
    }
    return rc;
}

static const struct web_phase_row phases[] = {
    {WEB_POST_READ, ssl_client_post_read, ssl_wanted},
    {0  },
};

static void ssl_stop(struct web_worker *w, struct web_generation *g)
{
    (void)w;
    uint32_t cursor = 0;
    for (const struct web_server *s; (s = web_server_next(g, &cursor));) {
        if (!ssl_of(s)->ctx)
            continue;
        ssl_client_stop(ssl_of(s));
        ssl_staple_stop(ssl_of(s));
        ssl_responder_stop(ssl_of(s));
    }
}

const struct web_module ssl_module = {
    .conf = {.name = "http_ssl",
             .size = {[CONF_AT_SERVER] = sizeof(struct ssl_server)},
             .rows = rows},
    .phases = phases,
    .variables = ssl_variables,
    .ready = ssl_ready,
    .stop = ssl_stop,
};

/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_SSL_H
#define WEB_SSL_H

/*
 * TLS of the web server: what a server{} says of it, and the OpenSSL context made from that.
 *
 * The rows fill a struct per server (ssl.c); when the configuration is complete every server on an address with `ssl` gets
 * a context (ssl_context.c), in the master, which may read keys. A connection begins with the context of
 * its address's default server; the name that the client sends then chooses the server and its context
 * (ssl_name.c). Sessions are kept in memory that all workers share (ssl_cache.c). What a client's certificate is worth is
 * judged before the first request of its connection (ssl_client.c), where ssl_ocsp says so by asking a responder.
 *
 * 1. Contexts belong to the generation and are freed with its arena; connections hold references of their own.
 * 2. Workers never open a key or a certificate, but for those that a variable names (ssl_named.c).
 * 3. A client certificate that fails, or is missing where it is required, is answered 495 or 496, not cut off.
 */

#include "weir/web/site.h"
#include "weir/web/zone_table.h"

#include "libweir/base/list.h"
#include "libweir/io/loop.h"

#include <openssl/ssl.h>

enum ssl_verify {
    SSL_CLIENT_OFF,
    SSL_CLIENT_ON,
    SSL_CLIENT_OPTIONAL,
    SSL_CLIENT_OPTIONAL_NO_CA
};
enum ssl_cache_mode {
    SSL_CACHE_NONE,
    SSL_CACHE_OFF,
    SSL_CACHE_BUILTIN
};

struct ssl_cache { /* ssl_session_cache */
    int mode;
    int64_t builtin; /* sessions; 0: OpenSSL's own number */
    struct web_zone *zone;
};

enum ssl_ocsp_mode {
    SSL_OCSP_OFF,
    SSL_OCSP_ON,
    SSL_OCSP_LEAF
};

struct ssl_texts { /* directives that may be given several times, each with its node */
    const struct conf_node **list;
    uint32_t n;
};

struct ssl_pem {
    const struct conf_node *node;
    struct web_value value; /* file, or data:... */
};
struct ssl_pems {
    struct ssl_pem *list;
    uint32_t n;
};

struct ssl_server {
    struct ssl_pems certificates, keys;
    struct ssl_texts commands, ticket_keys;
    struct wr_span password_file, dhparam, client_ca, trusted, crl, staple_file;
    struct wr_span ciphers, curves;
    uint32_t protocols;
    int verify;
    int64_t verify_depth;
    bool prefer_server_ciphers, tickets, early_data, reject_handshake, compression;
    bool stapling, stapling_verify;
    int ocsp;
    struct wr_span stapling_responder, ocsp_responder;
    struct web_zone *ocsp_cache;
    const struct conf_node *certificate_cache;
    uint64_t session_timeout_s, buffer_size;
    struct ssl_cache cache;
    /* made when the configuration is complete */
    SSL_CTX *ctx;
    const struct web_server *server;
    const char *passwords; /* of password_file, NUL-terminated each, an empty one last */
    unsigned char *staple; /* the OCSP answer of staple_file */
    size_t staple_n;
    struct ssl_staple *staples; /* else: answers that workers ask for, one per certificate */
    struct ssl_named *named;    /* certificates that variables name */
    struct ssl_ticket_key *ticket;
    uint32_t nticket;
    uint16_t responder_ports[8];
    unsigned nresponder_ports;
    /* a worker's */
    struct wr_resolver *resolver; /* of responders' names; made when one is asked */
    uint32_t checking;            /* of clients' certificates, asking now */
    struct wr_list checks;        /* those that wait for their turn */
    struct wr_task next_check;
};

static inline struct ssl_server *ssl_of(const struct web_server *s)
{
    return s->conf[WEB_ssl];
}

/* ssl_context.c: the context of a server. name: its first, for messages. */
WR_MUST int ssl_context_new(struct conf_load *load, struct ssl_server *s);
/* "...: error:0A000... (no shared cipher)" of OpenSSL's queue, into the load's messages. Returns WR_E_SYNTAX. */
WR_PRINTF(4, 5)
int ssl_fail(struct conf_load *load, const struct conf_node *node, uint32_t word,
             const char *fmt, ...);

/* Whether the last reader of PEM stopped at the end of its text; then OpenSSL's queue is empty, else it says why. */
bool ssl_pem_ended(void);
/* The key in b, with the passwords of the server; NULL when it cannot be read. */
EVP_PKEY *ssl_read_key(BIO *b, const struct ssl_server *s);

/* ssl_named.c: a certificate or key with variables is read by workers. */
WR_MUST int ssl_named_add(struct conf_load *load, struct ssl_server *s,
                          const struct ssl_pem *cert, const struct ssl_pem *key);

/* ssl_name.c */
#define SSL_NAME_MAX 255
/* Lower case without a final dot; an empty one when it is no name. */
struct wr_span ssl_clean_name(const char *name, char out[static SSL_NAME_MAX]);
int ssl_on_name(SSL *ssl, int *alert, void *arg);
/* Whose context the connection began with, the address's default server: OpenSSL keeps its sessions and seals its
 * tickets there, whatever the name has chosen. */
struct ssl_server *ssl_first(const SSL *ssl);
int ssl_listen_options(struct web_listen *l, struct wr_http_tls *out);

/* ssl_cache.c */
WR_MUST int ssl_cache_ready(struct conf_load *load, struct ssl_server *s);
/* A session whose client certificate failed is not to be resumed. */
void ssl_cache_forget(SSL *ssl);

/* ssl_client.c: what came of the client's certificate. */
int ssl_client_post_read(struct web_req *r);
void ssl_client_stop(struct ssl_server *s);
WR_MUST int ssl_client_ready(struct conf_load *load, struct ssl_server *s);
/* NULL: it is good. */
const char *ssl_client_fault(SSL *ssl);

/* ssl_status.c: ssl_ocsp_cache. id: which certificate of which issuer. */
WR_MUST int ssl_status_ready(struct conf_load *load, struct ssl_server *s);
bool ssl_status_find(const struct ssl_server *s, struct wr_span id, uint64_t now_s, int *out);
void ssl_status_keep(const struct ssl_server *s, struct wr_span id, int status,
                     uint64_t until_s);

/* ssl_ticket.c */
WR_MUST int ssl_ticket_ready(struct conf_load *load, struct ssl_server *s);

/* ssl_staple.c: stapling, once staple, the certificates and the trusted ones are there. */
WR_MUST int ssl_staple_ready(struct conf_load *load, struct ssl_server *s);
void ssl_staple_stop(struct ssl_server *s);

/* ssl_responder.c */
struct ocsp_fetch;
struct ocsp_subject;
/* `ours`, else what the certificate names, else an empty one; NUL-terminated. */
WR_MUST int ssl_responder_url(struct wr_arena *arena, struct wr_span ours, X509 *cert,
                              const char **out);
/* Begins the fetch, with the resolver of the server; counted. */
WR_MUST int ssl_responder_ask(struct ocsp_fetch *f, struct web_worker *w, struct ssl_server *s,
                              const struct ocsp_subject *subject);
void ssl_responder_stop(struct ssl_server *s);
/* This one will be asked: its port is one of those that the sandbox leaves open. */
void ssl_responder_note(struct ssl_server *s, const struct wr_target *t);
/* Each port once. Returns how many, at most max. */
unsigned ssl_responder_ports(const struct web_generation *g, uint16_t *out, unsigned max);
/* Clients' certificates name responders: any port may be needed. */
bool ssl_responder_anywhere(const struct web_generation *g);

/* ssl_vars.c */
extern const struct web_var ssl_variables[];

#endif

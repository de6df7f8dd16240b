/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Keys that seal session tickets, from files: 80 bytes (name 16, HMAC 32, AES-256 32) or 48 (name, AES-128, HMAC,
 * 16 each), as `openssl rand 80` makes them. The first key seals, all open; a ticket of another than the first
 * is renewed.
 */

#include "libweir/base/err.h"
#include "weir/ssl/ssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

struct ssl_ticket_key {
    unsigned char name[16], hmac[32], aes[32];
    uint8_t hmac_n, aes_n;
};

static bool seal(struct ssl_ticket_key *k, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                 const unsigned char *iv, bool sealing)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, k->hmac_n),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    const EVP_CIPHER *aes = k->aes_n == 32 ? EVP_aes_256_cbc() : EVP_aes_128_cbc();
    return EVP_CipherInit_ex(cipher, aes, NULL, k->aes, iv, sealing) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    const struct ssl_server *s = ssl_first(ssl); /* the name's may have no keys */
    if (sealing) {
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1 ||
            !seal(&s->ticket[0], cipher, mac, iv, true))
            return -1;
        memcpy(name, s->ticket[0].name, sizeof s->ticket[0].name);
        return 1;
    }
    for (uint32_t i = 0; i < s->nticket; i++) {
        if (memcmp(name, s->ticket[i].name, sizeof s->ticket[i].name) != 0)
            continue;
        if (!seal(&s->ticket[i], cipher, mac, iv, false))
            return -1;
        return i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2; /* 1.3: used once */
    }
    return 0;
}

static int read_key(struct conf_load *load, const struct conf_node *node,
                    struct ssl_ticket_key *k)
{
    unsigned char bytes[81];
    struct wr_span path;
    int rc = conf_path(load, conf_arg(node, 1), &path);
    if (rc)
        return rc;
    BIO *b = BIO_new_file(path.p, "r");
    int n = b ? BIO_read(b, bytes, sizeof bytes) : -1;
    BIO_free(b);
    if (n < 0)
        return ssl_fail(load, node, 1, "cannot read \"%s\"", path.p);
    if (n != 80 && n != 48)
        return conf_fail(load, node, 1, "\"%s\" must be 48 or 80 bytes", path.p);
    memcpy(k->name, bytes, 16);
    k->hmac_n = n == 80 ? 32 : 16;
    k->aes_n = n == 80 ? 32 : 16;
    memcpy(k->hmac, bytes + (n == 80 ? 16 : 32), k->hmac_n);
    memcpy(k->aes, bytes + (n == 80 ? 48 : 16), k->aes_n);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

int ssl_ticket_ready(struct conf_load *load, struct ssl_server *s)
{
    if (!s->tickets)
        (void)SSL_CTX_set_options(s->ctx, SSL_OP_NO_TICKET);
    if (s->ticket_keys.n == 0)
        return 0;
    s->ticket = wr_arena_zalloc(load->arena, s->ticket_keys.n * sizeof *s->ticket);
    if (!s->ticket)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->ticket_keys.n; i++) {
        int rc = read_key(load, s->ticket_keys.list[i], &s->ticket[i]);
        if (rc)
            return rc;
    }
    s->nticket = s->ticket_keys.n;
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(s->ctx, on_ticket);
    return 0;
}

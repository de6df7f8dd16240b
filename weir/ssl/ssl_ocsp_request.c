/* SPDX-License-Identifier: BSD-2-Clause */

/* What is asked of a responder: its URL, and the text of the request. */

#include "weir/ssl/ssl_ocsp.h"

#include "libweir/base/err.h"
#include "libweir/base/mem_arena.h"

#include <errno.h>
#include <string.h>

#define URL_PREFIX  "http://"
#define REQUEST_MAX 2048 /* of the DER: one certificate's id */

static bool is_plain(struct wr_span text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= ' ' || (unsigned char)text.p[i] >= 0x7f)
            return false;
    return true;
}

int ocsp_read_url(struct wr_span url, struct wr_target *out, struct wr_span *host,
                  struct wr_span *path)
{
    if (!wr_span_has_prefix(url, WR_LIT(URL_PREFIX)) || !is_plain(url))
        return WR_E_SYNTAX;
    url = wr_span_sub(url, sizeof URL_PREFIX - 1, url.n);
    ptrdiff_t slash = wr_span_find_char(url, '/');
    size_t n = slash < 0 ? url.n : (size_t)slash;
    struct wr_span name = wr_span_sub(url, 0, n);
    if (host)
        *host = name;
    if (path)
        *path = slash < 0 ? WR_LIT("/") : wr_span_sub(url, n, url.n);
    if (n == 0 || wr_span_find_char(name, '@') >= 0 || wr_target_parse(name, 80, out))
        return WR_E_SYNTAX;
    bool connects = out->addr.kind == WR_ADDR_V4 || out->addr.kind == WR_ADDR_V6 ||
                    (out->addr.kind == WR_ADDR_NONE && out->name.n);
    return connects ? 0 : WR_E_SYNTAX;
}

/* DER in base 64, as a segment of a path. 0: it cannot be made. */
static size_t encode(OCSP_CERTID *id, char out[static 4 * REQUEST_MAX])
{
    unsigned char der[REQUEST_MAX], *p = der, text[REQUEST_MAX / 3 * 4 + 8];
    OCSP_REQUEST *r = OCSP_REQUEST_new();
    OCSP_CERTID *copy = OCSP_CERTID_dup(id);
    size_t n = 0;
    int der_n = 0;
    if (r && copy && OCSP_request_add0_id(r, copy)) {
        copy = NULL;
        der_n = i2d_OCSP_REQUEST(r, NULL);
        if (der_n > 0 && der_n <= REQUEST_MAX)
            der_n = i2d_OCSP_REQUEST(r, &p);
        else
            der_n = 0;
    }
    OCSP_CERTID_free(copy);
    OCSP_REQUEST_free(r);
    int text_n = der_n > 0 ? EVP_EncodeBlock(text, der, der_n) : 0;
    for (int i = 0; i < text_n; i++) {
        const char *as = text[i] == '+'   ? "%2B"
                         : text[i] == '/' ? "%2F"
                         : text[i] == '=' ? "%3D"
                                          : NULL;
        size_t k = as ? 3 : 1;
        memcpy(out + n, as ? as : (const char *)&text[i], k);
        n += k;
    }
    return n;
}

int ocsp_subject_init(struct ocsp_subject *s, struct wr_arena *arena, X509 *cert,
                      struct wr_span url)
{
    struct wr_span host, path;
    char segment[4 * REQUEST_MAX];
    int err = ocsp_read_url(url, &s->responder, &host, &path);
    if (err)
        return err;
    s->cert = cert;
    s->id = OCSP_cert_to_id(NULL, cert, sk_X509_value(s->near, 0));
    size_t n = s->id ? encode(s->id, segment) : 0;
    if (n == 0)
        return -ENOMEM;
    char *text = wr_arena_printf(arena,
                                 "GET %.*s%s%.*s HTTP/1.0\r\nHost: %.*s\r\nAccept: "
                                 "application/ocsp-response\r\nConnection: close\r\n\r\n",
                                 (int)path.n, path.p, path.p[path.n - 1] == '/' ? "" : "/",
                                 (int)n, segment, (int)host.n, host.p);
    if (!text)
        return -ENOMEM;
    s->request = wr_span_str(text);
    return 0;
}

void ocsp_subject_deinit(struct ocsp_subject *s)
{
    OCSP_CERTID_free(s->id);
    sk_X509_pop_free(s->near, X509_free);
    s->id = NULL;
    s->near = NULL;
}

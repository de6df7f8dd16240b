/* SPDX-License-Identifier: BSD-2-Clause */

/* What is asked of a responder, and whether its answer counts. */

#include "weir/web/ssl_ocsp.h"

#include "libweir/base/err.h"
#include "libweir/base/mem_arena.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define URL_PREFIX  "http://"
#define REQUEST_MAX 2048 /* of the DER: one certificate's id */
#define SKEW_S      300

/* ---- the request ------------------------------------------------------------------------------------------------ */

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

/* ---- the answer --------------------------------------------------------------------------------------------------- */

/* Of OpenSSL's queue only the latest reason is told. */
static bool refuse(struct ocsp_why *why, const char *what, const char *text)
{
    unsigned long e = ERR_peek_last_error();
    char reason[120] = "";
    if (e)
        ERR_error_string_n(e, reason, sizeof reason);
    ERR_clear_error();
    (void)snprintf(why->what, sizeof why->what, "%s", what);
    (void)snprintf(why->text, sizeof why->text, "%s%s%s%s", text, e ? " (SSL: " : "", reason,
                   e ? ")" : "");
    return false;
}

/* Its seconds from now on. */
static bool time_left(const ASN1_GENERALIZEDTIME *next, int64_t *out)
{
    int days, seconds;
    *out = INT64_MAX;
    if (!next)
        return true;
    if (ASN1_TIME_diff(&days, &seconds, NULL, next) != 1)
        return false;
    *out = (int64_t)days * 86400 + seconds;
    return *out > 0;
}

static bool judge_basic(const struct ocsp_subject *s, OCSP_BASICRESP *basic,
                        struct ocsp_verdict *out, struct ocsp_why *why)
{
    ASN1_GENERALIZEDTIME *since, *next;
    if (OCSP_basic_verify(basic, s->near, s->store,
                          s->verify ? OCSP_TRUSTOTHER : OCSP_NOVERIFY) != 1)
        return refuse(why, "OCSP_basic_verify()", "failed");
    if (OCSP_resp_find_status(basic, s->id, &out->status, NULL, NULL, &since, &next) != 1)
        return refuse(why, "certificate status", "not found in the OCSP response");
    if (OCSP_check_validity(since, next, SKEW_S, -1) != 1 || !time_left(next, &out->left_s))
        return refuse(why, "OCSP_check_validity()", "failed");
    ERR_clear_error();
    return true;
}

bool ocsp_judge(const struct ocsp_subject *s, struct wr_span answer, struct ocsp_verdict *out,
                struct ocsp_why *why)
{
    const unsigned char *p = (const unsigned char *)answer.p;
    ERR_clear_error();
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)answer.n);
    if (!r || p != (const unsigned char *)answer.p + answer.n) {
        OCSP_RESPONSE_free(r);
        return refuse(why, "d2i_OCSP_RESPONSE()", "failed");
    }
    int status = OCSP_response_status(r);
    char text[120];
    OCSP_BASICRESP *basic = NULL;
    bool good = false;
    if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        (void)snprintf(text, sizeof text, "not successful (%d: %s)", status,
                       OCSP_response_status_str(status));
        (void)refuse(why, "OCSP response", text);
    } else if (!(basic = OCSP_response_get1_basic(r))) {
        (void)refuse(why, "OCSP_response_get1_basic()", "failed");
    } else {
        good = judge_basic(s, basic, out, why);
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    return good;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/parse_private.h"

#include "libweir/base/err.h"
#include "libweir/http/scan.h"
#include "libweir/http/status.h"
#include "libweir/http/token.h"
#include "libweir/http/uri.h"

/*
 * Judgement of a head whose lines are all good. Each function returns false when it has refused; the first
 * one to refuse wins, and the order is that of the harm: framing, host, connection, expectation.
 */

WR_COLD static bool refuse(struct wr_parse *p, const char *at, enum wr_reason reason)
{
    p->refusal = (struct wr_refusal){reason, (uint64_t)(at - p->base)};
    return false;
}

WR_COLD static bool refuse_field(struct wr_parse *p, enum wr_header id, enum wr_reason reason)
{
    return refuse(p, wr_head_get(p->head, id).p, reason);
}

/* ---- where the body ends ---- */

/* Decimal, without sign, blanks, leading zeros. */
static enum wr_reason length_of(struct wr_span v, uint64_t *out)
{
    if (v.n > 1 && v.p[0] == '0')
        return WR_BAD_LENGTH_BAD;
    int err = wr_digits(v, out);
    if (err == 0)
        return WR_BAD_NONE;
    return err == WR_E_RANGE ? WR_BAD_LENGTH_OVERFLOW : WR_BAD_LENGTH_BAD;
}

/* A list that ends in chunked is well-formed but nothing we decode; anything else could hide it. */
static enum wr_reason coding_of(struct wr_span v)
{
    if (wr_span_ieq(v, WR_LIT("chunked")))
        return WR_BAD_NONE;
    struct wr_span rest = v, item = {0}, last = {0};
    unsigned chunked = 0;
    int more;
    while ((more = wr_list_next(&rest, &item)) == 1) {
        if (!wr_is_token(item))
            return WR_BAD_CODING_BAD;
        chunked += wr_span_ieq(item, WR_LIT("chunked"));
        last = item;
    }
    bool good = more == 0 && chunked == 1 && wr_span_ieq(last, WR_LIT("chunked")) &&
                wr_span_eq(wr_span_sub(v, v.n - last.n, last.n), last) && v.p[0] != ',';
    return good ? WR_BAD_CODING_UNSUPPORTED : WR_BAD_CODING_BAD;
}

static void frame_request(struct wr_head *head, bool coded)
{
    head->body = coded ? WR_BODY_CHUNKED : head->content_length ? WR_BODY_LENGTH : WR_BODY_NONE;
}

/* RFC 9112, 6.3. False: a body where there can be none. */
static bool frame_response(struct wr_head *head, enum wr_method asked, bool coded)
{
    int status = head->status;
    bool says_body = coded || head->content_length;
    if (status == 101 || (asked == WR_METHOD_CONNECT && status / 100 == 2)) {
        head->body = WR_BODY_TUNNEL;
        return true;
    }
    if (asked == WR_METHOD_HEAD || !wr_status_has_body(status)) {
        head->body = WR_BODY_NONE;
        return !says_body || asked == WR_METHOD_HEAD || status == 304;
    }
    if (coded)
        head->body = WR_BODY_CHUNKED;
    else if (head->has_content_length)
        head->body = head->content_length ? WR_BODY_LENGTH : WR_BODY_NONE;
    else
        head->body = WR_BODY_UNTIL_CLOSE;
    return true;
}

static bool judge_framing(struct wr_parse *p)
{
    struct wr_head *head = p->head;
    bool coded = wr_head_has(head, WR_H_TRANSFER_ENCODING);
    enum wr_reason bad = WR_BAD_NONE;
    head->has_content_length = wr_head_has(head, WR_H_CONTENT_LENGTH);
    if (coded && head->has_content_length)
        return refuse_field(p, WR_H_CONTENT_LENGTH, WR_BAD_LENGTH_AND_CODING);
    if (coded) {
        bad = head->minor == 0 ? WR_BAD_CODING_VERSION
                               : coding_of(wr_head_get(head, WR_H_TRANSFER_ENCODING));
        if (bad)
            return refuse_field(p, WR_H_TRANSFER_ENCODING, bad);
    } else if (head->has_content_length) {
        bad = length_of(wr_head_get(head, WR_H_CONTENT_LENGTH), &head->content_length);
        if (bad)
            return refuse_field(p, WR_H_CONTENT_LENGTH, bad);
    }
    bool good = true;
    if (p->is_response) {
        good = frame_response(head, p->request_method, coded);
    } else {
        frame_request(head, coded);
        if (head->method == WR_METHOD_CONNECT || head->method == WR_METHOD_TRACE)
            good = head->body == WR_BODY_NONE;
    }
    return good || refuse_field(p, coded ? WR_H_TRANSFER_ENCODING : WR_H_CONTENT_LENGTH,
                                WR_BAD_BODY_FORBIDDEN);
}

/* ---- whose it is, and what becomes of the connection ---- */

/* The target's own authority wins; a Host that names another host is an attack on whoever believes it. */
static bool judge_any_host(struct wr_parse *p)
{
    struct wr_head *head = p->head;
    if (!wr_head_has(head, WR_H_HOST))
        return head->minor == 0 || refuse(p, p->base + head->size, WR_BAD_HOST_MISSING);
    struct wr_span text = wr_head_get(head, WR_H_HOST);
    struct wr_host field, target;
    if (wr_host_parse(text, &field) != 0)
        return refuse_field(p, WR_H_HOST, WR_BAD_HOST_BAD);
    if (WR_LIKELY(!head->authority.n)) {
        head->authority = text;
        return true;
    }
    bool https = head->target.n > 5 && (head->target.p[4] | 0x20) == 's';
    if (wr_host_parse(head->authority, &target) != 0 ||
        !wr_host_eq(field, target, https ? 443 : 80))
        return refuse_field(p, WR_H_HOST, WR_BAD_HOST_DIFFERS);
    return true;
}

static bool judge_host(struct wr_parse *p)
{
    struct wr_head *head = p->head;
    struct wr_span host = wr_head_get(head, WR_H_HOST);
    if (!host.p || head->authority.n || host.p + host.n - p->base < 16 ||
        !wr_scan_is_short_host(host.p, host.p + host.n))
        return judge_any_host(p);
    head->authority = host;
    return true;
}

static bool judge_connection(struct wr_parse *p)
{
    struct wr_head *head = p->head;
    bool close = false, keep = false;
    uint32_t at = 0;
    for (const struct wr_field *f; (f = wr_head_next(head, WR_H_CONNECTION, &at));) {
        /* The usual ones, alone in their field. */
        if (wr_span_ieq(f->value, WR_LIT("keep-alive"))) {
            keep = true;
            continue;
        }
        if (wr_span_ieq(f->value, WR_LIT("close"))) {
            close = true;
            continue;
        }
        int closes = wr_token_list_has(f->value, WR_LIT("close"));
        int keeps = wr_token_list_has(f->value, WR_LIT("keep-alive"));
        if (closes < 0 || keeps < 0)
            return refuse(p, f->value.p, WR_BAD_CONNECTION_BAD);
        close |= closes;
        keep |= keeps;
    }
    head->keep_alive = !close && (head->minor == 1 || keep);
    if (head->body == WR_BODY_UNTIL_CLOSE || head->body == WR_BODY_TUNNEL)
        head->keep_alive = false;
    return true;
}

static bool judge_expect(struct wr_parse *p)
{
    struct wr_head *head = p->head;
    if (!wr_span_ieq(wr_head_get(head, WR_H_EXPECT), WR_LIT("100-continue")))
        return refuse_field(p, WR_H_EXPECT, WR_BAD_EXPECT_UNKNOWN);
    head->expect_continue = head->minor == 1;
    return true;
}

/* ---- all of it ---- */

/* All of them are among the first 64 ids: most requests have none. */
#define BIT(id) (UINT64_C(1) << WR_H_##id)
_Static_assert(WR_H_EXPECT < 64, "BIT");
static const uint64_t framing_fields = BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING);

static bool judge_request(struct wr_parse *p)
{
    uint64_t seen = p->head->seen[0];
    p->head->keep_alive = p->head->minor == 1;
    return (!(seen & framing_fields) || judge_framing(p)) && judge_host(p) &&
           (!(seen & BIT(CONNECTION)) || judge_connection(p)) &&
           (!(seen & BIT(EXPECT)) || judge_expect(p));
}

bool wr_parse_judge_(struct wr_parse *p)
{
    return p->is_response ? judge_framing(p) && judge_connection(p) : judge_request(p);
}

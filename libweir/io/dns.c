/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/dns.h"

#include "libweir/base/err.h"

#define HEADER_BYTES 12
#define CLASS_IN     1
#define TYPE_OPT     41
#define LABEL_MAX    63
#define ALIAS_MAX    16
#define POINTERS_MAX 127 /* a name has no more labels */

enum {
    FLAG_ANSWER = 0x8000,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSE = 0x0100,
    OPCODE_MASK = 0x7800,
    RCODE_MASK = 0x000f,
    RCODE_NXDOMAIN = 3,
};

/* ---- the question ---------------------------------------------------------------------------------- */

static struct wr_span without_last_dot(struct wr_span name)
{
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    return name;
}

bool wr_dns_name_ok(struct wr_span name)
{
    struct wr_span label;
    name = without_last_dot(name);
    if (name.n == 0 || name.n >= WR_DNS_NAME_MAX)
        return false;
    while (wr_span_split(&name, '.', &label)) {
        if (label.n == 0 || label.n > LABEL_MAX)
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (label.p[i] <= ' ' || label.p[i] > '~')
                return false;
    }
    return true;
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static uint8_t *put_name(uint8_t *p, struct wr_span name)
{
    struct wr_span label;
    while (wr_span_split(&name, '.', &label)) {
        *p++ = (uint8_t)label.n;
        memcpy(p, label.p, label.n);
        p += label.n;
    }
    *p++ = 0;
    return p;
}

int wr_dns_write_query(uint16_t id, struct wr_span name, uint16_t type, bool edns,
                       uint8_t out[WR_DNS_QUERY_MAX])
{
    if (!wr_dns_name_ok(name))
        return WR_E_SYNTAX;
    uint8_t *p = out;
    p = put16(p, id);
    p = put16(p, FLAG_RECURSE);
    p = put16(p, 1); /* questions */
    p = put16(p, 0);
    p = put16(p, 0);
    p = put16(p, edns ? 1 : 0);
    p = put_name(p, without_last_dot(name));
    p = put16(p, type);
    p = put16(p, CLASS_IN);
    if (edns) {
        *p++ = 0; /* the root */
        p = put16(p, TYPE_OPT);
        p = put16(p, WR_DNS_UDP_SIZE);
        p = put16(p, 0);
        p = put16(p, 0);
        p = put16(p, 0);
    }
    return (int)(p - out);
}

/* ---- the answer -------------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *p;
    size_t n, at;
};

struct rr {
    char name[WR_DNS_NAME_MAX];
    uint16_t type, class;
    uint32_t ttl_s;
    size_t data, data_n; /* where in the message */
};

static bool get16(struct reader *r, uint16_t *out)
{
    if (r->n - r->at < 2)
        return false;
    *out = (uint16_t)(r->p[r->at] << 8 | r->p[r->at + 1]);
    r->at += 2;
    return true;
}

static bool get32(struct reader *r, uint32_t *out)
{
    uint16_t hi, lo;
    if (!get16(r, &hi) || !get16(r, &lo))
        return false;
    *out = (uint32_t)hi << 16 | lo;
    return true;
}

/* A label's bytes behind a dot. Bytes that would make the text ambiguous become one that matches no
 * name we ask for. */
static bool add_label(char *out, size_t *len, const uint8_t *p, size_t n)
{
    if (*len + (*len ? 1 : 0) + n >= WR_DNS_NAME_MAX)
        return false;
    if (*len)
        out[(*len)++] = '.';
    for (size_t i = 0; i < n; i++) {
        char c = (char)p[i];
        out[(*len)++] = c <= ' ' || c > '~' || c == '.' ? ' ' : c;
    }
    return true;
}

/* Reads a name at r->at and moves behind it. Every pointer must lead before the labels that it
 * continues, so the place only ever falls and a loop cannot be; a long way of pointers alone is no name. */
static bool get_name(struct reader *r, char out[WR_DNS_NAME_MAX])
{
    size_t at = r->at, begin = r->at, len = 0;
    unsigned pointers = 0;
    for (;;) {
        if (at >= r->n)
            return false;
        uint8_t c = r->p[at];
        if ((c & 0xc0) == 0xc0) {
            if (at + 1 >= r->n)
                return false;
            size_t to = (size_t)(c & 0x3f) << 8 | r->p[at + 1];
            if (!pointers)
                r->at = at + 2;
            if (to >= begin || to < HEADER_BYTES || pointers++ == POINTERS_MAX)
                return false;
            at = begin = to;
        } else if (c > LABEL_MAX || at + 1 + c > r->n) {
            return false;
        } else if (c == 0) {
            break;
        } else {
            if (!add_label(out, &len, r->p + at + 1, c))
                return false;
            at += 1u + c;
        }
    }
    if (!pointers)
        r->at = at + 1;
    out[len] = 0;
    return true;
}

static bool get_rr(struct reader *r, struct rr *out)
{
    uint16_t data_n;
    if (!get_name(r, out->name) || !get16(r, &out->type) || !get16(r, &out->class) ||
        !get32(r, &out->ttl_s) || !get16(r, &data_n) || r->n - r->at < data_n)
        return false;
    if (out->ttl_s > INT32_MAX) /* RFC 2181, section 8 */
        out->ttl_s = 0;
    out->data = r->at;
    out->data_n = data_n;
    r->at += data_n;
    return true;
}

static bool same_name(const char *a, const char *b)
{
    return wr_span_ieq(wr_span_str(a), wr_span_str(b));
}

/* The name that `name` is an alias of, by the first CNAME for it among count records. */
static bool find_alias(struct reader r, unsigned count, const char *name, struct rr *rr)
{
    while (count-- && get_rr(&r, rr)) {
        if (rr->type != WR_DNS_CNAME || rr->class != CLASS_IN || !same_name(rr->name, name))
            continue;
        struct reader data = {r.p, rr->data + rr->data_n, rr->data};
        return get_name(&data, rr->name);
    }
    return false;
}

static bool take_record(const struct reader *r, const struct rr *rr, struct wr_dns_record *out)
{
    struct reader data = {r->p, rr->data + rr->data_n, rr->data};
    *out = (struct wr_dns_record){.type = rr->type, .ttl_s = rr->ttl_s};
    if (rr->type == WR_DNS_SRV)
        return get16(&data, &out->priority) && get16(&data, &out->weight) &&
               get16(&data, &out->port) && get_name(&data, out->target);
    size_t want = rr->type == WR_DNS_A ? 4 : 16;
    if (rr->data_n != want)
        return false;
    memcpy(out->ip, r->p + rr->data, want);
    return true;
}

static void note_ttl(struct wr_dns_answer *out, uint32_t ttl_s)
{
    if (ttl_s < out->ttl_s)
        out->ttl_s = ttl_s;
}

/* The negative TTL, RFC 2308: the smaller of the SOA's own and its last field. */
static uint32_t negative_ttl(struct reader r, unsigned count)
{
    struct rr rr;
    while (count-- && get_rr(&r, &rr)) {
        uint32_t minimum;
        struct reader data = {r.p, rr.data + rr.data_n, rr.data + rr.data_n - 4};
        if (rr.type == WR_DNS_SOA && rr.data_n >= 22 && get32(&data, &minimum))
            return minimum < rr.ttl_s ? minimum : rr.ttl_s;
    }
    return 0;
}

/* Everything behind the question. *out has the verdict for an empty answer. */
static void read_records(struct reader r, unsigned answers, unsigned authority,
                         const char *name, uint16_t type, struct wr_dns_answer *out)
{
    char at[WR_DNS_NAME_MAX];
    struct rr rr;
    struct reader behind = r;
    memcpy(at, name, sizeof at);
    for (unsigned i = 0; i < answers; i++) {
        if (!get_rr(&behind, &rr)) {
            out->verdict = WR_DNS_BAD;
            return;
        }
    }
    out->ttl_s = UINT32_MAX;
    for (int n = 0; find_alias(r, answers, at, &rr); n++) {
        if (n == ALIAS_MAX) {
            out->verdict = WR_DNS_BAD;
            return;
        }
        note_ttl(out, rr.ttl_s);
        memcpy(at, rr.name, sizeof at);
    }
    for (unsigned i = 0; i < answers && out->count < WR_DNS_RECORDS_MAX; i++) {
        if (!get_rr(&r, &rr))
            break;
        if (rr.type != type || rr.class != CLASS_IN || !same_name(rr.name, at))
            continue;
        if (!take_record(&r, &rr, &out->records[out->count]))
            continue;
        note_ttl(out, rr.ttl_s);
        out->count++;
    }
    if (out->count && out->verdict == WR_DNS_NODATA)
        out->verdict = WR_DNS_OK;
    else
        out->ttl_s = negative_ttl(behind, authority);
}

static bool same_question(struct reader *r, struct wr_span name, uint16_t type,
                          char asked[WR_DNS_NAME_MAX])
{
    uint16_t got_type, got_class;
    return get_name(r, asked) && get16(r, &got_type) && get16(r, &got_class) &&
           got_type == type && got_class == CLASS_IN &&
           wr_span_ieq(wr_span_str(asked), without_last_dot(name));
}

void wr_dns_read_answer(struct wr_span message, uint16_t id, struct wr_span name, uint16_t type,
                        struct wr_dns_answer *out)
{
    struct reader r = {(const uint8_t *)message.p, message.n, 0};
    uint16_t got_id, flags, questions, answers, authority, additional;
    char asked[WR_DNS_NAME_MAX];
    out->verdict = WR_DNS_NOT_OURS;
    out->count = 0;
    out->ttl_s = 0;
    out->rcode = 0;
    if (!get16(&r, &got_id) || !get16(&r, &flags) || !get16(&r, &questions) ||
        !get16(&r, &answers) || !get16(&r, &authority) || !get16(&r, &additional))
        return;
    if (got_id != id || !(flags & FLAG_ANSWER) || (flags & OPCODE_MASK))
        return;
    out->rcode = flags & RCODE_MASK;
    bool failed = out->rcode && out->rcode != RCODE_NXDOMAIN;
    if (questions != 1 || !same_question(&r, name, type, asked)) {
        /* a server that does not understand us may answer with a bare header */
        if (questions == 0 && failed)
            out->verdict = WR_DNS_SERVFAIL;
        return;
    }
    if (failed) {
        out->verdict = WR_DNS_SERVFAIL;
        return;
    }
    if (flags & FLAG_TRUNCATED) {
        out->verdict = WR_DNS_TRUNCATED;
        return;
    }
    out->verdict = out->rcode ? WR_DNS_NXDOMAIN : WR_DNS_NODATA;
    read_records(r, answers, authority, asked, type, out);
    if (out->verdict != WR_DNS_OK)
        out->count = 0;
}

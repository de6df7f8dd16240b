/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/parse.h"

#include "libweir/base/assert.h"
#include "libweir/http/parse_private.h"
#include "libweir/http/scan.h"
#include "libweir/http/uri.h"

#define METHOD_MAX 32

/* Two parsers come out of one text: `simd` is a constant in each of them. */
#define INLINE static inline __attribute__((always_inline))

/* In the order in which a head passes through them. */
enum state {
    BLANK, /* at most one empty line before a request */
    BLANK_LF,
    METHOD,
    TARGET,
    VERSION, /* of a request */
    STATUS_VERSION,
    STATUS,
    TEXT,
    START_LF, /* the end of the first line */
    LINE,     /* at the first byte of a field line, or of the blank line */
    NAME,
    PAD,
    VALUE,
    VALUE_LF,
    END_LF,
    DONE,
    BAD,
};

/* stop is where this line, the head or the bytes end, whichever comes first. */
struct cursor {
    const char *at, *stop;
    const char *base, *end; /* end: of the bytes, no further than max_head */
};

enum step {
    NEXT,
    MORE,
    REFUSED
};

void wr_parse_init_request(struct wr_parse *p, struct wr_head *head,
                           const struct wr_http_limits *limits)
{
    *p = (struct wr_parse){.head = head, .limits = limits ? *limits : wr_http_limits_default};
    p->state = BLANK;
}

void wr_parse_init_response(struct wr_parse *p, struct wr_head *head,
                            enum wr_method request_method, const struct wr_http_limits *limits)
{
    wr_parse_init_request(p, head, limits);
    p->is_response = true;
    p->request_method = request_method;
    p->state = STATUS_VERSION;
}

bool wr_parse_is_idle(const struct wr_parse *p)
{
    return p->state <= METHOD && p->at == p->line;
}

WR_COLD static enum step refuse(struct wr_parse *p, struct cursor c, const char *at,
                                enum wr_reason reason)
{
    p->refusal = (struct wr_refusal){reason, (uint64_t)(at - c.base)};
    return REFUSED;
}

/* The byte where CR was due. */
WR_COLD static enum step refuse_line_end(struct wr_parse *p, struct cursor c,
                                         enum wr_reason otherwise)
{
    return refuse(p, c, c.at, *c.at == '\n' ? WR_BAD_BARE_LF : otherwise);
}

INLINE const char *line_stop(struct cursor c, const char *line, uint32_t max)
{
    return (size_t)(c.end - line) > max ? line + max : c.end;
}

static enum step expect_lf(struct wr_parse *p, struct cursor *c, enum state next)
{
    if (c->at == c->stop)
        return MORE;
    if (*c->at != '\n')
        return refuse(p, *c, c->at - 1, WR_BAD_BARE_CR);
    c->at++;
    p->state = next;
    return NEXT;
}

/* ---- the first line ---- */

static enum step on_blank(struct wr_parse *p, struct cursor *c)
{
    if (c->at == c->stop)
        return MORE;
    p->state = METHOD;
    if (*c->at == '\r') {
        c->at++;
        p->state = BLANK_LF;
    } else if (*c->at == 0x16) {
        return refuse(p, *c, c->at, WR_BAD_TLS_HANDSHAKE);
    }
    return NEXT;
}

static enum step on_blank_lf(struct wr_parse *p, struct cursor *c)
{
    enum step s = expect_lf(p, c, METHOD);
    if (s == NEXT)
        p->line = p->token = (uint32_t)(c->at - c->base);
    return s;
}

static enum step on_method(struct wr_parse *p, struct cursor *c)
{
    const char *token = c->base + p->token;
    c->stop = line_stop(*c, token, p->limits.max_line);
    const char *limit = c->stop - token > METHOD_MAX + 1 ? token + METHOD_MAX + 1 : c->stop;
    c->at = wr_scan_scalar(c->at, limit, WR_CHAR_TOKEN);
    if (c->at - token > METHOD_MAX)
        return refuse(p, *c, token, WR_BAD_METHOD_LONG);
    if (c->at == c->stop)
        return MORE;
    if (*c->at != ' ' || c->at == token)
        return refuse_line_end(p, *c, WR_BAD_METHOD_BAD);
    p->head->method_text = wr_span(token, (size_t)(c->at - token));
    bool is_get = c->at - token == 3 && memcmp(token, "GET", 3) == 0;
    p->head->method = is_get ? WR_METHOD_GET : wr_method_of(p->head->method_text);
    c->at++;
    p->token = (uint32_t)(c->at - c->base);
    p->state = TARGET;
    return NEXT;
}

/* Origin form, the usual one, needs no second look. */
static enum step take_target(struct wr_parse *p, struct cursor *c, const char *token)
{
    struct wr_head *head = p->head;
    head->target = wr_span(token, (size_t)(c->at - token));
    if (*token == '/' && head->method != WR_METHOD_CONNECT) {
        head->form = WR_TARGET_ORIGIN;
    } else {
        struct wr_uri target;
        enum wr_reason bad = wr_uri_parse(head->target, head->method, &target);
        if (bad)
            return refuse(p, *c, token, bad);
        head->form = target.form;
        head->authority = target.authority;
    }
    c->at++;
    p->token = (uint32_t)(c->at - c->base);
    p->state = VERSION;
    return NEXT;
}

INLINE enum step on_target(struct wr_parse *p, struct cursor *c, bool simd)
{
    const char *token = c->base + p->token;
    c->at =
        simd ? wr_scan_target(c->at, c->stop) : wr_scan_scalar(c->at, c->stop, WR_CHAR_TARGET);
    if (WR_UNLIKELY(p->limits.allow_high_target))
        c->at = wr_scan_scalar(c->at, c->stop, WR_CHAR_TARGET_HIGH);
    if (c->at == c->stop)
        return MORE;
    if (WR_LIKELY(*c->at == ' ' && c->at > token))
        return take_target(p, c, token);
    if (c->at == token)
        return refuse(p, *c, c->at, WR_BAD_TARGET_EMPTY);
    bool no_version = *c->at == '\r' || *c->at == '\n';
    return refuse(p, *c, c->at, no_version ? WR_BAD_HTTP_09 : WR_BAD_TARGET_BYTE);
}

/* "HTTP/1.0" or "HTTP/1.1" and the byte `after`, a byte at a time unless all is there. */
static enum step on_version(struct wr_parse *p, struct cursor *c, char after, enum state next)
{
    static const char want[8] = "HTTP/1.1";
    const char *token = c->base + p->token;
    if (c->at == token && c->stop - c->at > 8 && memcmp(token, want, 8) == 0) {
        c->at += 8;
        p->head->minor = 1;
    }
    for (; c->at < c->stop && c->at - token < 8; c->at++) {
        ptrdiff_t i = c->at - token;
        bool good = i == 5 || i == 7 ? *c->at >= '0' && *c->at <= '9' : *c->at == want[i];
        if (!good)
            return refuse_line_end(p, *c, WR_BAD_VERSION_BAD);
        if (i < 7)
            continue;
        if (token[5] != '1' || *c->at > '1')
            return refuse(p, *c, token, WR_BAD_VERSION_UNSUPPORTED);
        p->head->minor = (uint8_t)(*c->at - '0');
    }
    if (c->at == c->stop)
        return MORE;
    if (*c->at != after)
        return refuse_line_end(p, *c, WR_BAD_VERSION_BAD);
    c->at++;
    p->token = (uint32_t)(c->at - c->base);
    p->state = next;
    return NEXT;
}

/* Three digits; then a blank and the phrase, or at once the end, as some origins write it. */
static enum step on_status(struct wr_parse *p, struct cursor *c)
{
    const char *token = c->base + p->token;
    for (; c->at < c->stop && c->at - token < 3; c->at++)
        if (*c->at < '0' || *c->at > '9')
            return refuse_line_end(p, *c, WR_BAD_STATUS_BAD);
    if (c->at == c->stop)
        return MORE;
    int status = (token[0] - '0') * 100 + (token[1] - '0') * 10 + (token[2] - '0');
    if (status < 100 || status > 599)
        return refuse(p, *c, token, WR_BAD_STATUS_BAD);
    if (*c->at != ' ' && *c->at != '\r')
        return refuse_line_end(p, *c, WR_BAD_STATUS_BAD);
    p->head->status = (uint16_t)status;
    p->state = *c->at == ' ' ? TEXT : START_LF;
    c->at++;
    p->token = (uint32_t)(c->at - c->base);
    return NEXT;
}

INLINE enum step on_text(struct wr_parse *p, struct cursor *c, bool simd)
{
    c->at =
        simd ? wr_scan_value(c->at, c->stop) : wr_scan_scalar(c->at, c->stop, WR_CHAR_VALUE);
    if (c->at == c->stop)
        return MORE;
    if (*c->at != '\r')
        return refuse_line_end(p, *c, WR_BAD_STATUS_TEXT);
    const char *token = c->base + p->token;
    p->head->reason_text = wr_span_trim(wr_span(token, (size_t)(c->at - token)));
    c->at++;
    p->state = START_LF;
    return NEXT;
}

INLINE enum step start_line(struct wr_parse *p, struct cursor *c, bool simd)
{
    enum step s = NEXT;
    c->stop = line_stop(*c, c->base + p->line, p->limits.max_line);
    while (s == NEXT && p->state < LINE) {
        switch (p->state) {
        case BLANK:
            s = on_blank(p, c);
            break;
        case BLANK_LF:
            s = on_blank_lf(p, c);
            break;
        case METHOD:
            if ((s = on_method(p, c)) != NEXT)
                break;
            WR_FALLTHROUGH;
        case TARGET:
            if ((s = on_target(p, c, simd)) != NEXT)
                break;
            WR_FALLTHROUGH;
        case VERSION:
            s = on_version(p, c, '\r', START_LF);
            break;
        case STATUS_VERSION:
            s = on_version(p, c, ' ', STATUS);
            break;
        case STATUS:
            s = on_status(p, c);
            break;
        case TEXT:
            s = on_text(p, c, simd);
            break;
        default:
            s = expect_lf(p, c, LINE);
            break;
        }
    }
    return s;
}

/* ---- field lines ---- */

WR_COLD static enum step refuse_name(struct wr_parse *p, struct cursor c, const char *name)
{
    bool blank = *c.at == ' ' || *c.at == '\t';
    if (c.at == name)
        return blank
                   ? refuse(p, c, c.at, WR_BAD_OBS_FOLD)
                   : refuse_line_end(p, c, *c.at == ':' ? WR_BAD_NAME_EMPTY : WR_BAD_NAME_BYTE);
    if (blank)
        return refuse(p, c, c.at, WR_BAD_SPACE_BEFORE_COLON);
    return refuse_line_end(p, c, *c.at == '\r' ? WR_BAD_NO_COLON : WR_BAD_NAME_BYTE);
}

WR_COLD static enum step refuse_value(struct wr_parse *p, struct cursor c)
{
    return refuse_line_end(p, c, *c.at == 0 ? WR_BAD_VALUE_NUL : WR_BAD_VALUE_CONTROL);
}

/* Upstreams repeat harmless fields; in a request, and in framing, a second one is an ambiguity. */
WR_COLD static enum wr_reason judge_again(const struct wr_parse *p, enum wr_header id)
{
    if (id == WR_H_CONTENT_LENGTH)
        return WR_BAD_LENGTH_TWICE;
    if (id == WR_H_TRANSFER_ENCODING)
        return WR_BAD_CODING_TWICE;
    if (p->is_response || !(wr_header_flags(id) & WR_HF_ONE))
        return WR_BAD_NONE;
    return id == WR_H_HOST ? WR_BAD_HOST_TWICE : WR_BAD_FIELD_TWICE;
}

/* Names that a gateway behind us would map onto the real ones. */
static bool is_lookalike(struct wr_span name)
{
    return (name.n == 14 && wr_span_ieq(name, WR_LIT("content_length"))) ||
           (name.n == 17 && wr_span_ieq(name, WR_LIT("transfer_encoding")));
}

INLINE enum wr_reason add_field(struct wr_parse *p, const char *value_end)
{
    const char *value = p->base + p->token;
    while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
        value_end--;
    struct wr_span name = wr_span(p->base + p->line, p->name_n);
    enum wr_header id = wr_header_of(name);
    enum wr_reason bad = WR_BAD_NONE;
    if (id == WR_H_OTHER)
        bad = is_lookalike(name) ? WR_BAD_NAME_LOOKALIKE : WR_BAD_NONE;
    else if (WR_UNLIKELY(wr_head_has(p->head, id)))
        bad = judge_again(p, id);
    if (bad)
        return bad;
    bool added = wr_head_add(p->head, id, name, wr_span(value, (size_t)(value_end - value)));
    return added ? WR_BAD_NONE : WR_BAD_FIELDS_MANY;
}

/* Leaves with NEXT behind the blank line. The states fall through in the order of a line's parts. */
INLINE enum step fields(struct wr_parse *p, struct cursor *c, bool simd)
{
    const struct wr_head *head = p->head;
    c->stop = p->state == LINE ? c->end : line_stop(*c, c->base + p->line, p->limits.max_field);
    for (;;) {
        switch (p->state) {
        case LINE:
            p->line = (uint32_t)(c->at - c->base);
            if (c->at == c->end)
                return MORE;
            if (*c->at == '\r') {
                c->at++;
                p->state = END_LF;
                continue;
            }
            if (head->nfields >= p->limits.max_fields || head->nfields >= head->fields_cap)
                return refuse(p, *c, c->at, WR_BAD_FIELDS_MANY);
            c->stop = line_stop(*c, c->at, p->limits.max_field);
            p->state = NAME;
            WR_FALLTHROUGH;
        case NAME: {
            c->at = simd ? wr_scan_token(c->at, c->stop)
                         : wr_scan_scalar(c->at, c->stop, WR_CHAR_TOKEN);
            if (c->at == c->stop)
                return MORE;
            const char *name = c->base + p->line;
            if (WR_UNLIKELY(*c->at != ':' || c->at == name))
                return refuse_name(p, *c, name);
            p->name_n = (uint32_t)(c->at - name);
            c->at++;
            p->state = PAD;
        }
            WR_FALLTHROUGH;
        case PAD:
            while (c->at < c->stop && (*c->at == ' ' || *c->at == '\t'))
                c->at++;
            if (c->at == c->stop)
                return MORE;
            p->token = (uint32_t)(c->at - c->base);
            p->state = VALUE;
            WR_FALLTHROUGH;
        case VALUE:
            c->at = simd ? wr_scan_value(c->at, c->stop)
                         : wr_scan_scalar(c->at, c->stop, WR_CHAR_VALUE);
            if (c->at == c->stop)
                return MORE;
            if (WR_UNLIKELY(*c->at != '\r'))
                return refuse_value(p, *c);
            c->at++;
            p->state = VALUE_LF;
            WR_FALLTHROUGH;
        case VALUE_LF: {
            enum step s = expect_lf(p, c, LINE);
            if (s != NEXT)
                return s;
            enum wr_reason bad = add_field(p, c->at - 2);
            if (WR_UNLIKELY(bad))
                return refuse(p, *c, c->base + p->line, bad);
            continue;
        }
        default:
            c->stop = c->end;
            return expect_lf(p, c, DONE);
        }
    }
}

/* ---- the usual head ---- */

/*
 * A request that is here whole, of the origin form, each line as everybody writes it: read in one go, with
 * everything in registers. It only says yes. Whatever is unusual, all that is to be refused included, is left
 * to the machine above, which begins anew: nothing was changed, and what is refused, where and why stays one
 * text. parse_fuzz holds the two against each other.
 */
struct whole {
    enum wr_method method;
    struct wr_span method_text, target;
    uint64_t seen[2];
    uint32_t nfields;
    uint8_t minor;
};

#define WHOLE_MIN  32 /* bytes of such a head at least; the scanners want 16 of them */
#define METHOD_FEW 15

/* Behind the first line, or NULL. */
INLINE const char *whole_line(const struct wr_parse *p, struct whole *w, const char *at,
                              const char *end)
{
    const char *line = at;
    size_t n = 3;
    w->method = WR_METHOD_GET;
    if (memcmp(at, "GET ", 4) != 0) {
        n = (size_t)(wr_scan_scalar(at, at + METHOD_FEW, WR_CHAR_TOKEN) - at);
        w->method = wr_method_of(wr_span(line, n));
        if (n == 0 || at[n] != ' ' || w->method == WR_METHOD_CONNECT)
            return NULL;
    }
    w->method_text = wr_span(line, n);
    const char *target = at + n + 1;
    if (*target != '/')
        return NULL;
    at = wr_scan_target(target, end);
    w->target = wr_span(target, (size_t)(at - target));
    if (end - at < 11 || memcmp(at, " HTTP/1.", 8) != 0 || (at[8] | 1) != '1' ||
        memcmp(at + 9, "\r\n", 2) != 0 || (size_t)(at + 11 - line) > p->limits.max_line)
        return NULL;
    w->minor = (uint8_t)(at[8] - '0');
    return at + 11;
}

/* False: a name that came twice and may not, or that only looks like one that matters. */
INLINE bool whole_add(const struct wr_parse *p, struct whole *w, struct wr_span name,
                      struct wr_span value)
{
    struct wr_head *head = p->head;
    enum wr_header id = wr_header_of(name);
    uint64_t bit = UINT64_C(1) << (id & 63), *seen = &w->seen[id >> 6];
    if (id == WR_H_OTHER) {
        if (is_lookalike(name))
            return false;
    } else if (WR_UNLIKELY(*seen & bit)) {
        if (judge_again(p, id))
            return false;
    } else {
        *seen |= bit;
        head->first[id] = (uint16_t)w->nfields;
    }
    head->fields[w->nfields++] = (struct wr_field){name, value, id};
    return true;
}

/* Behind the blank line, or NULL. Values that are empty, or begin or end with more than one blank or with
 * something that is not ASCII, are not usual. */
INLINE const char *whole_fields(const struct wr_parse *p, struct whole *w, const char *at,
                                const char *end)
{
    uint32_t cap = p->head->fields_cap;
    cap = cap < p->limits.max_fields ? cap : p->limits.max_fields;
    for (;;) {
        const char *line = at;
        if (end - at < 2)
            return NULL;
        if (*at == '\r')
            return at[1] == '\n' ? at + 2 : NULL;
        at = wr_scan_token_in(at, end);
        if (end - at < 6 || *at != ':' || at == line) /* of ":v" and two line ends */
            return NULL;
        struct wr_span name = wr_span(line, (size_t)(at - line));
        const char *value = at + 1 + (at[1] == ' ');
        at = wr_scan_value_in(value, end);
        if (end - at < 2 || memcmp(at, "\r\n", 2) != 0 || value[0] <= ' ' || at[-1] <= ' ')
            return NULL;
        struct wr_span text = wr_span(value, (size_t)(at - value));
        at += 2;
        if ((size_t)(at - line) > p->limits.max_field || w->nfields >= cap ||
            !whole_add(p, w, name, text))
            return NULL;
    }
}

INLINE bool is_usual(struct wr_parse *p, struct cursor *c)
{
    struct wr_head *head = p->head;
    struct whole w = {0};
    if (p->is_response || c->end - c->base < WHOLE_MIN)
        return false;
    const char *at = whole_line(p, &w, c->base, c->end);
    at = at ? whole_fields(p, &w, at, c->end) : NULL;
    if (!at)
        return false;
    head->method = w.method;
    head->method_text = w.method_text;
    head->target = w.target;
    head->form = WR_TARGET_ORIGIN;
    head->minor = w.minor;
    head->nfields = w.nfields;
    memcpy(head->seen, w.seen, sizeof w.seen);
    p->state = DONE;
    c->at = at;
    return true;
}

/* ---- the whole ---- */

WR_COLD static enum step refuse_limit(struct wr_parse *p, struct cursor c)
{
    uint32_t at = (uint32_t)(c.at - c.base);
    bool first = p->state < LINE;
    uint32_t max = first ? p->limits.max_line : p->limits.max_field;
    bool in_line = p->state != LINE && p->state != END_LF;
    if (in_line && at - p->line >= max)
        return refuse(p, c, c.at, first ? WR_BAD_LINE_LONG : WR_BAD_FIELD_LONG);
    if (at >= p->limits.max_head)
        return refuse(p, c, c.at, WR_BAD_HEAD_LONG);
    return MORE;
}

static enum wr_parsed settle(struct wr_parse *p, struct cursor c, enum step s)
{
    if (s == MORE)
        s = refuse_limit(p, c);
    p->at = (uint32_t)(c.at - c.base);
    if (s == REFUSED)
        p->state = BAD;
    return s == REFUSED ? WR_PARSED_BAD : s == MORE ? WR_PARSED_MORE : WR_PARSED_DONE;
}

INLINE enum step machine(struct wr_parse *p, struct cursor *c, bool simd)
{
    enum step s = NEXT;
    if (p->state < LINE)
        s = start_line(p, c, simd);
    return s == NEXT ? fields(p, c, simd) : s;
}

/* Apart, so that the usual head's way is a short one. */
WR_NOINLINE static enum step simd_machine(struct wr_parse *p, struct cursor *c)
{
    return machine(p, c, true);
}

INLINE enum wr_parsed run(struct wr_parse *p, struct wr_span bytes, bool judged, bool simd)
{
    if (p->state >= DONE)
        return p->state == DONE ? WR_PARSED_DONE : WR_PARSED_BAD;
    if (bytes.n == 0)
        return WR_PARSED_MORE;
    WR_DEBUG_ASSERT(bytes.n >= p->at);
    if (p->base != bytes.p) {
        if (p->base && p->at)
            wr_head_rebase(p->head, p->base, p->at, bytes.p);
        p->base = bytes.p;
    }
    size_t n = bytes.n < p->limits.max_head ? bytes.n : p->limits.max_head;
    struct cursor c = {.base = bytes.p, .end = bytes.p + n, .stop = bytes.p + n};
    c.at = bytes.p + p->at;
    enum step s = NEXT;
    if (!simd)
        s = machine(p, &c, false);
    else if (p->at > 0 || !is_usual(p, &c))
        s = simd_machine(p, &c);
    if (s == NEXT) {
        p->head->size = (size_t)(c.at - c.base);
        if (judged && !wr_parse_judge_(p))
            s = REFUSED;
    }
    return settle(p, c, s);
}

enum wr_parsed wr_parse_head(struct wr_parse *p, struct wr_span bytes)
{
    return run(p, bytes, true, true);
}

enum wr_parsed wr_parse_head_scalar(struct wr_parse *p, struct wr_span bytes)
{
    return run(p, bytes, true, false);
}

enum wr_parsed wr_parse_fields(struct wr_span lines, struct wr_head *out,
                               struct wr_refusal *out_refusal)
{
    struct wr_parse p;
    wr_parse_init_response(&p, out, WR_METHOD_OTHER, NULL);
    p.limits.max_head = UINT32_MAX;
    p.state = LINE;
    enum wr_parsed r = run(&p, lines, false, false);
    if (r == WR_PARSED_MORE && p.state == LINE)
        return WR_PARSED_DONE;
    if (r != WR_PARSED_BAD)
        p.refusal = (struct wr_refusal){WR_BAD_TRUNCATED, p.at};
    *out_refusal = p.refusal;
    return WR_PARSED_BAD;
}

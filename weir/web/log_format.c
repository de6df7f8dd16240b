/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_format: a format becomes a list of steps that write straight into the line.
 *
 * What every access log has is read from the request without going through the table of variables; all
 * else is a variable. The escaping is the one that readers of such logs know: \xHH with capital digits,
 * or JSON's.
 */
#include "libweir/base/num.h"
#include "libweir/http/header.h"
#include "libweir/io/loop.h"
#include "weir/web/logs_private.h"
#include "weir/web/vars.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

enum op_kind {
    OP_TEXT,
    OP_VAR,
    OP_FIELD, /* of the request: data is its enum wr_header */
    OP_REMOTE_ADDR,
    OP_REMOTE_USER, /* most often there is none */
    OP_TIME_LOCAL,
    OP_TIME_ISO8601,
    OP_MSEC,
    OP_REQUEST_TIME,
    OP_STATUS,
    OP_BYTES_SENT,
    OP_BODY_BYTES_SENT,
    OP_REQUEST,
};

struct log_op {
    uint8_t kind;
    uint32_t data; /* index of a variable, header */
    struct wr_span text;
};

static const struct fast {
    const char *name;
    uint8_t kind;
    uint32_t data;
} fast[] = {
    {"remote_addr",     OP_REMOTE_ADDR,     0              },
    {"remote_user",     OP_REMOTE_USER,     0              },
    {"time_local",      OP_TIME_LOCAL,      0              },
    {"time_iso8601",    OP_TIME_ISO8601,    0              },
    {"msec",            OP_MSEC,            0              },
    {"request_time",    OP_REQUEST_TIME,    0              },
    {"status",          OP_STATUS,          0              },
    {"bytes_sent",      OP_BYTES_SENT,      0              },
    {"body_bytes_sent", OP_BODY_BYTES_SENT, 0              },
    {"request",         OP_REQUEST,         0              },
    {"http_referer",    OP_FIELD,           WR_H_REFERER   },
    {"http_user_agent", OP_FIELD,           WR_H_USER_AGENT},
};

/* ---- escaping ------------------------------------------------------------------------------------------- */

static const char hex[] = "0123456789ABCDEF";

static bool plain(unsigned char c, enum log_escape kind)
{
    if (c < 0x20 || c == '"' || c == '\\')
        return false;
    return c < 0x7f || kind == LOG_ESCAPE_JSON;
}

/* Is there a byte in these eight that LOG_ESCAPE_DEFAULT would change? May say yes for no reason, never no. */
static bool suspicious(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
    uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\', del = w ^ ones * 0x7f;
    return ((w | (w - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones)) & high) !=
           0;
}

static size_t escape_default(unsigned char c, char *to)
{
    memcpy(to, (char[4]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
    return 4;
}

static size_t escape_json(unsigned char c, char *to)
{
    static const char letters[] = "btn?fr";
    if (c == '"' || c == '\\') {
        to[0] = '\\';
        to[1] = (char)c;
        return 2;
    }
    if (c >= 8 && c <= 13 && c != 11) {
        to[0] = '\\';
        to[1] = letters[c - 8];
        return 2;
    }
    memcpy(to, (char[6]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    return 6;
}

size_t log_escape(char *out, size_t n, struct wr_span s, enum log_escape kind)
{
    size_t made = 0, i = 0;
    if (kind == LOG_ESCAPE_NONE) {
        made = s.n < n ? s.n : n;
        if (made)
            memcpy(out, s.p, made);
        return made;
    }
    while (i < s.n && n - made >= 8) {
        uint64_t w;
        if (s.n - i >= 8 && (memcpy(&w, s.p + i, 8), !suspicious(w))) {
            memcpy(out + made, &w, 8);
            made += 8;
            i += 8;
            continue;
        }
        unsigned char c = (unsigned char)s.p[i++];
        if (plain(c, kind))
            out[made++] = (char)c;
        else
            made += kind == LOG_ESCAPE_JSON ? escape_json(c, out + made)
                                            : escape_default(c, out + made);
    }
    return made;
}

/* ---- run time ----------------------------------------------------------------------------------------- */

struct line {
    char *p, *end;
    enum log_escape escape;
};

static void put_raw(struct line *l, struct wr_span s)
{
    size_t room = (size_t)(l->end - l->p), n = s.n < room ? s.n : room;
    if (n)
        memcpy(l->p, s.p, n);
    l->p += n;
}

/* p == NULL: there is no such thing. */
static void put_value(struct line *l, struct wr_span s)
{
    if (s.p)
        l->p += log_escape(l->p, (size_t)(l->end - l->p), s, l->escape);
    else if (l->escape == LOG_ESCAPE_DEFAULT)
        put_raw(l, WR_LIT("-"));
}

static void put_number(struct line *l, uint64_t v)
{
    char text[WR_NUM_TEXT];
    put_raw(l, wr_span(text, wr_num_print_u64(text, v)));
}

static void put_seconds(struct line *l, uint64_t ms)
{
    unsigned rest = (unsigned)(ms % 1000);
    put_number(l, ms / 1000);
    put_raw(l, wr_span((char[4]){'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                                 (char)('0' + rest % 10)},
                       4));
}

static void put_status(struct line *l, const struct web_req *r)
{
    unsigned s = (unsigned)(r->err_status ? r->err_status : r->out.status);
    put_raw(l, wr_span((char[3]){(char)('0' + s / 100 % 10), (char)('0' + s / 10 % 10),
                                 (char)('0' + s % 10)},
                       3));
}

static void put_variable(struct line *l, struct web_req *r, uint32_t index)
{
    const struct web_val *v = web_var_get_fresh(r, index);
    struct wr_span text = v && v->found ? v->text : (struct wr_span){0};
    if (v && v->found && !text.p)
        text = WR_LIT("");
    put_value(l, text);
}

static void put_remote_addr(struct line *l, struct web_req *r)
{
    char text[WR_ADDR_TEXT_MAX];
    if (r->client.kind == WR_ADDR_UNIX)
        put_raw(l, WR_LIT("unix:"));
    else
        put_raw(l, wr_span(text, wr_addr_format_ip(&r->client, text)));
}

static void put_field(struct line *l, const struct web_req *r, enum wr_header id)
{
    put_value(l, r->head ? wr_head_get(r->head, id) : (struct wr_span){0});
}

static void put_remote_user(struct line *l, struct web_req *r, uint32_t index)
{
    if (r->head && wr_head_get(r->head, WR_H_AUTHORIZATION).p)
        put_variable(l, r, index);
    else
        put_value(l, (struct wr_span){0});
}

static uint64_t wall_ms(struct web_req *r)
{
    return wr_loop_wall_ns(web_loop(r)) / 1000000;
}

static void put_time(struct line *l, struct web_req *r, bool iso)
{
    const struct web_local_time *t =
        web_local_time(r->server->generation->vars, (int64_t)(wall_ms(r) / 1000));
    put_raw(l, iso ? wr_span(t->iso, t->iso_n) : wr_span(t->log, t->log_n));
}

static void put_op(struct line *l, struct web_req *r, const struct log_op *op)
{
    uint64_t sent;
    switch ((enum op_kind)op->kind) {
    case OP_TEXT:
        put_raw(l, op->text);
        break;
    case OP_VAR:
        put_variable(l, r, op->data);
        break;
    case OP_FIELD:
        put_field(l, r, (enum wr_header)op->data);
        break;
    case OP_REMOTE_ADDR:
        put_remote_addr(l, r);
        break;
    case OP_REMOTE_USER:
        put_remote_user(l, r, op->data);
        break;
    case OP_TIME_LOCAL:
    case OP_TIME_ISO8601:
        put_time(l, r, op->kind == OP_TIME_ISO8601);
        break;
    case OP_MSEC:
        put_seconds(l, wall_ms(r));
        break;
    case OP_REQUEST_TIME:
        put_seconds(l, wr_loop_now_ms(web_loop(r)) - r->began_ms);
        break;
    case OP_STATUS:
        put_status(l, r);
        break;
    case OP_BYTES_SENT:
        put_number(l, web_bytes_sent(r->main));
        break;
    case OP_BODY_BYTES_SENT:
        sent = web_bytes_sent(r->main);
        put_number(l, sent > r->main->head_bytes ? sent - r->main->head_bytes : 0);
        break;
    case OP_REQUEST:
        put_value(l, r->main->line);
        break;
    }
}

size_t log_format_run(struct web_req *r, const struct log_format *f, char *out, size_t n)
{
    struct line l = {out, out + n, (enum log_escape)f->escape};
    for (uint32_t i = 0; i < f->nops; i++)
        put_op(&l, r, &f->ops[i]);
    return (size_t)(l.p - out);
}

/* ---- setters ------------------------------------------------------------------------------------------ */

struct builder {
    struct conf_load *load;
    const struct conf_node *node;
    uint32_t word;
    struct log_op *ops;
    uint32_t n, room;
};

static int add_op(struct builder *b, struct log_op op)
{
    if (b->n == b->room) {
        uint32_t room = b->room ? 2 * b->room : 16;
        struct log_op *ops = wr_arena_alloc(b->load->arena, room * sizeof *ops);
        if (!ops)
            return -ENOMEM;
        if (b->n)
            memcpy(ops, b->ops, b->n * sizeof *ops);
        b->ops = ops;
        b->room = room;
    }
    b->ops[b->n++] = op;
    return 0;
}

/* A variable that has a step of its own must exist all the same. */
static int add_variable(struct builder *b, struct wr_span name)
{
    struct log_op op = {.kind = OP_VAR};
    int r = web_var_index(b->load, b->node, b->word, name, &op.data);
    for (size_t i = 0; !r && i < WR_ARRAY_LEN(fast); i++) {
        if (!wr_span_eq(name, wr_span_str(fast[i].name)))
            continue;
        op.kind = fast[i].kind;
        if (op.kind == OP_FIELD)
            op.data = fast[i].data;
    }
    return r ? r : add_op(b, op);
}

static bool name_byte(char c)
{
    char l = wr_ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* s begins behind '$'. *out_used: bytes of the name with its braces; 0: not a name. */
static struct wr_span variable_name(struct wr_span s, size_t *out_used)
{
    size_t from = s.n && s.p[0] == '{', n = 0;
    while (from + n < s.n && name_byte(s.p[from + n]))
        n++;
    bool open = from && (from + n >= s.n || s.p[from + n] != '}');
    *out_used = n && !open ? n + 2 * from : 0;
    return wr_span_sub(s, from, n);
}

static int add_text(struct builder *b, struct wr_span text)
{
    while (text.n) {
        size_t used = 0, n = 0;
        while (n < text.n && text.p[n] != '$')
            n++;
        int r = n ? add_op(b, (struct log_op){.kind = OP_TEXT, .text = wr_span(text.p, n)}) : 0;
        if (r || n == text.n)
            return r;
        struct wr_span rest = wr_span_sub(text, n + 1, text.n);
        struct wr_span name = variable_name(rest, &used);
        if (!used)
            return conf_fail(b->load, b->node, b->word, "invalid parameter \"%.*s\"",
                             WR_SPANF(wr_span_sub(text, n, text.n)));
        r = add_variable(b, name);
        if (r)
            return r;
        text = wr_span_sub(rest, used, rest.n);
    }
    return 0;
}

static int read_escape(struct conf_load *load, const struct conf_node *node,
                       struct wr_span text, uint8_t *out)
{
    static const struct conf_enum kinds[] = {
        {"default",        LOG_ESCAPE_DEFAULT},
        {"json",                LOG_ESCAPE_JSON},
        {"none",LOG_ESCAPE_NONE},
        {0          }
    };
    for (const struct conf_enum *e = kinds; e->name; e++) {
        if (!wr_span_eq(text, wr_span_str(e->name)))
            continue;
        *out = (uint8_t)e->value;
        return 0;
    }
    return conf_fail(load, node, 2, "unknown log format escaping \"%.*s\"", WR_SPANF(text));
}

struct log_format *log_format_find(struct log_format *f, struct wr_span name)
{
    while (f && !wr_span_eq(f->name, name))
        f = f->next;
    return f;
}

int log_format_combined(struct conf_load *load, struct log_format **out)
{
    struct log_format *f = wr_arena_zalloc(load->arena, sizeof *f);
    struct builder b = {.load = load};
    if (!f)
        return -ENOMEM;
    int r = add_text(&b, WR_LIT("$remote_addr - $remote_user [$time_local] \"$request\" "
                                "$status $body_bytes_sent \"$http_referer\" "
                                "\"$http_user_agent\""));
    f->name = WR_LIT("combined");
    f->ops = b.ops;
    f->nops = b.n;
    *out = f;
    return r;
}

int log_set_format(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    struct log_format **list = field;
    struct builder b = {.load = load, .node = node};
    struct log_format *f = wr_arena_zalloc(load->arena, sizeof *f);
    uint32_t first = 2;
    int r = 0;
    (void)row;
    if (!f)
        return -ENOMEM;
    f->name = conf_arg(node, 1);
    if (log_format_find(*list, f->name) || wr_span_eq(f->name, WR_LIT("combined")))
        return conf_fail(load, node, 1, "duplicate \"log_format\" name \"%.*s\"",
                         WR_SPANF(f->name));
    if (wr_span_has_prefix(conf_arg(node, 2), WR_LIT("escape="))) {
        r = read_escape(load, node, wr_span_sub(conf_arg(node, 2), 7, SIZE_MAX), &f->escape);
        first = 3;
    }
    for (b.word = first; !r && b.word < node->nwords; b.word++)
        r = add_text(&b, conf_arg(node, b.word));
    f->ops = b.ops;
    f->nops = b.n;
    f->next = *list;
    *list = f;
    return r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log_text.h"

#include "libweir/io/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

struct out {
    char *p;
    size_t n, room;
};

static void put_raw(struct out *o, const char *p, size_t n)
{
    if (n > o->room - o->n)
        n = o->room - o->n;
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

static bool is_literal(unsigned char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* False when the next character did not fit: what follows is cut too. */
static bool put_escaped(struct out *o, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    size_t need = is_literal(c) ? 1 : 4;
    if (need > o->room - o->n)
        return false;
    if (need == 1)
        o->p[o->n] = (char)c;
    else
        memcpy(o->p + o->n, (char[4]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
    o->n += need;
    return true;
}

static void put_all_escaped(struct out *o, struct wr_span v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!put_escaped(o, (unsigned char)v.p[i]))
            return;
}

static bool wants_quotes(struct wr_span v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!is_plain((unsigned char)v.p[i]))
            return true;
    return v.n == 0;
}

static void put_value(struct out *o, struct wr_span v)
{
    if (!wants_quotes(v)) {
        put_raw(o, v.p, v.n);
        return;
    }
    if (o->room - o->n < 2)
        return;
    o->p[o->n++] = '"';
    o->room--; /* kept for the closing quote */
    put_all_escaped(o, v);
    o->room++;
    o->p[o->n++] = '"';
}

size_t wr_log_value(char *out, size_t n, struct wr_span value)
{
    struct out o = {out, 0, n};
    put_value(&o, value);
    return o.n;
}

size_t wr_log_escape(char *out, size_t n, struct wr_span value)
{
    struct out o = {out, 0, n};
    put_all_escaped(&o, value);
    return o.n;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int wr_log_unescape(char *out, size_t n, struct wr_span text)
{
    size_t made = 0;
    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"')
        text = wr_span_sub(text, 1, text.n - 2);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\') {
            int high, low;
            if (text.n - i < 4 || text.p[i + 1] != 'x' ||
                (high = hex_digit(text.p[i + 2])) < 0 || (low = hex_digit(text.p[i + 3])) < 0)
                return -EPROTO;
            c = (char)(high << 4 | low);
            i += 3;
        } else if (!is_literal((unsigned char)c)) {
            return -EPROTO;
        }
        if (made == n || made == INT32_MAX)
            return -EMSGSIZE;
        out[made++] = c;
    }
    return (int)made;
}

/* ---- the formatter ------------------------------------------------------------------------------------ */

struct spec { /* one %-directive */
    bool zero, left;
    unsigned width;
    int precision; /* -1: none */
    char length;   /* 0, 'h', 'l', 'q' (ll), 'z', 'j', 't' */
    char conversion;
};

static void put_number(struct out *o, const struct spec *s, uint64_t v, bool negative)
{
    static const char digits[] = "0123456789abcdef";
    unsigned base =
        s->conversion == 'x' || s->conversion == 'X' || s->conversion == 'p' ? 16 : 10;
    char buf[80];
    size_t at = sizeof buf;
    do
        buf[--at] = digits[v % base];
    while (v /= base);
    size_t width = s->width < 64 ? s->width : 64;
    while (s->zero && sizeof buf - at + negative < width)
        buf[--at] = '0';
    if (negative)
        buf[--at] = '-';
    size_t len = sizeof buf - at;
    for (size_t i = len; !s->left && i < width; i++)
        put_raw(o, " ", 1);
    put_raw(o, buf + at, len);
    for (size_t i = len; s->left && i < width; i++)
        put_raw(o, " ", 1);
}

static unsigned parse_digits(const char **f)
{
    unsigned n = 0;
    while (**f >= '0' && **f <= '9' && n < 1000)
        n = n * 10 + (unsigned)(*(*f)++ - '0');
    return n;
}

static char parse_length(const char **f)
{
    char c = **f;
    if (c != 'h' && c != 'l' && c != 'z' && c != 'j' && c != 't')
        return 0;
    ++*f;
    if (**f != c)
        return c;
    ++*f;
    return c == 'l' ? 'q' : 'h';
}

static int64_t take_signed(char length, va_list *ap)
{
    switch (length) {
    case 'l':
        return va_arg(*ap, long);
    case 'q':
        return va_arg(*ap, long long);
    case 'z':
    case 't':
        return va_arg(*ap, ptrdiff_t);
    case 'j':
        return va_arg(*ap, intmax_t);
    default:
        return va_arg(*ap, int);
    }
}

static uint64_t take_unsigned(char length, va_list *ap)
{
    switch (length) {
    case 'l':
        return va_arg(*ap, unsigned long);
    case 'q':
        return va_arg(*ap, unsigned long long);
    case 'z':
    case 't':
        return va_arg(*ap, size_t);
    case 'j':
        return va_arg(*ap, uintmax_t);
    default:
        return va_arg(*ap, unsigned);
    }
}

static void put_string(struct out *o, const struct spec *s, const char *p)
{
    if (!p)
        p = "-";
    size_t n = s->precision >= 0 ? strnlen(p, (size_t)s->precision) : strlen(p);
    put_value(o, wr_span(p, n));
}

static void put_directive(struct out *o, const struct spec *s, va_list *ap)
{
    switch (s->conversion) {
    case 'd':
    case 'i': {
        int64_t v = take_signed(s->length, ap);
        put_number(o, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
        break;
    }
    case 'u':
    case 'x':
    case 'X':
        put_number(o, s, take_unsigned(s->length, ap), false);
        break;
    case 'p':
        put_raw(o, "0x", 2);
        put_number(o, s, (uintptr_t)va_arg(*ap, void *), false);
        break;
    case 's':
        put_string(o, s, va_arg(*ap, const char *));
        break;
    case 'c': {
        char c = (char)va_arg(*ap, int);
        put_value(o, wr_span(&c, 1));
        break;
    }
    default: /* "%%" and what the compiler has already complained about */
        put_raw(o, &s->conversion, s->conversion != 0);
    }
}

static const char *parse_directive(const char *f, struct spec *s, va_list *ap)
{
    *s = (struct spec){.precision = -1};
    for (; *f == '0' || *f == '-' || *f == '+' || *f == ' ' || *f == '#'; f++) {
        s->zero |= *f == '0';
        s->left |= *f == '-';
    }
    s->width = parse_digits(&f);
    if (*f == '.') {
        f++;
        if (*f == '*') {
            s->precision = va_arg(*ap, int);
            f++;
        } else {
            s->precision = (int)parse_digits(&f);
        }
    }
    s->length = parse_length(&f);
    s->conversion = *f;
    return *f ? f + 1 : f;
}

size_t wr_log_vformat(char *out, size_t n, const char *fmt, va_list ap)
{
    struct out o = {out, 0, n};
    va_list args;
    va_copy(args, ap);
    while (*fmt) {
        size_t literal = strcspn(fmt, "%");
        put_raw(&o, fmt, literal);
        fmt += literal;
        if (*fmt != '%')
            break;
        struct spec s;
        fmt = parse_directive(fmt + 1, &s, &args);
        put_directive(&o, &s, &args);
    }
    va_end(args);
    return o.n;
}

size_t wr_log_format(char *out, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    n = wr_log_vformat(out, n, fmt, ap);
    va_end(ap);
    return n;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar, counted in eras of 400 years that
 * begin in March, so that the leap day is the last of its year. */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + 719468, era = z / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (unsigned)(yoe + era * 400) + (*month <= 2);
}

static char *two(char *p, unsigned v, char end)
{
    p[0] = (char)('0' + v / 10 % 10);
    p[1] = (char)('0' + v % 10);
    p[2] = end;
    return p + 3;
}

void wr_log_time(char out[static WR_LOG_TIME_SIZE], uint64_t real_ns)
{
    uint64_t s = real_ns / 1000000000;
    unsigned us = (unsigned)(real_ns % 1000000000 / 1000), of_day = (unsigned)(s % 86400);
    unsigned year, month, day;
    civil(s / 86400, &year, &month, &day);
    char *p = two(out, year / 100, 0) - 1;
    p = two(p, year % 100, '-');
    p = two(p, month, '-');
    p = two(p, day, 'T');
    p = two(p, of_day / 3600, ':');
    p = two(p, of_day / 60 % 60, ':');
    p = two(p, of_day % 60, '.');
    for (unsigned i = 6; i-- > 0; us /= 10)
        p[i] = (char)('0' + us % 10);
    p[6] = 'Z';
}

/* The text came through shared memory: a broken worker must not forge lines. Quotes and backslashes are
 * its own escapes and stay. */
static void put_sanitized(struct out *o, struct wr_span text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= ' ' && c < 0x7f)
            put_raw(o, &text.p[i], 1);
        else if (!put_escaped(o, c))
            return;
    }
}

size_t wr_log_line(char *out, size_t n, const struct wr_log_record *r)
{
    char head[WR_LOG_TIME_SIZE + 64];
    if (n == 0)
        return 0;
    struct out o = {out, 0, n - 1};
    if (r->flags & WR_LOG_RAW) {
        put_raw(&o, r->text.p, r->text.n);
        if (o.n && o.p[o.n - 1] == '\n')
            o.n--;
    } else {
        wr_log_time(head, r->time_ns);
        size_t len = WR_LOG_TIME_SIZE;
        len += wr_log_format(head + len, sizeof head - len, " %s %u ",
                             wr_log_level_name((enum wr_log_level)r->level), r->pid);
        put_raw(&o, head, len);
        put_sanitized(&o, r->text);
        if (r->flags & WR_LOG_CUT)
            put_raw(&o, " cut=1", 6);
    }
    o.p[o.n++] = '\n';
    return o.n;
}

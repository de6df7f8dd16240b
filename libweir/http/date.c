/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/date.h"

#include "libweir/base/err.h"

#define DAY_S   86400
#define FIRST_S INT64_C(-11644473600) /* 1601-01-01 */
#define LAST_S  INT64_C(253402300799) /* 9999-12-31 23:59:59 */

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char day_names[] = "SunMonTueWedThuFriSat";
static const char *const long_day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                             "Thursday", "Friday", "Saturday"};

struct civil {
    int year, month, day, hour, min, sec; /* month 1 to 12 */
};

/* Days since 1970-01-01. Years are counted from March, so that the leap day is the last one. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400, in_era = y - era * 400;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static void civil_of(int64_t days, struct civil *c)
{
    days += 719468;
    int64_t era = days / 146097, in_era = days - era * 146097;
    int64_t years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * years + years / 4 - years / 100);
    int64_t m = (5 * in_year + 2) / 153;
    c->day = (int)(in_year - (153 * m + 2) / 5 + 1);
    c->month = (int)(m < 10 ? m + 3 : m - 9);
    c->year = (int)(years + era * 400 + (c->month <= 2));
}

static void put2(char *p, int v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
}

void wr_date_format(int64_t s, char out[WR_DATE_LEN])
{
    struct civil c;
    s = s < FIRST_S ? FIRST_S : s > LAST_S ? LAST_S : s;
    int64_t days = (s - FIRST_S) / DAY_S + FIRST_S / DAY_S;
    int in_day = (int)(s - days * DAY_S);
    civil_of(days, &c);
    memcpy(out, "Day, dd Mon yyyy hh:mm:ss GMT", WR_DATE_LEN);
    /* 1601-01-01 was a Monday. */
    memcpy(out, day_names + 3 * ((days - FIRST_S / DAY_S + 1) % 7), 3);
    put2(out + 5, c.day);
    memcpy(out + 8, month_names + 3 * (c.month - 1), 3);
    put2(out + 12, c.year / 100);
    put2(out + 14, c.year % 100);
    put2(out + 17, in_day / 3600);
    put2(out + 20, in_day / 60 % 60);
    put2(out + 23, in_day % 60);
}

struct wr_span wr_date_cached(struct wr_date_cache *cache, int64_t now_s)
{
    if (!cache->made || cache->s != now_s) {
        wr_date_format(now_s, cache->text);
        cache->s = now_s;
        cache->made = true;
    }
    return wr_span(cache->text, WR_DATE_LEN);
}

/* ---- parsing: a pattern, byte by byte ---- */

static int index_of(const char *names, int count, const char *p)
{
    for (int i = 0; i < count; i++)
        if (memcmp(names + (ptrdiff_t)3 * i, p, 3) == 0)
            return i;
    return -1;
}

/* n digits; with `padded` the first may be a blank. */
static bool take_digits(const char *p, int n, bool padded, int *out)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (padded && i == 0 && p[0] == ' ')
            continue;
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (p[i] - '0');
    }
    *out = v;
    return true;
}

static bool take_time(const char *p, struct civil *c)
{
    return p[2] == ':' && p[5] == ':' && take_digits(p, 2, false, &c->hour) &&
           take_digits(p + 3, 2, false, &c->min) && take_digits(p + 6, 2, false, &c->sec);
}

static bool take_month(const char *p, struct civil *c)
{
    int i = index_of(month_names, 12, p);
    c->month = i + 1;
    return i >= 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf(struct wr_span s, struct civil *c)
{
    const char *p = s.p;
    return s.n == WR_DATE_LEN && index_of(day_names, 7, p) >= 0 &&
           memcmp(p + 3, ", ", 2) == 0 && take_digits(p + 5, 2, false, &c->day) &&
           p[7] == ' ' && take_month(p + 8, c) && p[11] == ' ' &&
           take_digits(p + 12, 4, false, &c->year) && p[16] == ' ' && take_time(p + 17, c) &&
           memcmp(p + 25, " GMT", 4) == 0;
}

static size_t long_day_len(struct wr_span s)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(long_day_names); i++)
        if (wr_span_has_prefix(s, wr_span_str(long_day_names[i])))
            return strlen(long_day_names[i]);
    return 0;
}

static int year_of(int64_t s)
{
    struct civil c;
    s = s < FIRST_S ? FIRST_S : s > LAST_S ? LAST_S : s;
    civil_of((s - FIRST_S) / DAY_S + FIRST_S / DAY_S, &c);
    return c.year;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool parse_rfc850(struct wr_span s, int64_t now_s, struct civil *c)
{
    size_t day = long_day_len(s);
    if (day == 0 || s.n != day + 24)
        return false;
    const char *p = s.p + day;
    bool good = memcmp(p, ", ", 2) == 0 && take_digits(p + 2, 2, false, &c->day) &&
                p[4] == '-' && take_month(p + 5, c) && p[8] == '-' &&
                take_digits(p + 9, 2, false, &c->year) && p[11] == ' ' &&
                take_time(p + 12, c) && memcmp(p + 20, " GMT", 4) == 0;
    if (!good)
        return false;
    int now = year_of(now_s);
    c->year += now / 100 * 100;
    if (c->year > now + 50)
        c->year -= 100;
    else if (c->year <= now - 50)
        c->year += 100;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(struct wr_span s, struct civil *c)
{
    const char *p = s.p;
    return s.n == 24 && index_of(day_names, 7, p) >= 0 && p[3] == ' ' && take_month(p + 4, c) &&
           p[7] == ' ' && take_digits(p + 8, 2, true, &c->day) && p[10] == ' ' &&
           take_time(p + 11, c) && p[19] == ' ' && take_digits(p + 20, 4, false, &c->year);
}

static bool is_real(const struct civil *c)
{
    static const int lens[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
    int len = lens[c->month - 1] + (c->month == 2 && leap);
    return c->year >= 1601 && c->year <= 9999 && c->day >= 1 && c->day <= len &&
           c->hour <= 23 && c->min <= 59 && c->sec <= 60;
}

int wr_date_parse(struct wr_span text, int64_t now_s, int64_t *out_s)
{
    struct civil c = {0};
    if (!parse_imf(text, &c) && !parse_rfc850(text, now_s, &c) && !parse_asctime(text, &c))
        return WR_E_SYNTAX;
    if (!is_real(&c))
        return WR_E_SYNTAX;
    int sec = c.sec == 60 ? 59 : c.sec;
    *out_s = days_of(c.year, c.month, c.day) * DAY_S + c.hour * 3600 + c.min * 60 + sec;
    return 0;
}

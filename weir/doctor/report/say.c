/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/say.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"
#include "weir/doctor/report/plain.h"
#include "weir/stats/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#define ERROR_TEXT    1024
#define READER_MS     10000 /* a pipe that somebody made non-blocking and does not read */
#define COLUMNS_LEAST 20
#define COLUMNS_MOST  1000

int say(int fd, struct wr_span text)
{
    while (text.n) {
        ssize_t n = wr_os_write(fd, text.p, text.n);
        if (n == -EAGAIN) {
            int ready = wr_os_poll(fd, POLLOUT, READER_MS);
            n = ready > 0 ? 0 : -EPIPE;
        }
        if (n < 0)
            return (int)n;
        text = wr_span_sub(text, (size_t)n, text.n);
    }
    return 0;
}

void say_error(const char *command, const char *fmt, ...)
{
    char text[ERROR_TEXT];
    struct stats_text line = {.heap = wr_os_heap()};
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    stats_printf(&line, "weir %s: ", command);
    plain_put(&line, wr_span_str(n < 0 ? "" : text));
    stats_put(&line, WR_LIT("\n"));
    if (!line.failed)
        (void)say(2, wr_span(line.p, line.n));
    stats_text_free(&line);
}

const char *say_environment(const char *name)
{
    struct wr_span want = wr_span_str(name);
    for (char **e = wr_os_environ(); e && *e; e++) {
        struct wr_span line = wr_span_str(*e);
        if (wr_span_has_prefix(line, want) && line.p[want.n] == '=')
            return line.p + want.n + 1;
    }
    return "";
}

unsigned say_width(int fd)
{
    unsigned columns, rows;
    uint64_t asked;
    if (wr_os_terminal_size(fd, &columns, &rows) == 0)
        return columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns;
    if (wr_num_parse_between(wr_span_str(say_environment("COLUMNS")), COLUMNS_LEAST,
                             COLUMNS_MOST, &asked) == 0)
        return (unsigned)asked;
    return 80;
}

bool say_colour(int fd)
{
    struct wr_span term = wr_span_str(say_environment("TERM"));
    return wr_os_is_terminal(fd) == 1 && !*say_environment("NO_COLOR") &&
           !wr_span_eq(term, WR_LIT("dumb"));
}

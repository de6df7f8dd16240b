/* SPDX-License-Identifier: BSD-2-Clause */

/* What clients say, and how they know an answer to be theirs. */

#include "sim/actors_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 24u /* "%016llx:%06u:" */

void payload_fill(const struct client *c, unsigned k, char *out, size_t n)
{
    char head[HEAD + 1];
    snprintf(head, sizeof head, "%016llx:%06u:", (unsigned long long)c->token, k % 1000000);
    for (size_t i = 0; i < n; i++)
        out[i] = i < HEAD ? head[i] : payload_byte(c, k, i);
}

bool payload_check(const struct client *c, unsigned k, const char *p, size_t n)
{
    char want[SPEECH_MAX];
    payload_fill(c, k, want, n);
    size_t i = 0;
    while (i < n && want[i] == p[i])
        i++;
    if (i == n)
        return true;
    sim_violation(
        "I1 foreign bytes: client %u request %u byte %zu of %zu is 0x%02x, not 0x%02x "
        "(token %016llx, got %.24s)",
        c->serial, k, i, n, (unsigned char)p[i], (unsigned char)want[i],
        (unsigned long long)c->token, p);
    return false;
}

static size_t size_next(struct client *c, unsigned max)
{
    size_t n = sim_rand(4) == 0 ? 1 + sim_rand(max) : 1 + sim_rand(100);
    c->sizes[c->sent % 64] = (uint32_t)n;
    return n;
}

static ssize_t wrong(const struct client *c, const char *what)
{
    sim_violation("I1 wrong answer: client %u request %u: %s", c->serial, c->answered, what);
    return -1;
}

/* ---- frames and lines ------------------------------------------------------------------------------- */
static unsigned size_limit(const struct client *c);

static size_t frames_request(struct client *c, char *out, bool last)
{
    (void)last;
    size_t n = size_next(c, size_limit(c));
    unsigned char head[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                             (unsigned char)(n >> 8), (unsigned char)n};
    memcpy(out, head, 4);
    payload_fill(c, c->sent, out + 4, n);
    return n + 4;
}

static ssize_t frames_answer(struct client *c, const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t want = c->sizes[c->answered % 64];
    if (n < 4)
        return 0;
    size_t len = (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
    if (len != want)
        return wrong(c, "another length");
    if (n < 4 + want)
        return 0;
    return payload_check(c, c->answered, p + 4, want) ? (ssize_t)(4 + want) : -1;
}

static size_t lines_request(struct client *c, char *out, bool last)
{
    (void)last;
    size_t n = size_next(c, size_limit(c));
    payload_fill(c, c->sent, out, n);
    out[n] = '\n';
    return n + 1;
}

static ssize_t lines_answer(struct client *c, const char *p, size_t n)
{
    size_t want = c->sizes[c->answered % 64];
    if (n < want + 1)
        return n > 0 && memchr(p, '\n', n) ? wrong(c, "a line too short") : 0;
    if (p[want] != '\n')
        return wrong(c, "no line end where it should be");
    return payload_check(c, c->answered, p, want) ? (ssize_t)(want + 1) : -1;
}

/* ---- HTTP/1.1 ---------------------------------------------------------------------------------------- */
static size_t http_request(struct client *c, char *out, bool last)
{
    bool post = sim_rand(3) == 0, chunked = post && sim_rand(2) == 0;
    size_t n = size_next(c, post ? size_limit(c) : 200), at;
    c->was_post[c->sent % 64] = post;
    const char *bye = last && sim_rand(2) == 0 ? "Connection: close\r\n" : "";
    if (!post) {
        at = (size_t)snprintf(out, SPEECH_MAX, "GET /echo/");
        payload_fill(c, c->sent, out + at, n);
        at += n;
        return at + (size_t)snprintf(out + at, SPEECH_MAX - at,
                                     " HTTP/1.1\r\nHost: sim\r\n%s\r\n", bye);
    }
    at = (size_t)snprintf(out, SPEECH_MAX, "POST /echo HTTP/1.1\r\nHost: sim\r\n%s", bye);
    if (!chunked) {
        at += (size_t)snprintf(out + at, SPEECH_MAX - at, "Content-Length: %zu\r\n\r\n", n);
        payload_fill(c, c->sent, out + at, n);
        return at + n;
    }
    at += (size_t)snprintf(out + at, SPEECH_MAX - at, "Transfer-Encoding: chunked\r\n\r\n");
    char body[SPEECH_MAX];
    payload_fill(c, c->sent, body, n);
    for (size_t done = 0; done < n;) {
        size_t piece = 1 + sim_rand(n - done);
        if (piece < (n - done) / 4)
            piece = n - done; /* few chunks: their heads must fit, too */
        at += (size_t)snprintf(out + at, SPEECH_MAX - at, "%zx\r\n", piece);
        memcpy(out + at, body + done, piece);
        at += piece;
        at += (size_t)snprintf(out + at, SPEECH_MAX - at, "\r\n");
        done += piece;
    }
    return at + (size_t)snprintf(out + at, SPEECH_MAX - at, "0\r\n\r\n");
}

/* Only what our own server says has to be understood: a status line, Content-Length, a body. */
static ssize_t http_answer(struct client *c, const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return n > 8192 ? wrong(c, "a head without end") : 0;
    size_t head = (size_t)(end - p) + 4, want = c->sizes[c->answered % 64];
    if (memcmp(p, "HTTP/1.1 100", 12) == 0)
        return wrong(c, "a 100 that nobody asked for");
    bool status_ok = memcmp(p, "HTTP/1.1 200 ", 13) == 0;
    bool excused = crowd_errors_allowed(c->crowd) &&
                   (memcmp(p, "HTTP/1.1 5", 10) == 0 || memcmp(p, "HTTP/1.1 408", 12) == 0);
    if (!status_ok && !excused) {
        sim_violation("wrong answer: client %u request %u: %.40s", c->serial, c->answered, p);
        return -1;
    }
    char lower[8192];
    if (head >= sizeof lower)
        return wrong(c, "a head of 8 KiB");
    for (size_t i = 0; i < head; i++)
        lower[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i]);
    lower[head] = 0;
    const char *cl = strstr(lower, "\r\ncontent-length:");
    if (!cl)
        return wrong(c, "no Content-Length");
    size_t len = strtoul(cl + 17, NULL, 10);
    if (excused)
        return n < head + len ? 0 : (ssize_t)(head + len);
    if (len != want)
        return wrong(c, "another Content-Length");
    if (n < head + want)
        return 0;
    return payload_check(c, c->answered, p + head, want) ? (ssize_t)(head + want) : -1;
}

static unsigned size_limit(const struct client *c)
{
    unsigned max = crowd_size_max(c->crowd);
    return max && max < 16000 ? max : 16000;
}

const struct speech speech_frames = {"frames", frames_request, frames_answer};
const struct speech speech_lines = {"lines", lines_request, lines_answer};
const struct speech speech_http = {"http", http_request, http_answer};

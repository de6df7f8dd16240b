/* SPDX-License-Identifier: BSD-2-Clause */
/* Nanoseconds for a whole head, best of several rounds: `http_parse_bench`. */
#include "libweir/http/parse.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 9
#define LOOPS  200000

static const char wrk[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
static const char ab[] =
    "GET /index.html HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: 127.0.0.1:8080\r\n"
    "User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n";
static const char browser[] =
    "GET /docs/guide/index.html?lang=en HTTP/1.1\r\nHost: www.example.org\r\n"
    "Connection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: "
    "1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n";
static const char post[] =
    "POST /api/v1/items HTTP/1.1\r\nHost: api.example.org\r\nContent-Type: application/json\r\n"
    "Content-Length: 128\r\nAuthorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n\r\n";

typedef enum wr_parsed parse_fn(struct wr_parse *p, struct wr_span bytes);

static double now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double best_ns(struct wr_span text, parse_fn *fn)
{
    static struct wr_field fields[100];
    double best = 1e18;
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < LOOPS; i++) {
            struct wr_head head;
            struct wr_parse p;
            __asm__ volatile("" : "+r"(text.p) : : "memory");
            wr_head_init(&head, fields, WR_ARRAY_LEN(fields));
            wr_parse_init_request(&p, &head, NULL);
            if (fn(&p, text) != WR_PARSED_DONE)
                return -1;
            __asm__ volatile("" : : "r"(&head) : "memory");
        }
        double ns = (now_ns() - start) / LOOPS;
        best = ns < best ? ns : best;
    }
    return best;
}

int main(void)
{
    static const struct {
        const char *name;
        struct wr_span text;
    } heads[] = {
        {"wrk",     {wrk, sizeof wrk - 1}        },
        {"ab",      {ab, sizeof ab - 1}          },
        {"post",    {post, sizeof post - 1}      },
        {"browser", {browser, sizeof browser - 1}}
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(heads); i++)
        printf("%-8s %4zu bytes  %6.1f ns  scalar %6.1f ns\n", heads[i].name, heads[i].text.n,
               best_ns(heads[i].text, wr_parse_head),
               best_ns(heads[i].text, wr_parse_head_scalar));
    return 0;
}

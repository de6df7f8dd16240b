/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/phrase.h"

#include "libweir/os/os.h"
#include "tests/tap.h"
#include "weir/doctor/rules/rules.h"
#include "weir/stats/text.h"

#include <string.h>

static void says(enum doctor_lang lang, const char *text, const char *want)
{
    struct stats_text t = {.heap = wr_os_heap()};
    phrase_put(&t, lang, text);
    stats_put(&t, wr_span("", 1));
    ok(t.p && strcmp(t.p, want) == 0, "%s", want);
    stats_text_free(&t);
}

static unsigned holes(const char *s)
{
    unsigned n = 0;
    for (; (s = strstr(s, "{}")); s += 2)
        n++;
    return n;
}

static void test_table(void)
{
    static const struct {
        const char *en, *zh;
    } rows[] = {
#define X(en, zh) {en, zh},
#include "weir/doctor/report/phrases.def"
#undef X
    };
    bool same = true;
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++)
        same &= holes(rows[i].en) == holes(rows[i].zh) && holes(rows[i].en) <= 3;
    ok(same, "both languages have the same holes");
    for (unsigned i = THRESHOLD_NONE + 1; i < THRESHOLD_COUNT; i++)
        if (!phrase_known(threshold_get((enum threshold_name)i)->what))
            ok(false, "limit %s has no Chinese text",
               threshold_get((enum threshold_name)i)->name);
}

int main(void)
{
    test_table();
    says(LANG_EN, "a lock or a condition", "a lock or a condition");
    says(LANG_ZH, "a lock or a condition", "锁或条件变量");
    says(LANG_ZH, "pipe, other end pid 7 logger x (asleep)",
         "管道，另一端是 pid 7 logger x（睡眠中）");
    says(LANG_ZH, "unix socket, peer pid 8 a, peer (stopped)",
         "unix 套接字，对端是 pid 8 a, peer（已被停止）");
    says(LANG_ZH, "a lock that thread 9 holds, which is in read",
         "线程 9 持有的锁，该线程停在 read");
    says(LANG_ZH, "pid 1 x (uid 0): descriptors, epoll sets, words of memory",
         "pid 1 x（uid 0）：描述符、epoll 集合、内存中的字");
    says(LANG_ZH, "/var/log/x.log", "/var/log/x.log");
    says(LANG_ZH, "pid 7 \x1b[2J (asleep)", "pid 7 \\x1b[2J（睡眠中）");
    says(LANG_ZH, "descriptor ", "descriptor ");
    says(LANG_ZH, "", "");
    return tap_done();
}

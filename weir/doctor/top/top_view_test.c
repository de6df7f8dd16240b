/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_view.h"

#include "tests/tap.h"
#include "weir/doctor/top/top_kit.h"
#include "weir/stats/text.h"

static struct kit k;
static struct top_ui ui;
static struct top_screen screen;
static struct stats_text text;

static const char *draw(unsigned rows, unsigned columns, bool utf8)
{
    stats_text_free(&text);
    text = (struct stats_text){.heap = wr_heap_libc()};
    if (top_screen_reset(&screen, wr_heap_libc(), rows, columns, utf8) ||
        top_view(&screen, &k.model, &k.found, &ui, wr_heap_libc()))
        abort();
    top_screen_text(&screen, &text);
    stats_put(&text, wr_span("", 1));
    return text.p;
}

/* The screen as lines: a table of what it should be, with ^ for the end of the text. */
static void screen_is(const char *const *lines, unsigned n, const char *what)
{
    const char *at = text.p;
    for (unsigned i = 0; i < n; i++) {
        size_t len = strcspn(at, "\n");
        char line[TOP_COLUMNS_MOST * 4];
        memcpy(line, at, len);
        line[len] = '\0';
        is_str(line, lines[i], "%s: row %u", what, i);
        at += len + (at[len] == '\n');
    }
    ok(*at == '\0', "%s: no row more", what);
}

static bool shows(const char *s)
{
    return strstr(text.p, s) != NULL;
}

static const char *const workers_80x24[] = {
    "weir top  nginx :8080  pid 811 + 2  3 threads  up 6.0 s        1.0 s  cost 0.3%",
    "oldest  unaccepted 41.2 s     unread 3.1 s     owed 210 ms     blocked 2.0 s",
    "accept  [#####...........] 131/511 peak 131 drops +2 overflow +0 10.0.0.1:8080",
    "answers we owe 1   others owe us 1 (oldest 180 ms): 10.0.0.7:443 x1",
    "state   ESTAB 4  T_WAIT 3  C_WAIT 0  SYN_SENT 0  unaccepted 1  bare 0",
    "limits  ports 10.0.0.7:443 0% of 28,232   fds 12/1,024   rss 30 MB",
    "host    in 412/s out 10/s  open 3  starved 1.0%  throttled 12%",
    " 1 workers  2 peers  3 listeners  4 threads  5 counters  6 history  0 programs",
    "    tid name        what it is doing               cpu  conns queue wake/s  wait",
    "    813 nginx       2.0 s! write pipe of logger…    0%      1   131      0    0%",
    "    812 nginx       epoll_pwait                    31%      2   131    820  1.0%",
    "    811 nginx       rt_sigsuspend                   0%      0   131      0    0%",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "verdict CRITICAL log write is blocked (certain)  nginx 813",
    "enter explain  t treat  r record  space pause  +/- interval  s sort  h help",
};

static const char *const peers_120x40[] = {
    "weir top  nginx :8080  pid 811 + 2  3 threads  up 6.0 s                                   "
    "       every 1.0 s  cost 0.3%",
    "oldest  unaccepted 41.2 s     unread 3.1 s     owed 210 ms     blocked 2.0 s        "
    "thread 813 write pipe of logger 900…",
    "accept  [#####...........] 131/511 peak 131 drops +2 overflow +0 10.0.0.1:8080",
    "answers we owe 1   others owe us 1 (oldest 180 ms): 10.0.0.7:443 x1",
    "state   ESTAB 4  T_WAIT 3  C_WAIT 0  SYN_SENT 0  unaccepted 1  bare 0  SYN_RECV 0  "
    "FIN_WAIT 0",
    "limits  ports 10.0.0.7:443 0% of 28,232   fds 12/1,024   rss 30 MB",
    "host    in 412/s out 10/s  open 3  starved 1.0%  throttled 12%",
    " 1 workers  2 peers  3 listeners  4 threads  5 counters  6 history  0 programs",
    "peer                                                               conns  owed   oldest   "
    "rtt/min ms resent T_WAIT ports",
    "to   10.0.0.7:443                                                      1     1   180 ms   "
    " 0.45/0.12   1.0%      3    0%",
    "from 10.0.0.21                                                         1     1   210 ms   "
    " 0.45/0.12   1.0%      -     -",
    "from 10.0.0.22                                                         1     -        -   "
    " 0.45/0.12   1.0%      -     -",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "verdict CRITICAL log write is blocked (certain)  nginx 813",
    "enter explain  t treat  r record  space pause  +/- interval  s sort  h help",
};

static const char *const small_40x10[] = {
    "weir top needs 80 x 16,",
    "this terminal is 40 x 10. q quits",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
};

static void test_golden(void)
{
    draw(24, 80, true);
    screen_is(workers_80x24, 24, "80x24");
    ui.table = TOP_PEERS;
    draw(40, 120, true);
    screen_is(peers_120x40, 40, "120x40");
    draw(10, 40, true);
    screen_is(small_40x10, 10, "40x10");
    for (unsigned rows = 0; rows < 20; rows++)
        for (unsigned columns = 0; columns < 90; columns += 7)
            draw(rows, columns, true);
    ok(true, "any size can be drawn");
    ui.table = TOP_WORKERS;
}

static void test_pages(void)
{
    static const char *const marks[] = {"0 programs", "enter  explain",
                                        "log write is blocked\n  now",
                                        "the reader is: pid 900 logger"};
    static const int keys[] = {'h', '?', 't', TOP_KEY_ENTER};
    for (size_t i = 0; i < WR_ARRAY_LEN(keys); i++) {
        top_ui_key(&ui, keys[i]);
        draw(40, 100, true);
        ok(shows(i == 1 ? "escape" : marks[i]) == (i != 1), "page of key %d", keys[i]);
    }
    ok(shows("Not it: "), "the explanation has all paragraphs");
    top_ui_key(&ui, TOP_KEY_ESCAPE);
    is_int(ui.page, TOP_PAGE_NONE, "Escape goes back");
    top_ui_key(&ui, 'h');
    draw(24, 80, true);
    ok(shows("12 more"), "what does not fit is counted");
    top_ui_key(&ui, TOP_KEY_END);
    draw(24, 80, true);
    ok(shows("throttled   time") && shows("12 above"), "the end can be reached");
    for (int i = 0; i < 50; i++)
        top_ui_key(&ui, 'j');
    draw(24, 80, true);
    is_int(ui.page_scroll + ui.fit, ui.lines, "and not passed");
    for (int i = 0; i < 50; i++)
        top_ui_key(&ui, 'j');
    top_ui_key(&ui, 'k');
    is_int(ui.page_scroll + ui.fit, ui.lines - 1, "also not by many keys at once");
    top_ui_key(&ui, '2');
    is_int(ui.page, TOP_PAGE_NONE, "a table closes the page");
    top_ui_key(&ui, '1');
}

static void test_keys(void)
{
    is_int(top_ui_key(&ui, 'q'), TOP_ACT_QUIT, "q quits");
    is_int(top_ui_key(&ui, TOP_KEY_INTERRUPT), TOP_ACT_QUIT, "so does Ctrl-C as a byte");
    is_int(top_ui_key(&ui, 'r'), TOP_ACT_RECORD, "r records");
    is_int(top_ui_key(&ui, TOP_KEY_REDRAW), TOP_ACT_REDRAW, "Ctrl-L");
    is_int(top_ui_key(&ui, ' '), TOP_ACT_NONE, "space pauses");
    draw(24, 80, true);
    ok(shows("PAUSED"), "and says so");
    is_int(top_ui_key(&ui, ' '), TOP_ACT_LOOK, "and goes on");
    top_ui_key(&ui, '+');
    is_int(ui.interval_ms, 2000, "longer");
    for (int i = 0; i < 20; i++)
        top_ui_key(&ui, '+');
    is_int(ui.interval_ms, TOP_INTERVAL_MAX_MS, "the longest");
    for (int i = 0; i < 20; i++)
        top_ui_key(&ui, '-');
    is_int(ui.interval_ms, TOP_INTERVAL_MIN_MS, "the shortest");
    draw(24, 80, true);
    ok(shows("interval 100 ms"), "said in the last row");
    ui.message[0] = '\0';
    ui.table = TOP_WORKERS;
    for (int i = 0; i < 5; i++)
        top_ui_key(&ui, 's');
    draw(24, 80, true);
    ok(strstr(text.p, "812 nginx") < strstr(text.p, "813 nginx"), "sorted by connections");
    for (unsigned i = 5; i <= top_table_columns(TOP_WORKERS); i++)
        top_ui_key(&ui, 's');
    is_int(ui.sort[TOP_WORKERS], 0, "sorting comes round");
    for (int key = -5; key < 300; key++)
        if (key != 's')
            (void)top_ui_key(&ui, key);
    ui =
        (struct top_ui){.table = TOP_WORKERS, .interval_ms = 1000, .every_ms = 1000, .cost = 3};
}

static void test_every_table_sorts(void)
{
    for (int t = 0; t < TOP_TABLES; t++) {
        ui.table = (enum top_table)t;
        for (unsigned c = 0; c <= top_table_columns(ui.table); c++) {
            draw(24, 80, true);
            ok(screen.rows == 24, "table %s by column %u", top_table_name(ui.table), c);
            top_ui_key(&ui, 's');
        }
    }
    ui.table = TOP_WORKERS;
}

/* Names are the observed machine's: an escape, a turn of direction, wide characters. */
static void test_hostile(void)
{
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    {
        struct facts_look *l = kit_look(&k, w);
        for (unsigned i = 0; i < 3; i++)
            memcpy(l->processes.v[i].comm, "a\033[31m\xff\\z\0\0\0\0\0\0", 16);
        memcpy(l->threads.v[0].comm, "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\xe7\xac\xa6x\0\0\0",
               16);
        memcpy(l->threads.v[1].comm,
               "\xe2\x80\xae"
               "evil\0\0\0\0\0\0\0\0\0",
               16);
    }
    kit_seal(&k, NULL);
    kit_model(&k);
    ui.table = TOP_WORKERS;
    draw(24, 120, true);
    ok(!strchr(text.p, 033) && !strchr(text.p, (char)0xff),
       "no byte of a name reaches the terminal raw");
    ok(shows("a\\x1b[31m\\xff\\\\z"), "it is shown escaped");
    ok(shows("中文字符x   rt_sigsuspend"), "wide characters keep the columns");
    ok(shows("\\xe2\\x80"), "a mark of direction is shown as bytes");
    draw(24, 120, false);
    for (const char *p = text.p; *p; p++)
        if ((unsigned char)*p >= 0x80)
            ok(false, "byte %02x on an ASCII screen", (unsigned char)*p);
    ok(shows("????????x   rt_sigsuspend"), "the same columns in ASCII");
}

/* More rows than fit. */
static void test_many(void)
{
    kit_later(&k, 2000);
    KIT_LOOKS(w)
    for (uint32_t i = 0; i < 40; i++)
        kit_thread(&k, w,
                   (struct facts_thread){.pid = 812,
                                         .tid = 2000 + i,
                                         .syscall = SYS_futex,
                                         .ran_ns = (uint64_t)w * i * 1000000},
                   "pool-1-thr-7");
    kit_seal(&k, NULL);
    kit_model(&k);
    ui.table = TOP_WORKERS;
    ui.scroll = 0;
    draw(24, 80, true);
    ok(shows("\n31 more\n"), "rows that do not fit are counted");
    top_ui_key(&ui, 'f');
    draw(24, 80, true);
    ok(shows("\n11 above, 20 more\n"), "on both sides");
    top_ui_key(&ui, 'G');
    draw(24, 80, true);
    ok(shows("\n31 above\n"), "the last page");
    ui.table = TOP_FAMILIES;
    ui.scroll = 0;
    draw(24, 80, true);
    ok(shows("pool-*-thr-*       x40 40 futex"), "a family is one row");
    ui.table = TOP_CHANGES;
    findings_init(&k.found);
    findings_settle(&k.found);
    draw(24, 80, true);
    ok(shows("verdict OK  nothing found, two looks 2.0 s apart"), "nothing found");
    ui.page = TOP_PAGE_TREAT;
    draw(24, 80, true);
    ok(shows("nothing to treat"), "nothing to treat");
}

static void find_log_write(void)
{
    struct finding *f = finding_add(&k.found, RULE_LOG_WRITE);
    finding_subject(f, 813, 813, WR_LIT("nginx"));
    finding_text(f, EVIDENCE_READER, WR_LIT("pid 900 logger"));
    findings_settle(&k.found);
}

int main(void)
{
    ui =
        (struct top_ui){.table = TOP_WORKERS, .interval_ms = 1000, .every_ms = 1000, .cost = 3};
    kit_init(&k);
    kit_seal(&k, "nginx");
    find_log_write();
    kit_model(&k);
    test_golden();
    test_pages();
    test_keys();
    test_every_table_sorts();
    test_hostile();
    test_many();
    stats_text_free(&text);
    top_screen_free(&screen);
    kit_free(&k);
    return tap_done();
}

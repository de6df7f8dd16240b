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

static const char *const workers_zh_80x24[] = {
    "weir top  nginx :8080  pid 811 + 2  3 个线程  已运行 12.0秒    1.0秒  开销 0.3%",
    "最久    未接受 41.2秒         未读 3.1秒       欠答 210毫秒    阻塞 8.0秒",
    "接受    [#####...........] 131/511 峰值 131 丢弃 +2 溢出 +0 10.0.0.1:8080",
    "回答    我们欠 1   别人欠我们 1（最久 180毫秒）: 10.0.0.7:443 x1",
    "状态    ESTAB 4  T_WAIT 3  C_WAIT 0  SYN_SENT 0  未接受 1  空壳 0",
    "限额    端口 10.0.0.7:443 0% / 28,232   描述符 12/1,024   内存 30 MB",
    "主机    进 412/秒 出 10/秒  打开 3  等处理器 1.0%  被限流 12%",
    " 1 工作线程  2 对端  3 监听  4 线程族  5 计数器  6 历史  0 程序",
    " 线程号 名称        在做什么                       CPU   连接  队列  醒/秒  等待",
    "    813 nginx       8.0秒! write 管道：logger 9…    0%      1   131      0    0%",
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
    "诊断 严重 写日志被阻塞（确定）  nginx 813",
    "回车 解释  t 治疗  r 录像  空格 暂停  +/- 间隔  s 排序  h 帮助",
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
            ok(screen.rows == 24, "table %s by column %u", top_table_name(ui.table, LANG_EN),
               c);
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

/* The column in which the n-th copy of a text begins, in its row; -1: it is not there. */
static int column_of(const char *what)
{
    const char *at = strstr(text.p, what), *row = at;
    while (row && row > text.p && row[-1] != '\n')
        row--;
    return at ? (int)top_width(wr_span(row, (size_t)(at - row))) : -1;
}

static void is_narrow(const char *what)
{
    struct wr_span all = wr_span_str(text.p), line;
    unsigned widest = 0;
    while (wr_span_split(&all, '\n', &line))
        widest = top_width(line) > widest ? top_width(line) : widest;
    ok(widest <= 80, "%s: no row is wider than 80 columns, but %u", what, widest);
}

static void find_log_write(void)
{
    struct finding *f = finding_add(&k.found, RULE_LOG_WRITE);
    finding_subject(f, 813, 813, WR_LIT("nginx"));
    finding_text(f, EVIDENCE_READER, WR_LIT("pid 900 logger"));
    findings_settle(&k.found);
}

static void test_chinese(void)
{
    kit_later(&k, 2000);
    kit_seal(&k, "nginx");
    k.lang = ui.lang = LANG_ZH;
    findings_init(&k.found);
    find_log_write();
    kit_model(&k);
    ui.page = TOP_PAGE_NONE;
    ui.table = TOP_WORKERS;
    ui.scroll = 0;
    draw(24, 80, true);
    screen_is(workers_zh_80x24, 24, "Chinese, 80x24");
    is_int(column_of("CPU"), column_of("  0%") + 1, "a title stands over its column");
    for (unsigned t = 0; t < TOP_TABLES; t++) {
        ui.table = (enum top_table)t;
        draw(24, 80, true);
        is_narrow(top_table_name(ui.table, LANG_ZH));
        ok(!shows("…  ") || t == TOP_WORKERS, "no title of %s is cut",
           top_table_name(ui.table, LANG_ZH));
    }
    static const int keys[] = {'h', 't', TOP_KEY_ENTER};
    for (size_t i = 0; i < WR_ARRAY_LEN(keys); i++) {
        top_ui_key(&ui, keys[i]);
        draw(40, 80, true);
        is_narrow("a page");
        ok(!shows("…"), "nothing of the page of key %d is cut", keys[i]);
    }
    ok(shows("读者是：pid 900 logger") || shows("pid 900 logger"), "evidence in Chinese");
    draw(24, 80, false);
    for (const char *p = text.p; *p; p++)
        if ((unsigned char)*p >= 0x80)
            ok(false, "byte %02x on an ASCII screen", (unsigned char)*p);
    ui.page = TOP_PAGE_NONE;
    k.lang = ui.lang = LANG_EN;
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
    test_chinese();
    stats_text_free(&text);
    top_screen_free(&screen);
    kit_free(&k);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listener-inherited: every process that holds the listener is a program that serves nobody (a shell, sleep, tail ...) and
 * waits on no set: it got the descriptor from the server that started it, over exec. While the server itself lives it
 * holds the listener too, and supervisors hold listeners by design: then nothing is said.
 */
#include "weir/doctor/rules/judge_listener.h"
#include "weir/doctor/rules/judge_thread.h"

#include "libweir/base/compiler.h"

#include <string.h>

static bool serves_nobody(const char *exe)
{
    static const char *const programs[] = {
        "sleep",      "sh",       "bash",      "dash",    "busybox",  "zsh",    "ksh",
        "fish",       "tail",     "cat",       "tee",     "less",     "more",   "su",
        "sudo",       "env",      "nohup",     "timeout", "setsid",   "logger", "curl",
        "wget",       "ssh",      "scp",       "rsync",   "tar",      "gzip",   "xz",
        "zstd",       "find",     "grep",      "sed",     "awk",      "mawk",   "gawk",
        "dd",         "watch",    "yes",       "ping",    "man",      "vim",    "vi",
        "nano",       "git",      "make",      "mail",    "sendmail", "ffmpeg", "convert",
        "rotatelogs", "cronolog", "logrotate", "xargs",   "top",      "htop",   "ps",
        "strace",     "gdb",      "tcpdump",   "script",
    };
    const char *slash = strrchr(exe, '/');
    const char *name = slash ? slash + 1 : exe;
    size_t n = strcspn(name, " "); /* "sleep (deleted)" */
    for (size_t i = 0; i < WR_ARRAY_LEN(programs); i++)
        if (strlen(programs[i]) == n && memcmp(programs[i], name, n) == 0)
            return true;
    return false;
}

static bool accepts(const struct judge *j, uint32_t pid)
{
    const struct facts_thread *t;
    for (uint32_t at = 0; (t = judge_next_thread(&j->facts->b, pid, &at));)
        if (judge_call(t)->kind == CALL_ACCEPT || judge_call(t)->kind == CALL_LOOP)
            return true;
    return false;
}

/* The first holder, if none of them serves; 0 else. */
static uint32_t heir(const struct judge *j, uint64_t inode, unsigned *out_n)
{
    const struct facts_fd *fd;
    uint32_t first = 0, last = 0;
    *out_n = 0;
    for (uint32_t i = 0; (fd = facts_owner(&j->facts->b, inode, i)); i++) {
        const struct facts_process *p = facts_process(&j->facts->b, fd->pid);
        if (!p || !serves_nobody(facts_text(&j->facts->b, p->exe)) || accepts(j, fd->pid))
            return 0;
        *out_n += fd->pid != last;
        last = fd->pid;
        first = first ? first : fd->pid;
    }
    return first;
}

void rule_inherited(const struct judge *j)
{
    const struct facts_socket *s;
    for (uint32_t at = 0; (s = judge_next_listener(j, &at));) {
        char text[EVIDENCE_TEXT];
        unsigned holders;
        uint32_t pid = heir(j, s->inode, &holders);
        const struct facts_process *p = pid ? facts_process(&j->facts->b, pid) : NULL;
        if (!p || judge_watch(&j->facts->b, s->inode, 0))
            continue;
        struct finding *f = finding_add(j->out, RULE_INHERITED);
        finding_subject(f, (int32_t)pid, 0, judge_comm(p->comm));
        judge_put_listener(j, f, s);
        f->victims = s->rqueue;
        judge_process_text(j, pid, text);
        finding_text(f, EVIDENCE_OWNER, wr_span_str(text));
        finding_value(f, EVIDENCE_OWNERS, holders, holders);
    }
}

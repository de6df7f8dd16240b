"""A terminal for tests: a pty, and an emulator that knows what weir top may send and nothing else."""
import fcntl, os, pty, re, select, signal, struct, subprocess, termios, time, unicodedata

SEQUENCE = re.compile(rb"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Emulator:
    """Rows of cells. What it does not know is kept in `strange`: a name that reached the terminal unescaped."""

    def __init__(self, rows, columns):
        self.rows, self.columns, self.strange = rows, columns, []
        self.modes, self.colours, self.pending = {}, set(), b""
        self.clear()

    def clear(self):
        self.cell = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.clear()

    def feed(self, data):
        data = self.pending + data
        self.pending = b""
        at = 0
        while at < len(data):
            if data[at] == 0x1b:
                m = SEQUENCE.match(data, at)
                if m:
                    self.sequence(*m.groups())
                    at = m.end()
                    continue
                if len(data) - at < 16:
                    break
                self.strange.append(data[at:at + 16])
                at += 1
                continue
            n = 1 if data[at] < 0x80 else 2 if data[at] < 0xe0 else 3 if data[at] < 0xf0 else 4
            if at + n > len(data):
                break
            self.put(data[at:at + n])
            at += n
        self.pending = data[at:]

    def sequence(self, private, numbers, final):
        n = [int(x) for x in numbers.decode().split(";") if x] if numbers else []
        if private and final in b"hl":
            self.modes[n[0]] = final == b"h"
        elif final == b"H":
            self.row, self.column = (n[0] - 1, n[1] - 1) if len(n) == 2 else (0, 0)
        elif final == b"J" and n == [2]:
            self.cell = [[" "] * self.columns for _ in range(self.rows)]
        elif final == b"K":
            pass
        elif final == b"m":
            self.colours.update(x for x in n if 30 <= x <= 47)
        else:
            self.strange.append((private, numbers, final))

    def put(self, raw):
        if raw[0] < 0x20 or raw == b"\x7f":
            self.strange.append(raw)
            return
        try:
            c = raw.decode()
        except UnicodeDecodeError:
            self.strange.append(raw)
            return
        if unicodedata.combining(c):
            return
        wide = unicodedata.east_asian_width(c) in "WF"
        if self.row >= self.rows or self.column + wide >= self.columns:
            self.strange.append((self.row, self.column, raw))
            return
        self.cell[self.row][self.column] = c
        if wide:
            self.cell[self.row][self.column + 1] = ""
        self.column += 1 + wide

    def lines(self):
        return ["".join(row).rstrip() for row in self.cell]

    def text(self):
        return "\n".join(self.lines())


class Terminal:
    def __init__(self, args, rows=24, columns=80, env=None, cwd=None):
        self.master, self.slave = pty.openpty()
        self.screen = Emulator(rows, columns)
        self.raw = b""
        self.size(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.slave)
        environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "LC_ALL", "LINES", "COLUMNS")}
        environ.update({"TERM": "xterm", "LANG": "C.UTF-8"})
        environ.update(env or {})
        self.process = subprocess.Popen(args, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environ, cwd=cwd,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def size(self, rows, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.screen.resize(rows, columns)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds):
        """What comes within that time, but no longer than until it is quiet for a moment."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.raw += data
        self.screen.feed(data)
        return bool(data)

    def until(self, what, seconds=30):
        """Reads until what(text of the screen) holds, or text is found in it."""
        test = what if callable(what) else lambda t: what in t
        end = time.monotonic() + seconds
        while not test(self.screen.text()):
            if time.monotonic() > end:
                return False
            self.read(0.2)
        return True

    def end(self, seconds=30):
        """Its exit status; the screen as it was left."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        while self.read(0):
            pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            return "had to be killed"
        return self.process.returncode

    def restored(self):
        """Settings of the line as before, first screen, cursor, wrapping."""
        modes = self.screen.modes
        return (termios.tcgetattr(self.slave) == self.before and modes.get(1049) is False and modes.get(25) is True
                and modes.get(7) is True)

    def close(self):
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                pass
        self.master = self.slave = -1

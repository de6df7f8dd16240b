#!/usr/bin/env python3
"""3000 clients at once against a backlog of 5: whoever the kernel let in is answered, and nothing is left behind.

With so short a queue the kernel drops most of them at first (with SYN cookies while the client already believes that it
is connected); they knock again after 0.2, 0.4, 0.8 ... seconds. Who has not got in when the patience ends is counted apart."""
from crowd import SCALE, Crowd
from wire import Server, done, equal, ok, settled

COUNT, PATIENCE_S = 3000 // SCALE, 6

for mode in ("single", "reuseport", "exclusive", "notify", "fdpass"):
    args = ["tcp://127.0.0.1:{port}", "backlog=5"] + ([] if mode == "single" else ["workers=2", "accept=" + mode])
    server = Server("examples/pool", *args)
    crowd = Crowd(server.port, COUNT, COUNT, PATIENCE_S).run()
    equal((crowd.cut, crowd.refused, crowd.hung), (0, 0, 0), "%s: nobody cut, refused or left hanging: %s" % (mode, crowd.words()))
    ok(crowd.answered > COUNT // 10, "%s: %d of %d got in within %d s, all of them answered" % (mode, crowd.answered, COUNT, PATIENCE_S))
    equal(settled(server.port), (0, 0), "%s: afterwards Recv-Q and CLOSE_WAIT are 0" % mode)
    equal(server.stop(), 0, "%s: ends well" % mode)

# The default queue holds them all.
server = Server("examples/pool")
crowd = Crowd(server.port, COUNT, COUNT, 60).run()
equal((crowd.answered, crowd.cut, crowd.refused, crowd.hung, crowd.outside), (COUNT, 0, 0, 0, 0), "backlog by default: everybody answered")
equal(settled(server.port), (0, 0), "backlog by default: Recv-Q and CLOSE_WAIT are 0")
equal(server.stop(), 0, "backlog by default: ends well")
done()

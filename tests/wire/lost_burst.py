#!/usr/bin/env python3
"""3000 clients at once against a backlog of 5: whoever the kernel let in is answered, and nothing is left behind."""
from crowd import Crowd
from wire import Server, done, equal, ok, settled

for mode in ("single", "reuseport", "exclusive", "notify", "fdpass"):
    args = ["tcp://127.0.0.1:{port}", "backlog=5"] + ([] if mode == "single" else ["workers=2", "accept=" + mode])
    server = Server("examples/pool", *args)
    crowd = Crowd(server.port, 3000, 3000, 60).run()
    equal((crowd.answered, crowd.cut, crowd.refused, crowd.hung), (3000, 0, 0, 0), "%s: 3000 asked, 3000 answered" % mode)
    equal(settled(server.port), (0, 0), "%s: afterwards Recv-Q and CLOSE_WAIT are 0" % mode)
    equal(server.stop(), 0, "%s: ends well" % mode)
done()

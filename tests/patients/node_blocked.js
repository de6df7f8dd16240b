// SPDX-License-Identifier: BSD-2-Clause
// node_blocked.js sick|healthy FIFO: a handler that reads a file the synchronous way, and the file is a pipe.
const fs = require('fs'), http = require('http');
const sick = process.argv[2] === 'sick', fifo = process.argv[3];
const fd = fs.openSync(fifo, fs.constants.O_RDWR);

http.createServer((request, response) => {
    if (sick) fs.readSync(fd, Buffer.alloc(16)); // the bug is this line: the only thread waits
    response.end('ok\n');
}).listen(8080, '127.0.0.1', () => console.log('UP'));

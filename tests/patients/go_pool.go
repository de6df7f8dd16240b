// SPDX-License-Identifier: BSD-2-Clause
// go_pool sick|healthy: a pool of three upstream connections; one way out forgets to give them back.
package main

import (
	"fmt"
	"net"
	"os"
)

func upstream(l net.Listener) {
	for {
		c, _ := l.Accept()
		go func() {
			b := make([]byte, 100)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				c.Write([]byte("row\n"))
			}
		}()
	}
}

func handle(c net.Conn, pool chan net.Conn, sick bool) {
	b := make([]byte, 100)
	for {
		if _, err := c.Read(b); err != nil {
			c.Close()
			return
		}
		db := <-pool
		db.Write([]byte("select 1\n"))
		db.Read(b)
		c.Write([]byte("ok\n"))
		if !sick {
			pool <- db // the bug is that this line is missing
		}
	}
}

func main() {
	if os.Args[1] == "upstream" {
		l, _ := net.Listen("tcp", "127.0.0.1:9100")
		fmt.Println("UP")
		upstream(l)
	}
	pool := make(chan net.Conn, 3)
	for i := 0; i < 3; i++ {
		c, _ := net.Dial("tcp", "127.0.0.1:9100")
		pool <- c
	}
	l, _ := net.Listen("tcp", "127.0.0.1:8080")
	fmt.Println("UP")
	for {
		c, _ := l.Accept()
		go handle(c, pool, os.Args[1] == "sick")
	}
}

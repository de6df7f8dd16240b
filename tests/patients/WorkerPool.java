/* SPDX-License-Identifier: BSD-2-Clause */
/* WorkerPool.java sick|healthy: the JDK's HttpServer with a pool of two whose tasks wait for something. */
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;

public class WorkerPool {
    public static void main(String[] args) throws Exception {
        CountDownLatch never = new CountDownLatch(args[0].equals("sick") ? 1 : 0);
        InetAddress here = InetAddress.getByName("127.0.0.1");
        HttpServer server = HttpServer.create(new InetSocketAddress(here, 8080), 64);
        server.setExecutor(Executors.newFixedThreadPool(2));
        server.createContext("/", exchange -> {
            try {
                never.await(); // the bug is this line: a task waits without a limit
            } catch (InterruptedException e) {
                return;
            }
            exchange.sendResponseHeaders(200, 3);
            exchange.getResponseBody().write("ok\n".getBytes());
            exchange.close();
        });
        server.start();
        System.out.println("UP");
    }
}

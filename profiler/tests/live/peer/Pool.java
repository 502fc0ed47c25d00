import java.io.*;
import java.lang.management.*;
import java.net.*;
import java.util.*;
import java.util.concurrent.*;

/** A pool of threads, each of which serves one connection at a time. Tells at the end what CPU time each client took. */
public class Pool {
    static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
    static final Map<String, Long> taken = new ConcurrentHashMap<>();
    static volatile long sink;

    static void decode(int milliseconds) {
        long end = CLOCK.getCurrentThreadCpuTime() + milliseconds * 1_000_000L, word = 7;
        while (CLOCK.getCurrentThreadCpuTime() < end)
            for (int at = 0; at < 5000; at++) word = word * 31 % 1_000_003;
        sink = word;
    }

    static void serve(Socket socket) {
        long before = CLOCK.getCurrentThreadCpuTime();
        String client = socket.getInetAddress().getHostAddress();
        try (socket) {
            for (int asked; (asked = socket.getInputStream().read()) >= 0; ) {
                decode(asked);
                socket.getOutputStream().write('!');
            }
        } catch (IOException gone) { }
        taken.merge(client, CLOCK.getCurrentThreadCpuTime() - before, Long::sum);
    }

    public static void main(String[] words) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            StringJoiner all = new StringJoiner(",", "{", "}");
            taken.forEach((client, ns) -> all.add("\"" + client + "\":" + ns));
            System.out.println(all);
        }));
        ServerSocket listener = new ServerSocket(0, 256, InetAddress.getByName("127.0.0.1"));
        System.out.println(listener.getLocalPort());
        ExecutorService pool = Executors.newCachedThreadPool();
        while (true) {
            Socket socket = listener.accept();
            pool.execute(() -> serve(socket));
        }
    }
}

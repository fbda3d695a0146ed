import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;

/** Serves a resource of its own jar over HTTP and says so when it is asked to end. */
public class App {
    public static void main(String[] args) throws Exception {
        System.out.println("args=" + String.join(",", args) + " greeting=" + System.getenv("GREETING")
            + " user=" + System.getProperty("user.name") + " dir=" + System.getProperty("user.dir")
            + " set=" + System.getProperty("set"));
        System.out.println("heap=" + Runtime.getRuntime().maxMemory() / (1 << 20) + "m");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shutdown hook ran")));
        if (args.length > 0 && args[0].equals("once")) {
            System.exit(7);
        }
        if (args.length > 0 && args[0].equals("deaf")) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                while (true) {
                    try {
                        Thread.sleep(1000);
                    } catch (InterruptedException ignored) {
                    }
                }
            }));
            System.out.println("deaf");
            Thread.sleep(Long.MAX_VALUE);
        }
        byte[] page;
        try (InputStream in = App.class.getResourceAsStream("/page.txt")) {
            page = in.readAllBytes();
        }
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, page.length);
            exchange.getResponseBody().write(page);
            exchange.close();
        });
        server.start();
        System.out.println("listening on " + server.getAddress().getPort());
    }
}

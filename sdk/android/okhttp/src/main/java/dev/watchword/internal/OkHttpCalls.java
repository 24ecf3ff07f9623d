package dev.watchword.internal;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.reflect.Method;
import java.security.cert.Certificate;
import java.util.List;
import okhttp3.Connection;
import okhttp3.Handshake;
import okhttp3.HttpUrl;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.BufferedSink;
import okio.Okio;

/**
 * The calls of OkHttp that are methods in 3.x and properties in 4.x and later. To Java they are the same methods in all
 * of them; a compiler of Kotlin would refuse the ones or the others. No API.
 */
final class OkHttpCalls {
    private static final Method IS_ONE_SHOT = flag("isOneShot");
    private static final Method IS_DUPLEX = flag("isDuplex");

    private OkHttpCalls() {}

    static String method(Request request) {
        return request.method();
    }

    static HttpUrl url(Request request) {
        return request.url();
    }

    static String host(HttpUrl url) {
        return url.host();
    }

    /** What the peer presented; null where the connection isn't encrypted. */
    static List<Certificate> certificates(Connection connection) {
        Handshake handshake = connection.handshake();
        return handshake == null ? null : handshake.peerCertificates();
    }

    /** Closes those connections of a client made by this builder that nothing is on. */
    static void closeIdle(OkHttpClient.Builder builder) {
        builder.build().connectionPool().evictAll();
    }

    static RequestBody body(Request request) {
        return request.body();
    }

    static int code(Response response) {
        return response.code();
    }

    /**
     * Whether a body may be written once only. From 3.14 on a body says so itself; before, one without a length is taken
     * for a stream.
     */
    static boolean isOneShot(RequestBody body) throws IOException {
        if (IS_ONE_SHOT == null) return body.contentLength() < 0;
        return is(IS_ONE_SHOT, body) || is(IS_DUPLEX, body);
    }

    /** Writes a body as it goes over the wire. */
    static void write(RequestBody body, OutputStream out) throws IOException {
        BufferedSink sink = Okio.buffer(Okio.sink(out));
        body.writeTo(sink);
        sink.flush();
    }

    private static Method flag(String name) {
        try {
            return RequestBody.class.getMethod(name);
        } catch (NoSuchMethodException older) {
            return null;
        }
    }

    private static boolean is(Method flag, RequestBody body) {
        try {
            return flag != null && (Boolean) flag.invoke(body);
        } catch (ReflectiveOperationException error) {
            return false;
        }
    }
}

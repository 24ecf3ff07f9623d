package dev.watchword.endtoend;

import java.io.IOException;
import okhttp3.Response;

/** What is a method of OkHttp's in 3.x and a property in later ones. */
final class Calls {
    private Calls() {}

    static int code(Response response) {
        return response.code();
    }

    static String protocol(Response response) {
        return response.protocol().toString();
    }

    static String text(Response response) throws IOException {
        return response.body().string();
    }
}

package dev.watchword;

import okhttp3.Response;

/** What is a method of OkHttp's in 3.x and a property in later ones. */
final class Calls {
    private Calls() {}

    static int code(Response response) {
        return response.code();
    }
}

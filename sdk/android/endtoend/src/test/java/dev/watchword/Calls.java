package dev.watchword;

import okhttp3.MediaType;
import okhttp3.RequestBody;
import okhttp3.Response;

/** What is a method of OkHttp's in 3.x and a property in later ones. */
final class Calls {
    private Calls() {}

    static int code(Response response) {
        return response.code();
    }

    static RequestBody json(String text) {
        return RequestBody.create(MediaType.parse("application/json"), text);
    }
}

package dev.watchword;

import okhttp3.RequestBody;
import okhttp3.Response;
import okhttp3.ResponseBody;

/** What is a method of OkHttp's in 3.x and a property in later ones. */
final class Calls {
    static final boolean KNOWS_ONE_SHOT = knowsOneShot();

    private Calls() {}

    static int code(Response response) {
        return response.code();
    }

    static ResponseBody body(Response response) {
        return response.body();
    }

    private static boolean knowsOneShot() {
        try {
            RequestBody.class.getMethod("isOneShot");
            return true;
        } catch (NoSuchMethodException older) {
            return false;
        }
    }
}

/** A body that may be written once only, as OkHttp asks from 3.14 on. */
abstract class OneShot extends RequestBody {
    public boolean isOneShot() {
        return true;
    }
}

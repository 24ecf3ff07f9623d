package dev.watchword.internal;

import okhttp3.RequestBody;

/**
 * A body that may be written once only. Its method overrides OkHttp's own from 3.14 on; before, OkHttp has none, and a
 * compiler would refuse the word. No API.
 */
abstract class OneShotBody extends RequestBody {
    public boolean isOneShot() {
        return true;
    }
}

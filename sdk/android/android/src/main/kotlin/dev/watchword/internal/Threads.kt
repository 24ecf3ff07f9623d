package dev.watchword.internal

import android.os.Looper

/**
 * Throws on the app's main thread: what comes next may wait for hardware or network, and would freeze the app.
 *
 * @throws IllegalStateException there.
 */
internal fun requireBackground(what: String) {
    check(Looper.myLooper() !== Looper.getMainLooper()) {
        "$what was called on the main thread, where it could block the app: " +
            "call it from a background thread, or use the suspending or callback variant"
    }
}

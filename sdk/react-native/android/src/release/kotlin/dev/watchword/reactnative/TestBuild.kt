package dev.watchword.reactnative

import android.content.Context
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig

/** What a release build has in place of test instances and lab phones: nothing. */
internal object TestBuild {
    @Suppress("UNUSED_PARAMETER")
    fun watchword(context: Context, config: WatchwordConfig, said: Map<String, Any?>): Watchword? {
        check(said["testInstance"] == null && said["lab"] == null) {
            "got testInstance or lab in a release build, expected neither: leave them out where __DEV__ is false"
        }
        return null
    }
}

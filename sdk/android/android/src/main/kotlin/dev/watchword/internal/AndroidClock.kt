package dev.watchword.internal

import android.content.ContentResolver
import android.os.SystemClock
import android.provider.Settings
import dev.watchword.Clock
import java.util.UUID

private const val MILLIS = 1000.0
private const val UNKNOWN = -1

/**
 * The phone's clocks. `elapsedRealtime` counts the time that the phone sleeps (`uptimeMillis` doesn't); Android counts its
 * starts from API 24 on, and where a phone doesn't, each process is a start of its own: times that were kept are void then.
 */
internal class AndroidClock(resolver: ContentResolver) : Clock {
    // Lazy, since the settings are asked of another process.
    override val bootId: String by lazy {
        when (val count = Settings.Global.getInt(resolver, Settings.Global.BOOT_COUNT, UNKNOWN)) {
            UNKNOWN -> UUID.randomUUID().toString()
            else -> "boot-$count"
        }
    }

    override fun wall(): Double = System.currentTimeMillis() / MILLIS

    override fun boot(): Double = SystemClock.elapsedRealtime() / MILLIS
}

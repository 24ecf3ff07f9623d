package dev.watchword.sample

import android.app.Application
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import dev.watchword.create
import dev.watchword.watchword
import okhttp3.OkHttpClient

/** The clinic's app: it has no key of its own, since every copy would hold it. */
class ClinicApp : Application() {
    /** Talks to the clinic's API, and proves that it is this app on a real phone that does. */
    lateinit var client: OkHttpClient
        private set

    override fun onCreate() {
        super.onCreate()
        val watchword = Watchword.create(this, config)
        client = OkHttpClient.Builder().watchword(watchword).build()
        watchword.prefetch()
    }

    companion object {
        const val API: String = "https://api.clinic.example"
        val config: WatchwordConfig = WatchwordConfig("https://attest.clinic.example", "clinic-android", API)
    }
}

package dev.watchword.measured

import android.app.Application
import dev.watchword.Watchword
import dev.watchword.WatchwordConfig
import dev.watchword.create
import dev.watchword.watchword
import okhttp3.OkHttpClient
import okhttp3.Request

private const val API = "https://api.clinic.example"

/** An app that asks its API by OkHttp and does nothing else: what an app weighs before. */
class BareApp : Application() {
    override fun onCreate() {
        super.onCreate()
        Thread { OkHttpClient.Builder().build().ask() }.start()
    }
}

/** The same app with Watchword: what it weighs after. */
class ProtectedApp : Application() {
    override fun onCreate() {
        super.onCreate()
        val watchword = Watchword.create(this, WatchwordConfig("https://attest.clinic.example", "clinic-android", API))
        Thread { OkHttpClient.Builder().watchword(watchword).build().ask() }.start()
    }
}

private fun OkHttpClient.ask(): Boolean =
    newCall(Request.Builder().url("$API/v1/records/7").build()).execute().use { it.isSuccessful }

package dev.watchword.sample

import android.app.Activity
import android.os.Bundle
import android.view.WindowManager
import android.widget.TextView
import dev.watchword.WatchwordException
import okhttp3.Call
import okhttp3.Callback
import okhttp3.Request
import okhttp3.Response
import java.io.IOException

/** Shows a patient's record. */
class RecordActivity : Activity() {
    private lateinit var record: TextView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_SECURE)
        record = TextView(this)
        setContentView(record)
        val request = Request.Builder().url("${ClinicApp.API}/v1/records/7").build()
        (application as ClinicApp).client.newCall(request).enqueue(Shown())
    }

    private fun show(text: String) {
        runOnUiThread { record.setText(text) }
    }

    private inner class Shown : Callback {
        override fun onResponse(call: Call, response: Response) {
            show(response.use { it.body.string() })
        }

        override fun onFailure(call: Call, e: IOException) {
            show(reason(e))
        }
    }

    /** What a patient can do about it; support finds the rest by the reference. */
    private fun reason(error: IOException): String =
        when (error) {
            is WatchwordException.Offline -> "The clinic can't be reached. Try again later."
            is WatchwordException.Refused -> "The clinic doesn't accept this phone. Send us: ${error.ref}"
            is WatchwordException.DeviceUnsupported -> "This phone can't show records. Call us."
            else -> "The record can't be shown. Try again later."
        }
}

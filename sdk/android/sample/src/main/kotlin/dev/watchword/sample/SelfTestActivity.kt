package dev.watchword.sample

import android.app.Activity
import android.os.Bundle
import android.widget.TextView
import dev.watchword.ProofKind
import dev.watchword.SelfTest
import java.io.File
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.concurrent.thread

/** Tries the SDK on this phone, and shows what it found: for whoever holds a real one. */
class SelfTestActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val shown = TextView(this)
        setContentView(shown)
        // Two at a time would remove each other's keys; turning the phone begins this activity anew.
        if (!isRunning.compareAndSet(false, true)) {
            shown.setText("The self-test is running. Open it again in a minute.")
            return
        }
        shown.setText("Trying this phone; it takes some seconds.")
        thread(name = "self-test") {
            try {
                val report = SelfTest(this, ClinicApp.config, ADDRESSES).run()
                val file = File(noBackupFilesDir, "self-test.json")
                file.writeText(report.json())
                val steps = report.steps.map { "${if (it.passed) "ok" else "FAILED"}  ${it.name} (${it.millis} ms): ${it.detail}" }
                runOnUiThread { shown.setText((steps + "" + "The report is in $file").joinToString("\n")) }
            } finally {
                isRunning.set(false)
            }
        }
    }

    private companion object {
        val isRunning = AtomicBoolean()
        val ADDRESSES = mapOf(
            ProofKind.BEARER to "${ClinicApp.API}/v1/patients/1",
            ProofKind.SESSION to "${ClinicApp.API}/v1/records/1",
            ProofKind.DEVICE to "${ClinicApp.API}/v1/payments/1",
        )
    }
}
